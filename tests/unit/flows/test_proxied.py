"""Serving behind a proxy: the header that comes first, and who may send it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.helpers.driver import server_config
from tests.helpers.splits import agreed, ways

from ehlo import Limits, LocalProtocolError, ProxyHeader, ServerConnection, Session, State, TLSInfo, TlvType
from ehlo._events import Wait
from ehlo.flows import Close, Receive, Shutdown, TrustedProxies, hooks_of, serve
from ehlo.testing import FAKE_TLS, run
from ehlo.wire.proxy import parse

PROXY = "192.0.2.1"
TRUSTED = TrustedProxies.of([PROXY])
TCP4 = b"PROXY TCP4 198.51.100.7 203.0.113.9 4711 587\r\n"
BINARY = b"\r\n\r\n\x00\r\nQUIT\n"
TLVS = bytes.fromhex("02 0009") + b"mail.test" + bytes.fromhex("05 0001") + b"7"
TCP6 = (
    BINARY
    + b"\x21\x21"
    + (36 + len(TLVS)).to_bytes(2, "big")
    + bytes.fromhex("20010db8000000000000000000000007 20010db8000000000000000000000009 1267 024b")
    + TLVS
)
MAPPED = b"PROXY TCP6 ::ffff:198.51.100.7 ::ffff:203.0.113.9 4711 587\r\n"
UNKNOWN = b"PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n"
LOCAL = BINARY + b"\x20\x00\x00\x00"
HELLO = bytes.fromhex("16 0301 0005 01 000001 00")
"""A record that could begin a TLS handshake."""


class Wire:
    """The connection: octets in the pieces in which they come, and then what ends them."""

    def __init__(self, pieces: list[bytes], end: Exception | None = None) -> None:
        self.pieces = [piece for piece in pieces if piece]
        self.end = end
        self.sent = b""
        self.handshake: bytes | None = None
        self.closed = False

    def send(self, data: bytes) -> None:
        self.sent += data

    def receive(self, most: int) -> bytes:
        if self.pieces:
            return self.pieces.pop(0)
        if self.end is not None:
            raise self.end
        return b""

    def poll(self) -> bytes | None:
        return self.pieces.pop(0) if self.pieces else None

    def start_tls(self, received: bytes) -> TLSInfo:
        assert self.handshake is None
        self.handshake = received
        return FAKE_TLS

    def close(self) -> None:
        self.closed = True

    def stuck(self) -> AssertionError:
        return AssertionError("the flow waits for ever")


class Door:
    """Remembers who came in."""

    def __init__(self) -> None:
        self.sessions: list[Session] = []
        self.warnings: list[str] = []

    def on_connect(self, session: Session) -> None:
        self.sessions.append(session)


def served(
    wire: Wire,
    *,
    peer: str | None = PROXY,
    trusted: TrustedProxies = TRUSTED,
    tls: bool = False,
    limits: Limits | None = None,
) -> Door:
    """Serve the connection to its end."""
    door = Door()
    conn = ServerConnection(server_config(limits=limits or Limits()))
    run(
        serve(
            conn,
            hooks_of(door),
            peer=peer,
            implicit_tls=tls,
            proxied_from=trusted,
            warn=door.warnings.append,
        ),
        wire,
    )
    assert conn.state is State.CLOSED
    assert wire.closed
    return door


# ---- a header, and what is behind it ----


@pytest.mark.parametrize(
    ("header", "peer"),
    [
        (TCP4, "198.51.100.7"),
        (TCP6, "2001:db8::7"),
        (MAPPED, "198.51.100.7"),
        (UNKNOWN, PROXY),
        (LOCAL, PROXY),
    ],
    ids=["TCP4", "TCP6 with TLVs", "mapped", "UNKNOWN", "LOCAL"],
)
def test_the_header_however_it_is_cut(header: bytes, peer: str) -> None:
    found = parse(header)
    assert found is not None

    def session(pieces: list[bytes]) -> tuple[str | None, ProxyHeader | None, list[bytes]]:
        wire = Wire(pieces)
        door = served(wire)
        assert door.warnings == []
        (only,) = door.sessions
        return only.peer, only.proxy, [line[:3] for line in wire.sent.splitlines()]

    # Commands behind it are no part of it, in the same piece or in another.
    heard = agreed(session, header + b"HELO client.test\r\nQUIT\r\n")
    assert heard == (peer, found[0], [b"220", b"250", b"221"])


def test_what_the_proxy_said_is_there_for_the_handler() -> None:
    door = served(Wire([TCP6 + b"QUIT\r\n"]))
    proxy = door.sessions[0].proxy
    assert proxy is not None
    assert proxy.source is not None
    assert proxy.source.port == 0x1267
    assert proxy.tlv(TlvType.AUTHORITY) == b"mail.test"
    assert proxy.tlv(TlvType.UNIQUE_ID) == b"7"


def test_without_a_proxy_there_is_none() -> None:
    door = Door()
    wire = Wire([b"QUIT\r\n"])
    run(serve(ServerConnection(server_config()), hooks_of(door), peer=PROXY), wire)
    assert [(session.peer, session.proxy) for session in door.sessions] == [(PROXY, None)]


def test_a_session_that_does_not_read_the_header_does_not_guess() -> None:
    door = Door()
    wire = Wire([TCP4 + b"QUIT\r\n"])
    run(serve(ServerConnection(server_config()), hooks_of(door), peer=PROXY), wire)
    assert [line[:3] for line in wire.sent.splitlines()] == [b"220", b"500", b"221"]
    assert door.sessions[0].peer == PROXY


def test_tls_behind_the_header_begins_with_what_came_with_it() -> None:
    for pieces in ways(TCP4 + HELLO):
        wire = Wire(pieces)
        door = served(wire, tls=True)
        assert wire.handshake is not None
        assert len(door.sessions) == 1
        assert wire.sent.startswith(b"220 ")
        if len(pieces) == 1:
            assert wire.handshake == HELLO
        # Nothing is lost, and nothing of the header is left in front of it.
        assert HELLO.startswith(wire.handshake)


def test_octets_of_a_handshake_that_come_later_stay_where_they_are() -> None:
    wire = Wire([TCP4, HELLO])
    served(wire, tls=True)
    assert wire.handshake == b""


@pytest.mark.clause("SEC-TLS-srv-a")
def test_plaintext_behind_starttls_is_found_also_behind_a_header() -> None:
    wire = Wire([TCP4 + b"EHLO client.test\r\nSTARTTLS\r\nNOOP\r\n"])
    served(wire)
    assert wire.handshake is None
    assert wire.sent.splitlines()[-1].startswith(b"421 4.7.0 Plaintext behind STARTTLS")


# ---- no header ----

BAD = {
    "commands": b"EHLO client.test\r\n",
    "a handshake": HELLO,
    "an endless line": b"PROXY UNKNOWN " + b"x" * 200,
    "a lone LF": TCP4.replace(b"\r\n", b"\n") + b"x" * 107,
    "an address with a leading zero": TCP4.replace(b".7 ", b".07 "),
    "another version": BINARY + b"\x11\x11",
    "more than the limit": BINARY + b"\x21\x11\x0f\xf1",
    "addresses that are cut off": BINARY + b"\x21\x11\x00\x04abcd",
}


@pytest.mark.parametrize("tls", [False, True], ids=["clear", "TLS"])
@pytest.mark.parametrize("data", BAD.values(), ids=BAD.keys())
def test_a_bad_header_ends_the_connection_without_a_word(data: bytes, tls: bool) -> None:
    for pieces in ways(data):
        # It is not waited for more.
        wire = Wire(pieces, AssertionError("nothing more is read"))
        door = served(wire, tls=tls)
        assert (wire.sent, wire.handshake, door.sessions) == (b"", None, [])
        (warning,) = door.warnings
        assert "PROXY header" in warning
        assert PROXY in warning


ENDS = {
    "end": (None, True),
    "silence": (TimeoutError(), True),
    "reset": (ConnectionResetError(), False),
    "shutdown": (Shutdown(), False),
}


@pytest.mark.parametrize(("end", "warned"), ENDS.values(), ids=ENDS.keys())
@pytest.mark.parametrize("header", [TCP4, TCP6], ids=["text", "binary"])
def test_a_header_that_does_not_end(header: bytes, end: Exception | None, warned: bool) -> None:
    for size in (1, 5, 13, 15, len(header) - 1):
        wire = Wire([header[:size]], end)
        door = served(wire)
        assert (wire.sent, door.sessions, len(door.warnings)) == (b"", [], int(warned))


@pytest.mark.parametrize(("end", "warned"), ENDS.values(), ids=ENDS.keys())
def test_nothing_at_all(end: Exception | None, warned: bool) -> None:
    wire = Wire([], end)
    door = served(wire)
    assert (wire.sent, door.sessions) == (b"", [])
    # Who only looks whether somebody listens is no news.
    assert len(door.warnings) == int(warned and end is not None)


def test_the_limit_is_that_of_the_server() -> None:
    wire = Wire([TCP6, b"QUIT\r\n"])
    assert served(wire, limits=Limits(proxy_header=len(TCP6))).sessions
    assert not served(Wire([TCP6]), limits=Limits(proxy_header=len(TCP6) - 1)).sessions


def test_one_deadline_for_the_whole_header() -> None:
    conn = ServerConnection(server_config(limits=Limits(proxy_timeout=7.0)))
    flow = serve(conn, hooks_of(None), peer=PROXY, proxied_from=TRUSTED)
    first = next(flow)
    second = flow.send(TCP4[:5])
    assert isinstance(first, Receive)
    assert isinstance(second, Receive)
    assert first.deadline is not None
    assert first.deadline is second.deadline
    assert (first.deadline.wait, first.deadline.seconds) == (Wait.PROXY_HEADER, 7.0)
    # A late header gets no word, and the flow ends.
    assert isinstance(flow.throw(TimeoutError()), Close)


# ---- who may send one ----


@pytest.mark.parametrize("peer", ["198.51.100.7", "unix", None])
def test_nothing_is_read_from_who_is_not_trusted(peer: str | None) -> None:
    wire = Wire([], AssertionError("it is not looked at what he sends"))
    door = served(wire, peer=peer)
    assert wire.sent.startswith(b"421 4.7.0 ")
    assert wire.sent.count(b"\r\n") == 1
    assert door.sessions == []
    # Who has no address has gone already, which is no news.
    assert len(door.warnings) == (peer is not None)
    assert all(str(peer) in warning for warning in door.warnings)


def test_who_is_not_trusted_gets_no_handshake() -> None:
    wire = Wire([], AssertionError("it is not looked at what he sends"))
    door = served(wire, peer="198.51.100.7", tls=True)
    assert (wire.sent, wire.handshake, door.sessions, len(door.warnings)) == (b"", None, [], 1)


def _trust() -> Iterator[object]:
    networks = ["10.0.0.0/8", "192.0.2.1", "2001:db8::/32"]
    for peer, trusted in {
        "10.255.0.1": True,
        "11.0.0.1": False,
        "192.0.2.1": True,
        "192.0.2.2": False,
        "2001:db8::1": True,
        "2001:db8::1%eth0": True,
        "2001:db9::1": False,
        "::ffff:10.0.0.1": True,
        "::ffff:11.0.0.1": False,
        "::10.0.0.1": False,
        "unix": False,
        "": False,
        "localhost": False,
        None: False,
    }.items():
        yield pytest.param(networks, peer, trusted, id=f"{peer}")
    yield pytest.param(["unix"], "unix", True, id="unix alone")
    yield pytest.param(["unix"], "127.0.0.1", False, id="only unix")
    yield pytest.param(["0.0.0.0/0", "unix"], "127.0.0.1", True, id="all of IPv4")
    yield pytest.param(["0.0.0.0/0"], "::1", False, id="none of IPv6")


@pytest.mark.parametrize(("names", "peer", "trusted"), list(_trust()))
def test_trusted_proxies(names: list[str], peer: str | None, trusted: bool) -> None:
    assert (peer in TrustedProxies.of(names)) is trusted


@pytest.mark.parametrize(
    "names", ["10.0.0.0/8", [], ["10.0.0.1/8"], ["proxy.test"], [""], ["10.0.0.0/8", "x"]]
)
def test_what_is_no_list_of_networks(names: list[str]) -> None:
    with pytest.raises(LocalProtocolError):
        TrustedProxies.of(names)
