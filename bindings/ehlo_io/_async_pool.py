"""Pools in both async bindings; they add their clock, their semaphore, and what runs beside the caller."""

from __future__ import annotations

import contextlib
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from types import TracebackType
from typing import Any, Self, TypeAlias, Unpack

import ehlo
from ehlo import flows
from ehlo_io._async_face import Client
from ehlo_io._client import SubmitOptions
from ehlo_io._message import Message, rewinder
from ehlo_io._pool import Shelf, check_size, gone_stale, none_left

Connect: TypeAlias = Callable[[], Awaitable[Client]]


class PoolBase(ABC):
    """Open sessions with one server, for any number of tasks; an `async with` block ends them."""

    def __init__(self, connect: Connect, *, size: int = 4, idle: float = 10.0) -> None:
        """`connect` gives a new session whenever one is needed: `lambda: connect("mail.example", auth=...)`.
        `size`: how many may be open at once; who comes then waits. `idle`: seconds after which a session
        that nobody used is closed.

        Raises LocalProtocolError for a wrong argument.
        """
        check_size(size, idle)
        self._connect = connect
        self._size = size
        self._shelf: Shelf[Client] = Shelf(idle)
        self._places: AbstractAsyncContextManager[object] | None = None
        self._stack = AsyncExitStack()

    @abstractmethod
    def _semaphore(self, value: int) -> AbstractAsyncContextManager[object]: ...

    @abstractmethod
    def _now(self) -> float: ...

    @abstractmethod
    async def _sleep(self, seconds: float) -> None: ...

    @abstractmethod
    def _beside(self, run: Callable[[], Coroutine[Any, Any, None]]) -> AbstractAsyncContextManager[None]:
        """Runs it as long as the block does."""

    @abstractmethod
    async def _farewell(self, client: Client) -> None:
        """End a session; whatever becomes of that, it is over soon."""

    async def submit(self, message: Message, **options: Unpack[SubmitOptions]) -> ehlo.SubmissionResult:
        """`submit` of a client, on a session that is free, or a new one.

        A kept session that the server has given up meanwhile is no failure: the message goes out on a new
        one, unless it may have arrived (`in_doubt`), or some of it was read and cannot be read again.
        """
        rewind = rewinder(message)
        async with self.lease() as (client, used):
            try:
                return await client.submit(message, **options)
            except ehlo.SessionError as error:
                if rewind is None or not used or not gone_stale(client, error):
                    raise
        rewind()
        async with self.lease(fresh=True) as (client, _):
            return await client.submit(message, **options)

    async def submit_many(self, messages: Iterable[tuple[Message, SubmitOptions]]) -> list[flows.Delivery]:
        """`submit_many` of a client, on one session."""
        async with self.lease() as (client, _):
            return await client.submit_many(messages)

    @asynccontextmanager
    async def session(self) -> AsyncIterator[Client]:
        """A session for the block alone. It is kept for others when it is ready for a message at the end."""
        async with self.lease() as (client, _):
            yield client

    @asynccontextmanager
    async def lease(self, *, fresh: bool = False) -> AsyncIterator[tuple[Client, bool]]:
        """A session, and whether it has served before; `fresh`: it has not, and none that has is kept."""
        places = self._places
        if places is None:
            raise none_left()
        async with places:
            if self._places is not places:
                raise none_left()
            client, used = await self._session(fresh=fresh)
            try:
                yield client, used
            finally:
                if client.is_ready and self._places is places:
                    self._shelf.put(client, self._now())
                else:
                    await self._farewell(client)

    async def _session(self, *, fresh: bool) -> tuple[Client, bool]:
        while (kept := self._shelf.take()) is not None:
            try:
                # What broke once is broken for its companions, too.
                if not fresh and await kept.still_open():
                    return kept, True
            except BaseException:
                await self._farewell(kept)
                raise
            await self._farewell(kept)
        return await self._connect(), False

    async def _tidy(self) -> None:
        while True:
            await self._sleep(self._shelf.pause(self._now()))
            # One by one: what is still on the shelf when this is cancelled is ended with the rest.
            while (client := self._shelf.expired(self._now())) is not None:
                await self._farewell(client)

    async def __aenter__(self) -> Self:
        self._places = self._semaphore(self._size)
        await self._stack.enter_async_context(self._beside(self._tidy))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._places = None
        await self._stack.aclose()
        while (client := self._shelf.take()) is not None:
            await self._farewell(client)


async def politely(client: Client) -> None:
    """End a session, whatever the server thinks of that."""
    with contextlib.suppress(ehlo.Error, OSError):
        await client.close()
