"""The octets of a message, piece by piece, wherever they come from."""

from __future__ import annotations

from ehlo.flows.actions import Close, Flow, ReadBody
from ehlo.wire.text import ends_header

PIECE = 131072
"""Octets asked of the caller's message at a time."""


class Unreadable(Exception):
    """The caller's message could not be read; an OSError of it is none of the connection."""

    def __init__(self, error: Exception) -> None:
        self.error = error


def _has_header(start: bytes | bytearray, searched: int) -> bool:
    return len(start) >= PIECE or ends_header(start, searched)


class Source:
    """A message that is there, or comes through `ReadBody`."""

    __slots__ = ("_back", "begun", "content", "ended")

    def __init__(self, content: bytes | None) -> None:
        self.content = content
        """The whole message, where it is there."""
        self.ended = False
        """Nothing is left of it."""
        self.begun = False
        """Something of the transaction was sent: the message must come, or the session cannot go on."""
        self._back = b""

    def piece(self) -> Flow[bytes]:
        """The next piece that the caller gives, b"" at the end. Raises Unreadable, and once something was
        sent the connection is closed: to end the data here would deliver half of a message."""
        if self._back:
            back, self._back = self._back, b""
            return back
        if self.ended:
            return b""
        try:
            piece: bytes = yield ReadBody(PIECE)
        except Exception as error:
            if self.begun:
                yield Close()
            raise Unreadable(error) from error
        self.ended = not piece
        return piece

    def pieces(self, octets: int, done: int) -> Flow[bytes]:
        """So many octets or a few more, fewer only at the end; `done` says how many were had before."""
        content = self.content
        if content is not None:
            self.ended = done + octets >= len(content)
            return content[done : done + octets]
        found: list[bytes] = []
        size = 0
        while size < octets and (piece := (yield from self.piece())):
            found.append(piece)
            size += len(piece)
        return found[0] if len(found) == 1 else b"".join(found)

    def start(self) -> Flow[bytes]:
        """The header block, or a piece of it where it is longer than one, and a little more. It is still to
        be read. Raises Unreadable."""
        start = yield from self.piece()
        # One that has it all may be as long as the message: it is not copied.
        if start and not _has_header(start, 0):
            found, searched = bytearray(start), len(start)
            while piece := (yield from self.piece()):
                found += piece
                if _has_header(found, searched):
                    break
                searched = len(found)
            start = bytes(found)
        self.put_back(start)
        return start

    def put_back(self, octets: bytes) -> None:
        """They were not taken after all."""
        if self.content is None:
            self._back = octets
