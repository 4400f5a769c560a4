"""Records as Markdown: ratios first, then what was measured, then where and when."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import attrs

from benchmarks.record import Record, folder
from benchmarks.stats import Stat, with_spread

_MACHINE: Final = ("cpu", "cores", "kernel", "python", "packages", "load")


@attrs.frozen(kw_only=True)
class Ratios:
    """One table: ours beside a peer, a row for each pair and a column for each case."""

    title: str
    metric: str
    pairs: Sequence[tuple[str, str]]
    """(ours, peer)"""
    less_is_better: bool = False
    """The peer is divided by ours: more than 1 then says that ours is better, as it does for rates."""


@attrs.frozen(kw_only=True)
class Values:
    """One table: every subject of every case, in one metric."""

    title: str
    metric: str
    factor: float = 1.0


@attrs.frozen(kw_only=True)
class Text:
    """What a benchmark has written itself."""

    title: str
    body: str


Section = Ratios | Values | Text


def table(header: Sequence[str], rows: Sequence[Sequence[str]], *, texts: int = 1) -> str:
    """A Markdown table: so many columns of text, then numbers."""
    cells = [[cell.replace("|", "\\|") for cell in row] for row in (header, *rows)]
    widths = [max(3, *(len(row[i]) for row in cells)) for i in range(len(header))]
    ruler = ["-" * width if i < texts else "-" * (width - 1) + ":" for i, width in enumerate(widths)]
    lines = [cells[0], ruler, *cells[1:]]
    return "\n".join(
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |"
        for line in lines
    )


def _ratio(record: Record, case: str, pair: tuple[str, str], section: Ratios) -> Stat | None:
    ours, peer = pair
    above, below = (peer, ours) if section.less_is_better else pair
    return record.ratio(case, above, below, section.metric)


def _ratio_table(record: Record, section: Ratios) -> str:
    found = {
        (pair, case): _ratio(record, case, pair, section) for pair in section.pairs for case in record.cases
    }
    cases = [case for case in record.cases if any(found[pair, case] for pair in section.pairs)]
    rows = [
        [f"{pair[0]} : {pair[1]}", *(with_spread(found[pair, case], "x") for case in cases)]
        for pair in section.pairs
        if any(found[pair, case] for case in cases)
    ]
    return table(["", *cases], rows) if rows else ""


def _value_table(record: Record, section: Values) -> str:
    cases = [
        case
        for case, subjects in record.cases.items()
        if any(record.stat(case, name, section.metric) for name in subjects)
    ]
    rows = []
    for subject in record.subjects():
        cells = []
        for case in cases:
            stat = record.stat(case, subject, section.metric)
            if stat is not None:
                scale = section.factor
                stat = attrs.evolve(
                    stat, median=stat.median * scale, low=stat.low * scale, high=stat.high * scale
                )
            cells.append(with_spread(stat))
        if any(cell != "-" for cell in cells):
            rows.append([subject, *cells])
    return table(["", *cases], rows) if rows else ""


def origin(record: Record) -> str:
    """When and on what the record was made."""
    lines = [f"Measured {record.date}."] + [
        f"- {key}: {record.machine[key]}" for key in _MACHINE if record.machine.get(key)
    ]
    if record.quick:
        lines.insert(0, "A quick run, for trying only: its numbers say little.\n")
    return "\n".join(lines)


def markdown(record: Record, title: str, how: str, sections: Sequence[Section], *, plot: bool) -> str:
    parts = [f"# {title}", how, "Each cell is a median (lowest..highest of the rounds)."]
    for section in sections:
        match section:
            case Ratios():
                body = _ratio_table(record, section)
            case Values():
                body = _value_table(record, section)
            case Text():
                body = section.body
        if body:
            parts += [f"## {section.title}", body]
    if plot:
        parts.append(f"![{title}]({record.benchmark}.png)")
    if record.skipped:
        parts.append("## Left out\n\n" + "\n".join(f"- {k}: {v}" for k, v in record.skipped.items()))
    if record.failures:
        parts.append("## Failed\n\n" + "\n".join(f"- {text}" for text in record.failures))
    parts.append("## Machine\n\n" + origin(record))
    return "\n\n".join(parts) + "\n"


def write(record: Record, title: str, how: str, sections: Sequence[Section], *, plot: bool) -> Path:
    """JSON and Markdown of one benchmark; returns the Markdown's path."""
    where = folder(quick=record.quick)
    record.save(where)
    path = where / f"{record.benchmark}.md"
    path.write_text(markdown(record, title, how, sections, plot=plot))
    return path
