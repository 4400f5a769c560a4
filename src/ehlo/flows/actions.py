"""What a flow asks of its binding: eight actions, none of which needs a word of SMTP.

A flow is a generator. The binding performs each action that it yields and sends the result back
in, or throws what went wrong: `TimeoutError` when a deadline passed, another `OSError` when the
connection broke (`ssl.SSLError` is one), `Shutdown` when the server is to stop, and whatever user
code raised. The flow's return value is the result.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any, TypeAlias, TypeVar

import attrs

from ehlo._events import Deadline
from ehlo._value import Value

T = TypeVar("T")


class Shutdown(Exception):
    """Thrown into a server flow where it waits for octets: say goodbye and end."""


@attrs.frozen(repr=False, eq=False)
class Send(Value):
    """Write all of `data`. Result: None.

    With `and_receive` the binding goes on reading while it writes and keeps what comes for the
    next `Receive`: two peers that only write would wait for each other for ever.
    """

    data: bytes = attrs.field(repr=lambda data: f"<{len(data)} octets>")
    deadline: Deadline | None = None
    and_receive: bool = False


@attrs.frozen(repr=False, eq=False)
class Receive(Value):
    """Result: the next octets, b"" at the end of the stream.

    The clock of a deadline starts when its object is first seen, and goes on for the same object.
    """

    deadline: Deadline | None = None


@attrs.frozen(repr=False, eq=False)
class Exchange(Value):
    """`Send`, then `Receive`, under one deadline. Result: the next octets, b"" at the end of the stream.

    Nearly all of a session is such turns; as one action they cost half.
    """

    data: bytes = attrs.field(repr=lambda data: f"<{len(data)} octets>")
    deadline: Deadline | None = None
    and_receive: bool = False
    """As in `Send`."""


@attrs.frozen(repr=False, eq=False)
class Poll(Value):
    """Do not wait. Result: octets that have come already, b"" at the end of the stream, None for nothing.

    A reply that is there before its question was asked must not pass for the answer.
    """


@attrs.frozen(repr=False, eq=False)
class StartTLS(Value):
    """Do the TLS handshake on `received` and the octets that come next. Result: a `TLSInfo`.

    Octets received before this action and not yet handed out belong to the handshake.
    """

    server_hostname: str | None
    """The name to verify; None in the server role."""
    deadline: Deadline | None = None
    received: bytes = attrs.field(default=b"", repr=lambda data: f"<{len(data)} octets>")
    """Handed out already, behind what came before TLS: the first octets of the handshake."""


@attrs.frozen(repr=False, eq=False)
class Ask(Value):
    """Call user code, await what it returns if it must be awaited. Result: the answer.

    An `Exception` that it raises is thrown into the flow.
    """

    question: Callable[[], Any] = attrs.field(repr=False)
    """Its repr would show its arguments, and a password may be one of them."""
    blocking: bool = False
    """It may block: call it where that holds nobody up, in another thread if need be."""
    logged: bool = False
    """What it raises is for the log: the peer hears nothing of it, and the caller neither."""


@attrs.frozen(repr=False, eq=False)
class ReadBody(Value):
    """Result: the next piece of the caller's message, about `size` octets, b"" at its end."""

    size: int


@attrs.frozen(repr=False, eq=False)
class Close(Value):
    """End the connection. Result: None.

    `linger` is for how many seconds what still comes is read and thrown away after the last octet
    was sent: closing with unread octets would take the last reply from the peer.
    """

    linger: float = 0.0


Action: TypeAlias = Send | Receive | Exchange | Poll | StartTLS | Ask | ReadBody | Close
Flow: TypeAlias = Generator[Action, Any, T]
