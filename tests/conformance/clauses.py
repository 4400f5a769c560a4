"""The conformance ledger as values, and what the tests claim to prove of it."""

import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path

import attrs

LEDGER = Path(__file__).with_name("ledger.toml")

LEVELS = frozenset({"MUST", "MUST NOT", "SHOULD", "SHOULD NOT", "MAY"})
ROLES = frozenset({"client", "server", "both"})

TIER_1 = frozenset(
    {"OXSMTP", "OXSMTP18", "EXCH", "NTLM", "XLOGIN", "RFC4409", "RFC6409", "RFC5321", "RFC4954"}
    | {"RFC3207", "RFC3461", "RFC2034", "SEC"}
)
"""The groups that make up submission itself; the others are further extensions and mechanisms."""


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


def report(uses: Mapping[str, Iterable[str]], clauses: Iterable[Clause]) -> list[str]:
    """Lines that say which clauses have tests, and which of the first tier have none."""
    counts: dict[str, int] = {}
    for names in uses.values():
        for name in names:
            counts[name] = counts.get(name, 0) + 1
    ledger = tuple(clauses)
    tested = [clause for clause in ledger if clause.id in counts]
    first = [clause for clause in ledger if clause.group in TIER_1]
    bare = [clause for clause in first if clause.id not in counts]
    return [
        f"clauses with tests: {len(tested)} of {len(ledger)}",
        *(f"  {clause.id} ({counts[clause.id]}): {clause.summary}" for clause in tested),
        f"tier-1 clauses without a test: {len(bare)} of {len(first)}",
        *(f"  {clause.id} [{clause.level}]: {clause.summary}" for clause in bare),
    ]
