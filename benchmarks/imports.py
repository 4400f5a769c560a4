"""What an import costs, by `python -X importtime`."""

from __future__ import annotations

import subprocess
import sys
from functools import partial
from typing import Final

from benchmarks import peers, plot, report
from benchmarks.harness import Job, Metrics, Plan, interleave
from benchmarks.machine import SERVER_CORE, new_record, pinned
from benchmarks.processes import ROOT
from benchmarks.record import Record

TITLE: Final = "Imports"
HOW: Final = (
    "Each import in a new interpreter: the time of all modules that it loads beyond those of the interpreter "
    "itself, and their number, by `-X importtime`."
)
CASE: Final = "import"

_MODULES: Final = (
    "ehlo",
    "ehlo_io.asyncio",
    "ehlo_io.trio",
    "ehlo_io.blocking",
    "smtplib",
    "h11",
    "asyncio",
    "trio",
    "aiosmtplib",
    "aiosmtpd.smtp",
    "smtpproto.protocol",
    "smtpproto.client",
)


def _import(module: str) -> Metrics:
    # S603: arguments of our own.
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-X", "importtime", "-c", f"import {module}"],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
        cwd=ROOT,
    )
    return parse_importtime(done.stderr)


def parse_importtime(text: str) -> Metrics:
    """Milliseconds and number of the modules that were loaded after `site`."""
    micros = count = 0
    started = False
    for line in text.splitlines():
        if not line.startswith("import time:") or line.endswith("imported package"):
            continue
        _, total, name = line[len("import time:") :].split("|")
        if started:
            count += 1
            # The name of a module that another one imports is indented further.
            if not name.startswith("  "):
                micros += int(total)
        started = started or name.strip() == "site"
    return {"ms": micros / 1000, "modules": count}


def measure(plan: Plan) -> Record:
    record = new_record("import", quick=plan.quick)
    jobs = []
    for module in _MODULES:
        package = module.partition(".")[0]
        lacking = peers.lacks_module(package)
        if lacking:
            record.skipped[module] = lacking
        else:
            jobs.append(Job(CASE, module, partial(_import, module)))
    with pinned(SERVER_CORE):
        for job in jobs:
            job.run()
        interleave(record, jobs, plan.number_of_rounds(10))
    return record


_PAIRS: Final = (
    ("ehlo", "smtplib"),
    ("ehlo", "h11"),
    ("ehlo", "smtpproto.protocol"),
    ("ehlo_io.asyncio", "asyncio"),
    ("ehlo_io.asyncio", "aiosmtplib"),
    ("ehlo_io.asyncio", "aiosmtpd.smtp"),
    ("ehlo_io.trio", "trio"),
    ("ehlo_io.blocking", "smtplib"),
)


def write(record: Record) -> None:
    drawn = plot.bars(record, "ms", "milliseconds (less is better)")
    sections = (
        report.Ratios(
            title="Time of ehlo / of the peer (under 1: ehlo is faster)", metric="ms", pairs=_PAIRS
        ),
        report.Values(title="Milliseconds", metric="ms"),
        report.Values(title="Modules loaded", metric="modules"),
    )
    report.write(record, TITLE, HOW, sections, plot=drawn)
