"""Clients and servers on trio."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import AsyncExitStack, suppress
from types import TracebackType
from typing import Any, Unpack

import trio

import ehlo
from ehlo import flows
from ehlo_io._message import Message
from ehlo_io._setup import (
    LOGGER,
    ClientBase,
    ClientSetup,
    ConnectOptions,
    ServeOptions,
    ServerSetup,
    SubmitOptions,
)
from ehlo_io._trio_pump import TrioPump

GRACE = 5.0
"""Seconds that open connections get to end when a server stops."""


class Client(ClientBase):
    """An open session, for one task at a time; an `async with` block ends it with QUIT."""

    def __init__(self, setup: ClientSetup, conn: ehlo.ClientConnection, pump: TrioPump) -> None:
        super().__init__(setup, conn)
        self._pump = pump

    async def submit(self, message: Message, **options: Unpack[SubmitOptions]) -> ehlo.SubmissionResult:
        """Submit one message; see `SubmitOptions`. A message may be an async iterable, too.

        Raises LocalProtocolError before anything is sent, SubmissionFailed when no recipient was
        accepted, ConnectionFailed or RemoteProtocolError when the session broke.
        """
        job = self._job(message, options)
        return await self._pump.run(flows.submit(self._conn, job.submission), job.prepared.source)

    async def close(self) -> None:
        await self._pump.run(flows.close(self._conn))

    async def __aenter__(self) -> Client:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


class _Connecting:
    """What `connect` returns: await it, or enter it with `async with`."""

    def __init__(self, setup: ClientSetup) -> None:
        self._setup = setup
        self._client: Client | None = None

    def __await__(self) -> Generator[Any, None, Client]:
        return self._open().__await__()

    async def _open(self) -> Client:
        setup = self._setup
        conn, channel = setup.connection(), setup.channel()
        try:
            with trio.fail_after(setup.connect_timeout):
                stream = await trio.open_tcp_stream(setup.host, setup.port)
        except (OSError, trio.TooSlowError) as error:
            message = f"no connection to {setup.host} port {setup.port}: {error}"
            raise ehlo.ConnectionFailed(message) from error
        pump = TrioPump(stream, channel)
        local_address = str(stream.socket.getsockname()[0])
        await pump.run(flows.open_session(conn, setup.session_options(local_address)))
        return Client(setup, conn, pump)

    async def __aenter__(self) -> Client:
        self._client = await self._open()
        return self._client

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._client is not None:
            await self._client.close()


def connect(host: str, port: int = flows.SUBMISSION_PORT, **options: Unpack[ConnectOptions]) -> _Connecting:
    """Open a session that is ready for messages; see `ConnectOptions`. Await it or enter it.

    Raises LocalProtocolError for a wrong argument; when awaited SessionError or
    RemoteProtocolError.
    """
    return _Connecting(ClientSetup.of(host, port, options))


class Server:
    """A server, running while its `async with` block does."""

    def __init__(self, setup: ServerSetup, host: str, port: int) -> None:
        self._setup = setup
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

    @property
    def address(self) -> tuple[str, int]:
        """Host and port that the server listens on."""
        if not self._listeners:
            raise RuntimeError("the server does not run")
        host, port = self._listeners[0].socket.getsockname()[:2]
        return host, port

    async def _serve(self, stream: trio.SocketStream) -> None:
        if self._accepting.cancel_called:
            # Accepted, and only now its turn.
            await trio.aclose_forcefully(stream)
            return
        peer = None
        with suppress(OSError):
            # A client that is gone already has no name.
            peer = str(stream.socket.getpeername()[0])
        pump = TrioPump(stream, self._setup.channel(), peer)
        self._pumps.add(pump)
        try:
            await pump.run(self._setup.flow(peer))
        except Exception:
            LOGGER.exception("a connection ended in an error (session with %s)", peer)
        finally:
            await trio.aclose_forcefully(stream)
            self._pumps.discard(pump)
            if not self._pumps:
                self._idle.set()

    async def _run(self) -> None:
        with self._running:
            async with trio.open_nursery() as nursery:
                with self._accepting:
                    await trio.serve_listeners(self._serve, self._listeners, handler_nursery=nursery)
        self._ended.set()

    async def serve_forever(self) -> None:
        """Wait until the task is cancelled."""
        await trio.sleep_forever()

    async def close(self) -> None:
        """Take no more connections, say goodbye on those that are open, and wait for their end."""
        self._accepting.cancel()
        for pump in list(self._pumps):
            pump.stop()
        with trio.CancelScope(shield=True, deadline=trio.current_time() + GRACE):
            while self._pumps:
                self._idle = trio.Event()
                await self._idle.wait()

    async def __aenter__(self) -> Server:
        self._listeners = await trio.open_tcp_listeners(self._port, host=self._host, backlog=1024)
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
    **options: Unpack[ServeOptions],
) -> Server:
    """A server to enter with `async with`; see `ServeOptions` and `ehlo.flows.handler`.

    Port 0 is any free port. Raises LocalProtocolError or TypeError for arguments that could never
    work; entering raises OSError when the address cannot be had.
    """
    return Server(ServerSetup.of(handler, options), host, port)
