"""docs/conformance.md and the totals in README.md say what the ledger, the register and the marks say."""

from __future__ import annotations

import re
import runpy
from pathlib import Path
from typing import Any

import pytest
from tests.conformance.clauses import Clause, read_clauses
from tests.conformance.exceptions import NOT_BUILT, NOT_OUR_DUTY, Exemption

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "conformance.md").read_text("utf-8")
README = (ROOT / "README.md").read_text("utf-8")
MAKE: dict[str, Any] = runpy.run_path(str(ROOT / "docs" / "make_conformance.py"))
PROOF = MAKE["proof"]()


def test_the_page_is_fresh() -> None:
    # Not as one comparison of the two: what differs would fill a thousand lines.
    fresh = PROOF.page() == PAGE
    assert fresh, "run make conformance"


def test_the_totals_in_the_readme_are_fresh() -> None:
    assert README.count("<!-- conformance -->") == 1
    assert MAKE["readme"](README, PROOF.totals()) == README, "run make conformance"


def test_each_clause_has_a_row() -> None:
    rows = re.findall(r"^\| `([^`]+)` \|", PAGE, re.MULTILINE)
    assert rows == [clause.id for clause in read_clauses()]


def test_places_of_tests_exist() -> None:
    files = {place.partition("::")[0] for place in re.findall(r"`([\w/]+\.py(?:::\w+)?)`", PAGE)}
    assert len(files) > 50
    assert [file for file in files if not (ROOT / "tests" / file).is_file()] == []


CLAUSES = [
    Clause(
        "RFC5321-1a", "client", "MUST", "Say <this> | that.", "RFC 5321 section 1", "reply", "Was: *not*."
    ),
    Clause("RFC5321-1b", "server", "MUST NOT", "Second.", "RFC 5321 section 1", "reply"),
    Clause("SEC-1", "both", "MAY", "Third.", "RFC 5321 section 1", "reply"),
]
REGISTER = [Exemption("RFC5321-1b", NOT_OUR_DUTY, "A queue does."), Exemption("SEC-1", NOT_BUILT, "Soon.")]


@pytest.mark.parametrize(
    ("tests", "cell"),
    [(2, "`a.py::t0`, `a.py::t1`"), (6, "`a.py::t0`, `a.py::t1`, `a.py::t2`, `a.py::t3` and 2 more")],
)
def test_a_small_page(tests: int, cell: str) -> None:
    proof = MAKE["Proof"](CLAUSES, REGISTER, {"RFC5321-1a": [f"a.py::t{i}" for i in range(tests)]})
    lines = proof.page().splitlines()
    assert proof.totals() in proof.page()
    assert proof.totals() == (
        "1 of 3 clauses have a test (1 are not this engine's duty, 1 are not built yet); "
        "of the 2 MUST and MUST NOT 1 have one.\n"
    )
    assert "| MUST NOT | 1 | 0 | 1 | 0 | 0 | 0 |" in lines
    assert "| all | 3 | 1 | 1 | 0 | 0 | 1 |" in lines
    assert lines[lines.index("## RFC 5321: SMTP") :] == [
        "## RFC 5321: SMTP",
        "",
        "1 of 2 with a test.",
        "",
        "| Clause | Level | Role | What it says | Tests |",
        "|---|---|---|---|---|",
        f"| `RFC5321-1a` | MUST | client | Say \\<this> \\| that. | {cell} |",
        "| `RFC5321-1b` | MUST NOT | server | Second. | *not this engine's duty:* A queue does. |",
        "",
        "`RFC5321-1a` was mended. Was: \\*not\\*.",
        "",
        "## Attacks: smuggling, injection, floods, plaintext around STARTTLS",
        "",
        "0 of 1 with a test.",
        "",
        "| Clause | Level | Role | What it says | Tests |",
        "|---|---|---|---|---|",
        "| `SEC-1` | MAY | both | Third. | *not built yet:* Soon. |",
    ]
