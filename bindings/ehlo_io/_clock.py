"""Deadlines of flows on the clock: the same object goes on, a new one starts anew."""

from __future__ import annotations

import ehlo


class DeadlineClock:
    """Absolute times for relative deadlines, on whatever clock `now` was read from."""

    __slots__ = ("_deadline", "_expiry")

    def __init__(self) -> None:
        self._deadline: ehlo.Deadline | None = None
        self._expiry = 0.0

    def expiry(self, deadline: ehlo.Deadline | None, now: float) -> float | None:
        """When the wait for `deadline` is over; None: never."""
        if deadline is None:
            return None
        if deadline is not self._deadline:
            self._deadline = deadline
            self._expiry = now + deadline.seconds
        return self._expiry
