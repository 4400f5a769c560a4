"""How much longer larger work takes: a ratio of times, never a time."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from typing import Final, TypeVar

T = TypeVar("T")

FACTOR: Final = 4
"""How much larger the larger work is."""
WORST: Final = 8
"""A ratio that nothing linear reaches and anything quadratic passes."""


def _seconds(run: Callable[[], object]) -> float:
    # Not the clock on the wall: other programs and threads may be at work. And no garbage collection: what
    # it costs depends on all that other tests have left behind.
    gc.disable()
    try:
        start = time.thread_time()
        run()
        return time.thread_time() - start
    finally:
        gc.enable()


def _ratio(small: Callable[[], float], large: Callable[[], float]) -> float:
    """Of the best of several runs; a noisy machine gets more of them."""
    best_small = best_large = float("inf")
    for run in range(40):
        best_small = min(best_small, small())
        best_large = min(best_large, large())
        # What takes no time at all cannot be quadratic.
        if run >= 1 and best_large < max(WORST * best_small, 0.0005):
            return min(best_large / best_small, WORST - 1)
    return best_large / best_small


def ratio(work: Callable[[T], object], small: T, large: T) -> float:
    """The time of `large` by that of `small`."""
    return _ratio(lambda: _seconds(lambda: work(small)), lambda: _seconds(lambda: work(large)))


def grows_linearly(prepare: Callable[[int], Callable[[], object]], size: int) -> None:
    """FACTOR times the work takes less than WORST times the time; `prepare` takes none of it."""
    found = _ratio(lambda: _seconds(prepare(size)), lambda: _seconds(prepare(FACTOR * size)))
    assert found < WORST, f"{FACTOR} times {size} takes {found:.1f} times as long"
