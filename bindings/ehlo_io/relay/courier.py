"""The task that takes what is due, attempts it, and keeps what came of it.

A message leaves the spool only when each recipient is accepted by the next server, or refused for good
and its sender's report is in the spool itself. So the worst that the end of the program does is that an
attempt is made again: what was in flight is sent twice.
"""

from __future__ import annotations

import asyncio
from typing import Final

import attrs

import ehlo
from ehlo_io._common import LOGGER
from ehlo_io.relay.delivery import Attempted, deliver, log_outcomes
from ehlo_io.relay.fitting import Sign
from ehlo_io.relay.hop import Sessions
from ehlo_io.relay.queue import Clock, Queue, Retry
from ehlo_io.relay.reports import Reporter, judge
from ehlo_io.relay.spool import Entry, Progress, Spool, SpoolError
from ehlo_io.relay.tally import Tally

_TROUBLE: Final = 60.0
"""Seconds until what could not even be attempted is looked at again."""


@attrs.frozen(kw_only=True)
class Courier:
    """One for each spool."""

    spool: Spool
    queue: Queue
    sessions: Sessions
    hop: str
    """The name of the next server in reports."""
    reporter: Reporter
    retry: Retry
    clock: Clock
    most: int
    """How many messages are attempted at the same time."""
    tally: Tally = attrs.field(factory=Tally)
    sign: Sign | None = None
    _unsaved: dict[str, Progress] = attrs.field(factory=dict[str, Progress], init=False)
    """What the disk would not take: lost with the program, but not before."""
    _stalled: set[str] = attrs.field(factory=set[str], init=False)
    """Those that wait for nothing but the next server's return."""
    _tasks: set[asyncio.Task[None]] = attrs.field(factory=set[asyncio.Task[None]], init=False)

    async def recover(self) -> None:
        """Queue what an earlier program left. Raises OSError."""
        left = await asyncio.to_thread(list, self.spool.recover())
        for name, due in left:
            self.queue.put(name, due)
        if left:
            LOGGER.info("the spool has %d messages", len(left))

    async def run(self) -> None:
        """Until cancelled; attempts that have begun then go on until `finish`."""
        places = asyncio.Semaphore(self.most)

        def done(task: asyncio.Task[None]) -> None:
            self._tasks.discard(task)
            places.release()

        while True:
            await places.acquire()
            name = await self.queue.next()
            task = asyncio.get_running_loop().create_task(self._work(name))
            self._tasks.add(task)
            task.add_done_callback(done)

    async def finish(self, seconds: float) -> None:
        """Let attempts that have begun end, or end them."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=seconds)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _work(self, name: str) -> None:
        try:
            await self._attempt(name)
        except FileNotFoundError:
            LOGGER.error("message %s is no longer in the spool", name)
            self._unsaved.pop(name, None)
            self.queue.done(name)
        except Exception:
            # Whatever it is, the message must not be forgotten.
            LOGGER.exception("message %s could not be attempted", name)
            self.queue.put(name, self.clock.now() + _TROUBLE)

    async def _attempt(self, name: str) -> None:
        try:
            entry, progress = await asyncio.to_thread(self._load, name)
        except SpoolError as error:
            LOGGER.error("%s; it is set aside", error)
            await asyncio.to_thread(self.spool.set_aside, name)
            self.queue.done(name)
            return
        if progress.left:
            attempted = await deliver(self.sessions, entry, entry.part(progress.left), self.sign)
            log_outcomes(name, attempted)
            self.tally.attempted(attempted.outcomes)
            self._note(name, attempted)
            progress = await self._settle(entry, progress, attempted)
            # Whatever the disk does from here on: who has got it does not get it again.
            self._unsaved[name] = progress
        if progress.left:
            await self._later(entry, progress)
        else:
            await asyncio.to_thread(self.spool.remove, name)
            self._unsaved.pop(name, None)
            self.queue.done(name)

    def _load(self, name: str) -> tuple[Entry, Progress]:
        entry = self.spool.load(name)
        progress = self._unsaved.get(name) or self.spool.progress(name)
        everybody = Progress.start(entry.envelope)
        if progress is None or not set(progress.left) <= set(everybody.left):
            return entry, everybody
        return entry, progress

    def _note(self, name: str, attempted: Attempted) -> None:
        """When the next server is back, all that waited for it may go."""
        if attempted.down:
            self._stalled.add(name)
            return
        self._stalled.discard(name)
        if self._stalled:
            self.queue.hasten(self._stalled)
            self._stalled.clear()

    async def _settle(self, entry: Entry, progress: Progress, attempted: Attempted) -> Progress:
        """Leave the report that is due, if one is; who is left then."""
        now = self.clock.now()
        verdict = judge(entry, progress, attempted, retry=self.retry, now=now, hop=self.hop)
        left, warned = verdict.left, verdict.warned
        try:
            if verdict.fates:
                carrier, octets = await asyncio.to_thread(
                    self.reporter.report, entry.envelope, verdict.fates, entry.arrival, entry.open
                )
                await self.post(carrier, octets)
        except OSError as error:
            # Nobody is to be forgotten without a word: they are tried again, and refused again.
            LOGGER.error("no report on message %s could be stored: %s", entry.name, error)
            tried = zip(progress.left, attempted.outcomes, strict=True)
            left, warned = tuple(index for index, outcome in tried if not outcome.accepted), progress.warned
        except ehlo.Error:
            # It would be no better the next time.
            LOGGER.exception("no report on message %s can be written", entry.name)
        return Progress(left=left, attempts=progress.attempts + 1, warned=warned)

    async def _later(self, entry: Entry, progress: Progress) -> None:
        now = self.clock.now()
        due = now + self.retry.pause(progress.attempts, self.clock.chance())
        end = entry.arrival + self.retry.give_up_after
        progress = attrs.evolve(progress, due=min(due, end) if now < end else due)
        self._unsaved[entry.name] = progress
        try:
            await asyncio.to_thread(self.spool.save, entry.name, progress)
            del self._unsaved[entry.name]
        except OSError as error:
            LOGGER.error("the progress of message %s could not be stored: %s", entry.name, error)
        self.queue.put(entry.name, progress.due)

    async def post(self, envelope: ehlo.Envelope, octets: bytes) -> None:
        """Put a message of our own into the spool. Raises OSError."""
        name = self.clock.name()
        await asyncio.to_thread(self.spool.add, name, envelope, self.clock.now(), octets)
        self.queue.put(name, 0.0)
        self.tally.reported()
