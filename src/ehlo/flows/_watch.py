"""From what happens in a server's flow and its connection to the facts that an observer is told."""

from __future__ import annotations

from typing import Final

from ehlo._commands import Verb
from ehlo._events import TLSInfo
from ehlo.flows.actions import Flow, Shutdown
from ehlo.flows.facts import (
    Answered,
    AuthEnded,
    Ending,
    MessageEnded,
    Observe,
    ProtocolFault,
    SessionEnded,
    SessionOpened,
    SessionRefused,
    TlsFailed,
    TlsStarted,
)
from ehlo.flows.handler import Session
from ehlo.server import ServerConnection
from ehlo.wire.codes import CLOSING, ReplyClass
from ehlo.wire.reply import Reply

_AUTH, _END_OF_DATA = Verb.AUTH, Verb.END_OF_DATA


class Watch:
    """Nobody watches: the flow tells, and it costs a call where something rare happened."""

    __slots__ = ()

    def over(self, flow: Flow[None]) -> Flow[None]:
        """The session that the flow is, with its first fact and its last."""
        return flow

    def refused(self, reply: Reply | None) -> None:
        """There is no session."""

    def secured(self, info: TLSInfo) -> None:
        """TLS has begun."""

    def unsecured(self, error: Exception) -> None:
        """TLS has not."""

    def broken(self, error: Exception) -> None:
        """By the protocol."""

    def ends(self, ending: Ending) -> None:
        """Why, if it ends now."""


NOBODY: Final = Watch()


class Observed(Watch):
    """An observer watches one session."""

    __slots__ = ("_before", "_conn", "_ending", "_observe", "_session")

    def __init__(self, observe: Observe, conn: ServerConnection, session: Session) -> None:
        self._observe = observe
        self._conn = conn
        self._session = session
        self._ending = Ending.LOST
        # The replies to the end of a message that were not the last.
        self._before: list[Reply] = []

    def over(self, flow: Flow[None]) -> Flow[None]:
        self._conn.watch = self._answered
        self._observe(self._session, SessionOpened())
        try:
            yield from flow
        finally:
            self._conn.watch = None
            self._observe(self._session, SessionEnded(self._ending))

    def refused(self, reply: Reply | None) -> None:
        self._observe(self._session, SessionRefused(reply))

    def secured(self, info: TLSInfo) -> None:
        self._observe(self._session, TlsStarted(info))

    def unsecured(self, error: Exception) -> None:
        stopped = isinstance(error, Shutdown)
        self.ends(Ending.SHUT_DOWN if stopped else Ending.NO_TLS)
        self._observe(self._session, TlsFailed(str(error) or type(error).__name__))

    def broken(self, error: Exception) -> None:
        self.ends(Ending.CLOSED)
        self._observe(self._session, ProtocolFault(str(error)))

    def ends(self, ending: Ending) -> None:
        self._ending = ending

    def _answered(self, verb: Verb, reply: Reply, last: bool) -> None:
        if reply.code == CLOSING:
            self.ends(Ending.CLOSED)
        self._observe(self._session, Answered(verb, reply))
        if not last:
            self._before.append(reply)
            return
        replies = (*self._before, reply)
        # Also those of a last chunk that ended no message, for one before it had failed.
        self._before.clear()
        if verb is _END_OF_DATA:
            self._message(replies)
        elif verb is _AUTH and reply.reply_class is not ReplyClass.INTERMEDIATE:
            self._observe(self._session, AuthEnded(self._conn.mechanism, reply, self._conn.refusal))

    def _message(self, replies: tuple[Reply, ...]) -> None:
        transaction, session = self._conn.transaction, self._session
        size = 0 if transaction.body is None else transaction.body.size
        name, session.message_name = session.message_name, None
        self._observe(session, MessageEnded(transaction.envelope, size, replies, name))
