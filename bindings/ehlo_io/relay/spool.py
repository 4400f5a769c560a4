"""Messages on disk until they are handed on. Pure file code: no clock, no randomness, no network.

    messages/NAME   a line of JSON with the envelope, then the octets of the message; never changed
    progress/NAME   JSON: how far it got. Not there before the first attempt
    tmp/            what is being written
    bad/            messages whose envelope cannot be read, for a person to look at
    lock            held by the one process that uses the spool
    worker-N/       spools of a program with several processes: `shares`

Each file is made durable below `tmp` and then renamed, so at any moment it is there whole or not at all.
A message is there before its client hears that it is accepted, and goes when each of its recipients is
done with.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, Final

import attrs

import ehlo
from ehlo.extensions import UnsupportedParameter
from ehlo_io.relay import envelopes
from ehlo_io.storage.deposit import Deposit, make_folders, sync_directory

_VERSION: Final = 1
_LONGEST_HEAD: Final = 64 * 1024 * 1024
"""Octets of an envelope; far more than the limits of a server let in."""


class SpoolError(Exception):
    """A message of the spool cannot be read."""


@attrs.frozen(kw_only=True)
class Entry:
    """A message of the spool."""

    name: str
    envelope: ehlo.Envelope
    arrival: float
    """When it was accepted, in seconds since 1970."""
    path: Path
    start: int
    """Where in the file its octets begin."""
    size: int

    def part(self, indices: Iterable[int]) -> ehlo.Envelope:
        """The envelope with these recipients only."""
        chosen = tuple(self.envelope.recipients[index] for index in indices)
        return attrs.evolve(self.envelope, recipients=chosen)

    def open(self) -> BinaryIO:
        """Its file, at the first octet of the message."""
        file = self.path.open("rb")
        file.seek(self.start)
        return file


@attrs.frozen(kw_only=True)
class Progress:
    """How far a message got."""

    left: tuple[int, ...]
    """Which recipients are not done with, by their place in the envelope."""
    attempts: int = 0
    due: float = 0.0
    """When to try next."""
    warned: bool = False
    """Its sender was told of the delay, if that was wanted."""

    @classmethod
    def start(cls, envelope: ehlo.Envelope) -> Progress:
        return cls(left=tuple(range(len(envelope.recipients))))


class Spool:
    """The folder. `close` lets the next process have it."""

    def __init__(self, top: Path) -> None:
        """Makes the folders that are not there. Raises OSError; BlockingIOError when another process
        uses it."""
        import fcntl  # noqa: PLC0415 (not there on Windows, where the other commands run)

        self.top: Final = top
        self.messages: Final = top / "messages"
        self.progress_files: Final = top / "progress"
        self._tmp, self._bad = top / "tmp", top / "bad"
        make_folders(top, self.messages, self.progress_files, self._tmp, self._bad)
        self._lock = os.open(top / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._lock)
            raise

    def close(self) -> None:
        os.close(self._lock)

    def recover(self) -> Iterator[tuple[str, float]]:
        """What an earlier process left: names of messages and when each is due. What it had not
        finished writing goes."""
        for path in self._tmp.iterdir():
            path.unlink()
        names = sorted(path.name for path in self.messages.iterdir())
        waiting = {path.name for path in self.progress_files.iterdir()}
        for name in waiting.difference(names):
            # Between the two steps of `remove` the process ended.
            (self.progress_files / name).unlink()
        for name in names:
            progress = self.progress(name) if name in waiting else None
            yield name, 0.0 if progress is None else progress.due

    # ---- messages ----

    def begin(self, name: str, envelope: ehlo.Envelope, arrival: float) -> tuple[Deposit, bytes]:
        """The file for a message, and what has to stand in it before the message. Raises OSError."""
        value = {"version": _VERSION, "arrival": arrival, **envelopes.to_json(envelope)}
        head = json.dumps(value, separators=(",", ":")).encode("ascii") + b"\n"
        return Deposit(self._tmp / name, self.messages / name), head

    def add(self, name: str, envelope: ehlo.Envelope, arrival: float, octets: bytes) -> None:
        """A message that is there whole. Durable when this returns. Raises OSError, and nothing is left."""
        deposit, head = self.begin(name, envelope, arrival)
        _fill(deposit, head, octets)

    def load(self, name: str) -> Entry:
        """Raises OSError, FileNotFoundError for one that is not there; SpoolError for what is no message."""
        path = self.messages / name
        with path.open("rb") as file:
            head = file.readline(_LONGEST_HEAD)
            size = os.fstat(file.fileno()).st_size
        try:
            value: dict[str, Any] = json.loads(head)
            if value["version"] != _VERSION:
                raise ValueError("a spool of another version")
            envelope = envelopes.from_json(value)
            arrival = float(value["arrival"])
        except (ValueError, TypeError, LookupError, UnsupportedParameter) as error:
            raise SpoolError(f"the envelope of message {name} cannot be read: {error}") from None
        return Entry(
            name=name,
            envelope=envelope,
            arrival=arrival,
            path=path,
            start=len(head),
            size=size - len(head),
        )

    def remove(self, name: str) -> None:
        """It is done with. Without a wait for the disk: a machine that loses power now may send it twice."""
        with contextlib.suppress(FileNotFoundError):
            (self.messages / name).unlink()
        with contextlib.suppress(FileNotFoundError):
            (self.progress_files / name).unlink()

    def set_aside(self, name: str) -> None:
        """Out of the way of the others."""
        os.replace(self.messages / name, self._bad / name)
        sync_directory(self._bad)
        self.remove(name)

    # ---- progress ----

    def progress(self, name: str) -> Progress | None:
        """None before the first attempt, and for what cannot be read: then the message starts anew."""
        try:
            value = json.loads((self.progress_files / name).read_bytes())
            return Progress(
                left=tuple(int(index) for index in value["left"]),
                attempts=int(value["attempts"]),
                due=float(value["due"]),
                warned=bool(value["warned"]),
            )
        except (OSError, ValueError, TypeError, LookupError):
            return None

    def save(self, name: str, progress: Progress) -> None:
        """In the place of the earlier progress; durable when this returns. Raises OSError."""
        deposit = Deposit(self._tmp / f"{name}.progress", self.progress_files / name)
        _fill(deposit, json.dumps(attrs.asdict(progress)).encode("ascii"))


def _fill(deposit: Deposit, *pieces: bytes) -> None:
    try:
        for piece in pieces:
            deposit.write(piece)
    except BaseException:
        deposit.discard()
        raise
    deposit.keep()
