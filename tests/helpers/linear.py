"""How much longer a larger input takes: a ratio of times, never a time."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from typing import Final, TypeVar

T = TypeVar("T")

FACTOR: Final = 4
"""How much larger the larger input is."""
WORST: Final = 8
"""A ratio that nothing linear reaches and anything quadratic passes."""


def _seconds(work: Callable[[T], object], data: T) -> float:
    # Not the clock on the wall: other programs may be at work. And no garbage collection: what it costs
    # depends on all that other tests have left behind.
    gc.disable()
    try:
        start = time.process_time()
        work(data)
        return time.process_time() - start
    finally:
        gc.enable()


def ratio(work: Callable[[T], object], small: T, large: T) -> float:
    """The time of `large` by that of `small`, the best of several runs; a noisy machine gets more of them."""
    best_small = best_large = float("inf")
    for run in range(40):
        best_small = min(best_small, _seconds(work, small))
        best_large = min(best_large, _seconds(work, large))
        # What takes no time at all cannot be quadratic.
        if run >= 1 and best_large < max(WORST * best_small, 0.0005):
            return min(best_large / best_small, WORST - 1)
    return best_large / best_small
