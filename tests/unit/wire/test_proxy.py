from __future__ import annotations

from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.helpers.splits import agreed, agreed_before_tail

from ehlo.wire.proxy import MOST, Endpoint, ProxyError, ProxyHeader, TlvType, parse

SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"
A4, B4 = Endpoint(IPv4Address("192.0.2.1"), 56324), Endpoint(IPv4Address("198.51.100.25"), 25)
A6, B6 = Endpoint(IPv6Address("2001:db8::1"), 65535), Endpoint(IPv6Address("::"), 0)
TCP4 = bytes([192, 0, 2, 1, 198, 51, 100, 25]) + b"\xdc\x04\x00\x19"
TCP6 = A6.address.packed + B6.address.packed + b"\xff\xff\x00\x00"


def binary(command: int, family: int, block: bytes = b"", length: int | None = None) -> bytes:
    octets = len(block) if length is None else length
    return SIGNATURE + bytes([command, family]) + octets.to_bytes(2, "big") + block


def read(pieces: list[bytes], limit: int = MOST) -> tuple[ProxyHeader | str, bytes | None]:
    """What a listener makes of the octets as they come, and what is left of them behind the header."""
    data = b""
    found = None
    for piece in pieces:
        data += piece
        if found is None:
            try:
                found = parse(data, limit=limit)
            except ProxyError:
                return "refused", None
    return ("incomplete", None) if found is None else (found[0], data[found[1] :])


HEADERS = [
    (b"PROXY TCP4 192.0.2.1 198.51.100.25 56324 25\r\n", ProxyHeader(version=1, source=A4, destination=B4)),
    (b"PROXY TCP6 2001:db8::1 :: 65535 0\r\n", ProxyHeader(version=1, source=A6, destination=B6)),
    (b"PROXY UNKNOWN\r\n", ProxyHeader(version=1)),
    (binary(0x21, 0x11, TCP4), ProxyHeader(source=A4, destination=B4)),
    (binary(0x21, 0x21, TCP6), ProxyHeader(source=A6, destination=B6)),
    (binary(0x20, 0x00), ProxyHeader(local=True)),
    (binary(0x21, 0x00), ProxyHeader()),
    (
        binary(0x21, 0x11, TCP4 + b"\x02\0\x0cmail.example" + b"\x20\0\x05\x01\0\0\0\0\x04\0\0\xee\0\x01x"),
        ProxyHeader(
            source=A4,
            destination=B4,
            tlvs=((2, b"mail.example"), (0x20, b"\x01\0\0\0\0"), (4, b""), (0xEE, b"x")),
        ),
    ),
]  # fmt: skip


@pytest.mark.parametrize(("octets", "header"), HEADERS)
def test_both_ways(octets: bytes, header: ProxyHeader) -> None:
    assert agreed_before_tail(read, octets) == header
    assert header.render() == octets


@pytest.mark.parametrize(
    ("octets", "header"),
    [
        (b"PROXY TCP6 2001:DB8:0:0::1 0:0:0:0:0:0:0:0 65535 0\r\n", HEADERS[1][1]),
        (b"PROXY TCP6 2001:0db8:0000:0000:0000:0000:0000:0001 :: 65535 0\r\n", HEADERS[1][1]),
        (
            b"PROXY TCP6 ::ffff:192.0.2.1 :: 0 0\r\n",
            ProxyHeader(
                version=1,
                source=Endpoint(IPv6Address("::ffff:c000:201"), 0),
                destination=Endpoint(IPv6Address("::"), 0),
            ),
        ),
        (b"PROXY UNKNOWN ffff:f::ffff  x \xff\x00 65535\r\n", ProxyHeader(version=1)),
        (b"PROXY UNKNOWN " + b"x" * 91 + b"\r\n", ProxyHeader(version=1)),
        (binary(0x20, 0x11, TCP4), ProxyHeader(local=True)),
        (binary(0x20, 0x00, b"\x02\xff\xff"), ProxyHeader(local=True)),
        (binary(0x21, 0x00, b"anything"), ProxyHeader()),
        (binary(0x21, 0x12, TCP4), ProxyHeader()),
        (binary(0x21, 0x10, TCP4), ProxyHeader()),
        (binary(0x21, 0x01), ProxyHeader()),
        (binary(0x21, 0x31, bytes(216)), ProxyHeader()),
        (binary(0x21, 0x32, bytes(300)), ProxyHeader()),
    ],
)
def test_other_spellings(octets: bytes, header: ProxyHeader) -> None:
    assert agreed_before_tail(read, octets) == header


@pytest.mark.parametrize(
    "octets",
    [
        b"EHLO x\r\n",
        b"\r\nEHLO x",
        b"\r\n\r\n\x00\r\nQUIT\r\n",
        b"PROXX UNKNOWN\r\n",
        b"PROXY\tUNKNOWN\r\n",
        b"proxy UNKNOWN\r\n",
        b"PROXY unknown\r\n",
        b"PROXY UNKNOWNX\r\n",
        b"PROXY  UNKNOWN\r\n",
        b"PROXY UNKNOWN\n\r\n",
        b"PROXY UNKNOWN x\rx\r\n",
        b"PROXY UNKNOWN \nEHLO x\r\n",
        b"PROXY UNKNOWN " + b"x" * 92 + b"\r\n",
        b"PROXY UDP4 192.0.2.1 192.0.2.2 1 2\r\n",
        b"PROXY TCP4\r\n",
        b"PROXY TCP4 192.0.2.1 192.0.2.2 1\r\n",
        b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2 \r\n",
        b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2 3\r\n",
        b"PROXY TCP4  192.0.2.1 192.0.2.2 1 2\r\n",
        b"PROXY TCP4 192.0.2.1 192.0.2.2 1  2\r\n",
        b"PROXY TCP4 192.0.2.01 192.0.2.2 1 2\r\n",
        b"PROXY TCP4 192.0.2.1 192.0.2.256 1 2\r\n",
        b"PROXY TCP4 192.0.2 192.0.2.2 1 2\r\n",
        b"PROXY TCP4 ::1 ::1 1 2\r\n",
        b"PROXY TCP4 192.0.2.1 192.0.2.2 01 2\r\n",
        b"PROXY TCP4 192.0.2.1 192.0.2.2 1 65536\r\n",
        b"PROXY TCP4 192.0.2.1 192.0.2.2 -1 2\r\n",
        b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\n\r\n",
        b"PROXY TCP4 192.0.2.1 192.0.2.2 1 \xd9\xa1\r\n",
        b"PROXY TCP6 192.0.2.1 192.0.2.2 1 2\r\n",
        b"PROXY TCP6 ::1::1 :: 1 2\r\n",
        b"PROXY TCP6 fe80::1%eth0 :: 1 2\r\n",
        b"PROXY TCP6 00001::1 :: 1 2\r\n",
        b"PROXY " + b"x" * 101,
        SIGNATURE + b"\x11\x11\x00\x0c" + TCP4,
        SIGNATURE + b"\x22",
        SIGNATURE + b"\x31",
        SIGNATURE + b"\x21\x13",
        SIGNATURE + b"\x21\x41",
        binary(0x20, 0x41),
        binary(0x21, 0x11, TCP4[:-1]),
        binary(0x21, 0x21, TCP4),
        binary(0x21, 0x31, bytes(215)),
        binary(0x21, 0x12),
        binary(0x21, 0x11, TCP4 + b"\x02"),
        binary(0x21, 0x11, TCP4 + b"\x02\x00"),
        binary(0x21, 0x11, TCP4 + b"\x02\x00\x01"),
        binary(0x21, 0x11, TCP4 + b"\x04\x00\x00\x02\x00\x02x"),
    ],
)
def test_refused(octets: bytes) -> None:
    assert agreed(read, octets) == ("refused", None)


@pytest.mark.parametrize(("octets", "header"), HEADERS)
def test_every_beginning_of_a_header_is_incomplete(octets: bytes, header: ProxyHeader) -> None:
    for end in range(len(octets)):
        assert parse(octets[:end]) is None


def test_a_wrong_beginning_is_not_waited_behind() -> None:
    for wrong in (b"E", b"PROXX", b"\n", b"\r\n\r\nx", SIGNATURE + b"\x20\xff", b"PROXY " + b"1" * 101):
        with pytest.raises(ProxyError):
            parse(wrong)


def test_limits() -> None:
    line = b"PROXY UNKNOWN " + b"x" * 91 + b"\r\n"
    assert len(line) == 107
    assert parse(line + b"x" * 1000) == (ProxyHeader(version=1), 107)
    assert parse(line, limit=107) is not None
    with pytest.raises(ProxyError):
        parse(line, limit=106)
    whole = binary(0x21, 0x00, bytes(0xFFFF))
    assert len(whole) == MOST
    assert parse(whole[:-1]) is None
    assert parse(whole + b"x") == (ProxyHeader(), MOST)
    # Refused by the length alone.
    with pytest.raises(ProxyError, match="too long"):
        parse(binary(0x21, 0x11, length=85), limit=100)
    assert parse(binary(0x21, 0x11, length=84), limit=100) is None


def test_tlv() -> None:
    header = HEADERS[-1][1]
    assert header.tlv(TlvType.AUTHORITY) == b"mail.example"
    assert header.tlv(TlvType.SSL) == b"\x01\0\0\0\0"
    assert header.tlv(TlvType.NOOP) == b""
    assert header.tlv(0xEE) == b"x"
    assert header.tlv(TlvType.ALPN) is None


@pytest.mark.parametrize(
    "make",
    [
        lambda: Endpoint(IPv4Address(0), 65536),
        lambda: Endpoint(IPv4Address(0), -1),
        lambda: ProxyHeader(source=A4),
        lambda: ProxyHeader(destination=A4),
        lambda: ProxyHeader(source=A4, destination=B6),
        lambda: ProxyHeader(version=3),
        lambda: ProxyHeader(version=1, local=True),
        lambda: ProxyHeader(version=1, source=A4, destination=B4, tlvs=((2, b""),)),
        lambda: ProxyHeader(tlvs=((2, b""),)),
        lambda: ProxyHeader(source=A4, destination=B4, local=True),
        lambda: ProxyHeader(source=A4, destination=B4, tlvs=((2, bytes(0xFFFF - 14)),)),
        lambda: ProxyHeader(source=A6, destination=B6, tlvs=((2, bytes(0xFFFF - 38)),)),
        lambda: ProxyHeader(source=A6, destination=B6, tlvs=((256, b""),)),
        lambda: ProxyHeader(source=A6, destination=B6, tlvs=((-1, b""),)),
        lambda: ProxyHeader(version=1, source=Endpoint(IPv6Address("::1%x"), 1), destination=B6),
    ],
)
def test_no_such_header(make: Callable[[], object]) -> None:
    with pytest.raises(ValueError, match=r"."):
        make()


def test_the_first_and_the_last_type_of_a_tlv() -> None:
    header = ProxyHeader(source=A4, destination=B4, tlvs=((0, b"a"), (255, b"b")))
    assert header.render() == binary(0x21, 0x11, TCP4 + b"\x00\x00\x01a\xff\x00\x01b")


@pytest.mark.parametrize(("source", "destination", "most"), [(A4, B4, 0xFFFF - 15), (A6, B6, 0xFFFF - 39)])
def test_as_much_as_there_is_room_for(source: Endpoint, destination: Endpoint, most: int) -> None:
    header = ProxyHeader(source=source, destination=destination, tlvs=((0xE0, bytes(most)),))
    octets = header.render()
    assert len(octets) == MOST
    assert parse(octets) == (header, MOST)


TLVS = st.lists(st.tuples(st.integers(0, 255), st.binary(max_size=20)), max_size=4).map(tuple)


@st.composite
def headers(draw: st.DrawFn) -> ProxyHeader:
    ips = draw(st.sampled_from([st.ip_addresses(v=4), st.ip_addresses(v=6)]))
    ports = st.integers(0, 65535)
    number = draw(st.sampled_from([1, 2]))
    return ProxyHeader(
        version=number,
        source=Endpoint(draw(ips), draw(ports)),
        destination=Endpoint(draw(ips), draw(ports)),
        tlvs=draw(TLVS) if number == 2 else (),
    )


@given(headers(), st.binary(max_size=30))
def test_any_header_comes_back(header: ProxyHeader, behind: bytes) -> None:
    octets = header.render()
    assert parse(octets + behind) == (header, len(octets))


@given(
    headers(),
    st.lists(st.tuples(st.integers(0, 120), st.binary(max_size=3)), max_size=3),
    st.integers(0, 200),
)
def test_any_octets_are_a_header_or_refused_however_they_are_cut(
    header: ProxyHeader, changes: list[tuple[int, bytes]], limit: int
) -> None:
    data = header.render()
    for place, change in changes:
        data = data[:place] + change + data[place + 1 :]
    whole = read([data], limit)
    assert read([data[i : i + 1] for i in range(len(data))], limit) == whole
    found = whole[0]
    if isinstance(found, ProxyHeader):
        again = parse(found.render())
        assert again is not None
        assert again[0] == found


@given(st.sampled_from([b"", b"PROXY ", b"PROXY TCP4 ", SIGNATURE, SIGNATURE + b"\x21\x11\x00"]), st.binary())
def test_garbage(start: bytes, data: bytes) -> None:
    try:
        found = parse(start + data)
    except ProxyError:
        return
    if found is None:
        assert len(start + data) < MOST
    else:
        assert found[1] <= len(start + data)
