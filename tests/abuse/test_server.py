"""`ehlo serve` under attack, on each kind of I/O.

While an attack goes on well-behaved clients are served, and when it is over nothing of it is left: no
session, task, thread or descriptor, no part of a message, and no memory that grows with what was tried.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.abuse.ground import ATTACKS, WAITS, Attack, Ground
from tests.abuse.target import OPEN, Target, target
from tests.abuse.waiting import LIMITS

# Importing them fills the lists.
for _topic in ("attacks", "floods", "cuts"):
    importlib.import_module(f"tests.abuse.{_topic}")

MIB = 1024 * 1024
PEAK = 40 * MIB
"""Octets more than before, at the most, while an attack goes on."""
GROWTH = 3 * MIB
"""Octets more after an attack than after the same one before it."""
OBJECTS = 300


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


def withstands(server: Target, attack: Attack) -> None:
    server.serve_one()
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
    withstands(hasty, WAITS[name])
