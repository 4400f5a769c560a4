"""Messages per second against the round-trip time, through a proxy of our own."""

from __future__ import annotations

import sys
from functools import partial
from typing import Final

from benchmarks import peers, plot, report
from benchmarks.clients.jobs import Subject
from benchmarks.harness import Job, Metrics, Plan, interleave
from benchmarks.machine import DRIVER_CORE, SERVER_CORE, new_record
from benchmarks.messages import KIB
from benchmarks.processes import Child, Processes, RunFailed
from benchmarks.record import Record

TITLE: Final = "Latency"
HOW: Final = (
    "Messages of 1 KB, one after the other on one session, through a proxy that holds every octet back for "
    "half of the round-trip time in each direction. ehlo uses PIPELINING and, where it is said, CHUNKING; "
    "`submit_many` has about a thousand messages in one call, several on their way at once."
)
_TRIPS: Final = {0: 1500, 5: 20, 20: 8, 80: 3}
"""Milliseconds, and how many messages."""
_AT_ONCE: Final = 1000
"""How many more for who does not wait for each: several times what is on its way at once."""
MANY: Final = "ehlo, submit_many"
"""By CHUNKING."""
_CLIENTS: Final = {
    "ehlo": Subject("ehlo-asyncio"),
    "ehlo, chunking": Subject("ehlo-asyncio", chunking=True),
    MANY: Subject("ehlo-asyncio", chunking=True, many=True),
    "ehlo, submit_many without chunking": Subject("ehlo-asyncio", many=True),
    "ehlo, no pipelining": Subject("ehlo-asyncio", pipelining=False),
    "smtplib": Subject("smtplib"),
    "aiosmtplib": Subject("aiosmtplib", "aiosmtplib"),
}


_JOB: Final[dict[str, object]] = {"size": KIB, "connections": 1, "reconnect": False}


def case(milliseconds: int) -> str:
    return f"{milliseconds} ms"


def _drive(worker: Child, port: int, messages: int, subject: Subject) -> Metrics:
    job = {**_JOB, **subject.ways(), "port": port}
    # The difference of two runs: connecting and EHLO are not what is asked.
    few = worker.ask({**job, "messages": 1})
    many = worker.ask({**job, "messages": 1 + messages})
    seconds = many["seconds"] - few["seconds"]
    if seconds <= 0:
        raise RunFailed("the machine is too loaded to tell")
    return {"rate": messages / seconds}


def measure(plan: Plan) -> Record:
    record = new_record("latency", quick=plan.quick)
    with Processes() as processes:
        argv = [sys.executable, "-m", "benchmarks.servers"]
        sink = processes.server("own sink", [*argv, "sink"], SERVER_CORE)
        workers: dict[str, Child] = {}
        for name, subject in _CLIENTS.items():
            lacking = peers.lacks_module(subject.module) if subject.module else None
            if lacking:
                record.skipped[name] = lacking
            else:
                child = processes.python(name, "benchmarks.clients", [subject.worker], DRIVER_CORE)
                # What is imported with the first message is not what is asked, either.
                child.ask({**_JOB, **subject.ways(), "port": sink.port, "messages": 1})
                workers[name] = child
        jobs = []
        for trip, messages in _TRIPS.items():
            delay = ["--delay", str(trip / 2000), "--to", str(sink.port)]
            port = (
                processes.server("proxy", [*argv, "proxy", *delay], SERVER_CORE).port if trip else sink.port
            )
            for name, child in workers.items():
                amount = _AT_ONCE if name == MANY else messages
                run = partial(_drive, child, port, amount, _CLIENTS[name])
                jobs.append(Job(case(trip), name, run))
        interleave(record, jobs, plan.number_of_rounds(3))
    return record


_PAIRS: Final = (
    ("ehlo", "ehlo, no pipelining"),
    ("ehlo", "smtplib"),
    ("ehlo", "aiosmtplib"),
    ("ehlo, chunking", "ehlo"),
    ("ehlo, chunking", "aiosmtplib"),
    (MANY, "ehlo, chunking"),
    (MANY, "aiosmtplib"),
    ("ehlo, submit_many without chunking", "ehlo"),
)


def write(record: Record) -> None:
    series: dict[str, list[tuple[float, float]]] = {}
    for name in _CLIENTS:
        found = ((trip, record.stat(case(trip), name, "rate")) for trip in _TRIPS)
        series[name] = [(float(trip), stat.median) for trip, stat in found if stat is not None]
    drawn = plot.lines(record, series, ("round-trip time in milliseconds", "messages per second"))
    sections = (
        report.Ratios(title="Messages per second of ehlo / of the other", metric="rate", pairs=_PAIRS),
        report.Values(title="Messages per second", metric="rate"),
    )
    report.write(record, TITLE, HOW, sections, plot=drawn)
