"""Servers with hard-coded replies and no checks: what the transport alone costs. And the sink that
clients are measured against, which offers PIPELINING, CHUNKING and BINARYMIME."""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
from collections.abc import Callable
from typing import Final, cast

from benchmarks.processes import HOST

_SIZE: Final = 65536
_SHARED: Final = memoryview(bytearray(_SIZE))
_END: Final = b"\r\n.\r\n"
_GREETING: Final = b"220 null ESMTP\r\n"
_OK: Final = b"250 2.0.0 Ok\r\n"
_OFFERED: Final = (
    b"250-sink\r\n250-PIPELINING\r\n250-CHUNKING\r\n250-BINARYMIME\r\n250-SIZE 0\r\n250 8BITMIME\r\n"
)
_GO: Final = b"354 Go ahead\r\n"
_BYE: Final = b"221 Bye\r\n"


class NullSession:
    """One reply for each read, as a lock-step client needs it; the body is thrown away."""

    def __init__(self) -> None:
        self._in_body = False
        self._tail = b""

    def feed(self, data: bytes) -> bytes:
        if self._in_body:
            self._tail = self._tail[-4:] + data[-5:]
            if not self._tail.endswith(_END):
                return b""
            self._in_body = False
            return _OK
        verb = data[:4]
        if verb == b"DATA":
            self._in_body = True
            self._tail = b"\r\n"
            return _GO
        return _BYE if verb == b"QUIT" else _OK


class CollectingSession(NullSession):
    """Collects the body and takes the dots away: the least that a server must do."""

    def __init__(self) -> None:
        super().__init__()
        self._pieces: list[bytes] = []

    def feed(self, data: bytes) -> bytes:
        if self._in_body:
            self._pieces.append(data)
        reply = super().feed(data)
        if reply is _OK and self._pieces:
            b"".join(self._pieces)[:-3].replace(b"\r\n..", b"\r\n.")
            self._pieces.clear()
        return reply


class SinkSession:
    """Any number of commands in a read; the body is thrown away."""

    def __init__(self) -> None:
        self._in_body = False
        # Octets of a chunk that are still to come.
        self._left = 0
        self._carry = b""

    def feed(self, data: bytes) -> bytes:
        out: list[bytes] = []
        data = self._carry + data if self._carry else data
        while data:
            if self._left:
                taken = min(self._left, len(data))
                self._left -= taken
                data = data[taken:]
                if not self._left:
                    out.append(_OK)
            elif self._in_body:
                end = data.find(_END)
                if end < 0:
                    self._carry = data[-4:]
                    break
                data = data[end + 5 :]
                self._in_body = False
                out.append(_OK)
            else:
                line, found, rest = data.partition(b"\r\n")
                if not found:
                    self._carry = data
                    break
                data = rest
                verb = line[:4].upper()
                if verb == b"BDAT":
                    self._left = int(line.split()[1])
                    if self._left:
                        continue
                out.append(self._command(verb))
                if self._in_body:
                    data = b"\r\n" + data
        else:
            self._carry = b""
        return b"".join(out)

    def _command(self, verb: bytes) -> bytes:
        if verb == b"DATA":
            self._in_body = True
            return _GO
        if verb == b"EHLO":
            return _OFFERED
        return _BYE if verb == b"QUIT" else _OK


MakeSession = Callable[[], NullSession | SinkSession]


class _Buffered(asyncio.BufferedProtocol):
    def __init__(self, session: NullSession | SinkSession) -> None:
        self._session = session
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # A cast: the transports of uvloop are not subclasses of asyncio's.
        self._transport = cast(asyncio.Transport, transport)
        self._transport.write(_GREETING)

    def get_buffer(self, sizehint: int) -> memoryview:
        return _SHARED

    def buffer_updated(self, nbytes: int) -> None:
        reply = self._session.feed(bytes(_SHARED[:nbytes]))
        if reply:
            self._transport.write(reply)
            if reply.endswith(_BYE):
                self._transport.close()


class _Plain(asyncio.Protocol):
    def __init__(self, session: NullSession | SinkSession) -> None:
        self._session = session
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # A cast: the transports of uvloop are not subclasses of asyncio's.
        self._transport = cast(asyncio.Transport, transport)
        self._transport.write(_GREETING)

    def data_received(self, data: bytes) -> None:
        reply = self._session.feed(data)
        if reply:
            self._transport.write(reply)
            if reply.endswith(_BYE):
                self._transport.close()


async def serve_asyncio(
    make: MakeSession, ready: Callable[[int], None], *, buffered: bool, tls: ssl.SSLContext | None = None
) -> None:
    loop = asyncio.get_running_loop()
    protocol = _Buffered if buffered else _Plain
    server = await loop.create_server(lambda: protocol(make()), HOST, 0, backlog=1024, ssl=tls)
    ready(server.sockets[0].getsockname()[1])
    await server.serve_forever()


async def serve_trio(make: MakeSession, ready: Callable[[int], None]) -> None:
    import trio  # noqa: PLC0415 (the others shall not pay for it)

    async def handle(stream: trio.SocketStream) -> None:
        session = make()
        async with stream:
            await stream.send_all(_GREETING)
            while data := await stream.receive_some(_SIZE):
                reply = session.feed(data)
                if reply:
                    await stream.send_all(reply)
                    if reply.endswith(_BYE):
                        return

    listeners = await trio.open_tcp_listeners(0, host=HOST, backlog=1024)
    ready(listeners[0].socket.getsockname()[1])
    await trio.serve_listeners(handle, listeners)


def serve_threads(make: MakeSession, ready: Callable[[int], None]) -> None:
    def handle(sock: socket.socket) -> None:
        session = make()
        with sock:
            sock.sendall(_GREETING)
            while data := sock.recv(_SIZE):
                reply = session.feed(data)
                if reply:
                    sock.sendall(reply)
                    if reply.endswith(_BYE):
                        return

    with socket.create_server((HOST, 0), backlog=1024) as listener:
        ready(listener.getsockname()[1])
        while True:
            sock, _ = listener.accept()
            threading.Thread(target=handle, args=(sock,), daemon=True).start()
