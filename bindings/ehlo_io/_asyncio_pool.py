"""Pools on asyncio."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from typing import Any

from ehlo_io._async_face import Client
from ehlo_io._async_pool import PoolBase, politely
from ehlo_io._pool import GOODBYE

__all__ = ["Pool"]


class Pool(PoolBase):
    __doc__ = PoolBase.__doc__

    def _semaphore(self, value: int) -> AbstractAsyncContextManager[object]:
        return asyncio.Semaphore(value)

    def _now(self) -> float:
        return asyncio.get_running_loop().time()

    async def _sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    @asynccontextmanager
    async def _beside(self, run: Callable[[], Coroutine[Any, Any, None]]) -> AsyncIterator[None]:
        task = asyncio.get_running_loop().create_task(run())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait([task])

    async def _farewell(self, client: Client) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(GOODBYE):
                await politely(client)
