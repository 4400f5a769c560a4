"""The suite on each CPython that is found: `make versions`, or `make versions PYTHONS="PATH ..."`.

Each version has a virtual environment of its own, `.venv-3.N`. The table at the end names also those that
were looked for and not found; the exit status is 1 when one that was found fails.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final
from xml.etree import ElementTree

import attrs

ROOT: Final = Path(__file__).parents[2]
SUPPORTED: Final = range(11, 15)
"""The minor versions that are named even if they are missing; newer ones run where there are any."""
_NEWEST: Final = 19
_ASK: Final = "import sys; print('%s.%s' % sys.version_info[:2], sys.implementation.name)"


@attrs.frozen
class Row:
    """What became of one interpreter."""

    version: str
    outcome: str
    """`passed`, `failed` or why it did not run."""
    counts: str = ""

    @property
    def ran(self) -> bool:
        """Whether there was an interpreter to try."""
        return self.outcome in ("passed", "failed")


def version_of(program: str) -> str | None:
    """The version of a CPython, as `3.N`; None for a program that is none, such as an empty shim."""
    try:
        done = subprocess.run([program, "-c", _ASK], capture_output=True, text=True, timeout=60, check=False)
    except OSError:
        return None
    words = done.stdout.split()
    return words[0] if done.returncode == 0 and words[1:] == ["cpython"] else None


def interpreters(given: Iterable[str]) -> Iterator[tuple[str, str | None]]:
    """Each version and its program, or None: those that are given, or else those that PATH has."""
    if named := tuple(given):
        for name in named:
            found = version_of(shutil.which(name) or name)
            yield (found, name) if found else (name, None)
        return
    for minor in range(SUPPORTED.start, _NEWEST + 1):
        version = f"3.{minor}"
        program = shutil.which(f"python{version}")
        if program is not None and version_of(program) == version:
            yield version, program
        elif minor in SUPPORTED:
            yield version, None


def counts(report: Path) -> str:
    """What a JUnit report of pytest says, in words; empty without one."""
    if not report.exists():
        return ""
    (suite,) = ElementTree.parse(report).getroot().iter("testsuite")  # noqa: S314 (pytest wrote it)
    total, *others = (int(suite.attrib[name]) for name in ("tests", "failures", "errors", "skipped"))
    failures, errors, skipped = others
    return f"{total - sum(others)} passed, {failures + errors} failed, {skipped} skipped"


def run(version: str, program: str, root: Path = ROOT) -> Row:
    """Set up and run the suite with one interpreter; `make` shows what happens."""
    report = root / f".venv-{version}" / "report.xml"
    report.unlink(missing_ok=True)
    argv = ["make", "--no-print-directory", "suite", f"VENV=.venv-{version}", f"PYTHON={program}"]
    print(f"\n==== CPython {version}: {program} ====", flush=True)
    status = subprocess.run([*argv, f"PYTEST_ARGS=-q --junitxml={report}"], cwd=root, check=False).returncode
    return Row(version, "failed" if status else "passed", counts(report))


def table(rows: Iterable[Row]) -> str:
    """A line for each interpreter."""
    return "\n".join(f"{row.version:8} {row.outcome:10} {row.counts}".rstrip() for row in rows)


def main(given: Iterable[str]) -> int:
    """Run all; 1 when one fails or none is there."""
    rows = [
        Row(version, "not found") if program is None else run(version, program)
        for version, program in interpreters(given)
    ]
    print(f"\n{table(rows)}")
    ran = [row for row in rows if row.ran]
    return 0 if ran and all(row.outcome == "passed" for row in ran) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
