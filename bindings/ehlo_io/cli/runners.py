"""Running a server on each kind of I/O until a signal."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import signal
import socket
from collections.abc import Callable
from pathlib import Path
from types import MappingProxyType
from typing import Final, Protocol, TypeAlias, TypeVar

import attrs

import ehlo_io.asyncio
import ehlo_io.blocking
from ehlo_io._server import ServeOptions
from ehlo_io.cli import renewal, systemd
from ehlo_io.cli.common import say

T = TypeVar("T")
_STOP: Final = (signal.SIGTERM, signal.SIGINT)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def address_text(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


@attrs.frozen
class Place:
    """What to listen on: host and port, or a UNIX socket."""

    host: str
    port: int
    path: Path | None
    mode: int

    @property
    def public(self) -> bool:
        return self.path is None and not _is_loopback(self.host)

    def __str__(self) -> str:
        return address_text(self.host, self.port) if self.path is None else str(self.path)

    def server(
        self, tcp: Callable[..., T], unix: Callable[..., T], handler: object, options: ServeOptions
    ) -> T:
        """`serve` or `serve_unix` of a binding, called."""
        if self.path is None:
            return tcp(handler, self.host, self.port, **options)
        return unix(handler, self.path, mode=self.mode, **options)


class _Running(renewal.Server, Protocol):
    @property
    def path(self) -> str | None: ...

    @property
    def address(self) -> tuple[str, int]: ...


Renew: TypeAlias = Callable[[renewal.Server], None]
"""Called at SIGHUP. Without it the signal ends the process, as signals do that nobody handles."""


def _signals(renew: Renew | None) -> tuple[signal.Signals, ...]:
    return _STOP if renew is None else (*_STOP, signal.SIGHUP)


def _goes_on(number: int, server: _Running, renew: Renew | None) -> bool:
    """What a signal means: whether the server runs on."""
    if renew is None or number != signal.SIGHUP:
        systemd.stopping()
        return False
    systemd.reloading()
    renew(server)
    systemd.ready()
    return True


def _announce(server: _Running) -> None:
    say(f"listening on {server.path or address_text(*server.address)}")
    systemd.ready()


def run_asyncio(
    handler: object,
    place: Place,
    options: ServeOptions,
    renew: Renew | None = None,
    beside: contextlib.AbstractAsyncContextManager[object] | None = None,
) -> None:
    async def run() -> None:
        signals: asyncio.Queue[int] = asyncio.Queue()
        loop = asyncio.get_running_loop()
        for number in _signals(renew):
            loop.add_signal_handler(number, signals.put_nowait, number)
        async with (
            beside or contextlib.nullcontext(),
            place.server(ehlo_io.asyncio.serve, ehlo_io.asyncio.serve_unix, handler, options) as server,
        ):
            _announce(server)
            while _goes_on(await signals.get(), server, renew):
                pass

    asyncio.run(run())


def _run_trio(handler: object, place: Place, options: ServeOptions, renew: Renew | None = None) -> None:
    import trio  # noqa: PLC0415 (only when asked for)

    import ehlo_io.trio  # noqa: PLC0415

    async def run() -> None:
        with trio.open_signal_receiver(*_signals(renew)) as signals:
            async with place.server(ehlo_io.trio.serve, ehlo_io.trio.serve_unix, handler, options) as server:
                _announce(server)
                while _goes_on(await anext(signals), server, renew):
                    pass

    trio.run(run)


def _run_blocking(handler: object, place: Place, options: ServeOptions, renew: Renew | None = None) -> None:
    # A handler in Python would be called too late if its thread was about to wait: nothing ends the wait
    # then. The octet that the interpreter writes ends it in any case.
    heard, told = socket.socketpair()
    told.setblocking(False)
    serve, serve_unix = ehlo_io.blocking.serve, ehlo_io.blocking.serve_unix
    with heard, told:
        before = {number: signal.signal(number, lambda *_: None) for number in _signals(renew)}
        written_to = signal.set_wakeup_fd(told.fileno())
        try:
            with place.server(serve, serve_unix, handler, options) as server:
                _announce(server)
                while _goes_on(heard.recv(1)[0], server, renew):
                    pass
        finally:
            signal.set_wakeup_fd(written_to)
            for number, previous in before.items():
                signal.signal(number, previous)


RUNNERS: Final = MappingProxyType({"asyncio": run_asyncio, "trio": _run_trio, "blocking": _run_blocking})
