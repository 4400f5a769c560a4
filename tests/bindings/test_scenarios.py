"""Every scenario on every binding."""

from __future__ import annotations

import gc
import importlib
import importlib.util
import sys
from collections.abc import Iterator

import pytest
from tests.bindings.faces import AsyncioIo, BlockingIo, Certificates, Io, TrioIo, UvloopIo, perform
from tests.bindings.registry import SCENARIOS, Scenario

# Importing them fills the list.
for _topic in (
    "submit",
    "tls",
    "auth",
    "secrets",
    "failures",
    "server",
    "proxy",
    "unix",
    "extensions",
    "policy",
    "crowd",
    "pool",
    "dial",
    "listening",
    "observers",
):
    importlib.import_module(f"tests.bindings.scenarios_{_topic}")

FACES: dict[str, type[Io]] = {face.name: face for face in (AsyncioIo, TrioIo, BlockingIo)}
HAS_UVLOOP = importlib.util.find_spec("uvloop") is not None


def _cases() -> list[object]:
    cases = [(FACES[name], one) for one in SCENARIOS for name in one.bindings]
    if HAS_UVLOOP:
        cases += [(UvloopIo, one) for one in SCENARIOS if "asyncio" in one.bindings]
    return [
        pytest.param(
            face,
            one,
            id=f"{face.name}-{one.name}",
            marks=[pytest.mark.clause(*one.clauses)] * bool(one.clauses),
        )
        for face, one in cases
    ]


@pytest.fixture(scope="module", autouse=True)
def _quick_collections() -> Iterator[None]:
    """Each scenario ends with a collection: it need not look at what was there before."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.mark.parametrize(("face", "scenario"), _cases())
def test_scenario(face: type[Io], scenario: Scenario, certificates: Certificates) -> None:
    perform(face(certificates), scenario.run, scenario.limit)


def test_every_binding_has_its_scenarios() -> None:
    assert {name for one in SCENARIOS for name in one.bindings} == set(FACES)
    assert len(SCENARIOS) > 60


def test_uvloop_is_there_where_it_can_be() -> None:
    assert HAS_UVLOOP or sys.platform == "win32"
