"""The header of the PROXY protocol, versions 1 and 2 (HAProxy, proxy-protocol.txt section 2).

A proxy sends it before anything else; the server's greeting waits for it. Who may send it is believed:
a listener either demands it from its own proxies or does not read it at all, and never guesses.
"""

from __future__ import annotations

import re
from enum import IntEnum
from ipaddress import IPv4Address, IPv6Address
from typing import Final, TypeAlias

import attrs

from ehlo._value import Value

_LINE: Final = 107
"""Octets of a header of version 1, CRLF included: the longest that the grammar has."""
_FIXED: Final = 16
_BLOCK: Final = 0xFFFF
MOST: Final = _FIXED + _BLOCK
"""Octets of the longest header of version 2."""

_TCP4_ADDRESSES: Final = 12
_TCP6_ADDRESSES: Final = 36

_TEXT: Final = b"PROXY "
_SIGNATURE: Final = b"\r\n\r\n\x00\r\nQUIT\n"
_PORT = r"(0|[1-9][0-9]{0,4})"
_TCP = re.compile(rf"PROXY TCP([46]) ([0-9A-Fa-f:.]+) ([0-9A-Fa-f:.]+) {_PORT} {_PORT}\Z")
# What follows UNKNOWN is ignored, but a lone CR or LF may not pass for the end of the line.
_UNKNOWN = re.compile(r"PROXY UNKNOWN(?: [^\r\n]*)?\Z")

Address: TypeAlias = IPv4Address | IPv6Address


class ProxyError(ValueError):
    """Not a PROXY header: the connection is to be dropped without a word."""


class TlvType(IntEnum):
    """Registered types of TLVs (section 2.2). The values are kept as they came; CRC32C is not checked."""

    ALPN = 0x01
    AUTHORITY = 0x02
    """The host name that the client asked for, in UTF-8: SNI under TLS."""
    CRC32C = 0x03
    NOOP = 0x04
    UNIQUE_ID = 0x05
    SSL = 0x20
    """The TLS between client and proxy: flags, the verify result and TLVs of its own."""
    NETNS = 0x30


def _is_port(_: object, __: object, value: int) -> None:
    if not 0 <= value <= 0xFFFF:
        raise ValueError("not a port")


def _has_no_zone(_: object, __: object, value: Address) -> None:
    if "%" in str(value):
        raise ValueError("a zone has no meaning for another host")


@attrs.frozen(repr=False, eq=False)
class Endpoint(Value):
    """One end of the connection that the client made."""

    address: Address = attrs.field(validator=_has_no_zone)
    port: int = attrs.field(validator=_is_port)


@attrs.frozen(repr=False, eq=False, kw_only=True)
class ProxyHeader(Value):
    """Whom the proxy speaks for. Both ends or neither; with neither, those of the connection itself
    hold: UNKNOWN, LOCAL, and the families that are no TCP."""

    version: int = 2
    """1 or 2."""
    source: Endpoint | None = None
    destination: Endpoint | None = None
    local: bool = False
    """Version 2: the proxy speaks for itself, as in health checks."""
    tlvs: tuple[tuple[int, bytes], ...] = ()
    """Types and values, in order; of version 2 with both ends."""

    def __attrs_post_init__(self) -> None:
        source, destination = self.source, self.destination
        if (source is None) is not (destination is None):
            raise ValueError("both ends or neither")
        if source and destination and source.address.version != destination.address.version:
            raise ValueError("both ends are of one family")
        if self.version not in (1, 2) or (self.version == 1 and (self.local or self.tlvs)):
            raise ValueError("not what a version of the protocol can say")
        if source is None and self.tlvs:
            raise ValueError("TLVs go with both ends")
        if source is not None and self.local:
            raise ValueError("LOCAL has no ends")
        most = _BLOCK - (_TCP4_ADDRESSES if source and source.address.version == 4 else _TCP6_ADDRESSES)
        if sum(3 + len(value) for _, value in self.tlvs) > most:
            raise ValueError("the TLVs are too long")
        if not all(0 <= kind <= 0xFF for kind, _ in self.tlvs):
            raise ValueError("the type of a TLV is one octet")

    def tlv(self, kind: int) -> bytes | None:
        """The value of the first TLV of this type; None when there is none."""
        return next((value for found, value in self.tlvs if found == kind), None)

    def render(self) -> bytes:
        return _render_text(self) if self.version == 1 else _render_binary(self)


def parse(data: bytes, *, limit: int = MOST) -> tuple[ProxyHeader, int] | None:
    """`(header, its octets)` from the start of what came; None: more octets are needed.

    Raises ProxyError for what is no header, and for one of more than `limit` octets as soon as its length
    is known: nothing is waited for that would be refused.
    """
    if data[:1] == _TEXT[:1]:
        return _parse_text(data, limit)
    if not _SIGNATURE.startswith(data[: len(_SIGNATURE)]):
        raise ProxyError("no PROXY header")
    return _parse_binary(data, limit)


def _parse_text(data: bytes, limit: int) -> tuple[ProxyHeader, int] | None:
    most = min(limit, _LINE)
    if not data.startswith(_TEXT[: len(data)]):
        raise ProxyError("no PROXY header")
    end = data.find(b"\r\n", 0, most)
    if end < 0:
        if len(data) >= most:
            raise ProxyError("the line does not end")
        return None
    line = data[:end].decode("latin-1")
    found = _TCP.match(line)
    if found is None:
        if not _UNKNOWN.match(line):
            raise ProxyError("not a line of version 1")
        return ProxyHeader(version=1), end + 2
    family: type[Address] = IPv4Address if found[1] == "4" else IPv6Address
    try:
        # Both classes refuse leading zeros, and everything else that could be read in two ways.
        source, destination = (Endpoint(family(found[i]), int(found[i + 2])) for i in (2, 3))
    except ValueError:
        raise ProxyError("not an address or port") from None
    return ProxyHeader(version=1, source=source, destination=destination), end + 2


def _render_text(header: ProxyHeader) -> bytes:
    source, destination = header.source, header.destination
    if source is None or destination is None:
        return b"PROXY UNKNOWN\r\n"
    words = f"{source.address} {destination.address} {source.port} {destination.port}"
    return f"PROXY TCP{source.address.version} {words}\r\n".encode("ascii")


_LOCAL: Final = 0x20
_PROXY: Final = 0x21
_TCP4: Final = 0x11
_TCP6: Final = 0x21
_ADDRESSES: Final = {0x0: 0, 0x1: _TCP4_ADDRESSES, 0x2: _TCP6_ADDRESSES, 0x3: 216}
"""Octets of the addresses by family: unspecified, IPv4, IPv6, Unix."""
_PROTOCOLS: Final = frozenset({0x0, 0x1, 0x2})
"""Unspecified, stream, datagram."""


def _parse_binary(data: bytes, limit: int) -> tuple[ProxyHeader, int] | None:
    # Each octet is judged when it is there: a wrong one is not waited behind.
    if len(data) > 12 and data[12] not in (_LOCAL, _PROXY):
        raise ProxyError("neither LOCAL nor PROXY of version 2")
    if len(data) > 13 and (data[13] >> 4 not in _ADDRESSES or data[13] & 0xF not in _PROTOCOLS):
        raise ProxyError("unassigned family or protocol")
    if len(data) < _FIXED:
        return None
    octets = _FIXED + int.from_bytes(data[14:16], "big")
    if octets > limit:
        raise ProxyError("the header is too long")
    if len(data) < octets:
        return None
    if data[12] == _LOCAL:
        # The family and the block are to be discarded, whatever they say.
        return ProxyHeader(local=True), octets
    return _parse_block(data[13], data[_FIXED:octets]), octets


def _parse_block(family: int, block: bytes) -> ProxyHeader:
    addresses = _ADDRESSES[family >> 4]
    if len(block) < addresses:
        raise ProxyError("the addresses are cut off")
    if family not in (_TCP4, _TCP6):
        return ProxyHeader()
    kind: type[Address] = IPv4Address if family == _TCP4 else IPv6Address
    ports = addresses - 4
    half = ports // 2
    source = Endpoint(kind(block[:half]), int.from_bytes(block[ports : ports + 2], "big"))
    destination = Endpoint(kind(block[half:ports]), int.from_bytes(block[ports + 2 : addresses], "big"))
    return ProxyHeader(source=source, destination=destination, tlvs=_parse_tlvs(block, addresses))


def _parse_tlvs(block: bytes, start: int) -> tuple[tuple[int, bytes], ...]:
    found = []
    while start < len(block):
        value = start + 3
        end = value + int.from_bytes(block[start + 1 : value], "big")
        if max(value, end) > len(block):
            raise ProxyError("a TLV is cut off")
        found.append((block[start], block[value:end]))
        start = end
    return tuple(found)


def _render_binary(header: ProxyHeader) -> bytes:
    source, destination = header.source, header.destination
    if source is None or destination is None:
        return _SIGNATURE + bytes([_LOCAL if header.local else _PROXY, 0, 0, 0])
    block = b"".join(
        (
            source.address.packed,
            destination.address.packed,
            source.port.to_bytes(2, "big"),
            destination.port.to_bytes(2, "big"),
            *(bytes([kind]) + len(value).to_bytes(2, "big") + value for kind, value in header.tlvs),
        )
    )
    family = _TCP4 if source.address.version == 4 else _TCP6
    return _SIGNATURE + bytes([_PROXY, family]) + len(block).to_bytes(2, "big") + block
