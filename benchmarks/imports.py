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
    "itself, and their number, by `-X importtime`. ehlo's packages load what is asked of them, so `import "
    "ehlo` is not the whole price: `both connections` has both classes, `connect and serve` both functions."
)
CASE: Final = "import"

CONNECTIONS: Final = "ehlo, both connections"
ASYNCIO: Final = "ehlo_io.asyncio, connect and serve"
_STATEMENTS: Final = {
    CONNECTIONS: "from ehlo import ClientConnection, ServerConnection",
    ASYNCIO: "from ehlo_io.asyncio import connect, serve",
    "ehlo_io.trio, connect and serve": "from ehlo_io.trio import connect, serve",
    "ehlo_io.blocking, connect": "from ehlo_io.blocking import connect",
}
"""What is not just the import of a module."""

_MODULES: Final = (
    "ehlo",
    "ehlo_io.asyncio",
    *_STATEMENTS,
    "smtplib",
    "h11",
    "attrs",
    "asyncio",
    "trio",
    "aiosmtplib",
    "aiosmtpd.smtp",
    "smtpproto.protocol",
    "smtpproto.client",
)


def _import(subject: str) -> Metrics:
    statement = _STATEMENTS.get(subject, f"import {subject}")
    # S603: arguments of our own.
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-X", "importtime", "-c", statement],
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
        package = module.partition(",")[0].partition(".")[0]
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
    (CONNECTIONS, "smtplib"),
    (CONNECTIONS, "h11"),
    (CONNECTIONS, "attrs"),
    (CONNECTIONS, "smtpproto.protocol"),
    ("ehlo_io.asyncio", "asyncio"),
    (ASYNCIO, "asyncio"),
    (ASYNCIO, "aiosmtplib"),
    (ASYNCIO, "aiosmtpd.smtp"),
    ("ehlo_io.trio, connect and serve", "trio"),
    ("ehlo_io.blocking, connect", "smtplib"),
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
