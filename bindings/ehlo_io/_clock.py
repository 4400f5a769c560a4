"""Deadlines of flows on a pump's clock: the same object goes on, a new one starts anew."""

from __future__ import annotations

import math
from collections.abc import Callable

import ehlo


class Timed:
    """What all pumps know of the wait that goes on."""

    __slots__ = ("_deadline", "_end", "_until")

    def __init__(self) -> None:
        self._deadline: ehlo.Deadline | None = None
        self._end = math.inf
        self._until = math.inf
        """When the present wait is over; inf: never."""

    def _expiry(self, deadline: ehlo.Deadline | None, now: Callable[[], float]) -> float:
        """When the wait for `deadline`, which begins or goes on, is over on the clock that `now` reads."""
        if deadline is None:
            self._until = math.inf
        else:
            if deadline is not self._deadline:
                self._deadline = deadline
                self._end = now() + deadline.seconds
            self._until = self._end
        return self._until

    def _left(self, deadline: ehlo.Deadline | None, now: Callable[[], float]) -> float:
        """How many seconds of that wait are left; never less than 0."""
        if deadline is None or deadline is not self._deadline:
            self._expiry(deadline, now)
            return math.inf if deadline is None else deadline.seconds
        return max(0.0, self._expiry(deadline, now) - now())
