"""The next server: where it is, how to log in, and the sessions with it that are open."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final, TypeAlias

import attrs

import ehlo
import ehlo_io.asyncio
from ehlo_io._client import ConnectOptions
from ehlo_io._common import LOGGER, printable
from ehlo_io.asyncio import Client
from ehlo_io.relay.tally import Tally

_GOODBYE: Final = 2.0
"""Seconds for ending a session politely."""


class HopDown(Exception):
    """No session with the next server can be had; `reply` tells a client or a sender, and no secrets."""

    def __init__(self, reply: ehlo.Reply) -> None:
        super().__init__(str(reply))
        self.reply = reply


# All of it may pass: a password can be mended, and no message is at fault.
_UNREACHABLE: Final = ehlo.Reply(451, "The next server cannot be reached", "4.4.1")
_NO_LOGIN: Final = ehlo.Reply(451, "The next server does not let this one log in", "4.7.0")
_NO_TLS: Final = ehlo.Reply(451, "No TLS with the next server", "4.7.5")
_BABBLE: Final = ehlo.Reply(451, "The next server does not speak SMTP", "4.5.0")
_NO_SECRET: Final = ehlo.Reply(451, "This server cannot log in to the next one", "4.3.5")

Connect: TypeAlias = Callable[[], Awaitable[Client]]


def why_down(error: Exception) -> ehlo.Reply:
    match error:
        case ehlo.AuthenticationFailed():
            return _NO_LOGIN
        case ehlo.TlsFailed():
            return _NO_TLS
        case ehlo.SessionError():
            return _UNREACHABLE
        case ehlo.RemoteProtocolError():
            return _BABBLE
        case _:
            return _NO_SECRET


@attrs.frozen(kw_only=True)
class Hop:
    """The next server."""

    host: str
    port: int
    options: ConnectOptions = attrs.field(factory=ConnectOptions)
    """Without `auth`, which `credentials` stands for."""
    credentials: Callable[[], ehlo.Credentials | None] = attrs.field(default=lambda: None, repr=False)
    """Called for each session, so that a password or token that was changed on disk counts. What it
    raises is the reason why there is no session."""

    async def connect(self) -> Client:
        """Raises HopDown, and logs what is known of the reason."""
        try:
            options = ConnectOptions(**self.options)
            options["auth"] = self.credentials()
            return await ehlo_io.asyncio.connect(self.host, self.port, **options)
        except (ehlo.Error, OSError, ValueError) as error:
            LOGGER.warning("no session with %s port %d: %s", self.host, self.port, printable(str(error)))
            raise HopDown(why_down(error)) from None


class Sessions:
    """Open sessions with the next server, no more than `most`; for one event loop."""

    def __init__(
        self,
        connect: Connect,
        *,
        most: int = 4,
        idle: float = 10.0,
        rest: float = 5.0,
        now: Callable[[], float],
        tally: Tally | None = None,
    ) -> None:
        """`idle`: for how many seconds a session is kept for the next message. `rest`: for how many
        seconds a server that could not be reached is left alone."""
        self._connect = connect
        self._idle = idle
        self._rest = rest
        self._now = now
        self._tally = tally or Tally()
        self._open = 0
        self._places = asyncio.Semaphore(most)
        self._kept: list[tuple[Client, asyncio.TimerHandle]] = []
        self._ending: set[asyncio.Task[None]] = set()
        self._down: tuple[float, HopDown] | None = None

    @contextlib.asynccontextmanager
    async def lease(self, *, fresh: bool = False) -> AsyncIterator[tuple[Client, bool]]:
        """A session, and whether it was used before; `fresh`: it was not. Raises HopDown."""
        async with self._places:
            client, used = await self._session(fresh=fresh)
            try:
                yield client, used
            finally:
                if client.is_ready:
                    self._keep(client)
                else:
                    self._count(-1)

    async def _session(self, *, fresh: bool) -> tuple[Client, bool]:
        if fresh:
            # What broke once is broken for its companions, too.
            self._drop_all()
        elif self._kept:
            client, timer = self._kept.pop()
            timer.cancel()
            return client, True
        if self._down is not None and self._now() < self._down[0]:
            raise HopDown(self._down[1].reply)
        try:
            client = await self._connect()
        except HopDown as down:
            self._down = (self._now() + self._rest, down)
            raise
        self._down = None
        self._count(1)
        return client, False

    def _count(self, more: int) -> None:
        self._open += more
        self._tally.sessions(self._open)

    def _keep(self, client: Client) -> None:
        timer = asyncio.get_running_loop().call_later(self._idle, self._expire, client)
        self._kept.append((client, timer))

    def _expire(self, client: Client) -> None:
        self._kept = [pair for pair in self._kept if pair[0] is not client]
        self._end(client)

    def _drop_all(self) -> None:
        kept, self._kept = self._kept, []
        for client, timer in kept:
            timer.cancel()
            self._end(client)

    def _end(self, client: Client) -> None:
        self._count(-1)
        task = asyncio.get_running_loop().create_task(_farewell(client))
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)

    async def close(self) -> None:
        """End those that nobody uses."""
        self._drop_all()
        if self._ending:
            await asyncio.wait(self._ending)


async def _farewell(client: Client) -> None:
    with contextlib.suppress(ehlo.Error, OSError):
        async with asyncio.timeout(_GOODBYE):
            await client.close()
