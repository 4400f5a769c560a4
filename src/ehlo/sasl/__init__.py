"""SASL mechanisms in both roles (RFC 4422). They know bytes; base64 and 334 are the connection's."""

from __future__ import annotations

from ehlo._lazy import lazily

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ehlo.sasl._base import (
        Authorize,
        Challenge,
        ClientContext,
        ClientMechanism,
        Credentials,
        Done,
        FetchSecret,
        Identity,
        MechanismError,
        Need,
        Password,
        Refuse,
        SecretKind,
        ServerFactory,
        ServerMechanism,
        ServerMechanisms,
        ServerSteps,
        Step,
        VerifyPassword,
        decode_challenge,
    )
    from ehlo.sasl._saslprep import SaslprepError, saslprep
    from ehlo.sasl.choice import CLIENT_MECHANISMS, ClientFactory, candidates, make_client
    from ehlo.sasl.login import LoginClient, LoginServer
    from ehlo.sasl.ntlm import NtlmClient, NtlmServer, nt_hash
    from ehlo.sasl.offer import standard_mechanisms
    from ehlo.sasl.plain import PlainClient, PlainServer
    from ehlo.sasl.store import UserStore

__all__ = [
    "CLIENT_MECHANISMS",
    "Authorize",
    "Challenge",
    "ClientContext",
    "ClientFactory",
    "ClientMechanism",
    "Credentials",
    "Done",
    "FetchSecret",
    "Identity",
    "LoginClient",
    "LoginServer",
    "MechanismError",
    "Need",
    "NtlmClient",
    "NtlmServer",
    "Password",
    "PlainClient",
    "PlainServer",
    "Refuse",
    "SaslprepError",
    "SecretKind",
    "ServerFactory",
    "ServerMechanism",
    "ServerMechanisms",
    "ServerSteps",
    "Step",
    "UserStore",
    "VerifyPassword",
    "candidates",
    "decode_challenge",
    "make_client",
    "nt_hash",
    "saslprep",
    "standard_mechanisms",
]

__getattr__, __dir__ = lazily(
    __name__,
    {
        "ehlo.sasl._base": """
            Authorize Challenge ClientContext ClientMechanism Credentials Done FetchSecret Identity
            MechanismError Need Password Refuse SecretKind ServerFactory ServerMechanism
            ServerMechanisms ServerSteps Step VerifyPassword decode_challenge
        """,
        "ehlo.sasl.choice": """
            CLIENT_MECHANISMS ClientFactory candidates make_client
        """,
        "ehlo.sasl.login": """
            LoginClient LoginServer
        """,
        "ehlo.sasl.ntlm": """
            NtlmClient NtlmServer nt_hash
        """,
        "ehlo.sasl.offer": """
            standard_mechanisms
        """,
        "ehlo.sasl.plain": """
            PlainClient PlainServer
        """,
        "ehlo.sasl._saslprep": """
            SaslprepError saslprep
        """,
        "ehlo.sasl.store": """
            UserStore
        """,
    },
)
