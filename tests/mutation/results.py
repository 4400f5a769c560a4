"""What mutmut found, as values. It is known to nothing else."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, Final

import attrs
from tests.mutation.register import Mutant

MUTMUT: Final = str(Path(sys.executable).with_name("mutmut"))
KILLED: Final = frozenset({"killed", "timeout", "segfault"})
SURVIVED: Final = frozenset({"survived", "no tests"})

_RESULT = re.compile(r"^ *(\S+): (.+)$", re.MULTILINE)
_NAME = re.compile(r"(.+)\.x(?:ǁ(.+)ǁ|_)(.+)__mutmut_\d+\Z")


@attrs.frozen
class Result:
    """How one mutant fared."""

    name: str
    """What mutmut calls it."""
    status: str

    @property
    def module(self) -> str:
        return self._parts()[0]

    @property
    def function(self) -> str:
        """Its dotted name, with the module and the class."""
        return ".".join(part for part in self._parts() if part)

    def _parts(self) -> tuple[str, ...]:
        found = _NAME.fullmatch(self.name)
        if found is None:
            raise ValueError(f"not the name of a mutant: {self.name}")
        return found.groups()


def run(patterns: Sequence[str], processes: int) -> None:
    """Try the mutants whose names match; all of them without a pattern."""
    subprocess.run([MUTMUT, "run", "--max-children", str(processes), *patterns], check=True)


def read() -> list[Result]:
    """How each mutant fared."""
    done = subprocess.run([MUTMUT, "results", "--all", "true"], check=True, capture_output=True, text=True)
    return results_in(done.stdout)


def results_in(output: str) -> list[Result]:
    return [Result(*found) for found in _RESULT.findall(output)]


def survivors(results: Iterable[Result]) -> Iterator[Mutant]:
    """What is changed in those that no test told from the code."""
    # Not `mutmut show`, which takes a second for each.
    diffs: Any = import_module("mutmut.mutation.diff_apply")
    for result in results:
        if result.status in SURVIVED:
            path = diffs.find_mutant(result.name).path
            yield Mutant(result.function, *changes(diffs.get_diff_for_mutant(result.name, path=path)))


def changes(diff: str) -> tuple[str, str]:
    """The lines that a unified diff takes away, and those that it adds."""
    lines = [line for line in diff.splitlines() if not line.startswith(("---", "+++"))]
    was, now = ([line[1:].strip() for line in lines if line.startswith(sign)] for sign in "-+")
    return "\n".join(was), "\n".join(now)
