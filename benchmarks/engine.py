"""Protocol engines without sockets: transactions per second of CPU."""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Callable
from functools import partial
from typing import Final

from benchmarks import peers, plot, report
from benchmarks.engines import other, ours
from benchmarks.harness import Job, Metrics, Plan, interleave
from benchmarks.machine import new_record, pinned
from benchmarks.record import Record

TITLE: Final = "Engines without sockets"
HOW: Final = (
    "One transaction is MAIL, RCPT, DATA, a body of 1 KB and the dot, each fed and answered on its own "
    "(`pipelined`: MAIL, RCPT and DATA together; `chunking`: BDAT with the body in place of DATA), on a "
    "session that is kept, or with a greeting, EHLO and QUIT around it. For h11 it is the request of its own "
    "benchmark and a response, kept alive. aiosmtpd and its event loop run on a transport that keeps what is "
    "written; `flow` is ehlo's `flows` driven without any I/O."
)
KEPT: Final = "kept session"
EACH: Final = "a session for each message"

_SUBJECTS: Final[dict[str, tuple[str | None, int, Callable[[int], None]]]] = {
    "ehlo server": (None, 4000, ours.server_kept),
    "ehlo server, pipelined": (None, 4000, ours.server_pipelined),
    "ehlo server, chunking": (None, 4000, ours.server_chunked),
    "ehlo server flow": (None, 3000, ours.server_flow),
    "ehlo client": (None, 4000, ours.client_kept),
    "ehlo client, pipelined": (None, 4000, ours.client_pipelined),
    "ehlo client, chunking": (None, 4000, ours.client_chunked),
    "ehlo client flow": (None, 3000, ours.client_flow),
    "h11 server": ("h11", 4000, other.h11_server),
    "smtpproto client, octets": ("smtpproto", 15000, partial(other.smtpproto_client, raw=True)),
    "smtpproto client, EmailMessage": ("smtpproto", 8000, partial(other.smtpproto_client, raw=False)),
    "aiosmtpd": ("aiosmtpd", 1000, lambda n: asyncio.run(other.aiosmtpd_server(n, kept=True))),
    "hard-coded server": (None, 60000, other.hard_coded),
}
_SESSIONS: Final[dict[str, tuple[str | None, int, Callable[[int], None]]]] = {
    "ehlo server": (None, 2500, ours.server_each),
    "ehlo client": (None, 2500, ours.client_each),
    "smtpproto client, octets": ("smtpproto", 8000, other.smtpproto_sessions),
    "aiosmtpd": ("aiosmtpd", 600, lambda n: asyncio.run(other.aiosmtpd_server(n, kept=False))),
}


def _timed(run: Callable[[int], None], amount: int) -> Metrics:
    gc.collect()
    start = time.process_time()
    run(amount)
    return {"per_second": amount / (time.process_time() - start)}


def measure(plan: Plan) -> Record:
    record = new_record("engine", quick=plan.quick)
    jobs = []
    for case, subjects in ((KEPT, _SUBJECTS), (EACH, _SESSIONS)):
        for name, (module, amount, run) in subjects.items():
            lacking = peers.lacks_module(module) if module else None
            if lacking:
                record.skipped[name] = lacking
            else:
                jobs.append(Job(case, name, partial(_timed, run, plan.share(amount))))
    with pinned():
        for job in jobs:
            job.run()
        interleave(record, jobs, plan.number_of_rounds(9))
    return record


_OURS: Final = ("ehlo server", "ehlo server, pipelined", "ehlo client", "ehlo client, pipelined")
_PEERS: Final = ("h11 server", "aiosmtpd", "smtpproto client, octets", "smtpproto client, EmailMessage")


def write(record: Record) -> None:
    drawn = plot.bars(record, "per_second", "transactions per CPU second (more is better)")
    pairs = [(ours_, peer) for ours_ in _OURS for peer in _PEERS if ("server" in ours_) or peer != "aiosmtpd"]
    pairs += [("ehlo server, chunking", "ehlo server"), ("ehlo client, chunking", "ehlo client")]
    sections = (
        report.Ratios(
            title="Transactions of ehlo / of the peer (over 1: ehlo is faster)",
            metric="per_second",
            pairs=[pair for pair in pairs if ("client" in pair[0]) or "smtpproto" not in pair[1]],
        ),
        report.Values(title="Transactions per second of CPU", metric="per_second"),
    )
    report.write(record, TITLE, HOW, sections, plot=drawn)
