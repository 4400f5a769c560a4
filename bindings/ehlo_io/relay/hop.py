"""The next server: where it is, how to log in, and the sessions with it that are open."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final, TypeAlias

import attrs

import ehlo
import ehlo_io.asyncio
from ehlo_io._client import ConnectOptions
from ehlo_io._common import LOGGER, printable
from ehlo_io.asyncio import Client, Pool
from ehlo_io.relay.tally import Tally


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


class Sessions(Pool):
    """Open sessions with the next server, which is left alone for a while when it cannot be reached."""

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
        """`most` sessions are open at once. `idle`: for how many seconds a session is kept for the next
        message. `rest`: for how many seconds a server that could not be reached is left alone."""
        super().__init__(self._connected, size=most, idle=idle)
        self._reach = connect
        self._rest = rest
        self._clock = now
        self._tally = tally or Tally()
        self._open = 0
        self._down: tuple[float, HopDown] | None = None

    async def _connected(self) -> Client:
        if self._down is not None and self._clock() < self._down[0]:
            raise HopDown(self._down[1].reply)
        try:
            client = await self._reach()
        except HopDown as down:
            self._down = (self._clock() + self._rest, down)
            raise
        self._down = None
        self._count(1)
        return client

    async def _farewell(self, client: Client) -> None:
        self._count(-1)
        await super()._farewell(client)

    def _count(self, more: int) -> None:
        self._open += more
        self._tally.sessions(self._open)
