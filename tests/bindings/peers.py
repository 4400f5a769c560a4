"""Peers on plain sockets that say exactly what a scenario tells them to, in threads of their own."""

from __future__ import annotations

import contextlib
import os
import socket
import ssl
import struct
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

PATIENCE = 8.0
Address: TypeAlias = tuple[str, int] | str
"""Host and port, or the path of a UNIX socket."""


class Peer:
    """One connection; each call blocks for a bounded time."""

    def __init__(self, sock: socket.socket) -> None:
        sock.settimeout(PATIENCE)
        if sock.family != socket.AF_UNIX:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock: socket.socket = sock
        self._buffer = b""

    @classmethod
    def to(cls, address: Address, *, small_window: bool = False) -> Peer:
        """A client, that is greeted."""
        peer = cls.silent_to(address, small_window=small_window)
        assert peer.reply().startswith("220 ")
        return peer

    @classmethod
    def silent_to(cls, address: Address, *, small_window: bool = False) -> Peer:
        if isinstance(address, str):
            family = socket.AF_UNIX
        else:
            family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        sock = socket.socket(family)
        if small_window:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
        sock.settimeout(PATIENCE)
        try:
            sock.connect(address)
        except BaseException:
            sock.close()
            raise
        return cls(sock)

    def send(self, data: bytes) -> None:
        self.sock.sendall(data)

    def line(self) -> bytes:
        """The next line without its CRLF; b"" at the end of the stream."""
        while b"\r\n" not in self._buffer:
            data = self.sock.recv(65536)
            if not data:
                return b""
            self._buffer += data
        line, _, self._buffer = self._buffer.partition(b"\r\n")
        return line

    def until(self, end: bytes) -> bytes:
        """Everything up to `end`, and `end` itself."""
        while end not in self._buffer:
            data = self.sock.recv(65536)
            assert data, f"the stream ended before {end!r}"
            self._buffer += data
        at = self._buffer.index(end) + len(end)
        found, self._buffer = self._buffer[:at], self._buffer[at:]
        return found

    def reply(self) -> str:
        """The next reply, its lines joined; "" at the end of the stream."""
        lines = []
        while line := self.line().decode():
            lines.append(line)
            if line[3:4] != "-":
                break
        return "\n".join(lines)

    def ask(self, command: str) -> str:
        self.send(command.encode() + b"\r\n")
        return self.reply()

    def rest(self) -> bytes:
        """Everything up to the end of the stream, which a reset must not be."""
        pieces = [self._buffer]
        self._buffer = b""
        while data := self.sock.recv(65536):
            pieces.append(data)
        return b"".join(pieces)

    def ended(self) -> bool:
        """Wait for the end of the stream, of either kind, with nothing more before it."""
        try:
            return self.rest() == b""
        except ConnectionError:
            return True

    def start_tls(self, context: ssl.SSLContext, *, server_side: bool = False) -> None:
        name = None if server_side else "mail.test"
        self.sock = context.wrap_socket(self.sock, server_side=server_side, server_hostname=name)

    def finish_sending(self) -> None:
        self.sock.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """End the connection by a TCP reset."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    def close(self) -> None:
        self.sock.close()

    def __enter__(self) -> Peer:
        return self

    def __exit__(self, *_: object) -> None:
        self.sock.close()


class Scripted:
    """A server that plays `script` with each client.

    A connection that breaks is the client's right; whatever else goes wrong fails the scenario.
    """

    def __init__(self, script: Callable[[Peer], None], *, small_buffers: bool = False) -> None:
        self._script = script
        self._errors: list[BaseException] = []
        self._threads: list[threading.Thread] = []
        self._listener = socket.socket()
        if small_buffers:
            # As small as the system lets them be.
            self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
            self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)
        self._listener.bind(("127.0.0.1", 0))
        self._listener.listen(20)
        self.address: tuple[str, int] = self._listener.getsockname()
        self._acceptor = threading.Thread(target=self._accept, daemon=True)
        self._acceptor.start()

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._play, args=(sock,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _play(self, sock: socket.socket) -> None:
        with Peer(sock) as peer:
            try:
                self._script(peer)
            except OSError as error:
                if isinstance(error, TimeoutError):
                    self._errors.append(error)
            except BaseException as error:
                self._errors.append(error)

    def close(self) -> None:
        """Wait for the scripts to end."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._acceptor.join()
        for thread in self._threads:
            thread.join(PATIENCE)

    def check(self) -> None:
        assert not any(thread.is_alive() for thread in self._threads), "a script does not end"
        if self._errors:
            raise self._errors[0]


def connected_to(address: tuple[str, int]) -> list[socket.socket]:
    """Duplicates of this process's own sockets that are connected to a server, whoever holds them."""
    found = []
    for entry in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):
            if not os.readlink(entry).startswith("socket:"):
                continue
            sock = socket.socket(fileno=os.dup(int(entry.name)))
            if _name_of_peer(sock) == address:
                found.append(sock)
            else:
                sock.close()
    return found


def _name_of_peer(sock: socket.socket) -> object:
    try:
        return sock.getpeername()
    except OSError:
        return None


def shrink_sending_to(address: tuple[str, int]) -> None:
    """The system takes megabytes from a client before it makes it wait; now it takes little."""
    for sock in connected_to(address):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)
        sock.close()


def count_connected_to(address: tuple[str, int]) -> int:
    socks = connected_to(address)
    for sock in socks:
        sock.close()
    return len(socks)


GREETING = b"220 mail.test ESMTP\r\n"
OFFER = b"250-mail.test\r\n250-PIPELINING\r\n250 8BITMIME\r\n"


def greet(peer: Peer, offer: bytes = OFFER) -> None:
    """Up to the reply to EHLO."""
    peer.send(GREETING)
    assert peer.line().startswith(b"EHLO ")
    peer.send(offer)


def take_envelope(peer: Peer) -> None:
    """MAIL, RCPT and DATA accepted, one reply each; the next octets are the message."""
    while (line := peer.line()) and line != b"DATA":
        peer.send(b"250 2.0.0 OK\r\n")
    peer.send(b"354 Go on\r\n")
