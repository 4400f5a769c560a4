"""One message over each kind of I/O."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final, TypeAlias, TypeVar

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


T = TypeVar("T")
Where: TypeAlias = tuple[str, int] | str
"""Host and port, or the path of a UNIX socket."""
OneMessage: TypeAlias = Callable[
    [Where, ConnectOptions, Message, SubmitOptions, Attempt], ehlo.SubmissionResult
]


def _at(where: Where, tcp: Callable[..., T], unix: Callable[..., T], options: ConnectOptions) -> T:
    """`connect` or `connect_unix` of a binding, called."""
    return unix(where, **options) if isinstance(where, str) else tcp(*where, **options)


def _with_blocking(
    where: Where, connect: ConnectOptions, message: Message, submit: SubmitOptions, attempt: Attempt
) -> ehlo.SubmissionResult:
    with _at(where, ehlo_io.blocking.connect, ehlo_io.blocking.connect_unix, connect) as client:
        attempt.connected = True
        return client.submit(message, **submit)


def _with_asyncio(
    where: Where, connect: ConnectOptions, message: Message, submit: SubmitOptions, attempt: Attempt
) -> ehlo.SubmissionResult:
    async def run() -> ehlo.SubmissionResult:
        async with _at(where, ehlo_io.asyncio.connect, ehlo_io.asyncio.connect_unix, connect) as client:
            attempt.connected = True
            return await client.submit(message, **submit)

    return asyncio.run(run())


def _with_trio(
    where: Where, connect: ConnectOptions, message: Message, submit: SubmitOptions, attempt: Attempt
) -> ehlo.SubmissionResult:
    import trio  # noqa: PLC0415 (only when asked for)

    import ehlo_io.trio  # noqa: PLC0415

    async def run() -> ehlo.SubmissionResult:
        async with _at(where, ehlo_io.trio.connect, ehlo_io.trio.connect_unix, connect) as client:
            attempt.connected = True
            return await client.submit(message, **submit)

    return trio.run(run)


SESSIONS: Final[Mapping[str, OneMessage]] = MappingProxyType(
    {"asyncio": _with_asyncio, "trio": _with_trio, "blocking": _with_blocking}
)
