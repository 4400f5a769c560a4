"""What a session shall be like."""

from __future__ import annotations

from enum import Enum

import attrs

from ehlo._errors import LocalProtocolError
from ehlo._value import Value
from ehlo.sasl import Credentials, Password
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


@attrs.frozen(repr=False, eq=False, kw_only=True)
class SessionOptions(Value):
    """What `open_session` shall reach. Raises LocalProtocolError for what it never could."""

    client_name: str
    """The argument of EHLO: a domain or an address literal."""
    server_name: str
    """The name that the connection was made to: what the certificate is verified against
    [RFC4954-14b]."""
    tls: TlsMode = TlsMode.STARTTLS
    auth: Credentials | None = None
    """None: submit without authentication, where the server lets one."""
    mechanisms: tuple[str, ...] | None = None
    """Only these mechanisms, in this order; None: any safe one."""
    allow_cleartext_auth: bool = False
    """PLAIN and LOGIN may be used without TLS, or without a verified certificate."""

    def __attrs_post_init__(self) -> None:
        try:
            check_domain(self.client_name)
        except AddressError as error:
            raise LocalProtocolError(f"client_name: {error}") from None
        if self.auth is not None and not isinstance(self.auth, Password):
            raise LocalProtocolError("auth is an ehlo.Password")
        if self.mechanisms is not None:
            _check_mechanisms(self.mechanisms)


def _check_mechanisms(names: tuple[str, ...]) -> None:
    from ehlo.sasl import CLIENT_MECHANISMS  # noqa: PLC0415 (who names none needs none of them)

    if not {name.upper() for name in names} <= set(CLIENT_MECHANISMS):
        raise LocalProtocolError(f"mechanisms: there are {', '.join(CLIENT_MECHANISMS)}")
