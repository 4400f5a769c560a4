from __future__ import annotations

import ehlo.sasl


def test_the_public_names() -> None:
    assert sorted(ehlo.sasl.__all__) == [
        "Authorize",
        "CLIENT_MECHANISMS",
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
    assert all(hasattr(ehlo.sasl, name) for name in ehlo.sasl.__all__)
