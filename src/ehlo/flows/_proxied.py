"""Behind a proxy: whose PROXY header is believed, and how it is received.

"The receiver MUST be configured to only receive the protocol described in this specification and MUST
not try to guess whether the protocol header is present or not" (HAProxy, proxy-protocol.txt section 2).
So an address that is not trusted gets no session at all: not one with its own address either.
"""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

import attrs

from ehlo._errors import LocalProtocolError
from ehlo._events import Deadline, Wait
from ehlo._limits import Limits
from ehlo._value import Value
from ehlo.flows.actions import Flow, Receive
from ehlo.wire.proxy import ProxyError, ProxyHeader, parse

UNIX_PEER: Final = "unix"
"""The address of every peer on a UNIX socket."""


@attrs.frozen(repr=False, eq=False)
class TrustedProxies(Value):
    """The peers whose PROXY header is believed; `peer in trusted` for an address as text."""

    networks: tuple[IPv4Network | IPv6Network, ...] = ()
    unix: bool = False
    """Whoever may connect to a UNIX socket."""

    @classmethod
    def of(cls, names: Iterable[str]) -> TrustedProxies:
        """From networks or addresses as text, and "unix". Raises LocalProtocolError."""
        if isinstance(names, str):
            raise LocalProtocolError("trusted proxies are a list of networks, not one text")
        given = tuple(names)
        if not given:
            raise LocalProtocolError("behind a proxy some address must be trusted")
        try:
            networks = tuple(ip_network(name) for name in given if name != UNIX_PEER)
        except ValueError as error:
            raise LocalProtocolError(f"no network of trusted proxies: {error}") from None
        return cls(networks, UNIX_PEER in given)

    def __contains__(self, peer: object) -> bool:
        if peer == UNIX_PEER:
            return self.unix
        try:
            address = _unmapped(ip_address(str(peer)))
        except ValueError:
            return False
        return any(address in network for network in self.networks)


def _unmapped(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """IPv4 as such: a socket for both families shows it as ::ffff:192.0.2.1."""
    return getattr(address, "ipv4_mapped", None) or address


def source_of(header: ProxyHeader) -> str | None:
    """The client's address as text; None: the proxy does not tell, or speaks for itself."""
    return None if header.source is None else str(_unmapped(header.source.address))


def receive_header(limits: Limits) -> Flow[tuple[ProxyHeader, bytes] | None]:
    """The header and what came behind it; None: the stream ended without an octet.

    Raises ProxyError, and what is thrown into a flow that receives.
    """
    deadline = Deadline(Wait.PROXY_HEADER, limits.proxy_timeout)
    # Never longer than the limit and one more piece.
    data = b""
    while (found := parse(data, limit=limits.proxy_header)) is None:
        received: bytes = yield Receive(deadline)
        if not received:
            if not data:
                return None
            raise ProxyError("the header is cut off")
        data += received
    header, octets = found
    return header, data[octets:]
