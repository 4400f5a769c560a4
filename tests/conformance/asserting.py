"""Which tests that name clauses say nothing, read from their source: they could not fail."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from tests.conformance.marks import TESTS, clauses_of

_ROOT = TESTS.parent


def silent(folder: Path = TESTS) -> list[str]:
    """`file::test` for each test with a clause in which nothing is asserted, and in what it calls neither."""
    found: list[str] = []
    for path in sorted(folder.rglob("*.py")):
        source = path.read_text("utf-8")
        if "mark.clause(" in source or "@scenario(" in source:
            place = path.relative_to(folder).as_posix()
            found += [f"{place}::{name}" for name in silent_in(source)]
    return found


def silent_in(source: str) -> Iterator[str]:
    """The tests of one module that say nothing."""
    module = ast.parse(source)
    known = _functions(module)
    for node in ast.walk(module):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        named = any(True for decorator in node.decorator_list for _ in clauses_of(decorator))
        if named and not _asserts(node, known, set()):
            yield node.name


Functions = dict[str, ast.AST]


@cache
def _helpers(module: str) -> Functions:
    path = _ROOT.joinpath(*module.split(".")).with_suffix(".py")
    return _functions(ast.parse(path.read_text("utf-8"))) if path.exists() else {}


def _functions(module: ast.Module) -> Functions:
    """The functions and classes of a module, and those that it imports from other tests."""
    found: Functions = {}
    for node in ast.walk(module):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(("tests.", "ehlo.testing")):
            theirs = _helpers(f"src.{node.module}.run" if node.module == "ehlo.testing" else str(node.module))
            found |= {
                name.asname or name.name: theirs[name.name] for name in node.names if name.name in theirs
            }
    for node in ast.walk(module):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found[node.name] = node
    return found


def _asserts(node: ast.AST, known: Functions, seen: set[str]) -> bool:
    """Whether it asserts, expects an error, or calls or uses what does."""
    for each in ast.walk(node):
        if isinstance(each, ast.Assert | ast.Raise):
            return True
        if isinstance(each, ast.Call) and ast.unparse(each.func) in ("pytest.raises", "pytest.fail"):
            return True
        name = each.attr if isinstance(each, ast.Attribute) else getattr(each, "id", None)
        if isinstance(name, str) and name in known and name not in seen:
            seen.add(name)
            if _asserts(known[name], known, seen):
                return True
    return False
