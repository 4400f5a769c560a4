"""What a session shall be like."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import get_args

import attrs

from ehlo._errors import LocalProtocolError
from ehlo._value import Value
from ehlo.sasl import Credentials
from ehlo.wire.address import AddressError, check_domain


class TlsMode(Enum):
    """How a session gets its TLS."""

    STARTTLS = "starttls"
    """STARTTLS or nothing."""
    IMPLICIT = "implicit"
    """TLS from the first octet (RFC 8314)."""
    OPPORTUNISTIC = "opportunistic"
    """STARTTLS where it is offered, else in clear: no protection against an active attacker."""
    NONE = "none"
    """In clear."""


@attrs.frozen(repr=False, eq=False)
class HostFacts(Value):
    """What a server was seen to offer: worth keeping, and to be told to the next session."""

    starttls: bool = False
    mechanisms: frozenset[str] = frozenset()
    """Inside TLS, where there was any."""


class Notice(Enum):
    """Something that may be an attack, though the session went on."""

    STARTTLS_GONE = "the server was known to offer STARTTLS, and does not"
    MECHANISMS_HIDDEN = "the server offers mechanisms inside TLS that it did not offer before it"
    MECHANISMS_SHRUNK = "the server offers fewer mechanisms inside TLS than it did before it"
    MECHANISMS_GONE = "the server does not offer mechanisms that it was known to offer"


@attrs.frozen(repr=False, eq=False)
class Opened(Value):
    """A session that is ready."""

    facts: HostFacts
    notices: tuple[Notice, ...] = ()


@attrs.frozen(repr=False, eq=False, kw_only=True)
class SessionOptions(Value):
    """What `open_session` shall reach. Raises LocalProtocolError for what it never could."""

    client_name: str
    """The argument of EHLO: a domain or an address literal."""
    server_name: str
    """The name that the connection was made to: what the certificate is verified against
    [RFC4954-14b]."""
    port: int = 0
    """The port that it was made to; 0 when it does not matter. OAUTHBEARER tells it."""
    tls: TlsMode = TlsMode.STARTTLS
    known: HostFacts | None = None
    """What an earlier session found out about this host: what is gone since is noticed."""

    auth: Credentials | None = None
    """None: submit without authentication, where the server lets one."""
    random: Callable[[int], bytes] | None = attrs.field(default=None, repr=False)
    """Needed for `auth`: so many octets that nobody can guess, such as `os.urandom`."""
    clock: Callable[[], float] | None = attrs.field(default=None, repr=False)
    """Needed for `auth`: seconds since 1970, such as `time.time`."""
    mechanisms: tuple[str, ...] | None = None
    """Only these mechanisms, in this order; None: any safe one."""
    allow_cleartext_auth: bool = False
    """What shows a password or a token may be used without TLS, or without a verified certificate."""
    allow_ntlmv1: bool = False
    """NTLM may be answered in its old form where the server knows no other: whoever records it can
    compute the password."""
    initial_response: bool = False
    """LOGIN and NTLM speak first, which some servers cannot take; the others always do."""
    ehlo_after_auth: bool = False
    """Ask anew what the server offers once it knows who asks: some offer more then."""

    def __attrs_post_init__(self) -> None:
        try:
            check_domain(self.client_name)
        except AddressError as error:
            raise LocalProtocolError(f"client_name: {error}") from None
        if self.auth is not None:
            if not isinstance(self.auth, get_args(Credentials)):
                raise LocalProtocolError("auth is an ehlo.Password, Token or other credentials")
            if self.random is None or self.clock is None:
                raise LocalProtocolError("auth needs random and clock, such as os.urandom and time.time")
        if self.mechanisms is not None:
            _check_mechanisms(self.mechanisms)


def _check_mechanisms(names: tuple[str, ...]) -> None:
    from ehlo.sasl import CLIENT_MECHANISMS  # noqa: PLC0415 (who names none needs none of them)

    unknown = [name for name in names if name.upper() not in CLIENT_MECHANISMS]
    if unknown:
        raise LocalProtocolError(
            f"mechanisms: there is no {unknown[0]}; there are {', '.join(CLIENT_MECHANISMS)}"
        )
