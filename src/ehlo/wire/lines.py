"""Command lines out of a ReceiveBuffer, with those that are too long consumed to their true end.

An over-long line must be read before it is answered, or its tail would run as commands.
"""

from __future__ import annotations

from enum import Enum

from ehlo.wire.buffer import LineTooLong, ReceiveBuffer


class Framing(Enum):
    """What came instead of a line."""

    INCOMPLETE = "incomplete"
    """More octets are needed."""
    OVERLONG = "overlong"
    """A line over the limit ended just now; none of it was kept."""
    RUNAWAY = "runaway"
    """An over-long line does not end within the second limit."""


INCOMPLETE = Framing.INCOMPLETE


class LineReader:
    """Reads from a buffer that others read from too: it keeps no octets itself."""

    __slots__ = ("_buffer", "_discarded", "_runaway", "busy")

    def __init__(self, buffer: ReceiveBuffer, runaway: int) -> None:
        """`runaway`: after so many octets of an over-long line its end is not waited for."""
        self._buffer = buffer
        self._runaway = runaway
        self._discarded = 0
        self.busy = False
        """Something is being thrown away: the next octets are no line."""

    def next_line(self, limit: int) -> bytes | Framing:
        """A line without its CRLF; `limit` counts the CRLF."""
        if self.busy:
            return self.go_on()
        try:
            line = self._buffer.take_line(limit)
        except LineTooLong:
            return self.overlong()
        return INCOMPLETE if line is None else line

    def overlong(self) -> Framing:
        """The buffer's next line is too long: begin to throw it away."""
        self.busy = True
        return self.go_on()

    def go_on(self) -> Framing:
        """Throw away what came meanwhile."""
        before = len(self._buffer)
        ended = self._buffer.discard_line()
        self._discarded += before - len(self._buffer)
        if self._discarded > self._runaway:
            # Also when its end came with it: where the octets were cut must make no difference.
            return Framing.RUNAWAY
        if not ended:
            return INCOMPLETE
        self.busy = False
        self._discarded = 0
        return Framing.OVERLONG
