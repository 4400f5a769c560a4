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


SCENARIOS: list[Scenario] = []


def add(name: str, run: Run, *, bindings: tuple[str, ...] = EVERYWHERE, limit: float = 15.0) -> None:
    assert name not in {scenario.name for scenario in SCENARIOS}, f"{name} is there twice"
    SCENARIOS.append(Scenario(name, run, bindings, limit))


def scenario(*, bindings: tuple[str, ...] = EVERYWHERE, limit: float = 15.0) -> Callable[[Run], Run]:
    """Put a function on the list."""

    def enter(run: Run) -> Run:
        add(run.__name__, run, bindings=bindings, limit=limit)
        return run

    return enter
