"""What a reader of the README wants to know: a few ratios of all benchmarks, as a table and a picture."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import attrs

from benchmarks import engine, goals, latency, memory, plot, report
from benchmarks.goals import Part
from benchmarks.record import Record, folder
from benchmarks.stats import Stat, with_spread

README: Final = Path(__file__).parent.parent / "README.md"
_BEGIN: Final = "<!-- benchmarks -->\n"
_END: Final = "<!-- /benchmarks -->\n"


@attrs.frozen
class Line:
    """One row: how many times better `ours` is than a peer; less than 1 says that the peer is."""

    group: str
    case: str
    part: Part

    def label(self) -> str:
        return f"{self.group}, {self.case}: {self.part.ours} / {self.part.peer}"


def _line(group: str, case: str, benchmark: str, key: str, metric: str, pair: tuple[str, str]) -> Line:
    above, below = pair if metric in {"rate", "per_second"} else pair[::-1]
    part = Part(benchmark=benchmark, case=key, metric=metric, above=above, below=below, floor=None, goal=None)
    return Line(group, case, part)


def _server(case: str, peer: str, ours: str = "ehlo asyncio") -> Line:
    return _line("server CPU", case, "server", case, "cpu", (ours, peer))


def _client(case: str, sink: str, peer: str, ours: str = "ehlo asyncio") -> Line:
    return _line("client CPU", case, "client", f"{case}, {sink}", "cpu", (ours, peer))


LINES: Final = (
    _server("1 KB, kept, 10", "aiosmtpd"),
    _server("10 KB, kept, 10", "aiosmtpd"),
    _server("1 MB, kept, 10", "aiosmtpd"),
    _server("1 KB, reconnecting, 10", "aiosmtpd"),
    _server("1 KB, kept, 10", "aiosmtpd uvloop", "ehlo uvloop"),
    _server("1 KB, kept, 10", "aiosmtpd", "ehlo trio"),
    _server("1 KB, kept, 10", "aiosmtpd", "ehlo blocking"),
    _server("1 KB, kept, 10", "smtp-server"),
    _server("1 KB, kept, 10", "smtp-sink"),
    _server("1 MB, kept, 10", "smtp-sink"),
    _client("1 KB, kept, 10", "own sink", "aiosmtplib"),
    _client("1 KB, kept, 10", "own sink", "smtplib"),
    _client("1 KB, kept, 10", "own sink", "smtpproto trio", "ehlo trio"),
    _client("1 KB, reconnecting, 1", "smtp-sink", "aiosmtplib"),
    _client("100 KB, kept, 10", "own sink", "aiosmtplib"),
    _client("10 MB, kept, 1", "own sink", "aiosmtplib"),
    _client("10 MB, kept, 1", "own sink", "smtplib"),
    _line(
        "messages per second",
        "round trip 20 ms",
        "latency",
        latency.case(20),
        "rate",
        ("ehlo", "aiosmtplib"),
    ),
    _line(
        "messages per second",
        "round trip 20 ms",
        "latency",
        latency.case(20),
        "rate",
        (latency.MANY, "aiosmtplib"),
    ),
    _line("server engine", "no sockets", "engine", engine.KEPT, "per_second", ("ehlo server", "h11 server")),
    _line("client engine", "no sockets", "engine", engine.KEPT, "per_second", ("ehlo client", "h11 server")),
    _line("memory", "idle connection", "memory", memory.PLAIN, "kib", ("ehlo asyncio", "aiosmtpd")),
    _line("memory", "the same with TLS", "memory", memory.TLS, "kib", ("ehlo asyncio", "aiosmtpd")),
    _line("memory", "100 MB received", "memory", memory.RECEIVED, "growth", ("ehlo asyncio", "aiosmtpd")),
)


def reached(records: dict[str, Record]) -> list[tuple[Line, Stat]]:
    """The lines that were measured."""
    found = ((line, line.part.reached(records)) for line in LINES)
    return [(line, stat) for line, stat in found if stat is not None]


def text(records: dict[str, Record], *, picture: bool) -> str:
    """Machine, date, table and picture as Markdown. Each number is a median (lowest..highest)."""
    found = reached(records)
    used = {line.part.benchmark: records[line.part.benchmark] for line, _ in found}
    rows = [
        [line.group, line.case, f"{line.part.ours} : {line.part.peer}", with_spread(stat, "x")]
        for line, stat in found
    ]
    dates = sorted({record.date for record in used.values()})
    machine = next(iter(used.values())).machine
    where = f"{machine['cpu']}, {machine['cores']} cores, {machine['kernel']}, {machine['python']}"
    parts = [
        f"Measured {' to '.join(dict.fromkeys((dates[0], dates[-1])))} on {where}; {machine['packages']}.",
        report.table(["", "", "ehlo : other", "times better"], rows, texts=3),
    ]
    if picture:
        parts.append("![How many times better ehlo is than others](benchmarks/results/summary.png)")
    return "\n\n".join(parts) + "\n"


def put_in(readme: str, summary: str) -> str:
    """The README with this summary between its two marks. Raises ValueError when they are not there."""
    head, begin, rest = readme.partition(_BEGIN)
    _, end, tail = rest.partition(_END)
    if not begin or not end:
        raise ValueError("the README has no place for the benchmarks")
    return f"{head}{begin}\n{summary}\n{end}{tail}"


def write(*, quick: bool) -> None:
    """Draw it, and renew the README unless it was a quick run, for trying."""
    records = goals.latest(quick=quick)
    found = reached(records)
    if not found:
        return
    drawn = plot.ratios([(line.label(), stat) for line, stat in found], folder(quick=quick) / "summary.png")
    if not quick:
        README.write_text(put_in(README.read_text(), text(records, picture=drawn)))
