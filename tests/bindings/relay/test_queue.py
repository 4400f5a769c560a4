"""When to try again, and the order of what is due."""

from __future__ import annotations

import asyncio

import pytest
from tests.bindings.relay.helpers import START, LeapingClock, run

from ehlo_io.relay.queue import Queue, Retry, SystemClock

PLAIN = Retry(first=10, factor=3, most=100, jitter=0.2)


@pytest.mark.parametrize(("attempts", "pause"), [(1, 10), (2, 30), (3, 90), (4, 100), (1000, 100)])
def test_pauses_grow_to_a_limit(attempts: int, pause: float) -> None:
    assert PLAIN.pause(attempts, 0.5) == pytest.approx(pause)


def test_pauses_differ() -> None:
    assert PLAIN.pause(1, 0.0) == pytest.approx(8)
    assert PLAIN.pause(1, 1.0) == pytest.approx(12)


def test_names_come_when_they_are_due_and_in_that_order() -> None:
    async def scenario() -> list[tuple[str, float]]:
        clock = LeapingClock()
        queue = Queue(clock)
        for name, after in (("late", 60.0), ("soon", 10.0), ("past", -5.0), ("now", 0.0)):
            queue.put(name, START + after)
        assert len(queue) == 4
        return [(await queue.next(), clock.now() - START) for _ in range(4)]

    assert run(scenario()) == [("past", 0), ("now", 0), ("soon", 10), ("late", 60)]


def test_some_can_be_hastened() -> None:
    async def scenario() -> list[tuple[str, float]]:
        clock = LeapingClock()
        queue = Queue(clock)
        for name, after in (("one", 60.0), ("two", 20.0), ("three", 90.0), ("four", -5.0)):
            queue.put(name, START + after)
        queue.hasten({"three", "four", "none"})
        return [(await queue.next(), clock.now() - START) for _ in range(4)]

    assert run(scenario()) == [("four", 0), ("three", 0), ("two", 20), ("one", 60)]


@pytest.mark.parametrize("first", [None, 3600.0], ids=["nothing", "something later"])
def test_what_comes_in_between_ends_the_wait(first: float | None) -> None:
    async def scenario() -> str:
        clock = SystemClock()
        queue = Queue(clock)
        if first is not None:
            queue.put("late", clock.now() + first)
        waiting = asyncio.create_task(queue.next())
        await asyncio.sleep(0.01)
        assert not waiting.done()
        queue.put("new", 0.0)
        return await waiting

    assert run(scenario()) == "new"


def test_the_clock_of_the_machine() -> None:
    async def scenario() -> None:
        clock = SystemClock()
        event = asyncio.Event()
        before = clock.now()
        await clock.wait(event, 0.02)
        assert clock.now() > before
        assert not event.is_set()
        event.set()
        await clock.wait(event, None)
        await clock.wait(event, 3600.0)

    run(scenario())
    clock = SystemClock()
    assert len({clock.name() for _ in range(1000)}) == 1000
    assert len(clock.name()) < 40
    assert all(0 <= clock.chance() <= 1 for _ in range(100))
