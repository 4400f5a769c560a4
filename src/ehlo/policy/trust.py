"""Whom a server believes what it says of others: its own proxies, by where they connect from."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final, Literal, TypeAlias

from ehlo._errors import LocalProtocolError

UNIX: Final = "unix"
"""All who connect to a Unix socket."""

Network: TypeAlias = IPv4Network | IPv6Network | Literal["unix"]


def networks_of(texts: Iterable[str]) -> tuple[Network, ...]:
    """Addresses and networks such as `192.0.2.1`, `2001:db8::/32` and `unix`. Raises LocalProtocolError."""
    if isinstance(texts, str):
        raise LocalProtocolError("networks are a list, not one text")
    return tuple(_network(text) for text in texts)


def _network(text: str) -> Network:
    if text == UNIX:
        return "unix"
    try:
        return ip_network(text)
    except ValueError as error:
        # Bits behind the mask are a slip of the pen, and nobody knows what was meant.
        raise LocalProtocolError(f"not a network: {error}") from None


def trusted(peer: str | None, networks: Sequence[Network]) -> bool:
    """Whether the peer, an address or "unix", is in one of the networks; one without a name never is."""
    if not networks or peer is None:
        return False
    if peer == UNIX:
        return UNIX in networks
    try:
        address = unmapped(ip_address(peer))
    except ValueError:
        return False
    return any(network != UNIX and address in network for network in networks)


def unmapped(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """IPv4 as such: a socket for both families shows it as ::ffff:192.0.2.1."""
    return getattr(address, "ipv4_mapped", None) or address
