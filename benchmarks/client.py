"""Clients against a sink: messages per second, and CPU of the client."""

from __future__ import annotations

import sys
from functools import partial
from typing import Final

import attrs

from benchmarks import peers, plot, report
from benchmarks.clients.jobs import Subject
from benchmarks.harness import Job, Metrics, Plan, interleave, say
from benchmarks.machine import DRIVER_CORE, SERVER_CORE, new_record
from benchmarks.messages import CLIENT_NAME, KIB, MIB, RECIPIENT, SENDER
from benchmarks.processes import HOST, Child, Processes, RunFailed, free_port, run
from benchmarks.record import Record

TITLE: Final = "Clients"
HOW: Final = (
    "Each client runs on one core and the sink on the other. `smtp-sink` is Postfix's and offers PIPELINING, "
    "`own sink` discards faster and offers CHUNKING, too, which only the subjects use that are called so, "
    "and `binary`, whose messages are declared to be no text (BINARYMIME) and are not looked at; "
    "`submit_many` uses both and has all messages in one call. Costs are seconds of CPU of the client "
    "process. smtpproto takes an EmailMessage only, all others get octets. smtp-source waits for each reply. "
    "`null` clients write octets that are ready and count the replies: they are what the transport alone "
    "costs."
)

_SIZES: Final = {"1 KB": KIB, "100 KB": 100 * KIB, "10 MB": 10 * MIB}
_AMOUNTS: Final = {"1 KB": {1: 500, 10: 2000}, "100 KB": {1: 150, 10: 200}, "10 MB": {1: 4, 10: 10}}
_LESS: Final = {"aiosmtplib": 3, "aiosmtplib uvloop": 3, "smtpproto asyncio": 3, "smtpproto trio": 3}
"""Slow subjects get so many times fewer messages, to take about as long."""
_RECONNECTING: Final = 250


@attrs.frozen
class Case:
    size: str
    connections: int
    kept: bool
    sink: str

    @property
    def name(self) -> str:
        return f"{self.size}, {'kept' if self.kept else 'reconnecting'}, {self.connections}, {self.sink}"

    def messages(self, subject: str) -> int:
        amount = _AMOUNTS[self.size][self.connections]
        if not self.kept:
            amount = min(amount, _RECONNECTING)
        return max(self.connections, amount // _LESS.get(subject, 2 if subject == "nodemailer" else 1))

    def shows(self, subject: Subject) -> bool:
        """Whether it would send otherwise than in other ways: where CHUNKING is offered, and for many
        messages on a connection."""
        return not subject.chunking or (self.sink == "own sink" and self.kept)


_USUAL: Final[tuple[Case, ...]] = (
    Case("1 KB", 1, True, "smtp-sink"),
    Case("1 KB", 10, True, "smtp-sink"),
    Case("1 KB", 1, True, "own sink"),
    Case("1 KB", 10, True, "own sink"),
    Case("1 KB", 1, False, "smtp-sink"),
    Case("100 KB", 10, True, "own sink"),
    Case("10 MB", 1, True, "own sink"),
)


_PYTHON: Final = {
    "ehlo asyncio": Subject("ehlo-asyncio"),
    "ehlo asyncio, chunking": Subject("ehlo-asyncio", chunking=True),
    "ehlo asyncio, binary": Subject("ehlo-asyncio", chunking=True, binary=True),
    "ehlo asyncio, submit_many": Subject("ehlo-asyncio", chunking=True, many=True),
    "ehlo asyncio, no pipelining": Subject("ehlo-asyncio", pipelining=False),
    "null asyncio": Subject("null-asyncio"),
    "null asyncio, chunking": Subject("null-asyncio", chunking=True),
    "null asyncio, lock step": Subject("null-asyncio", pipelining=False),
    "null blocking": Subject("null-blocking"),
    "ehlo uvloop": Subject("ehlo-uvloop", "uvloop"),
    "ehlo uvloop, chunking": Subject("ehlo-uvloop", "uvloop", chunking=True),
    "ehlo trio": Subject("ehlo-trio", "trio"),
    "ehlo trio, chunking": Subject("ehlo-trio", "trio", chunking=True),
    "ehlo blocking": Subject("ehlo-blocking"),
    "ehlo blocking, chunking": Subject("ehlo-blocking", chunking=True),
    "smtplib": Subject("smtplib"),
    "aiosmtplib": Subject("aiosmtplib", "aiosmtplib"),
    "aiosmtplib uvloop": Subject("aiosmtplib-uvloop", "aiosmtplib"),
    "smtpproto asyncio": Subject("smtpproto-asyncio", "smtpproto"),
    "smtpproto trio": Subject("smtpproto-trio", "smtpproto"),
}


Workers = dict[str, tuple[Child, Subject]]


def start_sinks(processes: Processes, record: Record) -> dict[str, int]:
    """The ports of the sinks that are there."""
    own = processes.server("own sink", [sys.executable, "-m", "benchmarks.servers", "sink"], SERVER_CORE)
    found = {"own sink": own.port}
    sink = peers.program("smtp-sink")
    if sink is None:
        record.skipped["smtp-sink"] = "postfix is not installed; its cases are left out"
    else:
        port = free_port()
        argv = [sink, "-u", "nobody", f"{HOST}:{port}", "1024"]
        found["smtp-sink"] = processes.foreign_server("smtp-sink", argv, port, SERVER_CORE).port
    return found


def _start_workers(processes: Processes, record: Record) -> Workers:
    found: Workers = {}
    for name, subject in _PYTHON.items():
        lacking = peers.lacks_module(subject.module) if subject.module else None
        if lacking:
            record.skipped[name] = lacking
        else:
            worker = processes.python(name, "benchmarks.clients", [subject.worker], DRIVER_CORE)
            found[name] = (worker, subject)
    lacking, node = peers.lacks_npm(), peers.program("node")
    if lacking is None and node is not None:
        argv = [node, str(peers.NPM.parent / "clients" / "nodemailer.js"), str(peers.NPM)]
        found["nodemailer"] = (processes.start("nodemailer", argv, DRIVER_CORE), Subject("nodemailer"))
        record.machine["packages"] += ", " + peers.node_versions()
    else:
        record.skipped["nodemailer"] = lacking or ""
    return found


def _drive(worker: Child, port: int, case: Case, messages: int, subject: Subject) -> Metrics:
    job: dict[str, object] = {
        "port": port,
        "messages": messages,
        "size": _SIZES[case.size],
        "connections": case.connections,
        "reconnect": not case.kept,
        **subject.ways(),
    }
    return _metrics(case, messages, **worker.ask(job))


def _metrics(case: Case, messages: int, seconds: float, cpu: float) -> Metrics:
    rate = messages / seconds
    return {"cpu": cpu / messages, "rate": rate, "mb": rate * _SIZES[case.size] / MIB}


def _drive_source(source: str, port: int, case: Case, messages: int) -> Metrics:
    argv = [source, "-s", str(case.connections), "-m", str(messages), "-l", str(_SIZES[case.size])]
    argv += ["-M", CLIENT_NAME, "-f", SENDER, "-t", RECIPIENT, *(["-d"] if case.kept else [])]
    done = run([*argv, f"{HOST}:{port}"], DRIVER_CORE)
    return _metrics(case, messages, done.seconds, done.cpu)


def measure(plan: Plan) -> Record:
    record = new_record("client", quick=plan.quick)
    cases = _USUAL
    if plan.full:
        sinks = ("smtp-sink", "own sink")
        cases = tuple(
            Case(size, n, kept, sink)
            for sink in sinks
            for kept in (True, False)
            for size in _SIZES
            for n in (1, 10)
        )
    with Processes() as processes:
        ports = start_sinks(processes, record)
        workers = _start_workers(processes, record)
        source = peers.program("smtp-source")
        if source is None:
            record.skipped["smtp-source"] = "postfix is not installed"
        _warm_up(record, workers, ports["own sink"])
        jobs = []
        for case in cases:
            port = ports.get(case.sink)
            if port is None:
                continue
            for name, (worker, subject) in workers.items():
                if case.shows(subject):
                    messages = max(case.connections, plan.share(case.messages(name)))
                    run_ = partial(_drive, worker, port, case, messages, subject)
                    jobs.append(Job(case.name, name, run_))
            if source is not None:
                messages = max(case.connections, plan.share(case.messages("smtp-source")))
                jobs.append(
                    Job(case.name, "smtp-source", partial(_drive_source, source, port, case, messages))
                )
        say(f"  client: {len(workers) + 1} clients, {len(cases)} cases")
        interleave(record, jobs, plan.number_of_rounds(5))
    return record


def _warm_up(record: Record, workers: Workers, port: int) -> None:
    for name, (worker, subject) in list(workers.items()):
        try:
            _drive(worker, port, Case("1 KB", 1, True, ""), 20, subject)
        except RunFailed as error:
            record.failures.append(f"{name}, first messages: {error}")
            del workers[name]


_PAIRS: Final = (
    ("ehlo asyncio", "aiosmtplib"),
    ("ehlo asyncio", "smtplib"),
    ("ehlo asyncio", "smtpproto asyncio"),
    ("ehlo asyncio", "nodemailer"),
    ("ehlo asyncio", "smtp-source"),
    ("ehlo asyncio", "null asyncio"),
    ("ehlo asyncio, chunking", "ehlo asyncio"),
    ("ehlo asyncio, chunking", "null asyncio, chunking"),
    ("ehlo asyncio, binary", "ehlo asyncio"),
    ("ehlo asyncio, submit_many", "ehlo asyncio, chunking"),
    ("ehlo asyncio, no pipelining", "aiosmtplib"),
    ("ehlo asyncio, no pipelining", "smtplib"),
    ("ehlo asyncio, no pipelining", "null asyncio, lock step"),
    ("ehlo uvloop", "aiosmtplib uvloop"),
    ("ehlo uvloop, chunking", "ehlo uvloop"),
    ("ehlo trio", "smtpproto trio"),
    ("ehlo trio, chunking", "ehlo trio"),
    ("ehlo blocking", "smtplib"),
    ("ehlo blocking", "null blocking"),
    ("ehlo blocking, chunking", "ehlo blocking"),
)


def write(record: Record) -> None:
    drawn = plot.bars(record, "cpu", "CPU seconds a message of the client (less is better)")
    sections = (
        report.Ratios(
            title="CPU of the peer / CPU of ehlo (over 1: ehlo is cheaper)",
            metric="cpu",
            pairs=_PAIRS,
            less_is_better=True,
        ),
        report.Ratios(
            title="Messages per second of ehlo / of the peer (over 1: ehlo is faster)",
            metric="rate",
            pairs=_PAIRS,
        ),
        report.Values(title="CPU seconds of the client for 1,000 messages", metric="cpu", factor=1000),
        report.Values(title="Messages per second", metric="rate"),
        report.Values(title="Message octets per second, in MiB", metric="mb"),
    )
    report.write(record, TITLE, HOW, sections, plot=drawn)
