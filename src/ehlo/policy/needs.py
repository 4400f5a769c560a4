"""What a message needs of a server: 8BITMIME, SMTPUTF8, BINARYMIME.

`needs_of` reads a whole message, a `NeedScanner` one that comes in pieces. A few passes in C over each
piece, and no step for each line.
"""

from __future__ import annotations

from enum import Flag
from io import IncrementalNewlineDecoder
from typing import Final

from ehlo.policy._fields import EMPTY_LINE

LINE: Final = 998
"""[RFC6532-3.4a] octets of a line without its CRLF, in headers and bodies alike (RFC 5322 section 2.1.1)."""

_PIECE: Final = 65536
_CRLF_ONLY: Final = frozenset({None, "\r\n"})


class MessageNeed(Flag):
    """What a server must offer, or what must be converted before it takes the message."""

    EIGHT_BIT = 1
    """Octets over 127 behind the header block: 8BITMIME with BODY=8BITMIME [RFC5321-2.4d]."""
    SMTPUTF8 = 2
    """Octets over 127 in the header block [RFC6531-3.4a]. Those in a body do not count, nor do header
    blocks of parts, which few look into (RFC 6531 section 3.6)."""
    BINARY = 4
    """NUL, a CR or LF outside CRLF, or a line over 998 octets: BINARYMIME with CHUNKING. Text in which
    each line ends in a bare LF only wants its line ends mended [SEC-SMUG-out-b]."""


NOTHING: Final = MessageNeed(0)
"""Any server will do."""


class NeedScanner:
    """Feed it the pieces of a message, cut anywhere, then ask `finish`.

    The attributes tell what was seen up to now.
    """

    __slots__ = ("_column", "_newlines", "_tail", "eight_bit_body", "eight_bit_header", "long_line", "nul")

    def __init__(self, *, body_only: bool = False) -> None:
        # Up to two octets before the next one while the header block lasts; an empty line may be the first.
        self._tail: bytes | None = None if body_only else b"\n"
        self._newlines = IncrementalNewlineDecoder(None, translate=False)
        self._column = 0
        self.eight_bit_header = False
        self.eight_bit_body = False
        self.nul = False
        self.long_line = False
        """A line had more than 998 octets."""

    @property
    def bare_newline(self) -> bool:
        """A CR or LF was seen that is not part of a CRLF."""
        return self._newlines.newlines not in _CRLF_ONLY

    @property
    def in_header(self) -> bool:
        """The empty line behind the header block did not come yet."""
        return self._tail is not None

    def feed(self, data: bytes) -> None:
        text = data.decode("latin-1")
        self._newlines.decode(text)
        header = 0 if self._tail is None else self._header_octets(self._tail, data)
        if not text.isascii():
            if header and not data[:header].isascii():
                self.eight_bit_header = True
            if header < len(data) and not data[header:].isascii():
                self.eight_bit_body = True
        if b"\0" in data:
            self.nul = True
        if not self.long_line:
            self._measure(data)

    def finish(self) -> MessageNeed:
        """What the whole message needs."""
        self._newlines.decode("", final=True)
        if self._column > LINE:
            self.long_line = True
        needs = NOTHING
        if self.eight_bit_body:
            needs |= MessageNeed.EIGHT_BIT
        if self.eight_bit_header:
            needs |= MessageNeed.SMTPUTF8
        if self.nul or self.long_line or self.bare_newline:
            needs |= MessageNeed.BINARY
        return needs

    def _header_octets(self, tail: bytes, data: bytes) -> int:
        """How many of the next octets belong to the header block and the line that ends it."""
        # What begins in the tail ends in the next two octets: `data` is not copied for its sake.
        before = len(tail)
        found = EMPTY_LINE.search(tail + data[:2])
        if found is None:
            before = 0
            found = EMPTY_LINE.search(data)
        if found is None:
            self._tail = (tail + data[-2:])[-2:]
            return len(data)
        self._tail = None
        return found.end() - before

    def _measure(self, data: bytes) -> None:
        # From each line feed as far ahead as one must have come, and back to the last there: a step for
        # some 900 octets, however short the lines are.
        column, start, size = self._column, 0, len(data)
        while size - start >= (room := LINE + 2 - column):
            last = data.rfind(b"\n", start, start + room)
            if last < 0:
                self.long_line = True
                return
            column, start = 0, last + 1
        last = data.rfind(b"\n", start)
        self._column = column + size - start if last < 0 else size - last - 1


def needs_of(message: bytes) -> MessageNeed:
    """What a whole message needs."""
    return _needs_of(message, NeedScanner())


def needs_of_part(octets: bytes) -> MessageNeed:
    """The same for octets of which none is the header block of a message: never SMTPUTF8."""
    return _needs_of(octets, NeedScanner(body_only=True))


def _needs_of(octets: bytes, scanner: NeedScanner) -> MessageNeed:
    # In pieces that stay in the processor's cache from one pass to the next: three times as fast.
    for place in range(0, len(octets), _PIECE):
        scanner.feed(octets[place : place + _PIECE])
    return scanner.finish()
