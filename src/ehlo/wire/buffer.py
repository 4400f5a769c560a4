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

    __slots__ = ("_data", "_searched", "_start")

    def __init__(self) -> None:
        self._data: bytes | bytearray = b""
        self._start = 0
        self._searched = 0

    def __len__(self) -> int:
        return len(self._data) - self._start

    def feed(self, data: bytes) -> None:
        start = self._start
        if start == len(self._data):
            self._data = data
            self._start = self._searched = 0
            return
        if isinstance(self._data, bytearray):
            del self._data[:start]
        else:
            self._data = bytearray(memoryview(self._data)[start:])
        self._searched = max(0, self._searched - start)
        self._start = 0
        self._data += data

    def take_line(self, limit: int) -> bytes | None:
        """The next line without its CRLF; None if it is not complete yet.

        Raises LineTooLong when line and CRLF have, or will have, more than `limit` octets.
        """
        start = self._start
        data = self._data
        if start == len(data):
            return None
        searched = self._searched
        end = data.find(b"\r\n", searched if searched > start else start, start + limit)
        if end < 0:
            if len(data) - start >= limit:
                raise LineTooLong
            # The last octet may be the CR of a CRLF that is still on its way.
            self._searched = max(start, len(data) - 1)
            return None
        self._start = self._searched = end + 2
        line = data[start:end]
        return line if isinstance(line, bytes) else bytes(line)

    def discard_line(self) -> bool:
        """Drop octets up to and with the next CRLF; False (and all is dropped) if it has not come."""
        end = self._data.find(b"\r\n", self._start)
        if end < 0:
            # A trailing CR may be half of the CRLF that ends the line.
            keep = len(self._data) - self._data.endswith(b"\r")
            self._start = self._searched = max(self._start, keep)
            return False
        self._start = self._searched = end + 2
        return True

    def drop(self, octets: int) -> int:
        """Throw away so many octets, or all that came when they are fewer; how many it were."""
        dropped = min(octets, len(self))
        self._start += dropped
        return dropped

    def take(self, most: int) -> bytes:
        """Up to so many octets; without a copy when that is the whole of one feed."""
        if len(self) <= most:
            return self.take_all()
        start = self._start
        self._start += most
        return bytes(memoryview(self._data)[start : start + most])

    def take_all(self) -> bytes:
        data = self._data
        if self._start or isinstance(data, bytearray):
            data = bytes(memoryview(data)[self._start :])
        self._data = b""
        self._start = self._searched = 0
        return data

    def unread(self, data: bytes) -> None:
        """Put octets back in front: what a decoder left behind the end of its own part.

        They must be the last that `take` or `take_all` gave.
        """
        start = self._start
        if not start:
            self._data = data + self._data if self._data else data
        elif self._data[start - len(data) : start] == data:
            # They are still there: only the mark moves back.
            self._start = start - len(data)
        else:
            raise RuntimeError("only what was taken last can be put back")
        self._searched = 0

    def clear(self) -> None:
        self._data = b""
        self._start = self._searched = 0
