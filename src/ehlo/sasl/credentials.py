"""What a client proves itself with. One class for each kind; a mechanism serves one or a few of them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeAlias

import attrs

from ehlo._errors import LocalProtocolError
from ehlo._value import Value

Secret: TypeAlias = str | Callable[[], str | Awaitable[str]]
"""A secret, or what is called (and awaited) for it when it is needed: a prompt, the refresh of a token."""


def _redacted(_: object) -> str:
    return "***"


@attrs.frozen(repr=False, eq=False)
class Password(Value):
    """For every mechanism that starts from a password."""

    username: str
    """`name`, `name@domain` (a UPN) or `DOMAIN\\name`."""
    password: Secret = attrs.field(repr=_redacted)
    authzid: str = ""
    """The identity to act as; empty means the user's own (RFC 4616 section 2)."""


@attrs.frozen(repr=False, eq=False)
class NtHash(Value):
    """The NT hash of a password: as good as the password itself, for NTLM only."""

    username: str
    """As in `Password`."""
    nt_hash: bytes = attrs.field(repr=_redacted)
    """16 octets."""

    def __attrs_post_init__(self) -> None:
        if len(self.nt_hash) != 16:
            raise LocalProtocolError("an NT hash is 16 octets")


@attrs.frozen(repr=False, eq=False)
class Token(Value):
    """An OAuth 2.0 access token, for OAUTHBEARER and XOAUTH2."""

    username: str
    token: Secret = attrs.field(repr=_redacted)


@attrs.frozen(repr=False, eq=False)
class External(Value):
    """Who one is was proved already, by the client certificate of TLS."""

    authzid: str = ""
    """The identity to act as; empty means the certificate's own."""


@attrs.frozen(repr=False, eq=False)
class Anonymous(Value):
    """Nobody in particular."""

    trace: str = ""
    """For the server's log: an address, or up to 255 characters without an `@`, or nothing
    [RFC4505-2a]."""


@attrs.frozen(repr=False, eq=False)
class Kerberos(Value):
    """A Kerberos ticket, for GSSAPI and GSS-SPNEGO; needs the extra `kerberos`."""

    username: str = ""
    """`name` or `name@REALM`; empty means the owner of the ticket that is there."""
    password: Secret | None = attrs.field(default=None, repr=_redacted)
    """None uses the ticket that is there; a password gets one of its own."""
    authzid: str = ""
    """The identity to act as; empty means the user's own."""
    service: str = "smtp"
    """The service name of the server's key [RFC4954-4w]."""


Credentials: TypeAlias = Password | NtHash | Token | External | Anonymous | Kerberos
