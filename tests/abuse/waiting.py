"""Clients that let a server wait: they say nothing, or an octet now and then, or hear nothing.

Its deadlines end them all, for none of them is renewed by an octet.
"""

from __future__ import annotations

import contextlib
import select
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from typing import Final

import attrs
from tests.abuse.ground import ENVELOPE, HELLO, WAITS, Ground, attack
from tests.abuse.target import PATIENCE
from tests.abuse.wire import end, greeted, push
from tests.bindings.peers import Peer

LIMITS: Final = {"idle_timeout": 1.5, "block_timeout": 1.5, "tls_timeout": 1.5, "idle_commands": 10_000_000}
"""Of a server that does not wait for long, and is not tired by commands."""
_PAUSE: Final = 0.1
_TIME_OUT: Final = b"421 4.4.2 "


def _silent(ground: Ground) -> Peer:
    return Peer.to(ground.target.address)


def _in_command(ground: Ground) -> Peer:
    return greeted(ground.target.address)


def _in_tls(ground: Ground) -> Peer:
    peer = greeted(ground.target.address)
    assert peer.ask("STARTTLS").startswith("220 ")
    peer.sock = ground.target.context.wrap_socket(peer.sock, server_hostname="localhost")
    assert peer.ask("EHLO attacker.example").startswith("250")
    return peer


def _in_handshake(ground: Ground) -> Peer:
    peer = greeted(ground.target.address)
    assert peer.ask("STARTTLS").startswith("220 ")
    return peer


def _in_auth(ground: Ground) -> Peer:
    peer = greeted(ground.target.address)
    assert peer.ask("AUTH LOGIN").startswith("334 ")
    return peer


def _in_data(ground: Ground) -> Peer:
    peer = greeted(ground.target.address)
    for command in (*ENVELOPE.splitlines(), b"DATA"):
        assert peer.ask(command.decode())[0] in "23"
    return peer


def _in_chunk(ground: Ground) -> Peer:
    peer = greeted(ground.target.address)
    peer.send(ENVELOPE + b"BDAT %d LAST\r\n" % 2**63)
    assert peer.reply().startswith("250 ")
    assert peer.reply().startswith("250 ")
    return peer


_CLIENT_HELLO = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"
STAGES: Final[dict[str, tuple[Callable[[Ground], Peer], bytes, bytes]]] = {
    "silent": (_silent, b"", _TIME_OUT),
    "silent in TLS": (_in_tls, b"", _TIME_OUT),
    "silent in a handshake": (_in_handshake, b"", b""),
    "silent in DATA": (_in_data, b"", _TIME_OUT),
    "in a command": (_in_command, b"NOOP" + b"x" * 1000, _TIME_OUT),
    "in a command in TLS": (_in_tls, b"NOOP" + b"x" * 1000, _TIME_OUT),
    "in a handshake": (_in_handshake, _CLIENT_HELLO + bytes(500), b""),
    "in AUTH": (_in_auth, b"QUJD" * 1000, _TIME_OUT),
    "in DATA": (_in_data, b"text\r\n" * 1000, _TIME_OUT),
    "in a chunk": (_in_chunk, b"x" * 1000, _TIME_OUT),
}
"""How to get there, what is said then, octet by octet, and what the server says in the end."""


@attrs.define(eq=False)
class _Drip:
    stage: str
    peer: Peer
    octets: Iterator[int]
    heard: bytes = b""

    def say(self) -> None:
        octet = next(self.octets, None)
        if octet is not None:
            with contextlib.suppress(OSError):
                self.peer.sock.send(bytes([octet]))

    def listen(self) -> bool:
        """Whether that was all."""
        try:
            piece = self.peer.sock.recv(4096)
        except ConnectionError:
            return True
        self.heard += piece
        return not piece


@attack("slow_loris", WAITS)
def slow_loris(ground: Ground) -> None:
    """At each stage of a session: an octet every tenth of a second, or none at all."""
    with contextlib.ExitStack() as stack:
        drips = [
            _Drip(stage, stack.enter_context(reach(ground)), iter(octets))
            for _ in range(ground.times(8, 100))
            for stage, (reach, octets, _) in STAGES.items()
        ]
        ground.at_height()
        _drip(drips)


def _drip(drips: list[_Drip]) -> None:
    end_of_patience = time.monotonic() + PATIENCE
    by_number = {drip.peer.sock.fileno(): drip for drip in drips}
    poll = select.poll()
    for number in by_number:
        poll.register(number, select.POLLIN)
    next_time = time.monotonic() + _PAUSE
    while by_number:
        assert time.monotonic() < end_of_patience, sorted({drip.stage for drip in by_number.values()})
        for number, _ in poll.poll(max(0.0, next_time - time.monotonic()) * 1000):
            drip = by_number[number]
            if drip.listen():
                poll.unregister(number)
                del by_number[number]
        if time.monotonic() >= next_time:
            next_time += _PAUSE
            for drip in by_number.values():
                drip.say()
    for drip in drips:
        assert drip.heard.startswith(STAGES[drip.stage][2]), (drip.stage, drip.heard)


@attack("never_listening", WAITS)
def never_listening(ground: Ground) -> None:
    """In clear and in TLS: the server is held up by what it cannot get rid of, and gives it up in the end."""
    socks = []
    try:
        for reach in (_in_command, _in_tls):
            for _ in range(ground.times(1, 10)):
                socks.append(reach(ground).sock)
                push(socks[-1], HELLO * 200)
        ground.at_height()
        for sock in socks:
            _wait_for_the_end(sock)
    finally:
        for sock in socks:
            end(sock, "reset")


def _wait_for_the_end(sock: socket.socket) -> None:
    """Without listening: what is sent to nobody is answered by a reset."""
    until = time.monotonic() + PATIENCE
    poll = select.poll()
    # Nothing but what cannot be ignored.
    poll.register(sock, 0)
    try:
        while not poll.poll(100):
            assert time.monotonic() < until, "the server waits for ever"
            sock.setblocking(False)
            with contextlib.suppress(BlockingIOError, ssl.SSLWantWriteError):
                sock.send(b"x")
    except OSError:
        return
