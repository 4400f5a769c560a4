"""A message that is written to disk as it comes in, with nothing of it in memory.

It is written below `tmp`, made durable, and only then moved to its place; when the client hears 250, the
file and its name are on the disk. Whatever fails, nothing is left in either folder.
"""

from __future__ import annotations

import contextlib
import errno
import os
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Final

import ehlo

_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})
_NO_ROOM: Final = ehlo.Reply(452, "Insufficient system storage", "4.3.1")


def sync_directory(path: Path) -> None:
    """Make the names in a folder durable."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_folders(*folders: Path) -> None:
    """Those that are not there, for nobody but their owner. Raises OSError."""
    for folder in folders:
        if not folder.is_dir():
            folder.mkdir(mode=0o700, parents=True)
            sync_directory(folder.parent)


class Deposit:
    """One file on its way to its place."""

    def __init__(self, path: Path, goal: Path) -> None:
        """`path`: where it is written; it must not be there yet. Raises OSError."""
        self._path = path
        self.goal: Final = goal
        descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        self._file = os.fdopen(descriptor, "wb")

    def write(self, data: bytes) -> None:
        self._file.write(data)

    def keep(self) -> None:
        """Durable when this returns. Raises OSError, and nothing of it is left."""
        try:
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
            os.replace(self._path, self.goal)
            self._path = self.goal
            sync_directory(self.goal.parent)
        except BaseException:
            self.discard()
            raise

    def discard(self) -> None:
        with contextlib.suppress(OSError):
            self._file.close()
        with contextlib.suppress(OSError):
            os.unlink(self._path)


class Depository(ABC):
    """The hooks of a handler that stores messages; all of them may block, `on_message` does.

    `session.state` is the open Deposit, the Reply that refuses a message for which the room ran
    out in the middle, or None.
    """

    in_thread = frozenset({"on_message"})

    @abstractmethod
    def begin(self, session: ehlo.Session, envelope: ehlo.Envelope) -> tuple[Deposit, bytes]:
        """The file for a message, and what stands in it before the message. Raises OSError."""

    def on_data(self, session: ehlo.Session, envelope: ehlo.Envelope) -> ehlo.Reply | None:
        self.on_reset(session)
        deposit = None
        try:
            deposit, head = self.begin(session, envelope)
            deposit.write(head)
        except OSError as error:
            if deposit is not None:
                deposit.discard()
            return _no_room(error)
        session.state = deposit
        return None

    def on_body(self, session: ehlo.Session, data: bytes) -> None:
        deposit = session.state
        if not isinstance(deposit, Deposit):
            # There is no room for it; the rest is read and dropped.
            return
        try:
            deposit.write(data)
        except OSError as error:
            self.on_reset(session)
            session.state = _no_room(error)

    def on_message(self, session: ehlo.Session, envelope: ehlo.Envelope, content: bytes) -> ehlo.Reply | None:
        held, session.state = session.state, None
        if isinstance(held, ehlo.Reply):
            return held
        if not isinstance(held, Deposit):
            raise RuntimeError("a message without a file")
        try:
            held.keep()
        except OSError as error:
            return _no_room(error)
        session.message_name = held.goal.name
        return None

    def on_reset(self, session: ehlo.Session) -> None:
        held, session.state = session.state, None
        if isinstance(held, Deposit):
            held.discard()


def _no_room(error: OSError) -> ehlo.Reply:
    """The refusal for a full disk; what else is wrong with it is raised."""
    if error.errno in _FULL:
        return _NO_ROOM
    raise error
