"""Deadlines on the clock."""

from __future__ import annotations

import math

from ehlo import Deadline, Wait
from ehlo_io._clock import Timed


class Clock(Timed):
    def expiry(self, deadline: Deadline | None, now: float) -> float:
        return self._expiry(deadline, lambda: now)

    def left(self, deadline: Deadline | None, now: float) -> float:
        return self._left(deadline, lambda: now)


def test_no_deadline_never_expires() -> None:
    assert Clock().expiry(None, 5.0) == math.inf


def test_the_same_wait_goes_on() -> None:
    clock, wait = Clock(), Deadline(Wait.COMMAND, 10.0)
    assert clock.expiry(wait, 100.0) == 110.0
    assert clock.expiry(wait, 105.0) == 110.0
    assert clock.expiry(wait, 500.0) == 110.0


def test_an_equal_wait_is_another_one() -> None:
    clock = Clock()
    first, second = Deadline(Wait.COMMAND, 10.0), Deadline(Wait.COMMAND, 10.0)
    assert clock.expiry(first, 100.0) == 110.0
    assert clock.expiry(second, 105.0) == 115.0


def test_no_deadline_between_ends_nothing() -> None:
    clock, wait = Clock(), Deadline(Wait.BLOCK, 1.0)
    clock.expiry(wait, 0.0)
    clock.expiry(None, 0.5)
    assert clock.expiry(wait, 0.7) == 1.0


def test_what_is_left() -> None:
    clock, wait = Clock(), Deadline(Wait.BLOCK, 10.0)
    assert clock.left(None, 0.0) == math.inf
    assert clock.left(wait, 100.0) == 10.0
    assert clock.left(wait, 104.0) == 6.0
    assert clock.left(wait, 111.0) == 0.0
    assert clock.left(Deadline(Wait.BLOCK, 10.0), 111.0) == 10.0
