"""What happened in a server's session, as values: for counters and logs, which decide nothing.

    SessionOpened, then any of the others, and SessionEnded, which is always the last;
    or SessionRefused alone.

An observer is called with the session and each fact, between two octets and never at the same time for one
session. It must not raise, and holds up whoever waits for the server. It may keep what it knows of a session
under that session, which can be a key, until SessionEnded. Texts and addresses in the facts are the client's
own words: whoever shows them makes them printable.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import TypeAlias

import attrs

from ehlo._commands import Verb
from ehlo._events import Envelope, TLSInfo
from ehlo._value import Value
from ehlo.flows.handler import Session
from ehlo.wire.reply import Reply


class Ending(Enum):
    """Why a session ended."""

    QUIT = "quit"
    LOST = "lost"
    """The client went without QUIT, or the connection broke."""
    TIMED_OUT = "timed out"
    SHUT_DOWN = "shut down"
    """The server stops."""
    NO_TLS = "no TLS"
    """A handshake failed."""
    CLOSED = "closed"
    """By a reply 421 of the server or of its handler, or for what only an attacker sends."""


@attrs.frozen(repr=False, eq=False)
class SessionOpened(Value):
    """It is known whom the session is with: behind a proxy, its header has come."""


@attrs.frozen(repr=False, eq=False)
class SessionRefused(Value):
    """There is no session: too many are open, or it did not come from the proxy."""

    reply: Reply | None
    """What the client was told, or would have been without TLS from the first octet; None for nothing."""


@attrs.frozen(repr=False, eq=False)
class TlsStarted(Value):
    """A handshake ended well."""

    info: TLSInfo


@attrs.frozen(repr=False, eq=False)
class TlsFailed(Value):
    """A handshake did not end well; the session ends."""

    reason: str


@attrs.frozen(repr=False, eq=False)
class Answered(Value):
    """A reply to a command, or to a step that is none, such as the greeting."""

    verb: Verb
    reply: Reply


@attrs.frozen(repr=False, eq=False)
class AuthEnded(Value):
    """An AUTH command got its last reply; it follows the `Answered`. `session.identity` is known, if any."""

    mechanism: str | None
    """None: it named none that this server has, or came out of order."""
    reply: Reply
    reason: str | None = None
    """Why the mechanism refused, which the client is not told; None: something else did."""


@attrs.frozen(repr=False, eq=False)
class MessageEnded(Value):
    """The end of a message got its replies; it follows the `Answered`."""

    envelope: Envelope
    size: int
    """Octets that came, dots unstuffed."""
    replies: tuple[Reply, ...]
    """One, or in LMTP one for each recipient."""
    name: str | None = None
    """What the handler calls it: `Session.message_name`."""

    @property
    def accepted(self) -> int:
        """For how many recipients."""
        if len(self.replies) == 1:
            return len(self.envelope.recipients) if self.replies[0].is_success else 0
        return sum(reply.is_success for reply in self.replies)


@attrs.frozen(repr=False, eq=False)
class ProtocolFault(Value):
    """The client broke the protocol in a way that ends the session, such as plaintext behind STARTTLS."""

    reason: str


@attrs.frozen(repr=False, eq=False)
class SessionEnded(Value):
    """The last fact of a session."""

    ending: Ending


Fact: TypeAlias = (
    SessionOpened
    | SessionRefused
    | TlsStarted
    | TlsFailed
    | Answered
    | AuthEnded
    | MessageEnded
    | ProtocolFault
    | SessionEnded
)

Observe: TypeAlias = Callable[[Session, Fact], None]
