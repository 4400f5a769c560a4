"""`ehlo` as a client, over each of its bindings."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING

from benchmarks.clients.jobs import Job
from benchmarks.messages import CLIENT_NAME, RECIPIENT, SENDER, message
from benchmarks.processes import HOST

if TYPE_CHECKING:
    from ehlo import flows
    from ehlo_io._async_face import Client
    from ehlo_io._client import ConnectOptions, SubmitOptions


def _options(job: Job) -> ConnectOptions:
    return {
        "tls": "none",
        "client_name": CLIENT_NAME,
        "pipelining": job.pipelining,
        "chunking": job.chunking,
    }


def _envelope(job: Job) -> SubmitOptions:
    return {"sender": SENDER, "recipients": [RECIPIENT], "binary": job.binary}


def _many(job: Job, messages: int) -> list[tuple[bytes, SubmitOptions]]:
    return [(message(job.size), _envelope(job))] * messages


def _check(deliveries: list[flows.Delivery]) -> None:
    for delivery in deliveries:
        if isinstance(delivery, Exception):
            raise delivery


async def _submit(client: Client, job: Job, messages: int) -> None:
    if job.many:
        _check(await client.submit_many(_many(job, messages)))
        return
    envelope = _envelope(job)
    for _ in range(messages):
        await client.submit(job.body(), **envelope)


async def run_asyncio(job: Job) -> None:
    import ehlo_io.asyncio  # noqa: PLC0415 (each worker imports one binding)

    async def turn(share: int) -> None:
        for messages in job.sessions(share):
            async with ehlo_io.asyncio.connect(HOST, job.port, **_options(job)) as client:
                await _submit(client, job, messages)

    await asyncio.gather(*(turn(share) for share in job.shares()))


async def run_trio(job: Job) -> None:
    import trio  # noqa: PLC0415 (each worker imports one binding)

    import ehlo_io.trio  # noqa: PLC0415 (each worker imports one binding)

    async def turn(share: int) -> None:
        for messages in job.sessions(share):
            async with ehlo_io.trio.connect(HOST, job.port, **_options(job)) as client:
                await _submit(client, job, messages)

    async with trio.open_nursery() as nursery:
        for share in job.shares():
            nursery.start_soon(turn, share)


def run_blocking(job: Job) -> None:
    import ehlo_io.blocking  # noqa: PLC0415 (each worker imports one binding)

    envelope = _envelope(job)

    def turn(share: int) -> None:
        for messages in job.sessions(share):
            with ehlo_io.blocking.connect(HOST, job.port, **_options(job)) as client:
                if job.many:
                    _check(client.submit_many(_many(job, messages)))
                    continue
                for _ in range(messages):
                    client.submit(job.body(), **envelope)

    in_threads(turn, job)


class Turn(threading.Thread):
    """A thread whose error is not lost."""

    def __init__(self, turn: object, share: int) -> None:
        super().__init__(daemon=True)
        self._turn = turn
        self._share = share
        self.error: BaseException | None = None

    def run(self) -> None:
        assert callable(self._turn)
        try:
            self._turn(self._share)
        except BaseException as error:
            self.error = error


def in_threads(turn: object, job: Job) -> None:
    """One thread for each connection; with one connection this one."""
    assert callable(turn)
    if job.connections == 1:
        turn(job.messages)
        return
    threads = [Turn(turn, share) for share in job.shares()]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for thread in threads:
        if thread.error is not None:
            raise thread.error
