"""Servers under Postfix's smtp-source: messages per second, and CPU of the server."""

from __future__ import annotations

import sys
from functools import partial
from typing import Final

import attrs

from benchmarks import peers, plot, report
from benchmarks.harness import Job, Metrics, Plan, interleave, say
from benchmarks.machine import DRIVER_CORE, SERVER_CORE, new_record
from benchmarks.messages import CLIENT_NAME, KIB, MIB, RECIPIENT, SENDER
from benchmarks.processes import HOST, Child, Processes, RunFailed, free_port, run
from benchmarks.record import Record

TITLE: Final = "Servers under smtp-source"
HOW: Final = (
    "smtp-source of Postfix sends from one core, the server runs on the other. Costs are seconds of CPU of "
    "the server process. `null` servers have hard-coded replies and check nothing: they are what the "
    "transport alone costs. `join + replace` also collects the message and takes the dots away. `ehlo "
    "asyncio` has an awaited hook, `ehlo asyncio, plain hook` one that is called."
)

_SIZES: Final = {"1 KB": KIB, "10 KB": 10 * KIB, "1 MB": MIB}
_Amounts = dict[str, int | dict[int, int]]
_KEPT: Final[_Amounts] = {"1 KB": {1: 700, 10: 4000, 50: 4000}, "10 KB": 2500, "1 MB": 60}
_AGAIN: Final[_Amounts] = {"1 KB": {1: 400, 10: 1000, 50: 1000}, "10 KB": 800, "1 MB": 60}
_LESS: Final = {"aiosmtpd": 4, "aiosmtpd uvloop": 4}
"""Slow subjects get so many times fewer messages, to take about as long."""


@attrs.frozen
class Case:
    size: str
    sessions: int
    kept: bool

    @property
    def name(self) -> str:
        return f"{self.size}, {'kept' if self.kept else 'reconnecting'}, {self.sessions}"

    def messages(self, subject: str) -> int:
        amounts = (_KEPT if self.kept else _AGAIN)[self.size]
        amount = amounts if isinstance(amounts, int) else amounts[self.sessions]
        return max(self.sessions, amount // _LESS.get(subject, 1))


_USUAL: Final[tuple[Case, ...]] = (
    Case("1 KB", 1, True),
    Case("1 KB", 10, True),
    Case("1 KB", 50, True),
    Case("10 KB", 10, True),
    Case("1 MB", 10, True),
    Case("1 KB", 10, False),
    Case("1 MB", 10, False),
)

_PYTHON: Final = {
    "ehlo asyncio": ["ehlo-asyncio"],
    "ehlo asyncio, plain hook": ["ehlo-asyncio", "--called"],
    "ehlo uvloop": ["ehlo-uvloop"],
    "ehlo trio": ["ehlo-trio"],
    "ehlo blocking": ["ehlo-blocking"],
    "aiosmtpd": ["aiosmtpd"],
    "aiosmtpd uvloop": ["aiosmtpd-uvloop"],
    "null asyncio": ["null-asyncio"],
    "null asyncio, join + replace": ["null-collecting"],
    "null uvloop": ["null-uvloop"],
    "null trio": ["null-trio"],
    "null threads": ["null-threads"],
}
_MODULES: Final = {"uvloop": "uvloop", "trio": "trio", "aiosmtpd": "aiosmtpd"}


def _lacking(subject: str) -> str | None:
    return peers.lacks_module(*(module for word, module in _MODULES.items() if word in subject))


def _start_all(processes: Processes, record: Record) -> dict[str, Child]:
    found: dict[str, Child] = {}
    for subject, arguments in _PYTHON.items():
        lacking = _lacking(subject)
        if lacking is None:
            argv = [sys.executable, "-m", "benchmarks.servers", *arguments]
            found[subject] = processes.server(subject, argv, SERVER_CORE)
        else:
            record.skipped[subject] = lacking
    sink = peers.program("smtp-sink")
    if sink is not None:
        port = free_port()
        argv = [sink, "-u", "nobody", f"{HOST}:{port}", "1024"]
        found["smtp-sink"] = processes.foreign_server("smtp-sink", argv, port, SERVER_CORE)
    else:
        record.skipped["smtp-sink"] = "postfix is not installed"
    lacking, node = peers.lacks_npm(), peers.program("node")
    if lacking is None and node is not None:
        script = str(peers.NPM.parent / "servers" / "smtp_server.js")
        found["smtp-server"] = processes.server("smtp-server", [node, script, str(peers.NPM)], SERVER_CORE)
        record.machine["packages"] += ", " + peers.node_versions()
    else:
        record.skipped["smtp-server"] = lacking or ""
    return found


def _drive(source: str, child: Child, case: Case, messages: int) -> Metrics:
    argv = [source, "-s", str(case.sessions), "-m", str(messages), "-l", str(_SIZES[case.size])]
    argv += ["-M", CLIENT_NAME, "-f", SENDER, "-t", RECIPIENT, *(["-d"] if case.kept else [])]
    argv.append(f"{HOST}:{child.port}")
    before = child.cpu()
    done = run(argv, DRIVER_CORE)
    return {"cpu": (child.cpu() - before) / messages, "rate": messages / done.seconds}


def _jobs(source: str, servers: dict[str, Child], cases: tuple[Case, ...], plan: Plan) -> list[Job]:
    jobs = []
    for case in cases:
        for subject, child in servers.items():
            if subject == "smtp-server" and not case.kept:
                # It waits 100 ms before each greeting.
                continue
            messages = max(case.sessions, plan.share(case.messages(subject)))
            jobs.append(Job(case.name, subject, partial(_drive, source, child, case, messages)))
    return jobs


def measure(plan: Plan) -> Record:
    record = new_record("server", quick=plan.quick)
    source = peers.program("smtp-source")
    if source is None:
        raise RunFailed("smtp-source is not installed (it is in Debian's package postfix)")
    cases = _USUAL
    if plan.full:
        cases = tuple(Case(size, n, kept) for kept in (True, False) for size in _SIZES for n in (1, 10, 50))
    with Processes() as processes:
        servers = _start_all(processes, record)
        for subject, child in list(servers.items()):
            try:
                _drive(source, child, Case("1 KB", 1, True), 50)
            except RunFailed as error:
                record.failures.append(f"{subject}: {error}")
                del servers[subject]
        say(f"  server: {len(servers)} servers, {len(cases)} cases")
        interleave(record, _jobs(source, servers, cases, plan), plan.number_of_rounds(5))
    if "smtp-server" in servers:
        record.skipped["smtp-server, reconnecting"] = "it waits 100 ms before each greeting"
    return record


_PAIRS: Final = (
    ("ehlo asyncio", "aiosmtpd"),
    ("ehlo asyncio", "smtp-server"),
    ("ehlo asyncio", "smtp-sink"),
    ("ehlo asyncio", "null asyncio"),
    ("ehlo asyncio", "null asyncio, join + replace"),
    ("ehlo asyncio, plain hook", "aiosmtpd"),
    ("ehlo asyncio, plain hook", "null asyncio"),
    ("ehlo uvloop", "aiosmtpd uvloop"),
    ("ehlo uvloop", "null uvloop"),
    ("ehlo trio", "aiosmtpd"),
    ("ehlo trio", "null trio"),
    ("ehlo blocking", "aiosmtpd"),
    ("ehlo blocking", "null threads"),
)


def write(record: Record) -> None:
    drawn = plot.bars(record, "cpu", "CPU seconds a message of the server (less is better)")
    sections = (
        report.Ratios(
            title="CPU of the peer / CPU of ehlo (over 1: ehlo is cheaper)",
            metric="cpu",
            pairs=_PAIRS,
            less_is_better=True,
        ),
        report.Values(title="CPU seconds of the server for 1,000 messages", metric="cpu", factor=1000),
        report.Values(title="Messages per second", metric="rate"),
    )
    report.write(record, TITLE, HOW, sections, plot=drawn)
