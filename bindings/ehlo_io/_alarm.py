"""Wakes connections that have waited too long: one heap and one timer for many of them.

A timer for each wait would cost more than what it waits for, and one for each connection a fifth of its
memory. An alarm is lazy: it is set once, and when it goes off the sleeper says how long there still is
to wait.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from heapq import heapify, heappop, heappush

import ehlo
from ehlo_io._clock import Timed

_TIDY = 1000


class Entry:
    """One sleeper's alarm."""

    __slots__ = ("sleeper", "when")

    def __init__(self, when: float, sleeper: Sleeper) -> None:
        self.when = when
        self.sleeper: Sleeper | None = sleeper
        """None when it is off."""

    def __lt__(self, other: Entry) -> bool:
        return self.when < other.when


class Alarm(ABC):
    """All alarms of one event loop, or of one server."""

    def __init__(self, now: Callable[[], float]) -> None:
        self.now = now
        self._heap: list[Entry] = []
        self._off = 0

    @abstractmethod
    def _ring_at(self, when: float) -> None:
        """Let `ring` be called then, and not before; never for inf."""

    def set(self, when: float, sleeper: Sleeper) -> Entry:
        entry = Entry(when, sleeper)
        heappush(self._heap, entry)
        if self._heap[0] is entry:
            self._ring_at(when)
        return entry

    def turn_off(self, entry: Entry) -> None:
        entry.sleeper = None
        self._off += 1
        # Short connections shall leave nothing behind for as long as they might have waited.
        if self._off == len(self._heap):
            self._heap.clear()
            self._off = 0
            self._ring_at(math.inf)
        elif self._off > _TIDY and self._off > len(self._heap) // 2:
            self._heap = [entry for entry in self._heap if entry.sleeper is not None]
            heapify(self._heap)
            self._off = 0

    def ring(self) -> None:
        now = self.now()
        while self._heap and self._heap[0].when <= now:
            sleeper = heappop(self._heap).sleeper
            if sleeper is None:
                self._off -= 1
            else:
                sleeper.look(now)
        self._ring_at(self._heap[0].when if self._heap else math.inf)


class Sleeper(Timed):
    """One connection, which waits again and again."""

    __slots__ = ("_alarm", "_entry")

    def __init__(self, alarm: Alarm) -> None:
        super().__init__()
        self._alarm = alarm
        self._entry: Entry | None = None

    def _bound(self, deadline: ehlo.Deadline | None) -> None:
        """Let the wait that begins now end at the deadline."""
        self._wake_by(self._expiry(deadline, self._alarm.now))

    def _allow(self, seconds: float | None) -> float:
        """Let user code take so long. The deadline that goes on is not touched; give the result to
        `_go_on`."""
        before = self._until
        self._until = math.inf if seconds is None else self._alarm.now() + seconds
        self._wake_by(self._until)
        return before

    def _go_on(self, before: float) -> None:
        """User code is done."""
        self._until = before
        if self._entry is not None and self._entry.when > before:
            self._no_alarm()

    def _wake_by(self, until: float) -> None:
        entry = self._entry
        if entry is None or until < entry.when:
            if entry is not None:
                self._alarm.turn_off(entry)
            self._entry = self._alarm.set(until, self) if until < math.inf else None

    def _no_alarm(self) -> None:
        """There will be no more waits."""
        if self._entry is not None:
            self._alarm.turn_off(self._entry)
            self._entry = None

    def look(self, now: float) -> None:
        """The alarm went off: the wait is over, or goes on."""
        self._entry = None
        if self._until > now:
            if self._until < math.inf:
                self._entry = self._alarm.set(self._until, self)
        else:
            self._time_is_over()

    def _time_is_over(self) -> None:
        """End the wait, if there is one."""
        raise NotImplementedError
