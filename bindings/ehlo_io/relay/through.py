"""The hooks of a server that passes each message on as it comes: the final reply is the next server's.

The next server is asked about recipients when the message begins, with all of them known. Our client was told
then that each is accepted. In LMTP it hears of each what the next server said of that one; in SMTP its one
reply speaks for all:

- none accepted: the reply that refused; a temporary one if there was one, for then it is worth another try;
- all accepted: the next server's final reply;
- some accepted: that same reply, and before it a report on the others to the sender. Where no report can be
  left, the reply is a temporary failure: some get the message twice, but nobody misses it unheard.

Nothing is kept of a message but its first octets: for the report, and for one more try when an old session
turns out to be broken.
"""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final, TypeAlias

import attrs

import ehlo
from ehlo_io._client import SubmitOptions
from ehlo_io._common import LOGGER
from ehlo_io._message import Message
from ehlo_io.asyncio import Client
from ehlo_io.relay.delivery import Attempted, attempt, log_outcomes
from ehlo_io.relay.fitting import terms
from ehlo_io.relay.hop import Sessions
from ehlo_io.relay.queue import Clock
from ehlo_io.relay.reports import ORIGINAL, Reporter, fates_of
from ehlo_io.relay.tally import Tally

_AHEAD: Final = 256 * 1024
"""Octets that a client may be ahead of the next server."""
_REPEATABLE: Final = 256 * 1024
"""Octets of a message up to which it can be sent anew."""
_LONGEST_TEXT: Final = 400
_MOST_LINES: Final = 20

_NO_REPORT: Final = ehlo.Reply(451, "Some recipients were refused, and their sender cannot be told", "4.3.0")
_NO_ANSWER: Final = ehlo.Reply(451, "The next server has not answered", "4.4.2")
_MANY: Final = ehlo.Reply(452, "Too many recipients for the next server", "4.5.3")

Post: TypeAlias = Callable[[ehlo.Envelope, bytes], Awaitable[None]]
"""Leave a message of our own where it will not be lost. Raises OSError."""


class Abandoned(Exception):
    """The client went before its message was complete."""


class Pipe:
    """The octets of one message from the client's task to that of the next server."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._read = 0
        """How many of them were handed out."""
        self._waiting = 0
        """Octets that nobody has read."""
        self._size = 0
        self._first = True
        """All of it is still there, from its first octet."""
        self._complete = False
        self._abandoned = False
        self._deaf = False
        """Nobody will read any more."""
        self._changed = asyncio.Event()
        self.start = bytearray()
        """As much of the message as a report returns."""

    def write(self, data: bytes) -> Awaitable[None] | None:
        """Something to wait for when the reader is far behind."""
        if len(self.start) < ORIGINAL:
            self.start += data[: ORIGINAL - len(self.start)]
        if self._deaf:
            return None
        self._pieces.append(data)
        self._size += len(data)
        self._waiting += len(data)
        self._wake()
        return self._until_read() if self._waiting > _AHEAD else None

    async def _until_read(self) -> None:
        while self._waiting > _AHEAD and not self._deaf:
            await self._wait()

    def complete(self) -> None:
        self._complete = True
        self._wake()

    def abandon(self) -> None:
        self._abandoned = True
        self._wake()

    def stop(self) -> None:
        """No more is read."""
        self._deaf = True
        self._pieces.clear()
        self._wake()

    @property
    def repeatable(self) -> bool:
        return self._first and not self._abandoned

    async def read(self) -> AsyncIterator[bytes]:
        """From the first octet on; a second time only while `repeatable`."""
        self._waiting = sum(map(len, self._pieces))
        self._read = 0
        while True:
            while self._read < len(self._pieces):
                piece = self._pieces[self._read]
                self._read += 1
                self._waiting -= len(piece)
                self._forget()
                self._wake()
                yield piece
            if self._abandoned:
                raise Abandoned
            if self._complete:
                return
            await self._wait()

    def _forget(self) -> None:
        """What was read, once it is too much to be read again."""
        if self._size > _REPEATABLE:
            self._first = False
            del self._pieces[: self._read]
            self._read = 0

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    async def _wait(self) -> None:
        await self._changed.wait()


@attrs.define
class Passage:
    """One message on its way."""

    pipe: Pipe
    task: asyncio.Task[Attempted]
    name: str
    arrival: float


class Through:
    """For one event loop: that of the server."""

    in_thread = frozenset[str]()

    def __init__(
        self,
        sessions: Sessions,
        reporter: Reporter,
        post: Post,
        clock: Clock,
        hop: str,
        tally: Tally | None = None,
    ) -> None:
        self._sessions = sessions
        self._reporter = reporter
        self._post = post
        self._clock = clock
        self._hop = hop
        self._tally = tally or Tally()

    def on_data(self, session: ehlo.Session, envelope: ehlo.Envelope) -> None:
        self.on_reset(session)
        pipe = Pipe()
        task = asyncio.get_running_loop().create_task(self._pass_on(envelope, pipe))
        session.state = Passage(pipe, task, self._clock.name(), self._clock.now())

    def on_body(self, session: ehlo.Session, data: bytes) -> Awaitable[None] | None:
        held = session.state
        return held.pipe.write(data) if isinstance(held, Passage) else None

    async def on_message(
        self, session: ehlo.Session, envelope: ehlo.Envelope, content: bytes
    ) -> ehlo.Reply | list[ehlo.Reply]:
        held = session.state
        if not isinstance(held, Passage):
            raise RuntimeError("a message without a passage")
        held.pipe.complete()
        attempted = await held.task
        session.state = None
        log_outcomes(held.name, attempted)
        self._tally.attempted(attempted.outcomes)
        session.message_name = held.name
        accepted = any(outcome.accepted for outcome in attempted.outcomes)
        if session.lmtp:
            # [RFC2033-4.2b] the client knows of those who were refused; others may want to hear of success.
            await self._reported(held, *_accepted_of(envelope, attempted))
            return [answer_to(outcome, attempted) for outcome in attempted.outcomes]
        if accepted and not await self._reported(held, envelope, attempted):
            return _NO_REPORT
        return answer(attempted)

    def on_reset(self, session: ehlo.Session) -> None:
        held, session.state = session.state, None
        if isinstance(held, Passage):
            held.pipe.abandon()
            held.task.add_done_callback(_forget)

    async def _pass_on(self, envelope: ehlo.Envelope, pipe: Pipe) -> Attempted:
        async def prepare(client: Client) -> tuple[Message, SubmitOptions]:
            return pipe.read(), terms(client, envelope)

        try:
            return await attempt(self._sessions, envelope, prepare, again=lambda: pipe.repeatable)
        finally:
            pipe.stop()

    async def _reported(self, held: Passage, envelope: ehlo.Envelope, attempted: Attempted) -> bool:
        """Whether all who were refused are accounted for."""
        fates = fates_of(envelope, attempted, self._clock.now(), self._hop)
        if fates:
            carrier, octets = self._reporter.report(
                envelope, fates, held.arrival, lambda: io.BytesIO(held.pipe.start)
            )
            try:
                await self._post(carrier, octets)
            except OSError as error:
                LOGGER.error("no report on message %s could be left: %s", held.name, error)
                return all(outcome.accepted for outcome in attempted.outcomes)
        return True


def _forget(task: asyncio.Task[Attempted]) -> None:
    """Its client is gone: what was raised, if anything, is that."""
    if not task.cancelled() and (error := task.exception()) is not None and not isinstance(error, Abandoned):
        LOGGER.error("a message was not passed on", exc_info=error)


def _accepted_of(envelope: ehlo.Envelope, attempted: Attempted) -> tuple[ehlo.Envelope, Attempted]:
    """The part of those who were accepted."""
    pairs = zip(envelope.recipients, attempted.outcomes, strict=True)
    chosen = [pair for pair in pairs if pair[1].accepted]
    recipients, outcomes = (tuple(found) for found in zip(*chosen, strict=True)) if chosen else ((), ())
    return attrs.evolve(envelope, recipients=recipients), attrs.evolve(attempted, outcomes=outcomes)


def answer(attempted: Attempted) -> ehlo.Reply:
    """The one reply for all recipients."""
    outcomes = attempted.outcomes
    if any(outcome.accepted for outcome in outcomes):
        return _said(250, attempted.reply)
    waiting = next((outcome for outcome in outcomes if outcome.temporary), None)
    return answer_to(waiting or outcomes[0], attempted)


def answer_to(outcome: ehlo.Outcome, attempted: Attempted) -> ehlo.Reply:
    """The reply for one recipient."""
    if outcome.accepted:
        return _said(250, outcome.reply or attempted.reply)
    reply = outcome.reply
    if reply is None:
        return _NO_ANSWER
    if outcome.temporary and reply.is_permanent:
        # [RFC5321-4.5.3.1.10b]
        return _MANY
    # 421 would end our own session with the client, too.
    return _said(451 if reply.code == 421 else reply.code, reply)


def _said(code: int, reply: ehlo.Reply | None) -> ehlo.Reply:
    """The next server's words, as far as they can be repeated."""
    if reply is None:
        return ehlo.Reply(code)
    lines = [
        "".join(sign if " " <= sign <= "~" else "?" for sign in line[:_LONGEST_TEXT])
        for line in reply.lines[:_MOST_LINES]
    ]
    return ehlo.Reply(code, lines, reply.enhanced)
