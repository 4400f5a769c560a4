"""The machine that was measured on, without its name; and which core runs what."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from benchmarks.record import Record

_CORES: Final = sorted(os.sched_getaffinity(0))
DRIVER_CORE: Final = _CORES[0]
"""Load generators run here."""
SERVER_CORE: Final = _CORES[-1]
"""Servers run here; the same core where the machine has but one."""

_PACKAGES: Final = ("aiosmtpd", "aiosmtplib", "anyio", "attrs", "h11", "smtpproto", "trio", "uvloop")


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _versions() -> str:
    found = []
    for name in _PACKAGES:
        try:
            found.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            continue
    return ", ".join(found)


def machine() -> dict[str, str]:
    return {
        "cpu": _cpu_model(),
        "cores": str(len(_CORES)),
        "kernel": f"{platform.system()} {platform.release()}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "packages": _versions(),
        "load": f"{os.getloadavg()[0]:.1f}",
    }


def new_record(benchmark: str, *, quick: bool) -> Record:
    return Record(benchmark, quick, datetime.now(UTC).date().isoformat(), machine())


@contextmanager
def pinned(core: int = SERVER_CORE) -> Iterator[None]:
    """Run this process on one core."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def raise_descriptor_limit() -> int:
    """As many descriptors as are allowed, for this process and its children."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard
