"""Message text: what is seen of it as it comes in, and CRLF line ends as it goes out.

Both are fed pieces of any size. Newlines are looked for by the standard library, which sorts them faster
than any pattern does.
"""

from __future__ import annotations

import re
from enum import Enum
from io import IncrementalNewlineDecoder
from typing import Final

from ehlo._errors import LocalProtocolError

_CRLF_ONLY: Final = frozenset({None, "\r\n"})
_SAMPLE: Final = 4096
# A bare CR or LF is one more line end, for CRLF is what it will be sent as.
_EMPTY_LINE: Final = re.compile(rb"\r\n[\r\n]|\n[\r\n]|\r\r|\A[\r\n]")
_MIME: Final = re.compile(rb"(?:\A|[\r\n])mime-version[ \t]*:", re.IGNORECASE)


class Content:
    """What a reader saw of a message so far."""

    __slots__ = ("_newlines", "eight_bit", "size")

    def __init__(self) -> None:
        self._newlines = IncrementalNewlineDecoder(None, translate=False)
        self.eight_bit = False
        """An octet over 127 was seen."""
        self.size = 0
        """Message octets so far, without stuffing and terminator [RFC1870-5a]."""

    @property
    def bare_newline(self) -> bool:
        """A CR or LF that is not part of a CRLF was seen; it stands unchanged in the content."""
        return self._newlines.newlines not in _CRLF_ONLY

    def note(self, octets: bytes, *, final: bool = False) -> None:
        """Look at the next octets; `final` when none will follow, and a CR at the end is a bare one."""
        # Each octet is a character of its own in Latin-1, newlines are what they were, and a string knows
        # whether it is ASCII.
        text = octets.decode("latin-1")
        self._newlines.decode(text, final)
        if not text.isascii():
            self.eight_bit = True
        self.size += len(octets)


class Newlines(Enum):
    """What a sender does with a bare CR or LF of the caller's message [RFC5321-2.3.8b]."""

    NORMALISE = "normalise"
    """Each becomes CRLF, before dots are stuffed [SEC-SMUG-out-b]."""
    REFUSE = "refuse"
    """LocalProtocolError."""


class TextEncoder:
    """Makes each line of a message end in CRLF, the last one too. What it does not take changes nothing."""

    __slots__ = ("_held_cr", "_line_start", "_newlines", "_seven_bit", "eight_bit", "size")

    def __init__(self, newlines: Newlines = Newlines.NORMALISE, *, seven_bit: bool = False) -> None:
        self._newlines = newlines
        # [RFC5321-2.4d] octets over 127 are not taken.
        self._seven_bit = seven_bit
        self._line_start = True
        self._held_cr = False
        self.eight_bit = False
        """An octet over 127 was given."""
        self.size = 0
        """Message octets so far, without stuffing and terminator [RFC1870-5a]."""

    def encode(self, data: bytes) -> bytes:
        """The octets to send for the next piece. Raises LocalProtocolError (see `Newlines`), also for octets
        over 127 where none may be."""
        if self._held_cr:
            data = b"\r" + data
        # A CR at the end may be half of a CRLF: it waits for the next piece.
        held_cr = data.endswith(b"\r")
        if held_cr:
            data = data[:-1]
        if data:
            text = data.decode("latin-1")
            ascii_only = text.isascii()
            if self._seven_bit and not ascii_only:
                raise LocalProtocolError("the message has octets over 127 and was not declared 8BITMIME")
            if _has_bare_newline(text):
                data = self._repair(data)
            if not ascii_only:
                self.eight_bit = True
            self.size += len(data)
            self._line_start = data.endswith(b"\r\n")
        self._held_cr = held_cr
        return data

    @property
    def holds(self) -> bool:
        """A CR waits for what comes after it."""
        return self._held_cr

    def finish(self) -> bytes:
        """What the last line lacks: exactly one CRLF ends it [RFC5321-4.1.1.4b]."""
        if self._held_cr:
            tail = self._repair(b"\r")
            self._held_cr = False
        else:
            tail = b"" if self._line_start else b"\r\n"
        self._line_start = True
        self.size += len(tail)
        return tail

    @property
    def place(self) -> tuple[bool, bool, bool, int]:
        """Where it stands, for `go_back`."""
        return self._held_cr, self._line_start, self.eight_bit, self.size

    def go_back(self, place: tuple[bool, bool, bool, int]) -> None:
        """What was encoded since then is not sent."""
        self._held_cr, self._line_start, self.eight_bit, self.size = place

    def _repair(self, data: bytes) -> bytes:
        if self._newlines is Newlines.REFUSE:
            raise LocalProtocolError("the message has a bare CR or LF")
        return data.replace(b"\r\n", b"\n").replace(b"\r", b"\n").replace(b"\n", b"\r\n")


def has_bare_newline(data: bytes) -> bool:
    """Whether a CR or LF is in it that is not part of a CRLF."""
    return _has_bare_newline(data.decode("latin-1"))


def _has_bare_newline(text: str) -> bool:
    newlines = IncrementalNewlineDecoder(None, translate=False)
    newlines.decode(text, final=True)
    return newlines.newlines not in _CRLF_ONLY


def is_utf8(octets: bytes) -> bool:
    try:
        octets.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def header_of(message: bytes) -> bytes:
    """The octets up to the first empty line, or all of them."""
    found = _EMPTY_LINE.search(message)
    return message if found is None else message[: found.start()]


def ends_header(message: bytes | bytearray, searched: int) -> bool:
    """Whether the empty line behind the header block is there; so many octets were looked at before."""
    # The line may begin in the last three of them.
    return _EMPTY_LINE.search(message, max(0, searched - 3)) is not None


def may_be_eight_bit(message: bytes) -> bool:
    """Whether the header says what octets over 127 in the body are: the message is MIME (RFC 2045 section
    4), or its header is itself of a later kind (RFC 6532). As much of a message as has the header will do."""
    header = header_of(message)
    return _MIME.search(header) is not None or not header.isascii()


def expected_size(message: bytes) -> int:
    """The octets of a whole message as it will be sent.

    Exact, unless all of its first 4 KiB has CRLF and some of the rest has not: the number is then
    too low by an octet for each [RFC1870-6a].
    """
    size = len(message)
    if has_bare_newline(message[:_SAMPLE]):
        size += message.count(b"\r") + message.count(b"\n") - 2 * message.count(b"\r\n")
    return size + (0 if not message or message.endswith((b"\r", b"\n")) else 2)
