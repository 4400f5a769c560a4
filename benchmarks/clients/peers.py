"""Other people's clients, as their documentation has them used."""

from __future__ import annotations

import asyncio
import smtplib
from collections.abc import Callable, Coroutine
from typing import Any

from benchmarks.clients.jobs import Job
from benchmarks.clients.ours import in_threads
from benchmarks.messages import CLIENT_NAME, RECIPIENT, SENDER, email_message, message
from benchmarks.peers import load
from benchmarks.processes import HOST


def run_smtplib(job: Job) -> None:
    body = message(job.size)

    def turn(share: int) -> None:
        for messages in job.sessions(share):
            with smtplib.SMTP(HOST, job.port, local_hostname=CLIENT_NAME) as client:
                for _ in range(messages):
                    client.sendmail(SENDER, [RECIPIENT], body)

    in_threads(turn, job)


async def run_aiosmtplib(job: Job) -> None:
    smtp, body = load("aiosmtplib").SMTP, message(job.size)

    async def turn(share: int) -> None:
        for messages in job.sessions(share):
            client = smtp(
                hostname=HOST, port=job.port, local_hostname=CLIENT_NAME, use_tls=False, start_tls=False
            )
            async with client:
                for _ in range(messages):
                    await client.sendmail(SENDER, [RECIPIENT], body)

    await asyncio.gather(*(turn(share) for share in job.shares()))


def _smtpproto_turn(job: Job) -> Callable[[int], Coroutine[Any, Any, None]]:
    make = load("smtpproto.client").AsyncSMTPClient
    found = email_message(job.size)

    async def turn(share: int) -> None:
        client = make(HOST, job.port, domain=CLIENT_NAME)
        for messages in job.sessions(share):
            async with client.connect() as session:
                for _ in range(messages):
                    await session.send_message(found, sender=SENDER, recipients=[RECIPIENT])

    return turn


async def run_smtpproto_asyncio(job: Job) -> None:
    turn = _smtpproto_turn(job)
    async with asyncio.TaskGroup() as group:
        for share in job.shares():
            group.create_task(turn(share))


async def run_smtpproto_trio(job: Job) -> None:
    import trio  # noqa: PLC0415 (the others shall not pay for it)

    turn = _smtpproto_turn(job)
    async with trio.open_nursery() as nursery:
        for share in job.shares():
            nursery.start_soon(turn, share)
