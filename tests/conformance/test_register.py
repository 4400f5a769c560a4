"""Each clause has a test or an exception with a reason, and the checks that say so are able to fail."""

from __future__ import annotations

from pathlib import Path

import attrs
import pytest
from tests.conformance.asserting import silent, silent_in
from tests.conformance.clauses import Clause, read_clauses
from tests.conformance.exceptions import (
    CONTRADICTED,
    LEFT_OUT,
    NOT_BUILT,
    NOT_OUR_DUTY,
    Exemption,
    read_exceptions,
    register_faults,
)
from tests.conformance.marks import marks, marks_in

MARKS = marks()
MUST = Clause("RFC5321-1a", "client", "MUST", "First.", "RFC 5321 section 1", "reply")
MAY = Clause("RFC5321-1b", "server", "MAY", "Second.", "RFC 5321 section 1", "reply")
OURS = Exemption(MUST.id, NOT_OUR_DUTY, "a queue does it")


def test_each_clause_has_a_test_or_a_reason() -> None:
    assert register_faults(MARKS, read_clauses(), read_exceptions()) == []


def test_each_mark_names_a_clause() -> None:
    assert sorted(MARKS.keys() - {clause.id for clause in read_clauses()}) == []


def test_pytest_sees_no_mark_that_the_source_does_not_show(request: pytest.FixtureRequest) -> None:
    seen = {
        name for item in request.session.items for mark in item.iter_markers("clause") for name in mark.args
    }
    assert sorted(seen - MARKS.keys()) == []


@pytest.mark.parametrize(
    ("tested", "register", "faults"),
    [
        ([MUST.id, MAY.id], [], []),
        ([MAY.id], [OURS], []),
        ([MUST.id], [], ["RFC5321-1b: no test and no exception"]),
        ([MUST.id, MAY.id], [OURS], ["RFC5321-1a: has a test, so the exception is stale"]),
        ([MAY.id], [OURS, OURS], ["RFC5321-1a: 2 exceptions"]),
        ([MUST.id, MAY.id], [Exemption("RFC5321-9z", LEFT_OUT, "so")], ["RFC5321-9z: no such clause"]),
        ([MAY.id], [attrs.evolve(OURS, kind="too hard")], ["RFC5321-1a: no such kind: too hard"]),
        ([MAY.id], [attrs.evolve(OURS, reason="")], ["RFC5321-1a: no reason"]),
        ([MAY.id], [attrs.evolve(OURS, kind=LEFT_OUT)], ["RFC5321-1a: MUST cannot be left out"]),
        ([MAY.id], [attrs.evolve(OURS, kind=NOT_BUILT)], ["RFC5321-1a: MUST cannot be not built yet"]),
        ([MUST.id], [Exemption(MAY.id, LEFT_OUT, "nobody asks for it")], []),
        ([MUST.id], [Exemption(MAY.id, NOT_BUILT, "soon")], []),
        ([MAY.id], [Exemption(MUST.id, CONTRADICTED, "RFC 6409 section 3.1 has another port")], []),
        (
            [MAY.id],
            [Exemption(MUST.id, CONTRADICTED, "by practice")],
            ["RFC5321-1a: contradicted by which RFC, in which section?"],
        ),
    ],
)
def test_faults_are_named(tested: list[str], register: list[Exemption], faults: list[str]) -> None:
    assert register_faults(tested, [MUST, MAY], register, frozenset()) == faults


def test_a_must_is_unbuilt_only_by_name() -> None:
    unbuilt = [attrs.evolve(OURS, kind=NOT_BUILT)]
    assert register_faults([MAY.id], [MUST, MAY], unbuilt, frozenset({MUST.id})) == []
    assert register_faults([MUST.id, MAY.id], [MUST, MAY], [], frozenset({MUST.id})) == [
        "RFC5321-1a: listed as unbuilt and is not"
    ]


def test_a_field_too_few_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "exceptions.toml"
    path.write_text('[[exception]]\nid = "A-1"\nkind = "left out"\n')
    with pytest.raises(TypeError, match="reason"):
        read_exceptions(path)


SOURCE = """
CASES = [pytest.param(1, marks=pytest.mark.clause("A-1"))]

@pytest.mark.clause("A-2", "A-3")
@pytest.mark.parametrize("x", [pytest.param(1, marks=pytest.mark.clause("A-4"))])
def test_one(x): ...

class TestTwo:
    @pytest.mark.clause("A-5")
    def test_in_it(self): ...

@scenario("A-6", limit=1.0)
async def works(io): ...

add("name", works, clauses=("A-7", "A-8"))

def test_three(): other("A-9")
"""


def test_marks_are_read_wherever_they_stand() -> None:
    assert list(marks_in(SOURCE)) == [
        ("", "A-1"),
        ("test_one", "A-2"),
        ("test_one", "A-3"),
        ("test_one", "A-4"),
        ("TestTwo", "A-5"),
        ("works", "A-6"),
        ("", "A-7"),
        ("", "A-8"),
    ]
    assert list(marks_in("def test_one(): pass")) == []


def test_a_test_is_named_once_for_a_clause(tmp_path: Path) -> None:
    (tmp_path / "unit").mkdir()
    (tmp_path / "unit" / "test_x.py").write_text(SOURCE + SOURCE)
    assert marks(tmp_path)["A-1"] == ["unit/test_x.py"]
    assert marks(tmp_path)["A-2"] == ["unit/test_x.py::test_one"]


def test_no_test_of_a_clause_says_nothing() -> None:
    assert silent() == []


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ("run(1)", False),
        ("helper()", True),
        ("Other().check()", True),
        ("assert run(1)", True),
        ("with pytest.raises(OSError): run(1)", True),
        ("ratio(run, 1, 2)", False),
        ("grows_linearly(run, 1)", True),
    ],
)
def test_a_test_that_says_nothing_is_found(body: str, says: bool) -> None:
    source = f"""
from tests.helpers.linear import grows_linearly, ratio

def helper(): assert run(2)

class Other:
    def check(self): helper()

@pytest.mark.clause("A-1")
def test_it():
    {body}

def test_without_a_clause(): run(3)
"""
    assert list(silent_in(source)) == ([] if says else ["test_it"])
