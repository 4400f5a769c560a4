"""SASL mechanisms in both roles (RFC 4422). They know bytes; base64 and 334 are the connection's."""

from __future__ import annotations

from ehlo._lazy import lazily

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ehlo.sasl._base import (
        NO_CONTEXT,
        NO_SETTINGS,
        Authorize,
        Challenge,
        ClientContext,
        ClientMechanism,
        Done,
        FetchSecret,
        Identity,
        MechanismError,
        Need,
        Refuse,
        SecretKind,
        ServerContext,
        ServerFactory,
        ServerMechanism,
        ServerMechanisms,
        ServerSettings,
        ServerSteps,
        Step,
        VerifyExternal,
        VerifyPassword,
        VerifyPrincipal,
        VerifyToken,
        Work,
        decode_challenge,
        proved,
    )
    from ehlo.sasl._saslprep import SaslprepError, saslprep
    from ehlo.sasl.anonymous import AnonymousClient, AnonymousServer
    from ehlo.sasl.channel import tls_server_end_point
    from ehlo.sasl.choice import (
        CLIENT_MECHANISMS,
        ClientFactory,
        candidates,
        make_client,
        needs_tls,
        still_sensible,
    )
    from ehlo.sasl.cram_md5 import CramMd5Client, CramMd5Server
    from ehlo.sasl.credentials import (
        Anonymous,
        Credentials,
        External,
        Kerberos,
        NtHash,
        Password,
        Secret,
        Token,
    )
    from ehlo.sasl.external import ExternalClient, ExternalServer
    from ehlo.sasl.gssapi import GssapiClient, GssapiServer, GssSpnegoClient, GssSpnegoServer
    from ehlo.sasl.login import LoginClient, LoginServer
    from ehlo.sasl.ntlm import NtlmClient, NtlmServer, nt_hash
    from ehlo.sasl.oauth import OAuthBearerClient, OAuthBearerServer, XOAuth2Client, XOAuth2Server
    from ehlo.sasl.offer import SERVER_MECHANISMS, standard_mechanisms
    from ehlo.sasl.plain import PlainClient, PlainServer
    from ehlo.sasl.scram.client import (
        ScramSha1Client,
        ScramSha1PlusClient,
        ScramSha256Client,
        ScramSha256PlusClient,
    )
    from ehlo.sasl.scram.keys import SHA_1, SHA_256, ScramKeys
    from ehlo.sasl.scram.server import (
        ScramSha1PlusServer,
        ScramSha1Server,
        ScramSha256PlusServer,
        ScramSha256Server,
    )
    from ehlo.sasl.store import UserStore, parse_users
    from ehlo.sasl.stored import StoredSecret

__all__ = [
    "CLIENT_MECHANISMS",
    "NO_CONTEXT",
    "NO_SETTINGS",
    "SERVER_MECHANISMS",
    "SHA_1",
    "SHA_256",
    "Anonymous",
    "AnonymousClient",
    "AnonymousServer",
    "Authorize",
    "Challenge",
    "ClientContext",
    "ClientFactory",
    "ClientMechanism",
    "CramMd5Client",
    "CramMd5Server",
    "Credentials",
    "Done",
    "External",
    "ExternalClient",
    "ExternalServer",
    "FetchSecret",
    "GssSpnegoClient",
    "GssSpnegoServer",
    "GssapiClient",
    "GssapiServer",
    "Identity",
    "Kerberos",
    "LoginClient",
    "LoginServer",
    "MechanismError",
    "Need",
    "NtHash",
    "NtlmClient",
    "NtlmServer",
    "OAuthBearerClient",
    "OAuthBearerServer",
    "Password",
    "PlainClient",
    "PlainServer",
    "Refuse",
    "SaslprepError",
    "ScramKeys",
    "ScramSha1Client",
    "ScramSha1PlusClient",
    "ScramSha1PlusServer",
    "ScramSha1Server",
    "ScramSha256Client",
    "ScramSha256PlusClient",
    "ScramSha256PlusServer",
    "ScramSha256Server",
    "Secret",
    "SecretKind",
    "ServerContext",
    "ServerFactory",
    "ServerMechanism",
    "ServerMechanisms",
    "ServerSettings",
    "ServerSteps",
    "Step",
    "StoredSecret",
    "Token",
    "UserStore",
    "VerifyExternal",
    "VerifyPassword",
    "VerifyPrincipal",
    "VerifyToken",
    "Work",
    "XOAuth2Client",
    "XOAuth2Server",
    "candidates",
    "decode_challenge",
    "make_client",
    "needs_tls",
    "nt_hash",
    "parse_users",
    "proved",
    "saslprep",
    "standard_mechanisms",
    "still_sensible",
    "tls_server_end_point",
]

lazily(
    __name__,
    {
        "ehlo.sasl._base": """
            NO_CONTEXT NO_SETTINGS Authorize Challenge ClientContext ClientMechanism Done FetchSecret
            Identity MechanismError Need Refuse SecretKind ServerContext ServerFactory ServerMechanism
            ServerMechanisms ServerSettings ServerSteps Step VerifyExternal VerifyPassword
            VerifyPrincipal VerifyToken Work decode_challenge proved
        """,
        "ehlo.sasl._saslprep": """
            SaslprepError saslprep
        """,
        "ehlo.sasl.anonymous": """
            AnonymousClient AnonymousServer
        """,
        "ehlo.sasl.channel": """
            tls_server_end_point
        """,
        "ehlo.sasl.choice": """
            CLIENT_MECHANISMS ClientFactory candidates make_client needs_tls still_sensible
        """,
        "ehlo.sasl.cram_md5": """
            CramMd5Client CramMd5Server
        """,
        "ehlo.sasl.credentials": """
            Anonymous Credentials External Kerberos NtHash Password Secret Token
        """,
        "ehlo.sasl.external": """
            ExternalClient ExternalServer
        """,
        "ehlo.sasl.gssapi": """
            GssSpnegoClient GssSpnegoServer GssapiClient GssapiServer
        """,
        "ehlo.sasl.login": """
            LoginClient LoginServer
        """,
        "ehlo.sasl.ntlm": """
            NtlmClient NtlmServer nt_hash
        """,
        "ehlo.sasl.oauth": """
            OAuthBearerClient OAuthBearerServer XOAuth2Client XOAuth2Server
        """,
        "ehlo.sasl.offer": """
            SERVER_MECHANISMS standard_mechanisms
        """,
        "ehlo.sasl.plain": """
            PlainClient PlainServer
        """,
        "ehlo.sasl.scram.client": """
            ScramSha1Client ScramSha1PlusClient ScramSha256Client ScramSha256PlusClient
        """,
        "ehlo.sasl.scram.keys": """
            SHA_1 SHA_256 ScramKeys
        """,
        "ehlo.sasl.scram.server": """
            ScramSha1PlusServer ScramSha1Server ScramSha256PlusServer ScramSha256Server
        """,
        "ehlo.sasl.store": """
            UserStore parse_users
        """,
        "ehlo.sasl.stored": """
            StoredSecret
        """,
    },
)
