"""Servers behind a proxy: the header that comes before everything else."""

from __future__ import annotations

import os
import ssl
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

from tests.bindings.faces import HOSTNAME, Io
from tests.bindings.handlers import SENDER, Sink
from tests.bindings.peers import Address, Peer
from tests.bindings.registry import add, scenario

import ehlo

PROXY = ["127.0.0.0/8"]
CLIENT = "198.51.100.7"
TEXT = f"PROXY TCP4 {CLIENT} 203.0.113.9 4711 587\r\n".encode()
BINARY = b"\r\n\r\n\x00\r\nQUIT\n" + bytes.fromhex("2111 000c c6336407 cb007109 1267 024b")


class Door(Sink):
    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[str | None, int]] = []
        """Who came, and the version of the header."""

    def on_connect(self, session: ehlo.Session) -> None:
        self.seen.append((session.peer, session.proxy.version if session.proxy else 0))


async def _play(io: Io, address: Address, play: Callable[[Peer], None]) -> None:
    def talk() -> None:
        with Peer.silent_to(address) as peer:
            play(peer)

    await io.thread(talk)


def _dialogue(peer: Peer) -> None:
    assert peer.reply().startswith("220 ")
    assert peer.ask("EHLO client.test").startswith("250-")
    assert peer.ask(f"MAIL FROM:<{SENDER}>").startswith("250 ")
    assert peer.ask("QUIT").startswith("221 ")


def _announced(peer: Peer) -> None:
    peer.send(TEXT)
    _dialogue(peer)


async def _header(io: Io, header: bytes, version: int) -> None:
    def whole(peer: Peer) -> None:
        peer.send(header)
        _dialogue(peer)

    def octets(peer: Peer) -> None:
        for octet in header:
            peer.send(bytes([octet]))
        _dialogue(peer)

    def pipelined(peer: Peer) -> None:
        peer.send(header + b"HELO client.test\r\nQUIT\r\n")
        assert [peer.reply()[:3] for _ in range(3)] == ["220", "250", "221"]

    door = Door()
    async with io.serve_open(door, proxied_from=PROXY) as server:
        for play in (whole, octets, pipelined):
            await _play(io, server.address, play)
    assert door.seen == [(CLIENT, version)] * 3


for _header_octets, _version in ((TEXT, 1), (BINARY, 2)):
    add(f"proxy_header_of_version_{_version}", partial(_header, header=_header_octets, version=_version))


@scenario()
async def proxy_that_speaks_for_itself(io: Io) -> None:
    def play(peer: Peer) -> None:
        peer.send(BINARY[:12] + b"\x20\x00\x00\x00")
        _dialogue(peer)

    door = Door()
    async with io.serve_open(door, proxied_from=PROXY) as server:
        await _play(io, server.address, play)
    assert door.seen == [("127.0.0.1", 2)]


@scenario()
async def proxy_header_and_handshake_in_one_piece(io: Io) -> None:
    def play(peer: Peer, together: int) -> None:
        """With so many octets of the handshake behind the header in its piece."""
        inward, outward = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = io.certificates.client.wrap_bio(inward, outward, server_hostname=HOSTNAME)
        first = True
        heard = b""
        while not heard:
            try:
                heard = tls.read(4096)
            except ssl.SSLWantReadError:
                octets = outward.read()
                if first:
                    hello = octets
                    peer.send(TEXT + hello[:together])
                    octets = hello[together:]
                    first = False
                if octets:
                    peer.send(octets)
                inward.write(peer.sock.recv(65536))
        assert heard.startswith(b"220 ")
        tls.write(b"QUIT\r\n")
        peer.send(outward.read())

    door = Door()
    options = {"tls": io.certificates.server, "implicit_tls": True, "proxied_from": PROXY}
    async with io.serve(door, **options) as server:
        for together in (0, 1, 100, 65536):
            await _play(io, server.address, partial(play, together=together))
        await io.until(lambda: door.calls.count("quit") == 4)
    assert door.seen == [(CLIENT, 1)] * 4


@scenario()
async def proxy_header_before_starttls(io: Io) -> None:
    def play(peer: Peer) -> None:
        peer.send(TEXT)
        assert peer.reply().startswith("220 ")
        peer.ask("EHLO client.test")
        assert peer.ask("STARTTLS").startswith("220 ")
        peer.start_tls(io.certificates.client)
        assert "AUTH" in peer.ask("EHLO client.test")

    door = Door()
    async with io.serve(door, proxied_from=PROXY) as server:
        await _play(io, server.address, play)
    assert door.seen == [(CLIENT, 1)]


@scenario()
async def proxy_header_is_not_taken_from_anybody(io: Io) -> None:
    def play(peer: Peer) -> None:
        peer.send(TEXT)
        assert peer.reply().startswith("421 ")
        assert peer.ended()

    door = Door()
    async with io.serve_open(door, proxied_from=["192.0.2.0/24", "unix"]) as server:
        await _play(io, server.address, play)
        await io.until(lambda: io.log)
    assert "127.0.0.1" in io.logged()
    assert door.seen == []


async def _no_header(io: Io, data: bytes, logged: str) -> None:
    def play(peer: Peer) -> None:
        if data:
            peer.send(data)
        assert peer.ended()

    door = Door()
    limits = ehlo.Limits(proxy_timeout=0.2)
    async with io.serve_open(door, proxied_from=PROXY, limits=limits) as server:
        await _play(io, server.address, play)
        await io.until(lambda: io.log)
        text = io.logged()
        assert logged in text
        assert "127.0.0.1" in text
        # And the next one is served.
        await _play(io, server.address, _announced)
    assert door.seen == [(CLIENT, 1)]


for _name, _data, _logged in (
    ("commands", b"EHLO client.test\r\n", "no PROXY header"),
    ("half_a_header", TEXT[:20], "in time"),
    ("silence", b"", "in time"),
    ("too_much", BINARY[:14] + b"\xff\xff", "too long"),
):
    add(f"proxy_{_name}_ends_without_a_word", partial(_no_header, data=_data, logged=_logged))


@scenario()
async def proxy_looks_whether_somebody_listens(io: Io) -> None:
    door = Door()
    async with io.serve_open(door, proxied_from=PROXY) as server:
        await _play(io, server.address, Peer.reset)
        await _play(io, server.address, Peer.close)
        await _play(io, server.address, _announced)
    # Neither a session nor a line in the log.
    assert door.seen == [(CLIENT, 1)]


@scenario()
async def proxy_through_a_unix_socket(io: Io) -> None:
    def play(peer: Peer) -> None:
        peer.send(BINARY)
        _dialogue(peer)

    door = Door()
    with tempfile.TemporaryDirectory(prefix="ehlo-") as directory:
        path = os.fspath(Path(directory, "socket"))
        async with io.serve_unix(door, path, proxied_from=["unix"]):
            await _play(io, path, play)
    assert door.seen == [(CLIENT, 2)]


@scenario()
async def server_stops_before_the_header(io: Io) -> None:
    door = Door()
    peers: list[Peer] = []
    async with io.serve_open(door, proxied_from=PROXY) as server:
        await io.thread(lambda: peers.append(Peer.silent_to(server.address)))
        await io.thread(lambda: peers[0].send(TEXT[:10]))
        await io.sleep(0.05)
        await server.close()
        with peers[0] as peer:
            assert await io.thread(peer.ended)
    assert door.seen == []
