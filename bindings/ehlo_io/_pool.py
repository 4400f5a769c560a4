"""What pools share beside I/O: which sessions are kept, and when a message may be tried once more."""

from __future__ import annotations

from collections import deque
from typing import Final, Generic, TypeVar

import attrs

import ehlo
from ehlo_io._client import ClientBase

GOODBYE: Final = 2.0
"""Seconds that a session which nobody needs any more gets to end politely with asyncio and trio; in a
thread it has `Limits.quit_timeout`."""

C = TypeVar("C", bound=ClientBase)


@attrs.define
class Shelf(Generic[C]):
    """Sessions that wait for their next message: the newest is taken first, the oldest goes first."""

    idle: float
    """Seconds that each may wait."""
    _kept: deque[tuple[C, float]] = attrs.field(factory=deque[tuple[C, float]], init=False)

    def put(self, client: C, now: float) -> None:
        self._kept.append((client, now + self.idle))

    def take(self) -> C | None:
        return self._kept.pop()[0] if self._kept else None

    def expired(self, now: float) -> C | None:
        """The oldest, if it has waited long enough; it is the caller's now."""
        return self._kept.popleft()[0] if self._kept and self._kept[0][1] <= now else None

    def pause(self, now: float) -> float:
        """Seconds until one can be due, whatever is put here in the meantime."""
        return max(0.0, self._kept[0][1] - now) if self._kept else self.idle


def check_size(size: int, idle: float) -> None:
    """Raises LocalProtocolError."""
    if size < 1 or not idle > 0:
        raise ehlo.LocalProtocolError("a pool has at least one session, and keeps it for a time above 0")


def gone_stale(client: ClientBase, error: ehlo.SessionError) -> bool:
    """The session is over and the message was surely not taken: it was the session's end, not the message's,
    and a new session may take it."""
    return error.temporary and not error.in_doubt and not client.is_ready


def none_left() -> ehlo.LocalProtocolError:
    return ehlo.LocalProtocolError("the pool is closed, or was not entered yet")
