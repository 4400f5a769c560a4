"""`ehlo` behind each of its bindings, with the least of an application."""

from __future__ import annotations

import ssl
from collections.abc import Callable

import attrs

import ehlo
from benchmarks.messages import SERVER_NAME
from benchmarks.processes import HOST


class Awaited:
    """As an asynchronous application has it."""

    async def on_message(self, session: ehlo.Session, envelope: ehlo.Envelope, content: bytes) -> None:
        return None


class Called:
    """As a blocking application has it."""

    def on_message(self, session: ehlo.Session, envelope: ehlo.Envelope, content: bytes) -> None:
        return None


class Streamed:
    """Keeps nothing: each piece is gone when the next one comes."""

    def on_body(self, session: ehlo.Session, data: bytes) -> None:
        return None


@attrs.frozen(kw_only=True)
class Setup:
    """What all three bindings take."""

    handler: object
    tls: ssl.SSLContext | None = None

    @property
    def limits(self) -> ehlo.Limits:
        return ehlo.Limits(message_size=1 << 30)


async def serve_asyncio(setup: Setup, ready: Callable[[int], None]) -> None:
    import ehlo_io.asyncio  # noqa: PLC0415 (each server imports one binding)

    server = ehlo_io.asyncio.serve(
        setup.handler,
        HOST,
        0,
        policy=ehlo.OPEN_TEST,
        limits=setup.limits,
        hostname=SERVER_NAME,
        tls=setup.tls,
        implicit_tls=setup.tls is not None,
    )
    async with server:
        ready(server.address[1])
        await server.serve_forever()


async def serve_trio(setup: Setup, ready: Callable[[int], None]) -> None:
    import ehlo_io.trio  # noqa: PLC0415 (each server imports one binding)

    server = ehlo_io.trio.serve(
        setup.handler,
        HOST,
        0,
        policy=ehlo.OPEN_TEST,
        limits=setup.limits,
        hostname=SERVER_NAME,
        tls=setup.tls,
        implicit_tls=setup.tls is not None,
    )
    async with server:
        ready(server.address[1])
        await server.serve_forever()


def serve_blocking(setup: Setup, ready: Callable[[int], None]) -> None:
    import ehlo_io.blocking  # noqa: PLC0415 (each server imports one binding)

    server = ehlo_io.blocking.serve(
        setup.handler,
        HOST,
        0,
        policy=ehlo.OPEN_TEST,
        limits=setup.limits,
        hostname=SERVER_NAME,
        tls=setup.tls,
        implicit_tls=setup.tls is not None,
    )
    with server:
        ready(server.address[1])
        server.serve_forever()
