r"""The dot codec of DATA (RFC 5321 sections 4.1.1.4 and 4.5.2), in pieces of any size.

Only CRLF.CRLF ends the data, and only a dot right behind CRLF (or at the very start) is stuffing.
A piece in which nothing has to be changed passes through without a copy: what an edge between two
pieces needs is a state, and two octets at most are held back.

Each piece is read twice: once for newlines, which the standard library sorts faster than any pattern
does, and once for dot lines, with a pattern that is all literal; where there is no dot at all, as in
base64, that is known almost for nothing.
"""

from __future__ import annotations

import re
from enum import Enum
from io import IncrementalNewlineDecoder
from typing import Final

from ehlo._errors import LocalProtocolError

_DOT_LINE: Final = re.compile(rb"\r\n\.")
_END: Final = re.compile(rb"\r\n\.\r\n")
_CRLF_ONLY: Final = frozenset({None, "\r\n"})
_SAMPLE: Final = 4096

# Where a decoder stands: the octets before the next one that still matter.
_TEXT: Final = b""
_CR: Final = b"\r"
_LINE: Final = b"\r\n"
# Held back: the dot is never content, and what follows it may be the end of the data.
_DOT: Final = b"\r\n."
_DOT_CR: Final = b"\r\n.\r"


class DotDecoder:
    """Takes the transparency away from what a client sends after 354.

    `decode` gives message octets and, once CRLF.CRLF came, the octets behind it. Faults are
    remembered and never stop the reading: the true end must be found first, or message octets
    would run as commands [SEC-SMUG-in-f].
    """

    __slots__ = ("_before", "_newlines", "eight_bit", "size")

    def __init__(self) -> None:
        # [RFC5321-4.1.1.4a] the CRLF of the DATA command stands before the first line.
        self._before = _LINE
        self._newlines = IncrementalNewlineDecoder(None, translate=False)
        self.eight_bit = False
        """An octet over 127 was seen."""
        self.size = 0
        """Message octets so far, without stuffing and terminator [RFC1870-5a]."""

    @property
    def bare_newline(self) -> bool:
        """A CR or LF that is not part of a CRLF was seen; it stands unchanged in the content."""
        return self._newlines.newlines not in _CRLF_ONLY

    def decode(self, data: bytes) -> tuple[bytes, bytes | None]:
        """`(content, rest)`: the next message octets, and what follows the end of data or None."""
        content, rest = data, None
        if self._before and self._dot_follows(data):
            content, rest = self._unstuff(self._before + data, len(self._before[:2]))
        elif b"." not in data or (found := _DOT_LINE.search(data)) is None:
            self._before = self._edge(data)
        elif data.startswith(b"\r\n", found.end()):
            # Nothing to unstuff, as in most messages: one look found that and the end.
            content, rest = data[: found.start() + 2], data[found.end() + 2 :]
        else:
            content, rest = self._unstuff(data, 0)
        # Each octet is a character of its own in Latin-1, and newlines are what they were.
        text = content.decode("latin-1")
        self._newlines.decode(text)
        if not text.isascii():
            self.eight_bit = True
        self.size += len(content)
        return content, rest

    def _dot_follows(self, data: bytes) -> bool:
        """Whether what stood before this piece makes a dot line of its beginning."""
        before = self._before
        if before is _LINE:
            return data.startswith(b".")
        if before is _CR:
            return data.startswith(b"\n.")
        return True

    def _edge(self, data: bytes) -> bytes:
        """The state behind a piece without a dot line."""
        if data.endswith(b"\r\n") or (data == b"\n" and self._before is _CR):
            return _LINE
        if not data:
            return self._before
        return _CR if data.endswith(b"\r") else _TEXT

    def _unstuff(self, buffer: bytes, given: int) -> tuple[bytes, bytes | None]:
        """`(content, rest)` of octets of which the first `given` were handed out before."""
        found = _END.search(buffer)
        if found is not None:
            end, rest = found.start() + 2, buffer[found.end() :]
        else:
            end, rest = len(buffer), None
            self._before = _TEXT
            for before in (_DOT_CR, _DOT, _LINE, _CR):
                if buffer.endswith(before):
                    self._before = before
                    end += len(before[:2]) - len(before)
                    break
        return b"\r\n".join(_DOT_LINE.split(buffer[:end]))[given:], rest


class Newlines(Enum):
    """What a sender does with a bare CR or LF of the caller's message [RFC5321-2.3.8b]."""

    NORMALISE = "normalise"
    """Each becomes CRLF, before dots are stuffed [SEC-SMUG-out-b]."""
    REFUSE = "refuse"
    """LocalProtocolError."""


class DotEncoder:
    """Makes a message transparent: CRLF only, dots stuffed, `CRLF.CRLF` at the end."""

    __slots__ = ("_held_cr", "_line_start", "_newlines", "eight_bit", "size")

    def __init__(self, newlines: Newlines = Newlines.NORMALISE) -> None:
        self._newlines = newlines
        self._line_start = True
        self._held_cr = False
        self.eight_bit = False
        """An octet over 127 was given."""
        self.size = 0
        """Message octets so far, without stuffing and terminator [RFC1870-5a]."""

    def encode(self, data: bytes) -> bytes:
        """The octets to send for the next piece. Raises LocalProtocolError (see `Newlines`)."""
        if self._held_cr:
            data = b"\r" + data
        # A CR at the end may be half of a CRLF: it waits for the next piece.
        self._held_cr = data.endswith(b"\r")
        if self._held_cr:
            data = data[:-1]
        if not data:
            return b""
        if not self.eight_bit and not data.isascii():
            self.eight_bit = True
        if has_bare_newline(data):
            data = self._repair(data)
        self.size += len(data)
        # Without a dot line the one part is the piece itself, and nothing was copied.
        stuffed = b"\r\n..".join(_DOT_LINE.split(data)) if b"." in data else data
        # [RFC5321-4.5.2b] also when the dot is the first octet of a piece.
        if self._line_start and data.startswith(b"."):
            stuffed = b"." + stuffed
        self._line_start = data.endswith(b"\r\n")
        return stuffed

    def finish(self) -> bytes:
        """What ends the data: exactly one CRLF before the dot [RFC5321-4.1.1.4b]."""
        if self._held_cr:
            self._held_cr = False
            tail = self._repair(b"\r")
        else:
            tail = b"" if self._line_start else b"\r\n"
        self._line_start = True
        self.size += len(tail)
        return tail + b".\r\n"

    def _repair(self, data: bytes) -> bytes:
        if self._newlines is Newlines.REFUSE:
            raise LocalProtocolError("the message has a bare CR or LF")
        return data.replace(b"\r\n", b"\n").replace(b"\r", b"\n").replace(b"\n", b"\r\n")


def has_bare_newline(data: bytes) -> bool:
    """Whether a CR or LF is in it that is not part of a CRLF."""
    newlines = IncrementalNewlineDecoder(None, translate=False)
    newlines.decode(data.decode("latin-1"), final=True)
    return newlines.newlines not in _CRLF_ONLY


def expected_size(message: bytes) -> int:
    """The octets of a whole message as it will be sent.

    Exact, unless all of its first 4 KiB has CRLF and some of the rest has not: the number is then
    too low by an octet for each [RFC1870-6a].
    """
    size = len(message)
    if has_bare_newline(message[:_SAMPLE]):
        size += message.count(b"\r") + message.count(b"\n") - 2 * message.count(b"\r\n")
    return size + (0 if not message or message.endswith((b"\r", b"\n")) else 2)
