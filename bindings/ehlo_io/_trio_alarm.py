"""Wakes connections on trio that have waited too long: one heap and one task for each run of trio.

A cancel scope for each wait would cost more than what it waits for, and one for each connection as much
memory as the rest of it. An alarm is lazy: it is set once, and when it goes off the sleeper says how
long there still is to wait.
"""

from __future__ import annotations

import math
from heapq import heapify, heappop, heappush
from itertools import count
from typing import Final, Protocol

import trio


class Sleeper(Protocol):
    def look(self, now: float) -> None:
        """The alarm went off: wake up, or set another one."""


class Entry:
    """One alarm."""

    __slots__ = ("number", "sleeper", "when")

    def __init__(self, when: float, number: int, sleeper: Sleeper) -> None:
        self.when = when
        self.number = number
        self.sleeper: Sleeper | None = sleeper
        """None when it is off."""

    def __lt__(self, other: Entry) -> bool:
        return (self.when, self.number) < (other.when, other.number)


class Alarm:
    """All alarms of one run of trio."""

    def __init__(self) -> None:
        self._heap: list[Entry] = []
        self._numbers = count()
        self._off = 0
        self._sleep = trio.CancelScope()

    def set(self, when: float, sleeper: Sleeper) -> Entry:
        entry = Entry(when, next(self._numbers), sleeper)
        heappush(self._heap, entry)
        if self._heap[0] is entry:
            self._sleep.deadline = when
        return entry

    def turn_off(self, entry: Entry) -> None:
        entry.sleeper = None
        self._off += 1
        # Short connections shall leave nothing behind for as long as they might have waited.
        if self._off > 1000 and self._off > len(self._heap) // 2:
            self._heap = [entry for entry in self._heap if entry.sleeper is not None]
            heapify(self._heap)
            self._off = 0

    async def run(self) -> None:
        while True:
            with self._sleep:
                await trio.sleep_forever()
            now = trio.current_time()
            while self._heap and self._heap[0].when <= now:
                entry = heappop(self._heap)
                if entry.sleeper is None:
                    self._off -= 1
                else:
                    entry.sleeper.look(now)
            self._sleep = trio.CancelScope(deadline=self._heap[0].when if self._heap else math.inf)


_ALARM: Final = trio.lowlevel.RunVar[Alarm | None]("ehlo_io alarm", None)


def alarm() -> Alarm:
    """That of the present run."""
    found = _ALARM.get()
    if found is None:
        found = Alarm()
        _ALARM.set(found)
        trio.lowlevel.spawn_system_task(found.run, name="ehlo_io alarm")
    return found
