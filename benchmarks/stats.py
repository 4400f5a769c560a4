"""Medians, spreads, ratios and exponents of samples; and how numbers are written.

A sample is one number of one round. Ratios are taken round by round, because the machine may run at
another speed in the next one.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from statistics import median

import attrs


@attrs.frozen
class Stat:
    """The middle and the ends of some samples."""

    median: float
    low: float
    high: float
    count: int

    @classmethod
    def of(cls, samples: Iterable[float | None]) -> Stat | None:
        """None when no sample is there: the runs failed or never took place."""
        found = [sample for sample in samples if sample is not None and math.isfinite(sample)]
        if not found:
            return None
        return cls(median(found), min(found), max(found), len(found))


def ratios(above: Sequence[float | None], below: Sequence[float | None]) -> list[float | None]:
    """`above / below` for each round that has both."""
    return [
        a / b if a is not None and b is not None and b != 0.0 else None
        for a, b in zip(above, below, strict=False)
    ]


def exponent(sizes: Sequence[float], times: Sequence[float]) -> float:
    """The slope of time over size on logarithmic axes, by least squares: 1 is linear."""
    if len(sizes) != len(times) or len(sizes) < 2:
        raise ValueError("an exponent needs at least two pairs of size and time")
    xs = [math.log(size) for size in sizes]
    ys = [math.log(time) for time in times]
    mean_x, mean_y = sum(xs) / len(xs), sum(ys) / len(ys)
    spread = sum((x - mean_x) ** 2 for x in xs)
    return sum((x - mean_x) * (y - mean_y) for x, y in zip(xs, ys, strict=True)) / spread


def worst_doubling(sizes: Sequence[float], times: Sequence[float]) -> float:
    """The largest growth of time between neighbouring sizes, scaled to a doubling of the size."""
    steps = zip(sizes, sizes[1:], times, times[1:], strict=False)
    return max(2 ** (math.log(t2 / t1) / math.log(s2 / s1)) for s1, s2, t1, t2 in steps)


def number(value: float) -> str:
    """Three significant digits, thousands parted by commas."""
    if value == 0.0:
        return "0"
    digits = 2 - math.floor(math.log10(abs(value)))
    rounded = round(value, digits)
    if abs(rounded) >= 100:
        return f"{rounded:,.0f}"
    return f"{rounded:.{max(0, 2 - math.floor(math.log10(abs(rounded))))}f}"


def with_spread(stat: Stat | None, unit: str = "") -> str:
    """`4.52x (4.31..4.80)`; a dash for nothing."""
    if stat is None:
        return "-"
    if stat.count == 1:
        return f"{number(stat.median)}{unit}"
    return f"{number(stat.median)}{unit} ({number(stat.low)}..{number(stat.high)})"
