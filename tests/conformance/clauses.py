"""The conformance ledger as values, and what the tests claim to prove of it."""

import tomllib
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

import attrs

LEDGER = Path(__file__).with_name("ledger.toml")

LEVELS = frozenset({"MUST", "MUST NOT", "SHOULD", "SHOULD NOT", "MAY"})
ROLES = frozenset({"client", "server", "both"})


@attrs.frozen
class Clause:
    """One testable sentence of a specification."""

    id: str
    role: str
    level: str
    summary: str
    source: str
    area: str
    note: str = ""
    """Where the sentence was mended: what was wrong with it, and why."""

    @property
    def group(self) -> str:
        """The document or collection that the id starts with."""
        return self.id.partition("-")[0]


def read_clauses(path: Path = LEDGER) -> tuple[Clause, ...]:
    """The clauses of a ledger, in its order; a field too many or too few is an error."""
    with path.open("rb") as file:
        return tuple(Clause(**entry) for entry in tomllib.load(file)["clause"])


def unknown_ids(uses: Mapping[str, Iterable[str]], clauses: Iterable[Clause]) -> list[str]:
    """A line for each id that a test names and the ledger lacks."""
    known = {clause.id for clause in clauses}
    return [
        f"{test}: clause {name!r} is not in {LEDGER.name}"
        for test, names in uses.items()
        for name in names
        if name not in known
    ]


def report(
    uses: Mapping[str, Iterable[str]], clauses: Iterable[Clause], excused: Mapping[str, str]
) -> list[str]:
    """Lines that say which clauses have tests, and why others have none; `excused` has the kind of reason."""
    counts = Counter(name for names in uses.values() for name in names)
    ledger = tuple(clauses)
    tested = [clause for clause in ledger if clause.id in counts]
    bare = [clause for clause in ledger if clause.id not in counts]
    return [
        f"clauses with tests: {len(tested)} of {len(ledger)}",
        *(f"  {clause.id} ({counts[clause.id]}): {clause.summary}" for clause in tested),
        f"clauses without a test: {len(bare)} of {len(ledger)}",
        *(
            f"  {clause.id} [{clause.level}], {excused.get(clause.id, 'no reason given')}: {clause.summary}"
            for clause in bare
        ),
    ]
