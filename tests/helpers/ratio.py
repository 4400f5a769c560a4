"""Tells linear from quadratic: by the ratio of two times, never by one of them."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

FACTOR = 4
"""How much more input the second run gets,"""
WORST = 8
"""and how much more time it may take."""


def seconds(work: Callable[[T], None], data: T) -> float:
    # Not the clock on the wall: other programs may be at work.
    start = time.process_time()
    work(data)
    return time.process_time() - start


def ratio(work: Callable[[T], None], small: T, large: T) -> float:
    """The time of `large` by that of `small`, the best of several runs; a noisy machine gets more of them."""
    best_small = best_large = float("inf")
    for run in range(40):
        best_small = min(best_small, seconds(work, small))
        best_large = min(best_large, seconds(work, large))
        # What takes no time at all cannot be quadratic.
        if run >= 1 and best_large < max(WORST * best_small, 0.0005):
            return min(best_large / best_small, WORST - 1)
    return best_large / best_small
