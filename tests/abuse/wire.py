"""What attackers do with a socket: say much at once, listen or not, and end in each way."""

from __future__ import annotations

import contextlib
import selectors
import socket
import struct
import time
from collections.abc import Iterable, Iterator

from tests.abuse.target import PATIENCE
from tests.bindings.peers import Address, Peer

MUCH = 64 * 1024 * 1024
"""Octets after which what still takes them would do so for ever."""
ENDS = ("close", "reset", "half-close")


def connected(address: Address, *, small_window: bool = False) -> socket.socket:
    """Not yet greeted."""
    sock = Peer.silent_to(address, small_window=small_window).sock
    sock.settimeout(PATIENCE)
    return sock


def greeted(address: Address, *, small_window: bool = False) -> Peer:
    """A client that has said EHLO."""
    peer = Peer.to(address, small_window=small_window)
    peer.sock.settimeout(PATIENCE)
    assert peer.ask("EHLO attacker.example").startswith("250")
    return peer


def end(sock: socket.socket, how: str) -> None:
    """What was sent may still arrive, but for a reset; a half-closed one is closed when the other side is."""
    with contextlib.suppress(OSError):
        if how == "reset":
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        elif how == "half-close":
            socket.socket.shutdown(sock, socket.SHUT_WR)
            while sock.recv(65536):
                pass
    sock.close()


def pieces(octets: bytes | Iterable[bytes]) -> Iterator[bytes]:
    yield from (octets,) if isinstance(octets, bytes) else octets


def converse(sock: socket.socket, octets: bytes | Iterable[bytes]) -> tuple[bytes, int]:
    """Send all of it as fast as it is taken, and listen until the other side ends the connection: what it
    said, and how much it took. Fails where that is MUCH, or takes longer than PATIENCE."""
    said, taken = bytearray(), 0
    source = pieces(octets)
    left = memoryview(next(source, b""))
    until = time.monotonic() + PATIENCE
    sock.setblocking(False)
    with selectors.DefaultSelector() as selector, sock:
        selector.register(sock, selectors.EVENT_READ | selectors.EVENT_WRITE)
        while True:
            assert time.monotonic() < until, f"no end of it: {bytes(said[-200:])!r}"
            assert taken < MUCH, "the server would listen for ever"
            for _, events in selector.select(0.5):
                try:
                    if events & selectors.EVENT_READ:
                        piece = sock.recv(65536)
                        if not piece:
                            return bytes(said), taken
                        said += piece
                    if events & selectors.EVENT_WRITE:
                        count = sock.send(left)
                        taken += count
                        left = left[count:] or memoryview(next(source, b""))
                        if not left:
                            selector.modify(sock, selectors.EVENT_READ)
                except BlockingIOError:
                    pass
                except BrokenPipeError:
                    # It hears no more, and what it has said is still to come.
                    left = memoryview(b"")
                    selector.modify(sock, selectors.EVENT_READ)
                except ConnectionError:
                    return bytes(said), taken


def push(sock: socket.socket, octets: bytes) -> int:
    """Send this again and again, and listen to nothing, until the other side takes no more for half a second:
    how much it took."""
    taken = 0
    sock.settimeout(0.5)
    with contextlib.suppress(TimeoutError):
        while taken < MUCH:
            taken += sock.send(octets)
    assert taken < MUCH, "the server takes all and is not listened to"
    return taken
