"""The two errors of the engine, and what a failed session raises.

    Error
    ├── ProtocolError
    │   ├── LocalProtocolError       the caller's bug: nothing was sent
    │   └── RemoteProtocolError      the peer's bug: `reply_hint` can be sent as it is
    └── SessionError                 raised by flows, never by connections
        ├── ConnectionFailed         no connection, lost, or out of time
        ├── TlsFailed                TLS was demanded and could not be had
        ├── ServiceRefused           the server refused the greeting, EHLO or a command
        ├── AuthenticationFailed     no safe mechanism in common, or the server refused
        └── SubmissionFailed         nobody accepted the message; `result` has every reply

A 4yz or 5yz reply is data at the level of connections, never an exception.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ehlo.flows.results import SubmissionResult
    from ehlo.wire.reply import Reply


class Error(Exception):
    """Base of everything that ehlo raises on purpose."""

    in_doubt = False
    """The whole message may have been sent, and no reply to it came: the server may have taken it, and who
    submits it again may send it twice."""


class ProtocolError(Error):
    """One side broke the protocol. Abstract: see its two subclasses."""


class LocalProtocolError(ProtocolError):
    """The caller asked for something the protocol forbids; no octet of it was sent."""


class RemoteProtocolError(ProtocolError):
    """The peer broke the protocol.

    `reply_hint` is a whole `Reply` that a server can send as it is before it closes;
    None in the client role.
    """

    def __init__(self, message: str, reply_hint: Reply | None = None) -> None:
        super().__init__(message)
        self.reply_hint = reply_hint


class SessionError(Error):
    """A client session, or one step of it, failed.

    `reply` is the server's reply where one is the cause; `temporary` tells whether the same
    attempt may succeed later [RFC5321-4.2.1a].
    """

    temporary = False

    def __init__(self, message: str, *, reply: Reply | None = None, temporary: bool | None = None) -> None:
        super().__init__(message)
        self.reply = reply
        if temporary is not None:
            self.temporary = temporary
        elif reply is not None:
            self.temporary = reply.is_transient


class ConnectionFailed(SessionError):
    """The connection could not be made, was lost, or a deadline passed."""

    temporary = True


class TlsFailed(SessionError):
    """TLS was demanded, but was not offered, was refused, or its handshake failed."""


class ServiceRefused(SessionError):
    """The server refused the session or a command that the session cannot go on without."""


class SessionExhausted(SessionError):
    """The server takes no more on this session (RFC 9422): nothing of the message was sent, and another
    session can take it."""

    temporary = True


class AuthCause(Enum):
    """Why an authentication failed (RFC 4954 section 6), by the reply's code alone."""

    NO_MECHANISM = "no mechanism that is safe and in common"
    CREDENTIALS = "wrong credentials"
    """535."""
    TEMPORARY = "try again later"
    """454 and other 4yz: nothing is wrong with the credentials."""
    TOO_WEAK = "a stronger mechanism is needed"
    """534."""
    NEEDS_TLS = "TLS is needed first"
    """538, of old servers."""
    TRANSITION = "the password has to be used once with PLAIN"
    """432."""
    SERVER_NOT_PROVED = "the server broke the rules of the mechanism or did not prove itself"
    OTHER = "another refusal"


class AuthenticationFailed(SessionError):
    """There was no usable mechanism in common, or the server refused the credentials.

    `detail` is what an OAuth server told about the token [RFC7628-3.2.2b], or SCRAM's `error`.
    """

    def __init__(
        self,
        message: str,
        *,
        reply: Reply | None = None,
        cause: AuthCause = AuthCause.OTHER,
        detail: Mapping[str, object] | None = None,
    ) -> None:
        super().__init__(message, reply=reply)
        self.cause = cause
        self.detail = detail


class SubmissionFailed(SessionError):
    """No recipient got the message. `result` holds one outcome for each of them."""

    def __init__(self, message: str, result: SubmissionResult, *, reply: Reply | None = None) -> None:
        super().__init__(message, reply=reply, temporary=result.temporary)
        self.result = result
