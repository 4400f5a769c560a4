"""Deadlines on the clock."""

from __future__ import annotations

from ehlo import Deadline, Wait
from ehlo_io._clock import DeadlineClock


def test_no_deadline_never_expires() -> None:
    assert DeadlineClock().expiry(None, 5.0) is None


def test_the_same_wait_goes_on() -> None:
    clock, wait = DeadlineClock(), Deadline(Wait.COMMAND, 10.0)
    assert clock.expiry(wait, 100.0) == 110.0
    assert clock.expiry(wait, 105.0) == 110.0
    assert clock.expiry(wait, 500.0) == 110.0


def test_an_equal_wait_is_another_one() -> None:
    clock = DeadlineClock()
    first, second = Deadline(Wait.COMMAND, 10.0), Deadline(Wait.COMMAND, 10.0)
    assert clock.expiry(first, 100.0) == 110.0
    assert clock.expiry(second, 105.0) == 115.0


def test_no_deadline_between_ends_nothing() -> None:
    clock, wait = DeadlineClock(), Deadline(Wait.BLOCK, 1.0)
    clock.expiry(wait, 0.0)
    clock.expiry(None, 0.5)
    assert clock.expiry(wait, 0.7) == 1.0
