r"""The dot codec of DATA (RFC 5321 sections 4.1.1.4 and 4.5.2), in pieces of any size.

Only CRLF.CRLF ends the data, and only a dot right behind CRLF (or at the very start) is stuffing.
A piece in which nothing has to be changed passes through without a copy: what an edge between two
pieces needs is a state, and two octets at most are held back.

Each piece is read twice: once for newlines (`wire.text`), and once for dot lines, with a pattern that is
all literal; where there is no dot at all, as in base64, that is known almost for nothing.
"""

from __future__ import annotations

import re
from typing import Final

from ehlo.wire.text import Content, TextEncoder

_DOT_LINE: Final = re.compile(rb"\r\n\.")
_END: Final = re.compile(rb"\r\n\.\r\n")

# Where a decoder stands: the octets before the next one that still matter.
_TEXT: Final = b""
_CR: Final = b"\r"
_LINE: Final = b"\r\n"
# Held back: the dot is never content, and what follows it may be the end of the data.
_DOT: Final = b"\r\n."
_DOT_CR: Final = b"\r\n.\r"


class DotDecoder(Content):
    """Takes the transparency away from what a client sends after 354.

    `decode` gives message octets and, once CRLF.CRLF came, the octets behind it. Faults are
    remembered and never stop the reading: the true end must be found first, or message octets
    would run as commands [SEC-SMUG-in-f].
    """

    __slots__ = ("_before",)

    def __init__(self) -> None:
        super().__init__()
        # [RFC5321-4.1.1.4a] the CRLF of the DATA command stands before the first line.
        self._before = _LINE

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
        self.note(content)
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


class DotEncoder(TextEncoder):
    """Makes a message transparent: CRLF only, dots stuffed, `CRLF.CRLF` at the end."""

    __slots__ = ()

    def encode(self, data: bytes) -> bytes:
        """The octets to send for the next piece. Raises LocalProtocolError (see `Newlines`)."""
        line_start = self._line_start
        data = TextEncoder.encode(self, data)
        # Without a dot line the one part is the piece itself, and nothing was copied.
        stuffed = b"\r\n..".join(_DOT_LINE.split(data)) if b"." in data else data
        # [RFC5321-4.5.2b] also when the dot is the first octet of a piece.
        return b"." + stuffed if line_start and data.startswith(b".") else stuffed

    def finish(self) -> bytes:
        """What ends the data: exactly one CRLF before the dot [RFC5321-4.1.1.4b]."""
        return super().finish() + b".\r\n"
