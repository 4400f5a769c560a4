"""The receive buffer: octets in, whole CRLF lines or raw pieces out, in linear time.

A line ends at CRLF and nowhere else [RFC5321-2.3.8a]; what to do with a bare CR or LF inside
one is its reader's decision.
"""

from __future__ import annotations


class LineTooLong(Exception):
    """No CRLF within the bound. `discard_line` takes the rest of the line away."""


class ReceiveBuffer:
    """What was fed is kept as it came, and lines are cut out of it by a moving index.

    Only a line that comes in several pieces is put together, in a bytearray that grows in place; the
    place up to which no CRLF was found is remembered. So neither one-octet feeds nor many lines in
    one feed cost more than linear time, and a feed of whole lines is not copied before it is cut.
    """

    __slots__ = ("_data", "_searched", "_start", "empty", "fresh")

    def __init__(self) -> None:
        self._data: bytes | bytearray = b""
        self._start = 0
        # Where to look for the next CRLF: never before the start.
        self._searched = 0
        self.empty = True
        """Nothing is held, of what was read neither: an idle connection costs no memory for it."""
        self.fresh: bytes | None = None
        """All that is held, if it came in one feed and none of it was read."""

    def __len__(self) -> int:
        return len(self._data) - self._start

    def feed(self, data: bytes) -> None:
        if self.empty:
            if data:
                self._data = self.fresh = data
                self.empty = False
            return
        self.fresh = None
        if isinstance(self._data, bytearray):
            del self._data[: self._start]
        else:
            self._data = bytearray(memoryview(self._data)[self._start :])
        self._searched -= self._start
        self._start = 0
        self._data += data

    def take_line(self, limit: int) -> bytes | None:
        """The next line without its CRLF; None if it is not complete yet.

        Raises LineTooLong when line and CRLF have, or will have, more than `limit` octets.
        """
        data = self._data
        end = data.find(b"\r\n", self._searched)
        start = self._start
        if end < 0:
            held = len(data) - start
            if held >= limit:
                raise LineTooLong
            # The last octet may be the CR of a CRLF that is still on its way.
            self._searched = start + max(0, held - 1)
            return None
        if end + 2 - start > limit:
            raise LineTooLong
        line = data[start:end]
        if end + 2 == len(data):
            self.clear()
        else:
            self._start = self._searched = end + 2
            self.fresh = None
        return line if type(line) is bytes else bytes(line)

    def _go_to(self, place: int) -> None:
        """What stands before this place was read."""
        if place == len(self._data):
            self.clear()
        else:
            self._start = self._searched = place
            self.fresh = None

    def begins(self, word: bytes) -> bool:
        """Whether the next octets are this word, in any letter case."""
        return bytes(self._data[self._start : self._start + len(word)]).upper() == word

    def discard_line(self) -> bool:
        """Drop octets up to and with the next CRLF; False (and all is dropped) if it has not come."""
        end = self._data.find(b"\r\n", self._start)
        if end < 0:
            # A trailing CR may be half of the CRLF that ends the line.
            self._go_to(len(self._data) - self._data.endswith(b"\r"))
            return False
        self._go_to(end + 2)
        return True

    def take(self, most: int) -> bytes:
        """Up to so many octets; without a copy when that is the whole of one feed."""
        start = self._start
        if len(self._data) - start <= most:
            return self.take_all()
        self._go_to(start + most)
        return bytes(memoryview(self._data)[start : start + most])

    def take_all(self) -> bytes:
        data = self._data
        if self._start or isinstance(data, bytearray):
            data = bytes(memoryview(data)[self._start :])
        self.clear()
        return data

    def unread(self, data: bytes) -> None:
        """Put octets back in front: what a decoder left behind the end of its own part.

        They must be the last that `take` or `take_all` gave.
        """
        start = self._start - len(data)
        self.fresh = None
        if not self._start:
            self._data = data + self._data
            self._searched = 0
            self.empty = not self._data
        elif start >= 0 and self._data[start : self._start] == data:
            # They are still there: only the mark moves back.
            self._start = self._searched = start
        else:
            raise RuntimeError("only what was taken last can be put back")

    def clear(self) -> None:
        self._data = b""
        self._start = self._searched = 0
        self.empty = True
        self.fresh = None
