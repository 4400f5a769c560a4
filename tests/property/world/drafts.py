"""Messages as the two applications know them: what was meant, and what was taken."""

from __future__ import annotations

from enum import Enum

import attrs

from ehlo import Mailbox, Reply


class Fate(Enum):
    """What the client's application may say of a message."""

    OPEN = "never completed"
    UNKNOWN = "its end was sent, and no reply came"
    ACCEPTED = "accepted"
    REFUSED = "refused"


def normalised(text: bytes) -> bytes:
    """Each CR, LF and CRLF as CRLF."""
    return text.replace(b"\r\n", b"\n").replace(b"\r", b"\n").replace(b"\n", b"\r\n")


@attrs.define
class Draft:
    """One MAIL command of a client and what followed it."""

    sender: Mailbox
    binary: bool = False
    heard: list[Mailbox] = attrs.Factory(list)
    """The recipients whose reply was a success."""
    spoiled: bool = False
    """A piece of it was refused, and the client knows: what it sends after that is anybody's guess."""
    fate: Fate = Fate.OPEN
    outcomes: list[Reply] = attrs.Factory(list)
    """The replies to the end of data."""
    _done: bytes = b""
    _run: bytes = b""

    def write(self, data: bytes) -> None:
        self._begin_anew()
        self._run += data

    def fetch(self, data: bytes) -> None:
        """Content from elsewhere, as it is."""
        self._begin_anew()
        self._done += (self._run if self.binary else normalised(self._run)) + data
        self._run = b""

    def _begin_anew(self) -> None:
        # What was refused for want of recipients may be sent again when there is one.
        if self.fate is not Fate.OPEN:
            self.fate = Fate.OPEN
            self._done = self._run = b""

    @property
    def body(self) -> bytes:
        """What a server has to have in the end."""
        if self.binary:
            return self._done + self._run
        text = normalised(self._run)
        return self._done + text + (b"" if not text or text.endswith(b"\r\n") else b"\r\n")


@attrs.frozen
class Stored:
    """A message that the server's application took."""

    sender: Mailbox
    recipients: tuple[Mailbox, ...]
    body: bytes
