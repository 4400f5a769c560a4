r"""The dot codec of DATA (RFC 5321 sections 4.1.1.4 and 4.5.2), in pieces of any size.

Only CRLF.CRLF ends the data, and only a dot right behind CRLF (or at the very start) is stuffing.
Both classes carry at most four octets from piece to piece, so that any cut gives the same result.
The patterns begin with a literal octet: the regex engine then hops from CR to CR.
"""

from __future__ import annotations

import re
from enum import Enum
from typing import Final

from ehlo._errors import LocalProtocolError

# A CR that is not the end of a line of text with another line of text behind it: a bare CR, the CRLF
# in front of a dot, or the last octets of a piece, which may yet become either.
_NOTABLE: Final = re.compile(rb"\r(?!\n[^.])")
_END: Final = re.compile(rb"\r\n\.\r\n")
_DOT_LINE: Final = re.compile(rb"\r\n\.")
_BARE_CR: Final = re.compile(rb"\r(?!\n)")
_BARE_LF: Final = re.compile(rb"\n(?<!\r\n)")
# A bare CR or a dot line: one look at each CR tells that a message has neither.
_CR_TO_MEND: Final = re.compile(rb"\r(?!\n(?!\.))")


class DotDecoder:
    """Takes the transparency away from what a client sends after 354.

    `decode` gives message octets and, once CRLF.CRLF came, the octets behind it. Faults are
    remembered and never stop the reading: the true end must be found first, or message octets
    would run as commands [SEC-SMUG-in-f].
    """

    __slots__ = ("_carry", "_virtual", "bare_newline", "eight_bit", "size")

    def __init__(self) -> None:
        # [RFC5321-4.1.1.4a] the CRLF of the DATA command stands before the first line.
        self._carry = b"\r\n"
        self._virtual = 2
        self.bare_newline = False
        """A CR or LF that is not part of a CRLF was seen; it stands unchanged in the content."""
        self.eight_bit = False
        """An octet over 127 was seen."""
        self.size = 0
        """Message octets so far, without stuffing and terminator [RFC1870-5a]."""

    def decode(self, data: bytes) -> tuple[bytes, bytes | None]:
        """`(content, rest)`: the next message octets, and what follows the end of data or None."""
        buffer = self._carry + data
        notable = _NOTABLE.search(buffer)
        after = 0
        at = len(buffer) if notable is None else notable.start()
        if at >= len(buffer) - 2 and buffer[at:] in (b"", b"\r", b"\r\n"):
            end = at
            content = buffer[self._virtual : end]
        elif buffer.startswith(b"\r\n.\r\n", at):
            # Nothing to unstuff, as in most pieces: one pass found that and the end.
            end, after = at + 2, at + 5
            content = buffer[self._virtual : end]
        else:
            content, end, after = self._unstuff(buffer)
        if end:
            self._virtual = 0
        if not content.isascii():
            self.eight_bit = True
        if not self.bare_newline and _BARE_LF.search(content) is not None:
            self.bare_newline = True
        self.size += len(content)
        if after:
            return content, buffer[after:]
        self._carry = buffer[end:]
        return content, None

    def _unstuff(self, buffer: bytes) -> tuple[bytes, int, int]:
        """`(content, end of it in the buffer, place behind the end of data or 0)`."""
        found = _END.search(buffer)
        if found is not None:
            end, after = found.start() + 2, found.end()
        else:
            end, after = len(buffer) - _open_end(buffer), 0
        body = buffer[:end]
        if not self.bare_newline:
            self.bare_newline = _BARE_CR.search(body) is not None
        return b"\r\n".join(_DOT_LINE.split(body))[self._virtual :], end, after


def _open_end(buffer: bytes) -> int:
    """How many octets at the end may still become CRLF.CRLF or a stuffed line."""
    if buffer.endswith((b"\r\n.\r", b"\r\n.", b"\r\n", b"\r")):
        for size, tail in ((4, b"\r\n.\r"), (3, b"\r\n."), (2, b"\r\n")):
            if buffer.endswith(tail):
                return size
        return 1
    return 0


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
        if not data.isascii():
            self.eight_bit = True
        stuffed = data
        if (found := _CR_TO_MEND.search(data)) or _BARE_LF.search(data):
            if (found and _BARE_CR.search(data, found.start())) or _BARE_LF.search(data):
                data = self._repair(data)
            stuffed = b"\r\n..".join(_DOT_LINE.split(data))
        self.size += len(data)
        # [RFC5321-4.5.2b] also when the dot is the first octet of a piece.
        if self._line_start and data.startswith(b"."):
            stuffed = b"." + stuffed
        self._line_start = data.endswith(b"\r\n")
        return stuffed

    def finish(self) -> bytes:
        """What ends the data: exactly one CRLF before the dot [RFC5321-4.1.1.4b]."""
        tail = b""
        if self._held_cr:
            self._held_cr = False
            tail = self._repair(b"\r")
            self._line_start = True
        elif not self._line_start:
            tail = b"\r\n"
            self._line_start = True
        self.size += len(tail)
        return tail + b".\r\n"

    def _repair(self, data: bytes) -> bytes:
        if self._newlines is Newlines.REFUSE:
            raise LocalProtocolError("the message has a bare CR or LF")
        return data.replace(b"\r\n", b"\n").replace(b"\r", b"\n").replace(b"\n", b"\r\n")


def normalised_size(message: bytes) -> tuple[int, bool]:
    """`(octets, has bare CR or LF)` of a whole message as `DotEncoder` will send it."""
    crlf = message.count(b"\r\n")
    bare = message.count(b"\r") + message.count(b"\n") - 2 * crlf
    size = len(message) + bare
    return size + (0 if not message or message.endswith((b"\r", b"\n")) else 2), bare > 0
