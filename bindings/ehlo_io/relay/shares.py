"""The spools of several processes that hand on together: each has one of its own below a common folder.

    DIR/lock                 held by the program, that is, by the one process that started the others
    DIR/worker-0, ...        a spool for each of them
    DIR/messages, ...        the spool of a program that is one process

Whoever starts takes over what lies in spools that nobody will use, so no message is stranded when there
are other processes than the last time, or only one.
"""

from __future__ import annotations

import contextlib
import os
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from ehlo_io._common import LOGGER
from ehlo_io.relay.spool import Spool
from ehlo_io.storage.deposit import sync_directory

_NAME: Final = re.compile(r"worker-([0-9]+)")
_PATIENCE: Final = 5.0
"""Seconds for processes to let go of their spools: those of a program that was killed end at once, too."""


def share(top: Path, worker: int) -> Path:
    """The spool of one process; they are counted from 0."""
    return top / f"worker-{worker}"


def shares(top: Path) -> Iterator[tuple[int, Path]]:
    """Those that are there, and whose they are. Raises OSError."""
    for path in sorted(top.iterdir()):
        found = _NAME.fullmatch(path.name)
        if found is not None and path.is_dir():
            yield int(found[1]), path


def held(top: Path) -> Spool:
    """The spool of a folder, as soon as nobody else has it. Raises OSError; BlockingIOError when
    another process keeps it."""
    end = time.monotonic() + _PATIENCE
    while True:
        try:
            return Spool(top)
        except BlockingIOError:
            if time.monotonic() > end:
                raise
            time.sleep(0.02)


def gather(top: Path, spool: Spool) -> None:
    """For a program that is one process and has the spool of the folder: take over all shares."""
    for _, path in shares(top):
        with contextlib.closing(held(path)) as source:
            _take_over(source, spool)


def share_out(top: Path, workers: int) -> Spool:
    """For so many processes that are to be started: what lies in other spools than theirs goes to the first
    of them. Gives what holds the folder for the program. Raises OSError; BlockingIOError when another program
    has it."""
    common = Spool(top)
    try:
        with contextlib.closing(held(share(top, 0))) as first:
            _take_over(common, first)
            for worker, path in shares(top):
                if worker != 0:
                    # That they are free now, the processes that are to have them can rely on.
                    with contextlib.closing(held(path)) as source:
                        if worker >= workers:
                            _take_over(source, first)
    except BaseException:
        common.close()
        raise
    return common


def _take_over(source: Spool, goal: Spool) -> None:
    """Move each message, with how far it got.

    Whenever the program ends, each message is in one of the two with its progress beside it; a progress
    without a message, which may be left then, is removed by `recover`.
    """
    names = [name for name, _ in source.recover()]
    if not names:
        return
    for name in names:
        with contextlib.suppress(FileNotFoundError):
            # Of an earlier attempt that was broken off; there may be a later one.
            (goal.progress_files / name).unlink()
        with contextlib.suppress(FileNotFoundError):
            os.link(source.progress_files / name, goal.progress_files / name)
    sync_directory(goal.progress_files)
    for name in names:
        os.replace(source.messages / name, goal.messages / name)
    sync_directory(goal.messages)
    sync_directory(source.messages)
    left = list(source.recover())
    assert not left, "nobody adds to a spool that is held"
    LOGGER.info("%d messages of %s are taken over", len(names), source.top)
