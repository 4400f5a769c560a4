"""Running a server on each kind of I/O until a signal."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
from collections.abc import Callable, Iterator
from types import MappingProxyType
from typing import Final, Protocol, TypeAlias

import attrs

import ehlo_io.asyncio
import ehlo_io.blocking
from ehlo_io._server import ServeOptions
from ehlo_io.cli import renewal, systemd
from ehlo_io.cli.common import say
from ehlo_io.cli.places import Place, address_text

_STOP: Final = (signal.SIGTERM, signal.SIGINT)


class Told(Protocol):
    """Who hears how a server is."""

    def listening(self, where: str) -> None:
        """It serves now, and signals reach it. Raises Failure."""
        ...

    def reloading(self) -> None: ...

    def reloaded(self) -> None: ...

    def stopping(self) -> None: ...


class Alone:
    """A server that is the whole program: whoever reads its output is told, and systemd."""

    def listening(self, where: str) -> None:
        say(f"listening on {where}")
        systemd.ready()

    def reloading(self) -> None:
        systemd.reloading()

    def reloaded(self) -> None:
        systemd.ready()

    def stopping(self) -> None:
        systemd.stopping()


class _Running(renewal.Server, Protocol):
    @property
    def path(self) -> str | None: ...

    @property
    def address(self) -> tuple[str, int]: ...


Renew: TypeAlias = Callable[[renewal.Server], None]
"""Called at SIGHUP. Without it the signal ends the process, as signals do that nobody handles."""


def signals_of(*, renews: bool) -> tuple[signal.Signals, ...]:
    return (*_STOP, signal.SIGHUP) if renews else _STOP


@attrs.frozen
class Orders:
    """What a runner does besides serving."""

    told: Told
    renew: Renew | None = None

    def begin(self, server: _Running) -> None:
        self.told.listening(server.path or address_text(*server.address))

    def go_on(self, number: int, server: _Running) -> bool:
        """What a signal means: whether the server runs on."""
        if self.renew is None or number != signal.SIGHUP:
            self.told.stopping()
            return False
        self.told.reloading()
        self.renew(server)
        self.told.reloaded()
        return True

    @property
    def signals(self) -> tuple[signal.Signals, ...]:
        return signals_of(renews=self.renew is not None)


@contextlib.contextmanager
def signals_heard(signals: tuple[signal.Signals, ...]) -> Iterator[tuple[socket.socket, socket.socket]]:
    """The first of the two gets an octet for each signal: its number.

    A handler in Python would be called too late if its thread was about to wait: nothing ends the wait
    then. The octet that the interpreter writes ends it in any case.
    """
    heard, told = socket.socketpair()
    told.setblocking(False)
    with heard, told:
        before = {number: signal.signal(number, lambda *_: None) for number in signals}
        written_to = signal.set_wakeup_fd(told.fileno())
        try:
            yield heard, told
        finally:
            signal.set_wakeup_fd(written_to)
            for number, previous in before.items():
                signal.signal(number, previous)


def run_asyncio(
    handler: object,
    place: Place,
    options: ServeOptions,
    orders: Orders,
    beside: contextlib.AbstractAsyncContextManager[object] | None = None,
) -> None:
    async def run() -> None:
        signals: asyncio.Queue[int] = asyncio.Queue()
        loop = asyncio.get_running_loop()
        for number in orders.signals:
            loop.add_signal_handler(number, signals.put_nowait, number)
        async with (
            beside or contextlib.nullcontext(),
            place.server(ehlo_io.asyncio.serve, ehlo_io.asyncio.serve_unix, handler, options) as server,
        ):
            orders.begin(server)
            while orders.go_on(await signals.get(), server):
                pass

    asyncio.run(run())


def _run_trio(handler: object, place: Place, options: ServeOptions, orders: Orders) -> None:
    import trio  # noqa: PLC0415 (only when asked for)

    import ehlo_io.trio  # noqa: PLC0415

    async def run() -> None:
        with trio.open_signal_receiver(*orders.signals) as signals:
            async with place.server(ehlo_io.trio.serve, ehlo_io.trio.serve_unix, handler, options) as server:
                orders.begin(server)
                while orders.go_on(await anext(signals), server):
                    pass

    trio.run(run)


def _run_blocking(handler: object, place: Place, options: ServeOptions, orders: Orders) -> None:
    serve, serve_unix = ehlo_io.blocking.serve, ehlo_io.blocking.serve_unix
    with (
        signals_heard(orders.signals) as (heard, _),
        place.server(serve, serve_unix, handler, options) as server,
    ):
        orders.begin(server)
        while orders.go_on(heard.recv(1)[0], server):
            pass


RUNNERS: Final = MappingProxyType({"asyncio": run_asyncio, "trio": _run_trio, "blocking": _run_blocking})
