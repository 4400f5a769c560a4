"""How time grows with the work, by ratio: no wall clock is compared with a number.

What is taken is the time of the processor for this thread: others on the machine do not count.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable

Prepare = Callable[[int], Callable[[], object]]


def _best(prepare: Prepare, size: int, rounds: int) -> float:
    best = float("inf")
    for _ in range(rounds):
        run = prepare(size)
        gc.disable()
        try:
            start = time.thread_time()
            run()
            best = min(best, time.thread_time() - start)
        finally:
            gc.enable()
    return best


def grows_linearly(prepare: Prepare, size: int, *, rounds: int = 3) -> None:
    """Four times the work takes less than eight times the time; quadratic work takes sixteen."""
    small = large = 0.0
    for attempt in range(3):
        small, large = _best(prepare, size, rounds + attempt), _best(prepare, 4 * size, rounds + attempt)
        if large / small < 8:
            return
    raise AssertionError(f"{size} took {small:.4f} s, {4 * size} took {large:.4f} s")
