"""`ehlo serve` under attack, on each kind of I/O.

While an attack goes on well-behaved clients are served, and when it is over nothing of it is left: no
session, task, thread or descriptor, no part of a message, and no memory that grows with what was tried.
"""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.abuse.ground import ATTACKS, HELLO, WAITS, Attack, Ground
from tests.abuse.target import LONG, OPEN, Target, permit_descriptors, target
from tests.abuse.waiting import LIMITS
from tests.abuse.wire import connected

# Importing them fills the lists.
for _topic in ("attacks", "floods", "cuts"):
    importlib.import_module(f"tests.abuse.{_topic}")

MIB = 1024 * 1024
PEAK = 40 * MIB
"""Octets more than before, at the most, while an attack goes on."""
GROWTH = 3 * MIB
"""Octets more after an attack than after the same one before it."""
OBJECTS = 300
EACH = 40 * 1024
"""Octets that an idle session may cost."""


@pytest.fixture(scope="module", params=["asyncio", "trio", "blocking"])
def patient(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    yield from _serving(request.param, tmp_path_factory.mktemp("patient"))


@pytest.fixture(scope="module", params=["asyncio", "trio", "blocking"])
def hasty(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    yield from _serving(request.param, tmp_path_factory.mktemp("hasty"), **LIMITS)


def _serving(io: str, place: Path, **limits: float) -> Iterator[Target]:
    with target(io, place, *OPEN, "--max-size", MIB, **limits) as running:
        yield running
        running.check()
        running.end()


def withstands(server: Target, attack: Attack, *, again: bool = True) -> None:
    """`again`: the attack has been before, and what it left then is the measure."""
    server.serve_one()
    if again:
        attack(Ground(server, share=0.3))
    before = server.at_rest()
    with server.serving_others():
        attack(Ground(server, at_height=server.serve_one))
    after = server.at_rest()
    grown = after.more_than(before)
    assert after.tasks == before.tasks, grown
    assert after.threads == before.threads
    assert after.descriptors == before.descriptors
    assert after.objects < before.objects + OBJECTS, grown
    assert after.memory < before.memory + GROWTH, grown
    assert after.peak < before.memory + PEAK


@pytest.mark.parametrize("name", ATTACKS)
def test_server_withstands(name: str, patient: Target) -> None:
    withstands(patient, ATTACKS[name])


@pytest.mark.parametrize("name", WAITS)
def test_server_does_not_wait_for_ever(name: str, hasty: Target) -> None:
    # Each takes the whole time that the server waits.
    withstands(hasty, WAITS[name], again=LONG or name == "slow_loris")


@pytest.mark.parametrize(("io", "count"), [("asyncio", 5000), ("trio", 5000), ("blocking", 1000)])
def test_server_holds_thousands_who_say_nothing(io: str, count: int, tmp_path: Path) -> None:
    """Each has its price, and it is paid back. In a thread it has a stack, so there are fewer of them."""
    if permit_descriptors(2 * count + 500) < count + 500:
        pytest.skip("the system permits too few descriptors")
    with target(io, tmp_path, *OPEN) as server, contextlib.ExitStack() as stack:
        server.serve_one()
        before = server.at_rest()
        for number in range(count):
            sock = stack.enter_context(connected(server.address))
            if number % 2:
                sock.sendall(HELLO)
        server.serve_one()
        held = server.census()
        assert held.sessions >= 2 * count
        assert held.memory - before.memory < count * EACH
        stack.close()
        after = server.at_rest()
        assert (after.tasks, after.threads) == (before.tasks, before.threads)
        assert after.descriptors == before.descriptors
        assert after.memory - before.memory < count * EACH / 2
        server.serve_one()
        server.check()
        server.end()
