"""`ehlo` as a client, over each of its bindings."""

from __future__ import annotations

import asyncio
import threading

from benchmarks.clients.jobs import Job
from benchmarks.messages import CLIENT_NAME, RECIPIENT, SENDER
from benchmarks.processes import HOST


async def run_asyncio(job: Job) -> None:
    import ehlo_io.asyncio  # noqa: PLC0415 (each worker imports one binding)

    async def turn(share: int) -> None:
        for messages in job.sessions(share):
            connecting = ehlo_io.asyncio.connect(
                HOST, job.port, tls="none", client_name=CLIENT_NAME, pipelining=job.pipelining
            )
            async with connecting as client:
                for _ in range(messages):
                    await client.submit(job.body(), sender=SENDER, recipients=[RECIPIENT])

    await asyncio.gather(*(turn(share) for share in job.shares()))


async def run_trio(job: Job) -> None:
    import trio  # noqa: PLC0415 (each worker imports one binding)

    import ehlo_io.trio  # noqa: PLC0415 (each worker imports one binding)

    async def turn(share: int) -> None:
        for messages in job.sessions(share):
            connecting = ehlo_io.trio.connect(
                HOST, job.port, tls="none", client_name=CLIENT_NAME, pipelining=job.pipelining
            )
            async with connecting as client:
                for _ in range(messages):
                    await client.submit(job.body(), sender=SENDER, recipients=[RECIPIENT])

    async with trio.open_nursery() as nursery:
        for share in job.shares():
            nursery.start_soon(turn, share)


def run_blocking(job: Job) -> None:
    import ehlo_io.blocking  # noqa: PLC0415 (each worker imports one binding)

    def turn(share: int) -> None:
        for messages in job.sessions(share):
            connecting = ehlo_io.blocking.connect(
                HOST, job.port, tls="none", client_name=CLIENT_NAME, pipelining=job.pipelining
            )
            with connecting as client:
                for _ in range(messages):
                    client.submit(job.body(), sender=SENDER, recipients=[RECIPIENT])

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
