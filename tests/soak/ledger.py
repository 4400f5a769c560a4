"""Which messages were sent, what became of them, and what was stored."""

from __future__ import annotations

import hashlib
import re
import threading
from pathlib import Path

_NUMBER = re.compile(rb"(?m)^X-Soak: ([0-9]+)\r$")


def message(number: int) -> bytes:
    """The same for the same number: mostly some KiB, sometimes hundreds of them."""
    lines = 1 + number * 37 % (8000 if number % 50 == 0 else 60)
    seed = hashlib.sha256(b"%d" % number).hexdigest().encode()
    body = b"".join(b"%s %d\r\n..\r\n" % (seed, line) for line in range(lines))
    return b"Subject: soak\r\nX-Soak: %d\r\n\r\n%s" % (number, body)


class Ledger:
    """Numbers of messages. Used by all clients at once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._next = 0
        self.accepted: set[int] = set()
        self.stored: set[int] = set()
        self.doubled: list[int] = []
        self.damaged: list[int] = []
        self.strangers = 0
        """Stored messages of attackers."""

    def number(self) -> int:
        with self._lock:
            self._next += 1
            return self._next

    def accept(self, number: int) -> None:
        with self._lock:
            self.accepted.add(number)

    def collect(self, maildir: Path) -> None:
        """Look at each stored message, and remove it."""
        for path in list((maildir / "new").iterdir()):
            content = path.read_bytes()
            path.unlink()
            found = _NUMBER.search(content)
            if found is None:
                self.strangers += 1
                continue
            number = int(found[1])
            if content.partition(b"\r\n\r\n")[2] != message(number).partition(b"\r\n\r\n")[2]:
                self.damaged.append(number)
            elif number in self.stored:
                self.doubled.append(number)
            self.stored.add(number)

    @property
    def lost(self) -> set[int]:
        return self.accepted - self.stored

    @property
    def unasked(self) -> set[int]:
        """Stored, and the sender was not told that it was."""
        return self.stored - self.accepted
