"""What a client looks like in both async bindings; they add how it connects and runs a flow."""

from __future__ import annotations

import socket
from collections.abc import Awaitable, Callable, Generator, Iterable
from types import TracebackType
from typing import Any, Protocol, Self, TypeAlias, TypeVar, Unpack

import ehlo
from ehlo import flows
from ehlo_io._client import ClientBase, ClientSetup, SubmitOptions, connected_socket, unsent
from ehlo_io._message import Message, Source

T = TypeVar("T")


class AsyncPump(Protocol):
    """Performs the actions of flows."""

    def run(self, flow: flows.Flow[T], source: Source | None = None) -> Awaitable[T]: ...


Session: TypeAlias = tuple[ehlo.ClientConnection, ehlo.Opened, AsyncPump]
Open: TypeAlias = Callable[[ClientSetup], Awaitable[Session]]
"""Makes a connection and a session that is ready."""


class Client(ClientBase):
    """An open session, for one task at a time; an `async with` block ends it with QUIT."""

    def __init__(
        self,
        setup: ClientSetup,
        conn: ehlo.ClientConnection,
        opened: ehlo.Opened,
        pump: AsyncPump,
        open_: Open,
    ) -> None:
        super().__init__(setup, conn, opened)
        self._pump = pump
        self._open = open_

    async def submit(self, message: Message, **options: Unpack[SubmitOptions]) -> ehlo.SubmissionResult:
        """Submit one message; see `SubmitOptions`. A message may be an async iterable, too.

        Raises LocalProtocolError before anything is sent, SubmissionFailed when no recipient was
        accepted, ConnectionFailed or RemoteProtocolError when the session broke.
        """
        self._take()
        try:
            submission, source = self._submission(message, options)
            try:
                return await self._pump.run(flows.submit(self._conn, submission), source)
            except ehlo.SessionExhausted:
                await self._renew()
            return await self._pump.run(flows.submit(self._conn, submission), source)
        finally:
            self._busy.release()

    async def submit_many(self, messages: Iterable[tuple[Message, SubmitOptions]]) -> list[flows.Delivery]:
        """Submit many messages, each with options of its own, and wait for none before the next is sent.

        What became of each, in their order: a SubmissionResult, or the exception that `submit` would have
        raised. Messages are bytes or email messages. Raises LocalProtocolError before anything is sent.
        """
        self._take()
        try:
            todo = self._submissions(messages)
            found = await self._pump.run(flows.submit_many(self._conn, todo))
            while left := unsent(found):
                try:
                    await self._renew()
                    again = await self._pump.run(
                        flows.submit_many(self._conn, [todo[place] for place in left])
                    )
                except ehlo.Error as error:
                    again = [error] * len(left)
                for place, delivery in zip(left, again, strict=True):
                    found[place] = delivery
                if unsent(found) == left:
                    # A session that takes nothing at all.
                    break
            return found
        finally:
            self._busy.release()

    async def _renew(self) -> None:
        """Another session in the place of one that takes no more."""
        await self._pump.run(flows.close(self._conn))
        conn, opened, self._pump = await self._open(self._setup)
        self._begin(conn, opened)

    async def still_open(self) -> bool:
        """Whether the server has not left since the last message, as far as octets that have come tell; none
        is sent. Raises LocalProtocolError while another task submits."""
        self._take()
        try:
            return await self._pump.run(flows.still_open(self._conn))
        finally:
            self._busy.release()

    async def close(self) -> None:
        """End the session politely. Raises LocalProtocolError while another task submits."""
        self._take()
        try:
            await self._pump.run(flows.close(self._conn))
        finally:
            self._busy.release()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


async def dialled(setup: ClientSetup) -> socket.socket | None:
    """The socket of the caller's own way to connect, where there is one. Raises whatever that raises,
    and LocalProtocolError where it gives none."""
    given = setup.dialled()
    return connected_socket(await given) if isinstance(given, Awaitable) else given


class Connecting:
    """What `connect` returns: await it, or enter it with `async with`."""

    def __init__(self, open_: Open, setup: ClientSetup) -> None:
        self._open = open_
        self._setup = setup
        self._client: Client | None = None

    def __await__(self) -> Generator[Any, None, Client]:
        return self._connected().__await__()

    async def _connected(self) -> Client:
        return Client(self._setup, *(await self._open(self._setup)), self._open)

    async def __aenter__(self) -> Client:
        self._client = await self
        return self._client

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._client is not None:
            await self._client.close()
