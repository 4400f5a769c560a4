"""Which mechanisms a server offers, by the needs that its application can answer."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from ehlo.sasl._base import ServerFactory, ServerMechanisms


def standard_mechanisms(
    *,
    verify_password: bool,
    fetch_nt_hash: bool,
    target: str,
    nonce: Callable[[], bytes],
    now: Callable[[], int] | None = None,
    channel_binding: bytes | None = None,
) -> ServerMechanisms:
    """PLAIN and LOGIN where the application answers VerifyPassword, NTLM where FetchSecret(NT_HASH).

    In the order of the AUTH line. The other arguments are those of `NtlmServer`; cleartext
    mechanisms are in the result with or without TLS: the connection holds them back.
    """
    mechanisms: dict[str, ServerFactory] = {}
    if verify_password:
        from ehlo.sasl.login import LoginServer  # noqa: PLC0415 (loaded by who offers it)
        from ehlo.sasl.plain import PlainServer  # noqa: PLC0415

        mechanisms |= {PlainServer.name: PlainServer, LoginServer.name: LoginServer}
    if fetch_nt_hash:
        from ehlo.sasl.ntlm.acceptor import NtlmServer  # noqa: PLC0415 (loaded by who offers it)

        ntlm = partial(NtlmServer, target=target, nonce=nonce, now=now, channel_binding=channel_binding)
        ntlm()  # A wrong target is a fault of the set-up, not of the first session.
        mechanisms[NtlmServer.name] = ntlm
    return mechanisms
