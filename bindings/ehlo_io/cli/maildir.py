"""A Maildir that takes messages as they come in, with nothing of them in memory."""

from __future__ import annotations

import itertools
import os
import re
import time
from pathlib import Path

import ehlo
from ehlo_io.storage.deposit import Deposit, Depository, make_folders

_FOLDERS = ("tmp", "new", "cur")
_counter = itertools.count(1)


def _unique_name(hostname: str) -> str:
    """https://cr.yp.to/proto/maildir.html: no two deliveries to a machine have the same name."""
    seconds, nanoseconds = divmod(time.time_ns(), 10**9)
    host = re.sub(r"[^A-Za-z0-9.-]", "_", hostname)
    return f"{seconds}.M{nanoseconds // 1000}P{os.getpid()}Q{next(_counter)}.{host}"


class Maildir(Depository):
    """Its messages lie in `new`."""

    def __init__(self, top: Path, hostname: str) -> None:
        """Makes the folders that are not there. Raises OSError."""
        self._top = top
        self._hostname = hostname
        make_folders(top, *(top / name for name in _FOLDERS))

    def begin(self, session: ehlo.Session, envelope: ehlo.Envelope) -> tuple[Deposit, bytes]:
        head = return_path(envelope)
        name = _unique_name(self._hostname)
        return Deposit(self._top / "tmp" / name, self._top / "new" / name), head


def return_path(envelope: ehlo.Envelope) -> bytes:
    """[RFC5321-4.4h] final delivery puts the sender on top."""
    sender = "" if envelope.reverse_path is None else str(envelope.reverse_path)
    return f"Return-Path: <{sender}>\r\n".encode("utf-8", "replace")
