"""The register of survivors stands by itself, and the checks that say so are able to fail."""

from __future__ import annotations

import ast
from pathlib import Path

import attrs
import pytest
from tests.mutation.page import Row, page
from tests.mutation.register import (
    CODEC,
    EQUIVALENT,
    FASTER,
    TYPED,
    UNEXPLAINED,
    WORDING,
    Entry,
    Mutant,
    faults,
    kind_by_rule,
    kinds,
    read_register,
    register_faults,
)
from tests.mutation.results import Result, changes, results_in

SOURCE = Path(__file__).parents[2] / "src"

LESS = Mutant("ehlo.a.f", "if x < 1:", "if x <= 1:")
MORE = Mutant("ehlo.a.f", "if x < 1:", "if x < 2:")
OTHER = Mutant("ehlo.b.C.g", "return 1", "return 2")
PROSE = Mutant("ehlo.a.f", 'raise OneError("it is wrong")', 'raise OneError("XXit is wrongXX")')
ENTRY = Entry("ehlo.a.f", "if x < 1:", ["if x <= 1:", "if x < 2:"], EQUIVALENT, "x is never 1.")


def lines_of(function: str) -> set[str]:
    """The lines of a function, each without the space around it; none if there is no such function."""
    parts = function.split(".")
    for count in range(len(parts) - 1, 0, -1):
        path = SOURCE.joinpath(*parts[:count])
        for file in (path.with_suffix(".py"), path / "__init__.py"):
            if file.is_file():
                return _lines(file.read_text("utf-8"), parts[count:])
    return set()


def _lines(source: str, names: list[str]) -> set[str]:
    nodes, lines = ast.parse(source).body, source.splitlines()
    for name in names:
        last = next(
            (
                node
                for node in nodes
                if isinstance(node, ast.ClassDef | ast.FunctionDef) and node.name == name
            ),
            None,
        )
        if last is None:
            return set()
        nodes, lines = last.body, source.splitlines()[last.lineno - 1 : last.end_lineno]
    return {line.strip() for line in lines}


def test_the_register_has_no_faults() -> None:
    assert register_faults(read_register()) == []


def test_each_entry_is_about_a_line_that_is_there() -> None:
    register = read_register()
    assert register
    stale = [entry for entry in register if not set(entry.was.split("\n")) <= lines_of(entry.function)]
    assert stale == []


def test_lines_of_a_function() -> None:
    assert "if found is None:" in lines_of("ehlo.wire.codes.EnhancedCode.parse")
    assert "if found is None:" not in lines_of("ehlo.wire.codes.split_enhanced")
    assert lines_of("ehlo.wire.codes.nothing") == set()
    assert lines_of("ehlo.nothing.f") == set()


@pytest.mark.parametrize(
    ("survivors", "register", "tried", "expected"),
    [
        ([], [], ["ehlo.a.f"], []),
        ([LESS, MORE], [ENTRY], ["ehlo.a.f"], []),
        ([PROSE], [], ["ehlo.a.f"], []),
        ([], [ENTRY], ["ehlo.b.C.g"], []),
        (
            [OTHER, LESS, MORE],
            [ENTRY],
            ["ehlo.a.f"],
            ["ehlo.b.C.g: survives:\n    - return 1\n    + return 2"],
        ),
        (
            [LESS],
            [ENTRY],
            ["ehlo.a.f"],
            ["ehlo.a.f: no longer survives:\n    - if x < 1:\n    + if x < 2:"],
        ),
        (
            [LESS],
            [attrs.evolve(ENTRY, now=["if x <= 1:", "if x <= 1:"])],
            ["ehlo.a.f"],
            ["ehlo.a.f: 2 entries:\n    - if x < 1:\n    + if x <= 1:"],
        ),
        ([LESS, MORE], [attrs.evolve(ENTRY, kind="dull")], [], ["ehlo.a.f: no such kind: dull"]),
        ([LESS, MORE], [attrs.evolve(ENTRY, reason="")], [], ["ehlo.a.f: no reason"]),
        (
            [PROSE],
            [Entry(PROSE.function, PROSE.was, [PROSE.now], EQUIVALENT, "Prose.")],
            [],
            [f"ehlo.a.f: needs no entry:\n    - {PROSE.was}\n    + {PROSE.now}"],
        ),
    ],
)
def test_faults_are_named(
    survivors: list[Mutant], register: list[Entry], tried: list[str], expected: list[str]
) -> None:
    assert faults(survivors, register, tried.__contains__) == expected


@pytest.mark.parametrize(
    ("was", "now", "kind"),
    [
        ('raise AError("not this one")', 'raise AError("NOT THIS ONE")', WORDING),
        ('raise AError("not this one") from None', "raise AError(None) from None", WORDING),
        ('raise AError(f"not {x}: why")', 'raise AError(f"XXnot {x}: whyXX")', WORDING),
        ('raise AError("not this one", "5.5.4")', 'raise AError("not this one", "XX5.5.4XX")', None),
        ('raise AError("not this one", x)', 'raise AError("not this one", None)', None),
        ('assert x, "it is so"', 'assert x, "XXit is soXX"', WORDING),
        ('assert x, "it is so"', 'assert y, "it is so"', None),
        ('return "it is so" if x else None', 'return "IT IS SO" if x else None', WORDING),
        ('return hashlib.new("md5", x)', 'return hashlib.new("MD5", x)', CODEC),
        ('x = "not this one"', 'x = "NOT THIS ONE"', None),
        ('raise AError("word")', 'raise AError("WORD")', None),
        ('x.encode("ascii")', 'x.encode("ASCII")', CODEC),
        ('x.decode("utf-8", "replace")', 'x.decode("UTF-8", "replace")', CODEC),
        ('x.decode("utf-8", "replace")', 'x.decode("utf-8", "REPLACE")', None),
        ('x.encode("ascii")', 'x.encode("XXasciiXX")', None),
        ('x.encode("ascii")', "x.encode(None)", None),
        ("self.x = False", "self.x = None", TYPED),
        ("self.x: bytes | None = None", 'self.x: bytes | None = ""', TYPED),
        ("self.x = False", "self.x = True", None),
        ("self.x = 0", "self.x = None", None),
        ("x = None", 'x = ""', None),
        ("f(a, b=False)", "f(a, b=None)", TYPED),
        ("f(a, b=True)", "f(a, b=None)", None),
        ("f(a == False)", "f(a == None)", None),
    ],
)
def test_rules(was: str, now: str, kind: str | None) -> None:
    assert kind_by_rule(Mutant("ehlo.a.f", was, now)) == kind


def test_kinds() -> None:
    survivors = [LESS, MORE, OTHER, PROSE, PROSE]
    assert kinds(survivors, [ENTRY]) == {EQUIVALENT: 2, UNEXPLAINED: 1, WORDING: 2}


DIFF = """\
# ehlo.a.x_f__mutmut_1: survived
--- src/ehlo/a.py
+++ src/ehlo/a.py
@@ -1,4 +1,3 @@
 def f(x):
-    return g(
-        x)
+    return g(None)
"""


def test_what_is_changed() -> None:
    assert changes(DIFF) == ("return g(\nx)", "return g(None)")


def test_results() -> None:
    output = "    ehlo.a.x_f__mutmut_1: killed\n    ehlo.b.xǁCǁ_g__mutmut_12: no tests\n"
    results = results_in(output)
    assert results == [
        Result("ehlo.a.x_f__mutmut_1", "killed"),
        Result("ehlo.b.xǁCǁ_g__mutmut_12", "no tests"),
    ]
    assert [result.module for result in results] == ["ehlo.a", "ehlo.b"]
    assert [result.function for result in results] == ["ehlo.a.f", "ehlo.b.C._g"]
    with pytest.raises(ValueError, match="not the name of a mutant"):
        str(Result("ehlo.a.f", "killed").function)


def test_a_small_page() -> None:
    rows = [
        Row("ehlo.a.two", 3, {UNEXPLAINED: 1}),
        Row("ehlo.a.one", 5, {EQUIVALENT: 2, WORDING: 4}),
        Row("ehlo._b", 0, {FASTER: 1}),
    ]
    lines = page(rows).splitlines()
    table = [line for line in lines if line.startswith("|")]
    assert table == [
        "| Module | Mutants | Killed | equivalent | faster | typed | wording | codec | unexplained "
        "| Killed, of those that can be |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
        "| `ehlo._b` | 1 | 0 | 0 | 1 | 0 | 0 | 0 | 0 |  |",
        "| `ehlo.a.one` | 11 | 5 | 2 | 0 | 0 | 4 | 0 | 0 | 100.0 % |",
        "| `ehlo.a.two` | 4 | 3 | 0 | 0 | 0 | 0 | 0 | 1 | 75.0 % |",
        "| **`ehlo.a`** | 15 | 8 | 2 | 0 | 0 | 4 | 0 | 1 | 88.9 % |",
        "| **all** | 16 | 8 | 2 | 1 | 0 | 4 | 0 | 1 | 88.9 % |",
    ]
    assert UNEXPLAINED not in page(rows[1:])
    assert "Not tried" not in page(rows)
    assert "Not tried: 2." in page(rows, 2)
