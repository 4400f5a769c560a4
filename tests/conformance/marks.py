"""Which tests name which clauses, read from their source: nothing is imported or run."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

TESTS = Path(__file__).parents[1]


def marks(folder: Path = TESTS) -> dict[str, list[str]]:
    """For each clause the tests that name it: file, relative to the folder, and function."""
    found: dict[str, list[str]] = {}
    for path in sorted(folder.rglob("*.py")):
        place = path.relative_to(folder).as_posix()
        for test, clause in marks_in(path.read_text("utf-8")):
            tests = found.setdefault(clause, [])
            if (name := f"{place}::{test}".removesuffix("::")) not in tests:
                tests.append(name)
    return found


def marks_in(source: str) -> Iterator[tuple[str, str]]:
    """`(test, clause)` for each `pytest.mark.clause("ID")`, at the test itself or at one of its cases, and
    for each `scenario("ID")` of the bindings. Cases that stand outside their test go under its module."""
    # Most files name no clause, and to parse takes long.
    if "mark.clause(" not in source and "@scenario(" not in source:
        return
    for node in ast.parse(source).body:
        test = getattr(node, "name", "")
        for call in ast.walk(node):
            if isinstance(call, ast.Call):
                for clause in clauses_of(call):
                    yield test, clause


def clauses_of(call: ast.expr) -> Iterator[str]:
    """The clauses that a decorator or another call names."""
    if not isinstance(call, ast.Call):
        return
    named = call.args if ast.unparse(call.func) in ("pytest.mark.clause", "scenario") else []
    listed = [keyword.value for keyword in call.keywords if keyword.arg == "clauses"]
    for expression in (*named, *(item for one in listed for item in getattr(one, "elts", ()))):
        if isinstance(expression, ast.Constant):
            yield str(expression.value)
