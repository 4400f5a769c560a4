"""What a worker is asked to do."""

from __future__ import annotations

from typing import IO

import attrs

from benchmarks.messages import message


@attrs.frozen
class Subject:
    """A client, and how it is to send."""

    worker: str
    module: str | None = None
    """What has to be installed for it."""
    pipelining: bool = True
    chunking: bool = False
    binary: bool = False
    many: bool = False

    def ways(self) -> dict[str, object]:
        """What it adds to a job."""
        return attrs.asdict(self, filter=attrs.filters.exclude("worker", "module"))


@attrs.frozen(kw_only=True)
class Job:
    """So many messages over so many connections."""

    port: int
    messages: int
    size: int
    connections: int = 1
    reconnect: bool = False
    """A connection for each message."""
    pipelining: bool = True
    chunking: bool = False
    """Use CHUNKING where it is offered; only some clients can."""
    binary: bool = False
    """Send the message as octets that are no text: nothing in them is looked at; only some clients can."""
    many: bool = False
    """All messages of a session in one call; only some clients can."""
    path: str | None = None
    """A file to send, in place of octets in memory; only some clients can."""

    def shares(self) -> list[int]:
        """How many messages go over each connection."""
        each, more = divmod(self.messages, self.connections)
        return [each + (index < more) for index in range(self.connections)]

    def sessions(self, share: int) -> list[int]:
        """How many messages go over each session of one connection's turn."""
        return [1] * share if self.reconnect else [share]

    def body(self) -> bytes | IO[bytes]:
        """The octets, or the file, to submit."""
        if self.path is not None:
            return open(self.path, "rb")
        return message(self.size)
