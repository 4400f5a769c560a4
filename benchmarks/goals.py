"""The performance goals, each a few ratios of the other benchmarks, joined into one table."""

from __future__ import annotations

from typing import Final

import attrs

from benchmarks import engine, imports, memory, report, scaling
from benchmarks.record import Record, folder
from benchmarks.stats import Stat, number, with_spread

_COSTS: Final = frozenset({"cpu", "kib", "growth"})
"""Metrics of which the peer's is divided by ours."""


@attrs.frozen(kw_only=True)
class Part:
    """One number of a goal: a metric of `ours`, or the metric of `above` over that of `below`."""

    benchmark: str
    case: str
    metric: str
    above: str
    below: str | None = None
    floor: float | None
    """None: shown without a bound."""
    goal: float | None
    unit: str = "x"
    less_is_better: bool = False

    def reached(self, records: dict[str, Record]) -> Stat | None:
        record = records.get(self.benchmark)
        if record is None:
            return None
        if self.below is None:
            return record.stat(self.case, self.above, self.metric)
        return record.ratio(self.case, self.above, self.below, self.metric)

    @property
    def ours(self) -> str:
        """Who is shown first. Of costs the peer stands above, and it reads the other way round."""
        return self.below if self.metric in _COSTS and self.below else self.above

    @property
    def peer(self) -> str | None:
        return self.above if self.metric in _COSTS and self.below else self.below

    def verdict(self, stat: Stat | None) -> str:
        if stat is None:
            return "not measured"
        if self.goal is None or self.floor is None:
            return "-"
        sign = -1 if self.less_is_better else 1
        if sign * stat.median >= sign * self.goal:
            return "goal"
        return "floor" if sign * stat.median >= sign * self.floor else "BELOW"

    def bound(self, value: float | None) -> str:
        if value is None:
            return "-"
        return f"{'<=' if self.less_is_better else '>='} {number(value)}{self.unit}"


@attrs.frozen
class Goal:
    name: str
    what: str
    parts: tuple[Part, ...]


def _server(case: str, peer: str, floor: float, goal: float, ours: str = "ehlo asyncio") -> Part:
    """CPU of the peer over ours."""
    return Part(benchmark="server", case=case, metric="cpu", above=peer, below=ours, floor=floor, goal=goal)


def _client(case: str, peer: str, floor: float, goal: float, ours: str = "ehlo asyncio") -> Part:
    return Part(benchmark="client", case=case, metric="cpu", above=peer, below=ours, floor=floor, goal=goal)


def _rate(case: str, peer: str, floor: float, goal: float) -> Part:
    return Part(
        benchmark="client", case=case, metric="rate", above="ehlo asyncio", below=peer, floor=floor, goal=goal
    )


def _chunking(
    case: str, metric: str, floor: float | None, goal: float | None, ours: str = "ehlo asyncio, chunking"
) -> Part:
    """Ours beside ours."""
    return Part(
        benchmark="client",
        case=case,
        metric=metric,
        above=ours,
        below="ehlo asyncio",
        floor=floor,
        goal=goal,
    )


def _engine(ours: str, peer: str, floor: float, goal: float) -> Part:
    return Part(
        benchmark="engine",
        case=engine.KEPT,
        metric="per_second",
        above=ours,
        below=peer,
        floor=floor,
        goal=goal,
    )


def _codec(case: str, ours: str, peer: str, floor: float | None, goal: float | None) -> Part:
    return Part(benchmark="codec", case=case, metric="mb", above=ours, below=peer, floor=floor, goal=goal)


def _grows(case: str) -> Part:
    return Part(
        benchmark="scaling",
        case=scaling.SUMMARY,
        metric="doubling",
        above=case,
        floor=2.3,
        goal=2.1,
        less_is_better=True,
    )


def _memory(case: str, subject: str, metric: str, floor: float, goal: float, unit: str) -> Part:
    return Part(
        benchmark="memory",
        case=case,
        metric=metric,
        above=subject,
        floor=floor,
        goal=goal,
        unit=unit,
        less_is_better=True,
    )


def _import(ours: str, peer: str, floor: float, goal: float) -> Part:
    return Part(
        benchmark="import",
        case=imports.CASE,
        metric="ms",
        above=ours,
        below=peer,
        floor=floor,
        goal=goal,
        less_is_better=True,
    )


_KB10, _KB50, _MB10 = "1 KB, kept, 10", "1 KB, kept, 50", "1 MB, kept, 10"
_AGAIN: Final = "1 KB, reconnecting, 10"
_C10, _C1, _CAGAIN = (
    "1 KB, kept, 10, smtp-sink",
    "1 KB, kept, 1, smtp-sink",
    "1 KB, reconnecting, 1, smtp-sink",
)
_C1OWN = "1 KB, kept, 1, own sink"
_C100K, _C10M = "100 KB, kept, 10, own sink", "10 MB, kept, 1, own sink"
_NONE, _SOME, _ALL = "10 MB, no dot lines", "10 MB, 1 % dot lines", "10 MB, all dot lines"
_DECODE: Final = "ehlo decode, unstuffing alone"

GOALS: Final = (
    Goal(
        "S1",
        "CPU of an asyncio server",
        (_server(_KB10, "aiosmtpd", 3.5, 4.5), _server(_KB50, "aiosmtpd", 3.5, 4.5)),
    ),
    Goal(
        "S2",
        "the same",
        (_server(_KB10, "null asyncio", 0.5, 0.65), _server(_KB50, "null asyncio", 0.5, 0.65)),
    ),
    Goal("S3", "CPU, 10 KB", (_server("10 KB, kept, 10", "aiosmtpd", 5.5, 7.0),)),
    Goal(
        "S4",
        "CPU, 1 MB",
        (_server(_MB10, "aiosmtpd", 15.0, 20.0), _server(_MB10, "null asyncio, join + replace", 1.0, 1.4)),
    ),
    Goal("S5", "CPU, reconnecting", (_server(_AGAIN, "aiosmtpd", 2.5, 3.2),)),
    Goal(
        "S6",
        "CPU on uvloop",
        (
            _server(_KB10, "aiosmtpd uvloop", 4.0, 5.0, "ehlo uvloop"),
            _server(_AGAIN, "aiosmtpd uvloop", 3.2, 4.2, "ehlo uvloop"),
        ),
    ),
    Goal(
        "S7",
        "CPU on trio",
        (
            _server(_KB10, "null trio", 0.65, 0.75, "ehlo trio"),
            _server(_KB10, "aiosmtpd", 2.1, 2.4, "ehlo trio"),
        ),
    ),
    Goal(
        "S8",
        "CPU in threads",
        (
            _server(_KB10, "null threads", 0.55, 0.65, "ehlo blocking"),
            _server(_KB10, "aiosmtpd", 3.0, 3.8, "ehlo blocking"),
        ),
    ),
    Goal(
        "S9", "CPU beside C", (_server(_KB10, "smtp-sink", 0.5, 0.65), _server(_MB10, "smtp-sink", 2.5, 3.2))
    ),
    Goal(
        "S10",
        "CPU beside node",
        (_server(_KB10, "smtp-server", 0.75, 1.0), _server(_MB10, "smtp-server", 1.0, 1.15)),
    ),
    Goal("C1", "CPU, pipelined", (_client(_C10, "aiosmtplib", 4.5, 5.5), _client(_C10, "smtplib", 1.5, 2.0))),
    Goal("C2", "messages per second", (_rate(_C1, "aiosmtplib", 2.1, 2.5), _rate(_C1, "smtplib", 1.4, 1.6))),
    Goal(
        "C3",
        "CPU without pipelining",
        (_client(_C10, "aiosmtplib", 3.0, 4.0, "ehlo asyncio, no pipelining"),),
    ),
    Goal(
        "C4",
        "CPU, reconnecting",
        (
            _client(_CAGAIN, "aiosmtplib", 1.4, 1.7),
            _client(_CAGAIN, "smtplib", 0.6, 0.75),
            _client(_CAGAIN, "smtplib", 0.6, 0.9, "ehlo blocking"),
        ),
    ),
    Goal(
        "C5", "CPU, 100 KB", (_client(_C100K, "aiosmtplib", 9.0, 11.0), _client(_C100K, "smtplib", 3.0, 3.5))
    ),
    Goal(
        "C6",
        "CPU, 10 MB; rate",
        (
            _client(_C10M, "aiosmtplib", 9.0, 12.0),
            _client(_C10M, "smtplib", 2.8, 3.7),
            Part(
                benchmark="client",
                case=_C10M,
                metric="mb",
                above="ehlo asyncio",
                floor=500.0,
                goal=700.0,
                unit=" MiB/s",
            ),
        ),
    ),
    Goal(
        "C7",
        "CHUNKING beside DATA",
        (
            _chunking(_C1OWN, "rate", 1.5, 1.8),
            _chunking(_C10M, "mb", 3.0, 4.5),
            _chunking(_C10M, "mb", None, None, "ehlo asyncio, binary"),
        ),
    ),
    Goal("E1", "server transactions", (_engine("ehlo server", "h11 server", 3.0, 4.5),)),
    Goal(
        "E2",
        "client transactions",
        (
            _engine("ehlo client", "h11 server", 3.0, 4.5),
            _engine("ehlo client", "smtpproto client, octets", 0.8, 1.2),
        ),
    ),
    Goal(
        "E3",
        "unstuffing in pieces",
        (
            _codec(_NONE, _DECODE, "bytes.replace, unstuffing", 1.7, 1.9),
            _codec(_SOME, _DECODE, "bytes.replace, unstuffing", 3.0, 3.5),
            _codec(_ALL, _DECODE, "bytes.replace, unstuffing", 1.2, 1.8),
            _codec("100 MB, no dot lines", _DECODE, "copy", 0.75, 0.88),
            _codec(_NONE, "ehlo decode", "bytes.replace, unstuffing", None, None),
        ),
    ),
    Goal(
        "E4",
        "check and stuffing",
        (
            _codec(_NONE, "ehlo encode", "smtplib, two re.sub", 6.0, 8.0),
            _codec(_SOME, "ehlo encode", "smtplib, two re.sub", 6.0, 8.0),
            _codec("100 MB, no dot lines", "ehlo encode", "copy", 0.45, 0.52),
        ),
    ),
    Goal(
        "E5",
        "time of twice the input",
        tuple(
            _grows(case)
            for case in (
                "body, 1 octet a feed",
                "commands, 1 octet a feed",
                "pipelined commands",
                "one command of up to 1 MB",
            )
        ),
    ),
    Goal("M1", "idle, asyncio", (_memory(memory.PLAIN, "ehlo asyncio", "kib", 4.0, 3.0, " KiB"),)),
    Goal("M2", "idle with TLS, asyncio", (_memory(memory.TLS, "ehlo asyncio", "kib", 24.0, 20.0, " KiB"),)),
    Goal(
        "M3",
        "idle, trio and threads",
        (
            _memory(memory.PLAIN, "ehlo trio", "kib", 8.0, 7.0, " KiB"),
            _memory(memory.PLAIN, "ehlo blocking", "kib", 24.0, 22.0, " KiB"),
        ),
    ),
    Goal(
        "M4",
        "100 MB received: kept, streamed",
        (
            _memory(memory.RECEIVED, "ehlo asyncio", "of_body", 1.15, 1.05, "x body"),
            _memory(memory.RECEIVED, "ehlo asyncio, streamed", "growth", 1.0, 1.0, " MiB"),
        ),
    ),
    Goal(
        "M5",
        "100 MB sent",
        (
            _memory(memory.SENT, "ehlo asyncio, from a file", "growth", 1.0, 0.5, " MiB"),
            _memory(memory.SENT, "ehlo asyncio", "growth", 1.0, 0.5, " MiB"),
        ),
    ),
    Goal(
        "I1",
        "import of the engine",
        (
            _import("ehlo", "smtplib", 1.3, 1.1),
            _import("ehlo", "h11", 1.7, 1.4),
            _import(imports.CONNECTIONS, "smtplib", 1.3, 1.1),
            _import(imports.CONNECTIONS, "h11", 1.7, 1.4),
        ),
    ),
    Goal(
        "I2",
        "import of the asyncio binding",
        (
            _import("ehlo_io.asyncio", "asyncio", 1.6, 1.45),
            _import(imports.ASYNCIO, "asyncio", 1.6, 1.45),
        ),
    ),
)


def _row(goal: Goal, part: Part, records: dict[str, Record]) -> list[str]:
    stat = part.reached(records)
    return [
        goal.name,
        goal.what,
        part.ours + (f" : {part.peer}" if part.peer else ""),
        part.case,
        part.bound(part.floor),
        part.bound(part.goal),
        with_spread(stat, part.unit),
        part.verdict(stat),
    ]


def rows(records: dict[str, Record]) -> list[list[str]]:
    return [_row(goal, part, records) for goal in GOALS for part in goal.parts]


def latest(*, quick: bool) -> dict[str, Record]:
    """The latest record of each benchmark."""
    found = {}
    for path in sorted(folder(quick=quick).glob("*.json")):
        found[path.stem] = Record.load(path)
    return found


def write(*, quick: bool) -> str:
    """Join the latest results; returns the table."""
    records = latest(quick=quick)
    header = ["", "what", "ehlo : peer", "case", "floor", "goal", "reached", "verdict"]
    body = report.table(header, rows(records), texts=4)
    measured = "\n".join(f"- {name}: {record.date}" for name, record in records.items())
    text = (
        "# Goals\n\nCosts are CPU of the peer over CPU of ehlo. A floor is never to be undercut, a goal is "
        "what is worked for; `reached` is a median (lowest..highest of the rounds), and the verdict is the "
        f"better of the two bounds that the median reaches.\n\n{body}\n\n"
        f"Measured:\n\n{measured or '- nothing'}\n"
    )
    where = folder(quick=quick)
    where.mkdir(parents=True, exist_ok=True)
    (where / "goals.md").write_text(text)
    return text
