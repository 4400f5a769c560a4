"""`ehlo serve` as a process that tells what it holds, with bounds of a test's choice.

    python -m tests.abuse.watched DESCRIPTOR LIMITS serve OPTION...

For each octet that comes in from the socket DESCRIPTOR a line of JSON goes out: see `census`. LIMITS is a
JSON object of fields of `ehlo.Limits`.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import json
import os
import re
import signal
import socket
import sys
import threading
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Final

import ehlo
from ehlo_io.cli import main

_POOL: Final = re.compile(r"asyncio_[0-9]+|Trio thread.*")
"""Threads that wait for more work of the kind, of which there are only so many."""


def _give_back() -> None:
    """What was freed is no growth: let the C library return it."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


def census() -> dict[str, object]:
    """Objects by class; threads, descriptors; octets in memory, now and at most since the last census."""
    gc.collect()
    kinds = Counter(f"{type(thing).__module__}.{type(thing).__qualname__}" for thing in gc.get_objects())
    _give_back()
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    peak, now = (int(status[name].split()[0]) * 1024 for name in ("VmHWM", "VmRSS"))
    Path("/proc/self/clear_refs").write_text("5")
    return {
        "kinds": kinds,
        "threads": sum(_POOL.match(thread.name) is None for thread in threading.enumerate()),
        "descriptors": len(os.listdir("/proc/self/fd")),
        "memory": now,
        "peak": peak,
    }


def _answer(asked: socket.socket) -> None:
    while asked.recv(1):
        asked.sendall(json.dumps(census()).encode() + b"\n")
    # Whoever looked is gone, perhaps without a word.
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    threading.Thread(
        target=_answer, args=(socket.socket(fileno=int(sys.argv[1])),), name="census", daemon=True
    ).start()
    ehlo.Limits = partial(ehlo.Limits, **json.loads(sys.argv[2]))  # type: ignore[assignment, misc]
    main(sys.argv[3:], prog_name="ehlo")
