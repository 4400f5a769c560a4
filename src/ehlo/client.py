"""The client role: commands in, octets out, replies back as events.

Commands may be queued before their replies came where PIPELINING allows it; each reply pops the
oldest command, by counting and never by looking at text [RFC2920-3.1c]. What is legal to send is
asked of the session table for the state that would be reached if all that is in flight succeeds.

A 4yz or 5yz is data: it comes as an event. What cannot be a reply, or answers nothing, raises
RemoteProtocolError, and the connection is over.
"""

from __future__ import annotations

from collections.abc import Callable
from operator import attrgetter
from typing import Final, NoReturn, TypeAlias

from ehlo._caller import Caller
from ehlo._commands import (
    Command,
    Verb,
    Writable,
)
from ehlo._errors import LocalProtocolError, RemoteProtocolError
from ehlo._events import (
    NEED_DATA,
    PAUSED,
    AuthChallenge,
    AuthFailed,
    AuthSucceeded,
    BodyWanted,
    ClientEvent,
    ConnectionClosed,
    Deadline,
    Disconnecting,
    EhloReceived,
    GreetingReceived,
    Pause,
    ReplyReceived,
    TLSInfo,
    TlsReady,
    Wait,
)
from ehlo._limits import Limits
from ehlo._state import AGREED, State, advance
from ehlo._transcript import trace_note, trace_reply
from ehlo.extensions import (
    CHUNKING,
    PIPELINING,
    Capabilities,
    understood,
)
from ehlo.wire.codes import CLOSING, ReplyClass
from ehlo.wire.dot import DotEncoder
from ehlo.wire.reply import CHALLENGE, Reply

_Wait: TypeAlias = tuple[Wait, Callable[[Limits], float]]
_ANY_REPLY: Final[_Wait] = (Wait.REPLY, attrgetter("command_timeout"))
_REPLY_WAITS: Final[dict[Verb, _Wait]] = {
    Verb.DATA: (Wait.DATA_START, attrgetter("data_timeout")),
    Verb.BDAT: (Wait.BLOCK, attrgetter("block_timeout")),
    # It is fetched first.
    Verb.BURL: (Wait.FINAL_REPLY, attrgetter("final_timeout")),
    Verb.END_OF_DATA: (Wait.FINAL_REPLY, attrgetter("final_timeout")),
    Verb.QUIT: (Wait.QUIT, attrgetter("quit_timeout")),
}
"""What is waited for when the reply to a verb is due."""
_WAITS: Final[dict[State, _Wait]] = {
    State.GREETING: (Wait.GREETING, attrgetter("greeting_timeout")),
    State.BODY: (Wait.BLOCK, attrgetter("block_timeout")),
    State.TLS: (Wait.HANDSHAKE, attrgetter("tls_timeout")),
}
"""And in a state in which no reply is due."""

_NOTHING_OFFERED: Final = Capabilities()

# Bound once: reaching a member through its enum costs as much as a call.
_GREETING, _TLS, _BODY, _CLOSED = State.GREETING, State.TLS, State.BODY, State.CLOSED
# [RFC2033-4.3a] the end of data has a reply for each of them, also when a chunk before it failed.
_HAS_RECIPIENTS: Final = frozenset({State.RCPT, State.BODY, State.CHUNK, State.VOID})
_DATA, _AUTH = Verb.DATA, Verb.AUTH
_MAIL, _RCPT, _END_OF_DATA = Verb.MAIL, Verb.RCPT, Verb.END_OF_DATA


class ClientConnection(Caller):
    """One connection in the client role."""

    def receive_data(self, data: bytes) -> None:
        """Store octets; b"" says that the server will send no more."""
        state = self._state
        if state is _CLOSED:
            # [SEC-INJ-both-c] reported once, and nothing behind it is looked at.
            return
        if not data:
            self._eof = True
        elif state is _TLS:
            self._fail("plaintext where the TLS handshake belongs")
        else:
            self._parser.feed(data)

    def next_event(self) -> ClientEvent | Pause:
        """The next event; NEED_DATA: receive more; PAUSED: a challenge or TLS is due.

        Raises RemoteProtocolError; the connection is then closed.
        """
        parser = self._parser
        if parser.empty or self._holds:
            return self._no_reply()
        try:
            reply = parser.next_reply()
        except RemoteProtocolError:
            self._end()
            raise
        if reply is None:
            return self._no_reply()
        if self._trace is not None:
            trace_reply(self._trace, reply.render(utf8=True))
        self._deadline = None
        in_flight = self._in_flight
        if not in_flight or self._unasked:
            return self._unsolicited(reply)
        command = in_flight[0]
        verb, code = command.verb, reply.code
        if self.lmtp and self._one_of_many(verb, code):
            return ReplyReceived(command, reply)
        if code >= 300 and (verb is not _DATA or code >= 400):
            return self._refused(command, reply) if code >= 400 else self._challenge(command, reply)
        if verb is _DATA and code < 300:
            return self._challenge(command, reply)
        in_flight.popleft()
        self._state = state = AGREED[self._state][verb]
        if not in_flight:
            self._expected_state = state
        answered = _ANSWERED.get(verb)
        found = None if answered is None else answered(self, reply)
        return ReplyReceived(command, reply) if found is None else found

    def _one_of_many(self, verb: Verb, code: int) -> bool:
        """[RFC2033-4.2c] whether it is a reply to the end of data that others will follow."""
        if verb is _MAIL and code < 300:
            self._accepted = 0
        elif verb is _RCPT and code < 300:
            self._accepted += 1
        elif verb is _END_OF_DATA and code != CLOSING and self._state in _HAS_RECIPIENTS:
            self._told += 1
            if self._told < self._accepted:
                return True
            self._told = 0
        return False

    def close(self) -> None:
        """The connection broke: nothing more will be said or heard."""
        self._end()

    def _no_reply(self) -> ClientEvent | Pause:
        if self._state is _CLOSED:
            self._parser.clear()
            return ConnectionClosed()
        if self._challenged or (self._state is _TLS and not self._eof):
            return PAUSED
        if not self._eof:
            return NEED_DATA
        self._end()
        return ConnectionClosed()

    @property
    def deadline(self) -> Deadline | None:
        """How long the reply that is due, or the next block of the message, may take."""
        state = self._state
        if state is _CLOSED:
            return None
        if self._deadline is None:
            if self._in_flight:
                wait, limit = _REPLY_WAITS.get(self._in_flight[0].verb, _ANY_REPLY)
            else:
                wait, limit = _WAITS.get(state, _ANY_REPLY)
            self._deadline = Deadline(wait, limit(self.limits))
        return self._deadline

    def start_tls_done(self, info: TLSInfo) -> None:
        """The handshake ended well: after TlsReady, or before the greeting for implicit TLS."""
        if self._state is State.GREETING and self._parser.empty:
            self.tls = info
            return
        if self._state is not State.TLS:
            raise LocalProtocolError("no TLS handshake is due")
        self._state = self._expected_state = advance(State.TLS, Verb.HANDSHAKE, 220)
        self._holds = False
        # [RFC3207-4.2d] everything learned in clear is forgotten.
        self.tls = info
        self._learn(_NOTHING_OFFERED)
        self.authenticated = False
        if self._trace is not None:
            trace_note(self._trace, f"TLS started: {info.version} {info.cipher}")

    def _learn(self, capabilities: Capabilities) -> None:
        # [RFC5321-4.1.1.3b] from here on only what this reply offers.
        self.capabilities = capabilities
        self.can_pipeline = PIPELINING.keyword in capabilities
        self.can_chunk = CHUNKING.keyword in capabilities
        if self._given is None:
            self.extensions = understood(capabilities)
        self.writable = Writable.of(x for x in self.extensions if x.keyword in capabilities)

    def _end(self) -> None:
        self._state = self._expected_state = State.CLOSED
        self._holds = True
        self._challenged = False

    def _fail(self, message: str) -> NoReturn:
        self._end()
        raise RemoteProtocolError(message)

    def _refused(self, command: Command, reply: Reply) -> ClientEvent:
        self._in_flight.popleft()
        self._state = advance(self._state, command.verb, reply.code)
        if self._state is _CLOSED:
            self._end()
        elif not self._in_flight:
            self._expected_state = self._state
        return AuthFailed(reply) if command.verb is _AUTH else ReplyReceived(command, reply)

    def _greeted(self, reply: Reply) -> ClientEvent:
        if reply.reply_class is ReplyClass.INTERMEDIATE:
            self._fail("a greeting cannot be an intermediate reply")
        self._state = self._expected_state = advance(State.GREETING, Verb.CONNECT, reply.code)
        if self._state is _CLOSED:
            self._end()
        return GreetingReceived(reply)

    def _unsolicited(self, reply: Reply) -> ClientEvent:
        if self._state is _GREETING:
            return self._greeted(reply)
        # A server may give up on a message in the middle. There is no way back in step but to close.
        if reply.code == CLOSING or (self._state is _BODY and reply.code >= 400):
            self._end()
            return Disconnecting(reply)
        self._fail("a reply that answers no command")

    def _challenge(self, command: Command, reply: Reply) -> ClientEvent:
        if command.verb is not _AUTH or reply.code != CHALLENGE:
            self._fail(f"{reply.code} is no reply to {command.verb.value}")
        if len(reply.lines) > 1:
            self._fail("a challenge of several lines")
        self._state = advance(self._state, Verb.AUTH, CHALLENGE)
        self._challenged = self._holds = True
        return AuthChallenge(reply.text.encode("utf-8", "surrogateescape"))

    def _check_leads_to(self, state: State) -> None:
        # The command was on its way when one before it failed. No server may agree to it then, and with one
        # that does there is no way to go on.
        if self._state is not state:
            self._fail("the server agrees to a command that is out of sequence")

    def _ehlo_answered(self, reply: Reply) -> ClientEvent:
        self._learn(Capabilities.from_reply(reply))
        return EhloReceived(self.capabilities, reply)

    def _helo_answered(self, reply: Reply) -> ClientEvent:
        self._learn(Capabilities(reply.lines[0]))
        return EhloReceived(self.capabilities, reply)

    def _xclient_answered(self, _: Reply) -> None:
        # It is another session, in which other things may be on offer.
        self._learn(_NOTHING_OFFERED)
        self.authenticated = False

    def _starttls_answered(self, _: Reply) -> ClientEvent:
        if not self._parser.empty:
            # [SEC-TLS-cli-a] somebody put a reply where only a handshake may follow.
            self._fail("plaintext behind the reply to STARTTLS")
        self._check_leads_to(_TLS)
        self._holds = True
        return TlsReady()

    def _auth_answered(self, reply: Reply) -> ClientEvent:
        self.authenticated = True
        return AuthSucceeded(reply)

    def _quit_answered(self, _: Reply) -> None:
        self._end()

    def _data_answered(self, reply: Reply) -> ClientEvent:
        self._check_leads_to(_BODY)
        self._encoder = DotEncoder(self._newlines, seven_bit=self._is_seven_bit)
        return BodyWanted(reply)


_ANSWERED: Final[dict[Verb, Callable[[ClientConnection, Reply], ClientEvent | None]]] = {
    Verb.EHLO: ClientConnection._ehlo_answered,
    Verb.HELO: ClientConnection._helo_answered,
    Verb.LHLO: ClientConnection._ehlo_answered,
    Verb.STARTTLS: ClientConnection._starttls_answered,
    Verb.XCLIENT: ClientConnection._xclient_answered,
    Verb.AUTH: ClientConnection._auth_answered,
    Verb.DATA: ClientConnection._data_answered,
    Verb.QUIT: ClientConnection._quit_answered,
}
"""What agreement to a verb brings about; its event is a ReplyReceived unless it is one of its own."""
