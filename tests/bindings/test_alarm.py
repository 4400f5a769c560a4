"""Alarms: who waits too long is woken, and who does not leaves nothing behind."""

from __future__ import annotations

import math

import pytest

import ehlo
from ehlo_io._alarm import Alarm, Sleeper


class Bell(Alarm):
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.time = 100.0
        self.rings_at = math.inf
        super().__init__(lambda: self.time)

    def _ring_at(self, when: float) -> None:
        self.rings_at = when

    @property
    def held(self) -> int:
        return len(self._heap)

    def go_to(self, time: float) -> None:
        while self.rings_at <= time:
            self.time = self.rings_at
            self.ring()
        self.time = time


class Someone(Sleeper):
    def __init__(self, bell: Bell) -> None:
        super().__init__(bell)
        self.woken: list[float] = []
        self.bell = bell

    def wait(self, seconds: float | None) -> None:
        self._bound(None if seconds is None else ehlo.Deadline(ehlo.Wait.COMMAND, seconds))

    def go_on_waiting(self, deadline: ehlo.Deadline) -> None:
        self._bound(deadline)

    def work(self, seconds: float | None) -> float:
        return self._allow(seconds)

    def done(self, before: float) -> None:
        self._go_on(before)

    def go(self) -> None:
        self._no_alarm()

    def _time_is_over(self) -> None:
        self.woken.append(self.bell.time)


def test_a_wait_that_lasts_too_long() -> None:
    bell = Bell()
    someone = Someone(bell)
    someone.wait(10.0)
    bell.go_to(109.0)
    assert someone.woken == []
    bell.go_to(111.0)
    assert someone.woken == [110.0]
    bell.go_to(1000.0)
    assert someone.woken == [110.0]


def test_a_new_wait_begins_anew_and_sets_no_new_alarm() -> None:
    bell = Bell()
    someone = Someone(bell)
    for _ in range(50):
        someone.wait(10.0)
        assert bell.held == 1
        bell.go_to(bell.time + 9.0)
    assert someone.woken == []
    bell.go_to(bell.time + 2.0)
    assert len(someone.woken) == 1


def test_a_shorter_wait_comes_first() -> None:
    bell = Bell()
    someone, other = Someone(bell), Someone(bell)
    someone.wait(300.0)
    other.wait(200.0)
    someone.wait(1.0)
    bell.go_to(102.0)
    assert someone.woken == [101.0]
    assert other.woken == []


def test_a_wait_without_end() -> None:
    bell = Bell()
    someone = Someone(bell)
    someone.wait(10.0)
    someone.wait(None)
    bell.go_to(1e6)
    assert someone.woken == []


@pytest.mark.parametrize("number", [1, 10, 5000])
def test_those_who_go_leave_nothing_behind(number: int) -> None:
    bell = Bell()
    stays = [Someone(bell) for _ in range(3)]
    for someone in stays:
        someone.wait(300.0)
    for _ in range(number):
        someone = Someone(bell)
        someone.wait(300.0)
        someone.go()
        someone.go()
    assert bell.held <= 3 + 1001
    bell.go_to(401.0)
    assert all(someone.woken == [400.0] for someone in stays)
    assert bell.held == 0


def test_when_all_have_gone_nothing_rings() -> None:
    bell = Bell()
    everybody = [Someone(bell) for _ in range(10)]
    for someone in everybody:
        someone.wait(300.0)
    for someone in everybody:
        someone.go()
    assert bell.held == 0
    assert bell.rings_at == math.inf
    everybody[0].wait(1.0)
    bell.go_to(102.0)
    assert everybody[0].woken == [101.0]


def test_user_code_that_takes_too_long() -> None:
    bell = Bell()
    someone = Someone(bell)
    someone.wait(50.0)
    someone.work(10.0)
    bell.go_to(200.0)
    assert someone.woken == [110.0]


@pytest.mark.parametrize("seconds", [10.0, 1000.0, None])
@pytest.mark.parametrize("work", [2.0, 40.0])
def test_user_code_earns_no_time_for_the_wait_that_goes_on(seconds: float | None, work: float) -> None:
    bell = Bell()
    someone = Someone(bell)
    deadline = ehlo.Deadline(ehlo.Wait.BLOCK, 30.0)
    someone.go_on_waiting(deadline)
    bell.go_to(105.0)
    before = someone.work(seconds)
    bell.go_to(105.0 + work)
    broken_off = [115.0] if seconds is not None and work > seconds else []
    assert someone.woken == broken_off
    someone.done(before)
    someone.go_on_waiting(deadline)
    bell.go_to(2000.0)
    # The bell rings for its end, also where that is past.
    assert someone.woken[len(broken_off) :] == [130.0]


def test_user_code_in_time_leaves_nothing_behind() -> None:
    bell = Bell()
    someone = Someone(bell)
    for _ in range(50):
        someone.done(someone.work(10.0))
        assert bell.held <= 1
    someone.go()
    assert bell.held == 0
    bell.go_to(1000.0)
    assert someone.woken == []
