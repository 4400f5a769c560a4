"""Servers on asyncio."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from os import PathLike
from types import TracebackType
from typing import Any, Unpack

from ehlo import flows
from ehlo_io._asyncio_link import AsyncioAlarm
from ehlo_io._asyncio_pump import AsyncioPump
from ehlo_io._common import GRACE, LOGGER
from ehlo_io._listening import Listening, is_unix, listening
from ehlo_io._server import CurrentSetup, ServeOptions, ServerSetup
from ehlo_io._unix import BACKLOG, OWNER_ONLY, UnixSocket

__all__ = ["GRACE", "Server", "serve", "serve_unix"]


class _Connections:
    """The open connections of a server; `_asyncio_pump.Owner` of each."""

    def __init__(self, setup: CurrentSetup) -> None:
        self._setup = setup
        self._make_channel = setup.channel
        self._alarm: AsyncioAlarm | None = None
        self._open: set[AsyncioPump] = set()
        self._stopping = False
        self._ended = asyncio.Event()

    def pump(self) -> AsyncioPump:
        if self._alarm is None:
            self._alarm = AsyncioAlarm(asyncio.get_running_loop())
        return AsyncioPump(self._make_channel, self._alarm, self)

    def made(self, pump: AsyncioPump) -> None:
        if self._stopping:
            pump.abort()
            return
        self._open.add(pump)
        pump.start(self._setup.flow(pump.peer))

    def ended(self, pump: AsyncioPump, error: Exception | None) -> None:
        if error is not None:
            LOGGER.error("a connection ended in an error (session with %s)", pump.peer, exc_info=error)
            pump.abort()
        self.gone(pump)

    def gone(self, pump: AsyncioPump) -> None:
        # A hook may be at work when the connection is gone, and octets on their way after the flow.
        if pump.over:
            self._open.discard(pump)
            if not self._open:
                self._ended.set()

    async def end(self) -> None:
        """Let each end, or be ended."""
        self._stopping = True
        for pump in list(self._open):
            pump.stop()
        try:
            await self._all_ended()
        finally:
            for pump in list(self._open):
                pump.abort()
        await self._all_ended()

    async def _all_ended(self) -> None:
        self._ended.clear()
        if self._open:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._ended.wait(), GRACE)


class Server:
    """A server, running while its `async with` block does."""

    def __init__(self, setup: ServerSetup, host: str, port: int, place: Listening | None = None) -> None:
        self._setup = CurrentSetup(setup)
        self._place = place
        self._host = host
        self._port = port
        self._listener: asyncio.Server | None = None
        self._connections = _Connections(self._setup)
        self._closed = asyncio.Event()

    @property
    def address(self) -> tuple[str, int]:
        """Host and port that the server listens on."""
        if self._listener is None or self.path is not None:
            raise RuntimeError("the server does not run, or listens on a UNIX socket")
        host, port = self._listener.sockets[0].getsockname()[:2]
        return host, port

    @property
    def path(self) -> str | None:
        """The UNIX socket that the server listens on, where it is one."""
        return None if self._place is None else self._place.path

    def renew(
        self, handler: object, *, tls: ssl.SSLContext | None = None, certificate: str | None = None
    ) -> None:
        """Serve new connections with this handler; `tls` and `certificate` are those of new handshakes,
        as they were where there is no `tls`.

        All other options stay as they were, and sessions that are open keep their handler. Raises
        LocalProtocolError or TypeError for what could never work, and then nothing has changed.
        """
        self._setup.renew(handler, tls, certificate)

    async def serve_forever(self) -> None:
        """Wait until `close` is called or the task is cancelled."""
        await self._closed.wait()

    async def close(self) -> None:
        """Take no more connections, say goodbye on those that are open, and wait for their end."""
        if self._listener is None:
            return
        self._closed.set()
        if self._place is not None:
            self._place.remove()
        self._listener.close()
        await self._connections.end()
        await self._listener.wait_closed()

    async def __aenter__(self) -> Server:
        loop = asyncio.get_running_loop()
        pump = self._connections.pump
        if self._place is None:
            self._listener = await loop.create_server(pump, self._host, self._port, backlog=BACKLOG)
        else:
            self._listener = await _server_on(loop, pump, self._place.listen())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


class _Listening(socket.socket):
    """asyncio makes a socket listen again, and lets as many wait for it as it accepts in one go."""

    def listen(self, backlog: int = BACKLOG, /) -> None:
        """It does, and with the backlog that it has."""


def _server_on(
    loop: asyncio.AbstractEventLoop, pump: Callable[[], AsyncioPump], sock: socket.socket
) -> Awaitable[asyncio.Server]:
    backlog = BACKLOG
    if isinstance(loop, asyncio.BaseEventLoop):
        # One in one go: other processes that listen get theirs, too.
        sock, backlog = _Listening(fileno=sock.detach()), 1
    if not is_unix(sock):
        return loop.create_server(pump, sock=sock, backlog=backlog)
    create: Any = partial(loop.create_unix_server, pump, sock=sock, backlog=backlog)
    try:
        # The file is ours to remove, or the caller's.
        server: Awaitable[asyncio.Server] = create(cleanup_socket=False)
    except TypeError:
        # Python before 3.13, which removes none.
        server = create()
    return server


def serve(
    handler: object,
    host: str = "127.0.0.1",
    port: int = flows.SUBMISSION_PORT,
    *,
    sock: socket.socket | None = None,
    **options: Unpack[ServeOptions],
) -> Server:
    """A server to enter with `async with`; see `ServeOptions` and `ehlo.flows.handler`.

    Port 0 is any free port. `sock`, a listening socket, takes the place of host and port, and is closed
    with the server. Raises LocalProtocolError or TypeError for arguments that could never work; entering
    raises OSError when the address cannot be had.
    """
    return Server(ServerSetup.of(handler, options), host, port, listening(sock))


def serve_unix(
    handler: object,
    path: str | PathLike[str],
    *,
    mode: int = OWNER_ONLY,
    **options: Unpack[ServeOptions],
) -> Server:
    """`serve` on a UNIX socket: its file is made with the permissions `mode`, and removed at the end.

    One that nobody listens on any more is replaced; the peer of each session is "unix". Raises
    LocalProtocolError or TypeError for arguments that could never work; entering raises OSError when the
    path cannot be had.
    """
    return Server(ServerSetup.of(handler, options), "", 0, UnixSocket(path, mode))
