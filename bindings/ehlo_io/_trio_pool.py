"""Pools on trio."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import trio

from ehlo_io._async_face import Client
from ehlo_io._async_pool import PoolBase, politely
from ehlo_io._pool import GOODBYE

__all__ = ["Pool"]


class Pool(PoolBase):
    __doc__ = PoolBase.__doc__

    def _semaphore(self, value: int) -> AbstractAsyncContextManager[object]:
        return trio.Semaphore(value)

    def _now(self) -> float:
        return trio.current_time()

    async def _sleep(self, seconds: float) -> None:
        await trio.sleep(seconds)

    @asynccontextmanager
    async def _beside(self, run: Callable[[], Coroutine[Any, Any, None]]) -> AsyncIterator[None]:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(run)
            yield
            nursery.cancel_scope.cancel()

    async def _farewell(self, client: Client) -> None:
        with trio.move_on_after(GOODBYE, shield=True):
            await politely(client)
