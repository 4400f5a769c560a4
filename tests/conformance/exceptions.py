"""The register of exceptions: which clauses have no test, and why."""

from __future__ import annotations

import re
import tomllib
from collections import Counter
from collections.abc import Container, Iterable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

import attrs
from tests.conformance.clauses import LEVELS, Clause

REGISTER = Path(__file__).with_name("exceptions.toml")

NOT_OUR_DUTY: Final = "not this engine's duty"
CONTRADICTED: Final = "contradicted by a later RFC"
LEFT_OUT: Final = "left out"
NOT_BUILT: Final = "not built yet"

_OPTIONAL: Final = frozenset({"SHOULD", "SHOULD NOT", "MAY"})
KINDS: Final[Mapping[str, frozenset[str]]] = MappingProxyType(
    {NOT_OUR_DUTY: LEVELS, CONTRADICTED: LEVELS, LEFT_OUT: _OPTIONAL, NOT_BUILT: _OPTIONAL}
)
"""The reasons that there are, and the levels that each may excuse."""

UNBUILT: Final = frozenset[str]()
"""The MUST and MUST NOT that are not built yet all the same."""


@attrs.frozen
class Exemption:
    """Why a clause has no test."""

    id: str
    kind: str
    reason: str


def read_exceptions(path: Path = REGISTER) -> tuple[Exemption, ...]:
    """The exceptions of a register, in its order; a field too many or too few is an error."""
    with path.open("rb") as file:
        return tuple(Exemption(**entry) for entry in tomllib.load(file)["exception"])


def register_faults(
    tested: Container[str],
    clauses: Iterable[Clause],
    exceptions: Iterable[Exemption],
    unbuilt: frozenset[str] = UNBUILT,
) -> list[str]:
    """A line for each clause without test and exception, and for each exception that cannot stand."""
    known = {clause.id: clause for clause in clauses}
    register = tuple(exceptions)
    excused = Counter(exemption.id for exemption in register)
    return [
        *(
            f"{name}: no test and no exception"
            for name in known
            if name not in tested and name not in excused
        ),
        *(f"{name}: {count} exceptions" for name, count in excused.items() if count > 1),
        *(f"{name}: listed as unbuilt and is not" for name in sorted(unbuilt - _unbuilt(register))),
        *(
            f"{exemption.id}: {fault}"
            for exemption in register
            for fault in _faults(exemption, known.get(exemption.id), tested, unbuilt)
        ),
    ]


def _unbuilt(register: Iterable[Exemption]) -> set[str]:
    return {exemption.id for exemption in register if exemption.kind == NOT_BUILT}


def _faults(
    exemption: Exemption, clause: Clause | None, tested: Container[str], unbuilt: frozenset[str]
) -> Iterator[str]:
    kind, levels = exemption.kind, KINDS.get(exemption.kind)
    if clause is None:
        yield "no such clause"
        return
    if exemption.id in tested:
        yield "has a test, so the exception is stale"
    if not exemption.reason:
        yield "no reason"
    if levels is None:
        yield f"no such kind: {kind}"
    elif clause.level not in levels and not (kind == NOT_BUILT and exemption.id in unbuilt):
        yield f"{clause.level} cannot be {kind}"
    if kind == CONTRADICTED and not re.search(r"RFC \d+ section \d", exemption.reason):
        yield "contradicted by which RFC, in which section?"
