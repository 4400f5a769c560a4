"""The file that is submitted: read piece by piece, with a bar on the terminal while a long one is."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from typing import IO

from ehlo_io.cli.common import reason
from ehlo_io.cli.exits import Exit, Failure

LONG = 1024 * 1024
"""Octets from which on somebody may wonder whether it still goes on."""


class MessageFile:
    """A binary file whose failures are not taken for those of the connection."""

    def __init__(self, file: IO[bytes], name: str) -> None:
        self._file = file
        self._name = name
        self.advance: Callable[[int], None] | None = None
        """Told the octets of each piece."""

    def read(self, size: int, /) -> bytes:
        try:
            piece = self._file.read(size)
        except OSError as error:
            raise Failure(f"{self._name}: {reason(error)}", Exit.BAD_DATA) from None
        if self.advance is not None:
            self.advance(len(piece))
        return piece

    def tell(self) -> int:
        return self._file.tell()

    def seek(self, offset: int, whence: int = 0, /) -> int:
        return self._file.seek(offset, whence)


@contextlib.contextmanager
def progress_of(message: MessageFile, *, wanted: bool) -> Iterator[None]:
    """Show on stderr how much of a long message was read, where stderr is a terminal."""
    try:
        size = message.seek(0, 2)
        message.seek(0)
    except OSError:
        size = 0
    if not wanted or size < LONG or not sys.stderr.isatty():
        yield
        return
    from rich.console import Console  # noqa: PLC0415 (slow to import, and seldom needed)
    from rich.progress import BarColumn, DownloadColumn, Progress, TransferSpeedColumn  # noqa: PLC0415

    columns = (BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("", total=size)
        message.advance = lambda octets: progress.advance(task, octets)
        yield
