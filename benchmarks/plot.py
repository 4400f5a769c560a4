"""One picture for each benchmark, where matplotlib is there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.harness import say
from benchmarks.peers import lacks_module, load
from benchmarks.record import Record, folder
from benchmarks.stats import Stat

_OURS = "#1f6f8b"
_PEERS = "#b8b8b8"


def _pyplot() -> Any:
    lacking = lacks_module("matplotlib")
    if lacking:
        say(f"  no plot: {lacking}")
        return None
    load("matplotlib").use("Agg")
    return load("matplotlib.pyplot")


def _save(pyplot: Any, figure: Any, where: Path) -> bool:
    where.parent.mkdir(parents=True, exist_ok=True)
    # No date and no version inside: the same numbers give the same file.
    figure.savefig(where, dpi=110, bbox_inches="tight", metadata={"Software": None})
    pyplot.close(figure)
    return True


def _picture(record: Record) -> Path:
    return folder(quick=record.quick) / f"{record.benchmark}.png"


def bars(record: Record, metric: str, label: str, cases: Sequence[str] | None = None) -> bool:
    """Horizontal bars, one panel for each case; False when there is no matplotlib."""
    pyplot = _pyplot()
    chosen = [case for case in (cases or record.cases) if case in record.cases]
    if pyplot is None or not chosen:
        return False
    panels: list[tuple[str, list[tuple[str, Stat]]]] = []
    for case in chosen:
        stats = [(name, record.stat(case, name, metric)) for name in record.cases[case]]
        found = [(name, stat) for name, stat in stats if stat is not None]
        panels.append((case, sorted(found, key=lambda pair: -pair[1].median)))
    columns = min(3, len(panels))
    rows = -(-len(panels) // columns)
    tallest = max(len(found) for _, found in panels)
    figure, axes = pyplot.subplots(
        rows, columns, figsize=(5.2 * columns, (0.28 * tallest + 1.2) * rows), squeeze=False
    )
    for place, axis in enumerate(axes.flat):
        if place >= len(panels):
            axis.set_visible(False)
            continue
        case, found = panels[place]
        middles = [stat.median for _, stat in found]
        errors = [[s.median - s.low for _, s in found], [s.high - s.median for _, s in found]]
        colors = [_OURS if name.startswith("ehlo") else _PEERS for name, _ in found]
        axis.barh([name for name, _ in found], middles, xerr=errors, color=colors, ecolor="#555555")
        axis.set_title(case, fontsize=10)
        axis.set_xlabel(label, fontsize=8)
        axis.tick_params(labelsize=8)
        for side in ("top", "right"):
            axis.spines[side].set_visible(False)
    figure.tight_layout()
    return _save(pyplot, figure, _picture(record))


def lines(record: Record, series: Mapping[str, Sequence[tuple[float, float]]], axes: tuple[str, str]) -> bool:
    """Lines on logarithmic axes; False when there is no matplotlib."""
    pyplot = _pyplot()
    if pyplot is None:
        return False
    figure, axis = pyplot.subplots(figsize=(8, 5.5))
    for name, points in series.items():
        axis.plot([x for x, _ in points], [y for _, y in points], marker="o", markersize=3, label=name)
    axis.set_xscale("symlog" if any(x == 0 for points in series.values() for x, _ in points) else "log")
    axis.set_yscale("log")
    axis.set_xlabel(axes[0])
    axis.set_ylabel(axes[1])
    axis.grid(True, which="major", color="#dddddd", linewidth=0.6)
    axis.legend(fontsize=8)
    return _save(pyplot, figure, _picture(record))


def ratios(rows: Sequence[tuple[str, Stat]], where: Path) -> bool:
    """Horizontal bars on a logarithmic axis, around 1; False when there is no matplotlib."""
    pyplot = _pyplot()
    if pyplot is None:
        return False
    figure, axis = pyplot.subplots(figsize=(9, 0.26 * len(rows) + 1))
    labels = [label for label, _ in rows][::-1]
    stats = [stat for _, stat in rows][::-1]
    middles = [stat.median for stat in stats]
    errors = [[stat.median - stat.low for stat in stats], [stat.high - stat.median for stat in stats]]
    colors = [_OURS if middle >= 1 else _PEERS for middle in middles]
    axis.barh(labels, [middle - 1 for middle in middles], left=1, xerr=errors, color=colors, ecolor="#555555")
    axis.set_xscale("log")
    axis.axvline(1, color="#555555", linewidth=0.8)
    ticks = [0.5, 1, 2, 5, 10, 20]
    axis.set_xticks(ticks, [f"{tick:g}x" for tick in ticks])
    axis.minorticks_off()
    axis.set_xlabel("times better than the other (right of 1x: ehlo is)", fontsize=8)
    axis.tick_params(labelsize=8)
    for side in ("top", "right"):
        axis.spines[side].set_visible(False)
    return _save(pyplot, figure, where)
