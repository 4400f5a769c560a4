"""The half of a server connection that speaks: replies, what they do to the session, and how it ends."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import attrs

from ehlo import _replies as replies
from ehlo._commands import Verb
from ehlo._errors import LocalProtocolError
from ehlo._events import Deadline, QuitReceived, ServerEvent, TransactionReset
from ehlo._patience import Patience, deadline
from ehlo._server_config import ServerConfig
from ehlo._state import AGREED, IN_TRANSACTION, State, advance
from ehlo._transcript import Trace, trace_reply
from ehlo.wire.buffer import ReceiveBuffer
from ehlo.wire.reply import Reply

_GREETING, _READY, _CLOSED = State.GREETING, State.READY, State.CLOSED
_END_OF_DATA = Verb.END_OF_DATA

Watch: TypeAlias = Callable[[Verb, Reply, bool], None]
"""Called with what was answered, the reply, and whether it is the last to this: in LMTP there may be several.
The session is still where it was. It must not raise."""


class Speaker:
    """One reply to each command, and the walk through the session table that goes with it."""

    __slots__ = (
        "_buffer",
        "_events",
        "_in_utf8",
        "_out",
        "_state",
        "_trace",
        "_undecided",
        "_wait",
        "config",
        "patience",
        "watch",
    )

    def __init__(self, config: ServerConfig, trace: Trace | None) -> None:
        self.config = config
        self.patience = Patience(config.limits, config.session_limits)
        self._trace = trace
        self.watch: Watch | None = None
        """Who is told of each reply to the client, but for a 421 that answers nothing."""
        self._buffer = ReceiveBuffer()
        self._out: list[bytes] = []
        # What `next_event` gives next; None for nothing.
        self._events: list[ServerEvent] | None = None
        # The reply that is said may be in UTF-8; all others are in ASCII.
        self._in_utf8 = False
        self._state = _GREETING
        self._undecided: ServerEvent | None = None
        # The wait that goes on; None when something was completed, and a new one begins.
        self._wait: Deadline | None = None

    @property
    def state(self) -> State:
        return self._state

    def data_to_send(self) -> bytes:
        """The queued replies, in order; they are the caller's now."""
        out = self._out
        if len(out) == 1:
            return out.pop()
        data = b"".join(out)
        out.clear()
        return data

    @property
    def deadline(self) -> Deadline | None:
        """What may be waited for, and how long; None while the application is at work."""
        if self._undecided is not None or self._state is _CLOSED:
            return None
        if self._wait is None:
            self._wait = deadline(self.config.limits, self._state)
        return self._wait

    def close(self, reply: Reply | None = replies.SHUTTING_DOWN) -> None:
        """End the session now: queue a 421, or nothing for None, and drop an open transaction.

        Use it when a deadline passes (`TIMED_OUT`), at shutdown, or when the connection broke.
        """
        if self._state is _CLOSED:
            return
        if self._state is State.TLS:
            reply = None
        if reply is not None:
            if reply.code != 421:
                raise LocalProtocolError("only 421 ends a session that the client did not end")
            self._say(reply)
        self._die()

    def _die(self) -> None:
        if self._state in IN_TRANSACTION:
            self._emit(TransactionReset())
        self._state = _CLOSED
        self._undecided = None
        self._buffer.clear()

    def _emit(self, event: ServerEvent) -> None:
        if self._events is None:
            self._events = [event]
        else:
            self._events.append(event)

    def _send(self, verb: Verb, reply: Reply) -> None:
        """Queue the one reply to a command and walk the table."""
        if reply.code >= 400 and self.config.policy.reply_hostname:
            *lines, last = reply.lines
            reply = attrs.evolve(reply, lines=(*lines, f"{last} [{self.config.hostname}]"))
        self._answer(verb, replies.with_enhanced(verb, reply))

    def _refuse(self, verb: Verb, reply: Reply) -> None:
        """A refusal by the engine itself: counted, so that no peer can go on for ever."""
        self._wait = None
        self._send(verb, self.patience.refused(reply))

    def _say(self, reply: Reply) -> None:
        octets = reply.render(utf8=True) if self._in_utf8 else reply.render()
        self._out.append(octets)
        if self._trace is not None:
            trace_reply(self._trace, octets)

    def _say_also(self, reply: Reply) -> None:
        """A reply to the end of data that is not the last [RFC2033-4.2b]."""
        self._say(reply)
        if self.watch is not None:
            self.watch(_END_OF_DATA, reply, False)

    def _answer(self, verb: Verb, reply: Reply) -> None:
        self._say(reply)
        if self.watch is not None:
            self.watch(verb, reply, True)
        before = self._state
        after = AGREED[before][verb] if reply.code < 300 else advance(before, verb, reply.code)
        if after is before:
            return
        if after is _CLOSED:
            self._die()
            if verb is Verb.QUIT:
                self._emit(QuitReceived())
            return
        self._state = after
        if after is _READY and verb is not _END_OF_DATA and before in IN_TRANSACTION:
            self._emit(TransactionReset())
