"""The list of scenarios."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, TypeAlias

import attrs
from tests.bindings.faces import Io

Run: TypeAlias = Callable[[Io], Coroutine[Any, Any, None]]
EVERYWHERE = ("asyncio", "trio", "blocking")
ASYNC = ("asyncio", "trio")


@attrs.frozen
class Scenario:
    """One story, told once and played on each binding."""

    name: str
    run: Run
    bindings: tuple[str, ...]
    limit: float
    """Seconds after which it is a failure."""
    clauses: tuple[str, ...] = ()
    """What it shows of tests/conformance/ledger.toml."""


SCENARIOS: list[Scenario] = []


def add(
    name: str,
    run: Run,
    *,
    bindings: tuple[str, ...] = EVERYWHERE,
    limit: float = 15.0,
    clauses: tuple[str, ...] = (),
) -> None:
    assert name not in {scenario.name for scenario in SCENARIOS}, f"{name} is there twice"
    SCENARIOS.append(Scenario(name, run, bindings, limit, clauses))


def scenario(
    *clauses: str, bindings: tuple[str, ...] = EVERYWHERE, limit: float = 15.0
) -> Callable[[Run], Run]:
    """Put a function on the list."""

    def enter(run: Run) -> Run:
        add(run.__name__, run, bindings=bindings, limit=limit, clauses=clauses)
        return run

    return enter
