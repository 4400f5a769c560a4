"""Servers on trio."""

from __future__ import annotations

import socket
import ssl
from contextlib import AsyncExitStack, suppress
from os import PathLike
from types import TracebackType
from typing import Unpack

import trio

from ehlo import flows
from ehlo_io._common import GRACE, LOGGER, peer_of
from ehlo_io._listening import Listening, listening
from ehlo_io._server import CurrentSetup, ServeOptions, ServerSetup
from ehlo_io._trio_pump import TrioPump, bare
from ehlo_io._unix import BACKLOG, OWNER_ONLY, UnixSocket

__all__ = ["GRACE", "Server", "serve", "serve_unix"]


class Server:
    """A server, running while its `async with` block does."""

    def __init__(self, setup: ServerSetup, host: str, port: int, place: Listening | None = None) -> None:
        self._setup = CurrentSetup(setup)
        self._place = place
        self._make_channel = self._setup.channel
        self._host = host
        self._port = port
        self._listeners: list[trio.SocketListener] = []
        self._pumps: set[TrioPump] = set()
        self._stack = AsyncExitStack()
        # Cancelling the block is no reason to break off without a goodbye: `__aexit__` ends it all.
        self._running = trio.CancelScope(shield=True)
        self._accepting = trio.CancelScope()
        self._ended = trio.Event()
        self._idle = trio.Event()
        self._closed = trio.Event()

    @property
    def address(self) -> tuple[str, int]:
        """Host and port that the server listens on."""
        if not self._listeners or self.path is not None:
            raise RuntimeError("the server does not run, or listens on a UNIX socket")
        host, port = self._listeners[0].socket.getsockname()[:2]
        return host, port

    @property
    def path(self) -> str | None:
        """The UNIX socket that the server listens on, where it is one."""
        return None if self._place is None else self._place.path

    async def _serve(self, stream: trio.SocketStream) -> None:
        if self._accepting.cancel_called:
            # Accepted, and only now its turn.
            await trio.aclose_forcefully(stream)
            return
        peer = None
        sock = bare(stream)
        with suppress(OSError):
            # A client that is gone already has no name.
            peer = peer_of(sock.getpeername())
        pump = TrioPump(sock, self._make_channel, peer)
        self._pumps.add(pump)
        try:
            await pump.run(self._setup.flow(peer))
        except Exception:
            LOGGER.exception("a connection ended in an error (session with %s)", peer)
        finally:
            pump.abort()
            self._pumps.discard(pump)
            if not self._pumps:
                self._idle.set()

    async def _run(self) -> None:
        with self._running:
            async with trio.open_nursery() as nursery:
                with self._accepting:
                    await trio.serve_listeners(self._serve, self._listeners, handler_nursery=nursery)
        self._ended.set()

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
        self._closed.set()
        if self._place is not None:
            self._place.remove()
        self._accepting.cancel()
        for pump in list(self._pumps):
            pump.stop()
        with trio.CancelScope(shield=True, deadline=trio.current_time() + GRACE):
            while self._pumps:
                self._idle = trio.Event()
                await self._idle.wait()

    async def __aenter__(self) -> Server:
        if self._place is not None:
            sock = trio.socket.from_stdlib_socket(self._place.listen())
            self._listeners = [trio.SocketListener(sock)]
        else:
            self._listeners = await trio.open_tcp_listeners(self._port, host=self._host, backlog=BACKLOG)
        nursery = await self._stack.enter_async_context(trio.open_nursery())
        nursery.start_soon(self._run)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # What the block raised is not the nursery's, and would come out of it in a group.
        await self.close()
        self._running.cancel()
        with trio.CancelScope(shield=True):
            await self._ended.wait()
        await self._stack.aclose()


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
