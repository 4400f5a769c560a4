"""What is due when, and when to try again: names and times, whatever they stand for."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import os
import random
import time
from collections.abc import Callable, Collection
from typing import Final, Protocol

import attrs

_counter = itertools.count(1)


class Clock(Protocol):
    """Time and chance, so that a test can have its own."""

    def now(self) -> float:
        """Seconds since 1970."""
        ...

    def chance(self) -> float:
        """Anything from 0 to 1."""
        ...

    def name(self) -> str:
        """One that no other message has; short, and fit for a file and an identifier."""
        ...

    async def wait(self, event: asyncio.Event, seconds: float | None) -> None:
        """Return when the event is set, or after so many seconds; None: no time limit."""
        ...


class SystemClock:
    """The machine's."""

    def now(self) -> float:
        return time.time()

    def chance(self) -> float:
        return random.random()  # noqa: S311 (it spreads load and hides nothing)

    def name(self) -> str:
        return f"{time.time_ns():x}-{os.getpid():x}-{next(_counter):x}"

    async def wait(self, event: asyncio.Event, seconds: float | None) -> None:
        try:
            async with asyncio.timeout(seconds):
                await event.wait()
        except TimeoutError:
            return


@attrs.frozen(kw_only=True)
class Retry:
    """When to try again, and for how long (RFC 5321 section 4.5.4.1). All in seconds."""

    first: float = 60.0
    """From the first attempt to the second. RFC 5321 would have 30 minutes, for a host that is one of
    many; here it is the one server that all mail goes to."""
    factor: float = 2.0
    """By how much each pause is longer than the one before."""
    most: float = 1800.0
    """The longest pause: section 4.5.4.1 has it that a try every half hour disturbs nobody."""
    jitter: float = 0.25
    """By which part of itself a pause is longer or shorter: what failed together is not to come back
    together."""
    warn_after: float = 4 * 3600.0
    """After how long the sender is told of the delay."""
    give_up_after: float = 5 * 86400.0
    """After how long a message is returned; section 4.5.4.1 has it that it should be 4 to 5 days."""

    def pause(self, attempts: int, chance: float) -> float:
        """After so many attempts; `chance` is from 0 to 1."""
        # The exponent is bounded: a float has no room for more.
        plain = min(self.most, self.first * self.factor ** min(attempts - 1, 64))
        return plain * (1 + self.jitter * (2 * chance - 1))


class Queue:
    """Names in the order in which they are due; used by one task of one event loop."""

    def __init__(self, clock: Clock, changed: Callable[[int], None] = lambda _: None) -> None:
        """`changed` is told how many names are not done with, whenever that changes."""
        self._clock: Final = clock
        self._changed = changed
        self._undone: set[str] = set()
        self._heap: list[tuple[float, str]] = []
        self._earlier = asyncio.Event()

    def put(self, name: str, due: float) -> None:
        """The caller sees to it that no name is there twice."""
        heapq.heappush(self._heap, (due, name))
        if name not in self._undone:
            self._undone.add(name)
            self._changed(len(self._undone))
        if self._heap[0][1] == name:
            self._earlier.set()

    def done(self, name: str) -> None:
        """It was handed out, and does not come back."""
        self._undone.discard(name)
        self._changed(len(self._undone))

    def hasten(self, names: Collection[str]) -> None:
        """These are due now."""
        now = self._clock.now()
        self._heap = [(min(due, now) if name in names else due, name) for due, name in self._heap]
        heapq.heapify(self._heap)
        self._earlier.set()

    def __len__(self) -> int:
        return len(self._heap)

    async def next(self) -> str:
        """The next name, once it is due."""
        while True:
            left = self._heap[0][0] - self._clock.now() if self._heap else None
            if left is not None and left <= 0:
                return heapq.heappop(self._heap)[1]
            self._earlier.clear()
            await self._clock.wait(self._earlier, left)
