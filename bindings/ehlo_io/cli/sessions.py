"""One message over each kind of I/O."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final, TypeAlias

import attrs

import ehlo
import ehlo_io.asyncio
import ehlo_io.blocking
from ehlo_io._client import ConnectOptions, SubmitOptions
from ehlo_io._message import Message


@attrs.define
class Attempt:
    """How far a session came, for whoever must judge its failure."""

    connected: bool = False
    """It was open and ready for the message."""


OneMessage: TypeAlias = Callable[
    [str, int, ConnectOptions, Message, SubmitOptions, Attempt], ehlo.SubmissionResult
]


def _with_blocking(
    host: str, port: int, connect: ConnectOptions, message: Message, submit: SubmitOptions, attempt: Attempt
) -> ehlo.SubmissionResult:
    with ehlo_io.blocking.connect(host, port, **connect) as client:
        attempt.connected = True
        return client.submit(message, **submit)


def _with_asyncio(
    host: str, port: int, connect: ConnectOptions, message: Message, submit: SubmitOptions, attempt: Attempt
) -> ehlo.SubmissionResult:
    async def run() -> ehlo.SubmissionResult:
        async with ehlo_io.asyncio.connect(host, port, **connect) as client:
            attempt.connected = True
            return await client.submit(message, **submit)

    return asyncio.run(run())


def _with_trio(
    host: str, port: int, connect: ConnectOptions, message: Message, submit: SubmitOptions, attempt: Attempt
) -> ehlo.SubmissionResult:
    import trio  # noqa: PLC0415 (only when asked for)

    import ehlo_io.trio  # noqa: PLC0415

    async def run() -> ehlo.SubmissionResult:
        async with ehlo_io.trio.connect(host, port, **connect) as client:
            attempt.connected = True
            return await client.submit(message, **submit)

    return trio.run(run)


SESSIONS: Final[Mapping[str, OneMessage]] = MappingProxyType(
    {"asyncio": _with_asyncio, "trio": _with_trio, "blocking": _with_blocking}
)
