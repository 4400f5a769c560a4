"""One server under load for a while, and what is found out about it."""

from __future__ import annotations

import tempfile
from functools import partial
from pathlib import Path

import attrs
from tests.abuse.target import Census, target
from tests.soak.ledger import Ledger
from tests.soak.load import Load, timed

GROWTH = 6 * 1024 * 1024
"""Octets that a server may have more after the load than after it has warmed up."""
OBJECTS = 500
_SIZE = 1024 * 1024


@attrs.frozen
class Findings:
    """What a run shows; `faults` is empty when all is well."""

    io: str
    seconds: float
    messages: int
    done: dict[str, int]
    start: Census
    warm: Census
    end: Census
    faults: tuple[str, ...]

    def lines(self) -> list[str]:
        report = [
            f"{self.io}: {self.messages} messages in {self.seconds:.0f} s,"
            f" {self.messages / self.seconds:.0f}/s"
        ]
        report += [f"  {what}: {count}" for what, count in sorted(self.done.items())]
        for name, unit in (
            ("memory", 1024),
            ("objects", 1),
            ("descriptors", 1),
            ("threads", 1),
            ("tasks", 1),
        ):
            values = [getattr(census, name) // unit for census in (self.start, self.warm, self.end)]
            report.append(
                f"  {name}{' (KiB)' * (unit > 1)}: {values[0]} at the start,"
                f" {values[1]} warm, {values[2]} at the end"
            )
        report.append(f"  peak of memory (KiB): {self.end.peak // 1024}")
        return [*report, *(f"  FAULT: {fault}" for fault in self.faults)]


def soak(io: str, seconds: float) -> Findings:
    """A fifth of the time warms the server up. Between, and at the end, all clients are gone."""
    with tempfile.TemporaryDirectory(prefix="ehlo-soak-") as place:
        options = ("--max-size", _SIZE, "--allow-cleartext-auth", "--no-require-auth", "--mechanisms")
        mechanisms = "SCRAM-SHA-256-PLUS,SCRAM-SHA-256,SCRAM-SHA-1,PLAIN,LOGIN,NTLM,CRAM-MD5"
        with target(io, Path(place), *options, mechanisms) as server:
            ledger = Ledger()
            server.serve_one()
            start = server.at_rest()
            warming = Load(server, ledger, seed=1)
            warming.run(seconds / 5)
            warm, before = server.at_rest(), len(ledger.accepted)
            load = Load(server, ledger, seed=2)
            took = timed(partial(load.run, seconds * 4 / 5))
            end = server.at_rest()
            ledger.collect(server.maildir)
            faults = [*warming.failures, *load.failures, *_of_messages(ledger), *_of_server(warm, end)]
            try:
                server.end()
                log = server.log.read_text()
                assert "Traceback" not in log, log[-3000:]
                assert not list((server.maildir / "tmp").iterdir()), "parts of messages are left"
            except AssertionError as error:
                faults.append(str(error))
            messages = len(ledger.accepted) - before
            return Findings(io, took, messages, dict(load.done), start, warm, end, tuple(faults))


def _of_messages(ledger: Ledger) -> list[str]:
    found = {
        "lost": ledger.lost,
        "damaged": ledger.damaged,
        "stored twice": ledger.doubled,
        "stored and not accepted": ledger.unasked,
    }
    faults = [
        f"{len(numbers)} messages {what}: {sorted(numbers)[:10]}"
        for what, numbers in found.items()
        if numbers
    ]
    return faults if ledger.accepted else [*faults, "no message was accepted"]


def _of_server(warm: Census, end: Census) -> list[str]:
    faults = [
        f"{getattr(end, name) - getattr(warm, name)} {name} too many"
        for name in ("sessions", "tasks", "threads", "descriptors")
        if getattr(end, name) > getattr(warm, name)
    ]
    if end.objects > warm.objects + OBJECTS:
        faults.append(f"{end.objects - warm.objects} objects more: {end.more_than(warm)}")
    if end.memory > warm.memory + GROWTH:
        faults.append(f"{(end.memory - warm.memory) // 1024} KiB more than when it was warm")
    return faults
