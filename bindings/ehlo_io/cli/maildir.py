"""A Maildir that takes messages as they come in, with nothing of them in memory.

A message is written below `tmp`, made durable, and only then moved to `new`; when the client hears
250, the file and its name are on the disk. Whatever fails, nothing is left in either folder.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import re
import time
from pathlib import Path

import ehlo

_FOLDERS = ("tmp", "new", "cur")
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
_NO_ROOM = ehlo.Reply(452, "Insufficient system storage", "4.3.1")
_counter = itertools.count(1)


def _unique_name(hostname: str) -> str:
    """https://cr.yp.to/proto/maildir.html: no two deliveries to a machine have the same name."""
    seconds, nanoseconds = divmod(time.time_ns(), 10**9)
    host = re.sub(r"[^A-Za-z0-9.-]", "_", hostname)
    return f"{seconds}.M{nanoseconds // 1000}P{os.getpid()}Q{next(_counter)}.{host}"


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class Deposit:
    """One message on its way into the Maildir."""

    def __init__(self, top: Path, name: str) -> None:
        self._path = top / "tmp" / name
        self._goal = top / "new" / name
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
            os.replace(self._path, self._goal)
            self._path = self._goal
            _sync_directory(self._goal.parent)
        except BaseException:
            self.discard()
            raise

    def discard(self) -> None:
        with contextlib.suppress(OSError):
            self._file.close()
        with contextlib.suppress(OSError):
            os.unlink(self._path)


class Maildir:
    """The hooks of a handler that stores messages; all of them may block, `on_message` does.

    `session.state` is the open Deposit, the Reply that refuses a message for which the room ran
    out in the middle, or None.
    """

    def __init__(self, top: Path, hostname: str) -> None:
        """Makes the folders that are not there. Raises OSError."""
        self._top = top
        self._hostname = hostname
        for folder in (top, *(top / name for name in _FOLDERS)):
            if not folder.is_dir():
                folder.mkdir(mode=0o700, parents=True)
                _sync_directory(folder.parent)

    def on_data(self, session: ehlo.Session, envelope: ehlo.Envelope) -> ehlo.Reply | None:
        self.on_reset(session)
        deposit = None
        try:
            deposit = Deposit(self._top, _unique_name(self._hostname))
            deposit.write(return_path(envelope))
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


def return_path(envelope: ehlo.Envelope) -> bytes:
    """[RFC5321-4.4h] final delivery puts the sender on top."""
    sender = "" if envelope.reverse_path is None else str(envelope.reverse_path)
    return f"Return-Path: <{sender}>\r\n".encode("utf-8", "replace")
