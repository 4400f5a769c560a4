"""The gateway put together: hooks for a server, and what runs beside it on the same event loop."""

from __future__ import annotations

import asyncio
import contextlib
import io
from pathlib import Path
from types import TracebackType
from typing import Self

import attrs

import ehlo
from ehlo_io._client import SubmitOptions
from ehlo_io._common import GRACE, printable
from ehlo_io._message import Message
from ehlo_io.asyncio import Client
from ehlo_io.relay.courier import Courier
from ehlo_io.relay.delivery import attempt
from ehlo_io.relay.fitting import Sign, terms
from ehlo_io.relay.hop import Hop, Sessions
from ehlo_io.relay.intake import Intake
from ehlo_io.relay.queue import Clock, Queue, Retry, SystemClock
from ehlo_io.relay.reports import Reporter
from ehlo_io.relay.shares import gather
from ehlo_io.relay.spool import Spool
from ehlo_io.relay.tally import Tally
from ehlo_io.relay.through import Through


def _spool(top: Path) -> Spool:
    spool = Spool(top)
    try:
        gather(top, spool)
    except BaseException:
        spool.close()
        raise
    return spool


@attrs.frozen(kw_only=True)
class RelaySettings:
    """What there is to choose."""

    hop: Hop
    hostname: str
    """What this server calls itself in reports."""
    spool: Path | None = None
    """Where messages wait; passing them through, only reports do."""
    through: bool = False
    """Pass each message on while its client waits."""
    retry: Retry = attrs.field(factory=Retry)
    sessions: int = 4
    """How many may be open with the next server."""
    idle: float = 10.0
    """Seconds for which a session is kept."""
    rest: float = 5.0
    """Seconds for which a server that cannot be reached is left alone."""
    clock: Clock = attrs.field(factory=SystemClock)
    tally: Tally = attrs.field(factory=Tally)
    """Who counts what is done, such as `ehlo_io.metrics.RelayMetrics`."""
    sign: Sign | None = None
    """What makes the signature of a message from the spool, such as an `ehlo_io.dkim.Signer`."""


class Gateway:
    """Enter it in the event loop of the server; `storage` has the hooks that take messages."""

    def __init__(self, settings: RelaySettings) -> None:
        """Raises OSError for a spool that cannot be had, BlockingIOError for one that another process has."""
        if settings.spool is None and not settings.through:
            raise ehlo.LocalProtocolError("without a spool, messages can only be passed through")
        if settings.sign is not None and settings.through:
            raise ehlo.LocalProtocolError("what is passed through cannot be signed")
        self._clock = settings.clock
        self._tally = settings.tally
        self._loop: asyncio.AbstractEventLoop | None = None
        self._runner: asyncio.Task[None] | None = None
        self._sessions = Sessions(
            settings.hop.connect,
            most=settings.sessions,
            idle=settings.idle,
            rest=settings.rest,
            now=self._clock.now,
            tally=settings.tally,
        )
        self._queue = Queue(self._clock, settings.tally.queue)
        self._spool = None if settings.spool is None else _spool(settings.spool)
        reporter = Reporter(settings.hostname, self._clock)
        self._courier = None
        if self._spool is not None:
            self._courier = Courier(
                spool=self._spool,
                queue=self._queue,
                sessions=self._sessions,
                hop=settings.hop.host,
                reporter=reporter,
                retry=settings.retry,
                clock=self._clock,
                most=settings.sessions,
                tally=settings.tally,
                sign=settings.sign,
            )
        self.storage: Intake | Through
        if settings.through or self._spool is None:
            post = self._post_now if self._courier is None else self._courier.post
            self.storage = Through(
                self._sessions, reporter, post, self._clock, settings.hop.host, settings.tally
            )
        else:
            self.storage = Intake(self._spool, self._clock, self._announce)

    async def __aenter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        await self._sessions.__aenter__()
        if self._courier is not None:
            await self._courier.recover()
            self._runner = self._loop.create_task(self._courier.run())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._runner is not None:
            self._runner.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._runner
        if self._courier is not None:
            await self._courier.finish(GRACE)
        await self._sessions.__aexit__(None, None, None)
        if self._spool is not None:
            self._spool.close()

    def _announce(self, name: str) -> None:
        """Called in any thread."""
        # When the loop is closed already, the message is found at the next start.
        with contextlib.suppress(RuntimeError):
            if self._loop is not None:
                self._loop.call_soon_threadsafe(self._queue.put, name, 0.0)

    async def _post_now(self, envelope: ehlo.Envelope, octets: bytes) -> None:
        """Without a spool: hand it to the next server at once."""

        async def prepare(client: Client) -> tuple[Message, SubmitOptions]:
            return io.BytesIO(octets), terms(client, envelope)

        attempted = await attempt(self._sessions, envelope, prepare)
        if not attempted.outcomes[0].accepted:
            raise OSError(f"the next server did not take it: {printable(str(attempted.reply))}")
        self._tally.reported()
