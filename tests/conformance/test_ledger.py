"""The ledger is well formed, and the checks on its use are able to fail."""

import re
from collections import Counter
from pathlib import Path

import pytest
from tests.conformance.clauses import (
    LEVELS,
    ROLES,
    Clause,
    read_clauses,
    report,
    unknown_ids,
)

CLAUSES = read_clauses()
A = Clause("RFC5321-1a", "client", "MUST", "First.", "RFC 5321 section 1", "reply")
B = Clause("RFC5321-1b", "server", "MAY", "Second.", "RFC 5321 section 1", "reply")
C = Clause("RFC4865-1a", "both", "MUST", "Third.", "RFC 4865 section 1", "ext")


def test_ids_are_unique_and_well_formed() -> None:
    repeated = [name for name, count in Counter(clause.id for clause in CLAUSES).items() if count > 1]
    assert repeated == []
    assert [c.id for c in CLAUSES if not re.fullmatch(r"[A-Z][A-Z0-9]*(?:-[A-Za-z0-9.]+)+", c.id)] == []


def test_fields_hold_what_they_may() -> None:
    assert [clause.id for clause in CLAUSES if clause.level not in LEVELS] == []
    assert [clause.id for clause in CLAUSES if clause.role not in ROLES] == []
    assert [clause.id for clause in CLAUSES if not (clause.summary and clause.source and clause.area)] == []


def test_a_field_too_many_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "ledger.toml"
    path.write_text('[[clause]]\nid = "A-1"\nrole = "both"\nlevel = "MUST"\nnotes = "x"\n')
    with pytest.raises(TypeError, match="notes"):
        read_clauses(path)


def test_unknown_ids_are_named_with_their_test() -> None:
    uses = {"test_x": ["RFC5321-1a", "RFC5321-9z"], "test_y": []}
    assert unknown_ids(uses, [A, B]) == ["test_x: clause 'RFC5321-9z' is not in ledger.toml"]
    assert unknown_ids({"test_x": ["RFC5321-1b"]}, [A, B]) == []


def test_report_counts_tests_and_says_why_there_are_none() -> None:
    uses = {"test_x": ["RFC5321-1a"], "test_y": ["RFC5321-1a"]}
    assert report(uses, [A, B, C], {"RFC5321-1b": "left out"}) == [
        "clauses with tests: 1 of 3",
        "  RFC5321-1a (2): First.",
        "clauses without a test: 2 of 3",
        "  RFC5321-1b [MAY], left out: Second.",
        "  RFC4865-1a [MUST], no reason given: Third.",
    ]


def test_what_the_code_refers_to_is_in_the_ledger() -> None:
    top = Path(__file__).parents[2]
    sources = [path for folder in ("src", "bindings") for path in sorted((top / folder).rglob("*.py"))]
    specifications = {clause.id.partition("-")[0] for clause in CLAUSES}
    known = {clause.id for clause in CLAUSES}
    found = {
        f"{path.relative_to(top)}: {name}"
        for path in sources
        for name in re.findall(r"\[([A-Z][A-Z0-9]*(?:-[A-Za-z0-9.]+)+)\]", path.read_text("utf-8"))
        if name.partition("-")[0] in specifications and name not in known
    }
    assert len(sources) > 100
    assert sorted(found) == []
