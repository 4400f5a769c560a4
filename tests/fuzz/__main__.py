"""`python -m tests.fuzz run` (`make fuzz`): each target for some seconds; `replay TARGET FILE`: one input."""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import attrs
from rich.console import Console
from rich.table import Table
from tests.fuzz.regressions import written
from tests.fuzz.target import Target
from tests.fuzz.targets import TARGETS

ROOT: Final = Path(__file__).parents[2]
HOME: Final = ROOT / ".fuzz"
"""What was found interesting is kept here from run to run."""
SLOW: Final = 2
"""Seconds for one input that are told as a finding."""
MEGABYTES: Final = 1024
_STATISTIC: Final = re.compile(r"stat::(\w+):\s+(\d+)")
_COVERAGE: Final = re.compile(r"cov: (\d+) ft: \d+ corp: (\d+)")
_ERROR: Final = re.compile(r"^[A-Za-z_.]*(?:Error|Exception)\b.*", re.MULTILINE)


@attrs.frozen
class Outcome:
    """What came of one target's run."""

    name: str
    statistics: dict[str, int]
    coverage: str
    corpus: str
    findings: list[Path]
    fault: str
    """In one line; "" for none."""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description="Coverage-guided fuzzing.")
    modes = parser.add_subparsers(required=True)
    run = modes.add_parser("run", help="fuzz targets, by default all, with atheris")
    run.add_argument("--seconds", type=int, default=20, help="for each target")
    run.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="targets at a time")
    run.add_argument("targets", nargs="*", metavar="TARGET", help=", ".join(TARGETS))
    run.set_defaults(act=_run)
    replay = modes.add_parser("replay", help="run one input, without atheris")
    replay.add_argument("target", choices=TARGETS)
    replay.add_argument("file", type=Path)
    replay.set_defaults(act=_replay)
    given = parser.parse_args()
    if unknown := set(getattr(given, "targets", ())) - set(TARGETS):
        parser.error(f"no such target: {', '.join(sorted(unknown))}")
    given.act(given)


def _replay(given: argparse.Namespace) -> None:
    data = given.file.read_bytes()
    print(f"for regressions.txt: {written(given.target, data, 'what it found')}", flush=True)
    TARGETS[given.target].check(data)
    print("nothing was found")


def _run(given: argparse.Namespace) -> None:
    names = given.targets or list(TARGETS)
    with ThreadPoolExecutor(given.jobs) as pool:
        outcomes = list(pool.map(lambda name: _fuzz(TARGETS[name], given.seconds), names))
    console = Console(width=None if sys.stdout.isatty() else 110)
    table = Table("target", "result", title=f"{given.seconds} seconds for each target")
    for heading in ("runs", "runs/s", "coverage", "corpus", "peak MB", "slowest s"):
        table.add_column(heading, justify="right")
    for one in outcomes:
        keys = ("number_of_executed_units", "average_exec_per_sec", "peak_rss_mb", "slowest_unit_time_sec")
        runs, rate, memory, slowest = (str(one.statistics.get(key, "-")) for key in keys)
        result = "FOUND" if one.fault else "ok"
        table.add_row(one.name, result, runs, rate, one.coverage, one.corpus, memory, slowest)
    console.print(table)
    faulty = [one for one in outcomes if one.fault]
    for one in faulty:
        print(f"{one.name}: {one.fault}; the whole story is in {_log(one.name)}")
        for path in one.findings:
            print(f"  again: {sys.executable} -m tests.fuzz replay {one.name} {path}")
    if faulty:
        sys.exit(1)


def _log(name: str) -> Path:
    return HOME / name / "log"


def _fuzz(target: Target, seconds: int) -> Outcome:
    """Run the engine on one target, in a process of its own."""
    home = HOME / target.name
    corpus, seeds, findings = (home / name for name in ("corpus", "seeds", "findings"))
    for folder in (corpus, seeds, findings):
        folder.mkdir(parents=True, exist_ok=True)
    for old in seeds.iterdir():
        old.unlink()
    for seed in target.seeds():
        (seeds / hashlib.sha256(seed).hexdigest()).write_bytes(seed)
    (home / "words").write_text("".join(f'"{_escaped(word)}"\n' for word in target.words if word))
    before = set(findings.iterdir())
    options = {
        "max_total_time": seconds,
        "max_len": target.longest,
        "timeout": 5 * SLOW,
        "report_slow_units": SLOW,
        "rss_limit_mb": MEGABYTES,
        "print_final_stats": 1,
        "dict": home / "words",
        "artifact_prefix": f"{findings}/",
    }
    command = [sys.executable, "-m", "tests.fuzz.engine", target.name, str(corpus), str(seeds)]
    command += [f"-{name}={value}" for name, value in options.items()]
    path = os.pathsep.join(map(str, (ROOT, ROOT / "src", ROOT / "bindings")))
    with _log(target.name).open("wb") as log:
        code = subprocess.run(
            command, cwd=ROOT, env={**os.environ, "PYTHONPATH": path}, stdout=log, stderr=log, check=False
        ).returncode
    return _outcome(target.name, code, sorted(set(findings.iterdir()) - before))


def _escaped(word: bytes) -> str:
    return "".join(rf"\x{octet:02x}" for octet in word)


def _outcome(name: str, code: int, findings: list[Path]) -> Outcome:
    text = _log(name).read_text("utf-8", "replace")
    statistics = {key: int(value) for key, value in _STATISTIC.findall(text)}
    coverage, corpus = (_COVERAGE.findall(text) or [("-", "-")])[-1]
    fault = ""
    if findings or code:
        errors = _ERROR.findall(text)
        kinds = ", ".join(path.name.rpartition("-")[0] for path in findings)
        fault = errors[-1][:200] if errors else kinds or f"the engine ended with status {code}"
    return Outcome(name, statistics, coverage, corpus, findings, fault)


if __name__ == "__main__":
    main()
