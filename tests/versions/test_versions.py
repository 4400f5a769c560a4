"""Which interpreters `make versions` finds, and what it says of them."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from tests.versions import __main__ as versions
from tests.versions.__main__ import Row

HERE = f"3.{sys.version_info.minor}"
REPORT = '<testsuites><testsuite tests="9" failures="2" errors="1" skipped="3"/></testsuites>'


@pytest.fixture
def only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory that is all of PATH."""
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path


def put(place: Path, name: str, text: str) -> str:
    file = place / name
    file.write_text(f"#!/bin/sh\n{text}\n")
    file.chmod(0o755)
    return str(file)


def test_one_is_found_and_others_are_named(only: Path) -> None:
    place = put(only, f"python{HERE}", f'exec {sys.executable} "$@"')
    # A shim that starts nothing, and a newer one that nobody has heard of.
    put(only, "python3.11" if HERE != "3.11" else "python3.12", "exit 127")
    found = dict(versions.interpreters(()))
    assert found[HERE] == place
    assert {version for version, program in found.items() if program is None} == {
        f"3.{minor}" for minor in versions.SUPPORTED
    } - {HERE}


def test_those_that_are_given(only: Path) -> None:
    other = put(only, "pypy3", 'echo "3.11 pypy"')
    assert list(versions.interpreters([sys.executable, other, "nothing"])) == [
        (HERE, sys.executable),
        (other, None),
        ("nothing", None),
    ]


def make(place: Path, status: int) -> None:
    put(place, "make", f'echo "$@" > {place}/said; exit {status}')


@pytest.mark.parametrize(("status", "outcome"), [(0, "passed"), (2, "failed")])
def test_a_run(only: Path, status: int, outcome: str) -> None:
    make(only, status)
    assert versions.run("3.99", "/a/python3.99", only) == Row("3.99", outcome)
    said = (only / "said").read_text()
    assert said.startswith("--no-print-directory suite VENV=.venv-3.99 PYTHON=/a/python3.99 PYTEST_ARGS=-q ")


def test_what_a_report_counts(tmp_path: Path) -> None:
    (tmp_path / "report.xml").write_text(REPORT)
    assert versions.counts(tmp_path / "report.xml") == "3 passed, 3 failed, 3 skipped"


@pytest.mark.parametrize(("given", "status"), [([sys.executable], 0), (["nothing"], 1)])
def test_the_end(
    only: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    given: list[str],
    status: int,
) -> None:
    monkeypatch.setattr(versions, "run", lambda version, program: Row(version, "passed", "1 passed"))
    assert versions.main([*given, "missing"]) == status
    assert "missing  not found\n" in capsys.readouterr().out


def test_one_that_fails_fails_all(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = iter([Row("3.98", "passed", "2 passed"), Row("3.99", "failed", "1 passed, 1 failed")])
    monkeypatch.setattr(versions, "run", lambda version, program: next(rows))
    assert versions.main([sys.executable, sys.executable]) == 1
    assert (
        capsys.readouterr().out == "\n3.98     passed     2 passed\n3.99     failed     1 passed, 1 failed\n"
    )
