"""The client role: commands in, octets out, replies back as events.

Commands may be queued before their replies came where PIPELINING allows it; each reply pops the
oldest command, by counting and never by looking at text [RFC2920-3.1c]. What is legal to send is
asked of the session table for the state that would be reached if all that is in flight succeeds.

A 4yz or 5yz is data: it comes as an event. What cannot be a reply, or answers nothing, raises
RemoteProtocolError, and the connection is over.
"""

from __future__ import annotations

from collections import deque
from typing import Final, NoReturn

from ehlo._commands import (
    Auth,
    Command,
    Data,
    Ehlo,
    EndOfData,
    Helo,
    Mail,
    Quit,
    StartTls,
    Verb,
    render_command,
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
from ehlo._state import ALLOWED, State, advance
from ehlo._transcript import Trace, trace_auth_line, trace_command, trace_note, trace_reply
from ehlo.extensions import AUTH, PIPELINING, STANDARD, STARTTLS, Body, Capabilities, Extension
from ehlo.wire import base64
from ehlo.wire.buffer import ReceiveBuffer
from ehlo.wire.codes import CLOSING, ReplyClass
from ehlo.wire.dot import DotEncoder, Newlines
from ehlo.wire.reply import CHALLENGE, Reply, ReplyParser

# [RFC2920-3.1b] these may stand anywhere in a group; all others end one.
_MAY_BE_FOLLOWED: Final = frozenset({Verb.MAIL, Verb.RCPT, Verb.RSET, Verb.END_OF_DATA})
# What is expected of each verb when the next command is judged before the reply came.
_EXPECTED: Final = {Verb.DATA: 354}
# [RFC4954-4i] AUTH with its initial response is a command line like any other.
_COMMAND_LINE: Final = 512

_NOTHING_OFFERED: Final = Capabilities()


class ClientConnection:
    """One connection in the client role."""

    def __init__(
        self,
        *,
        limits: Limits | None = None,
        extensions: tuple[Extension, ...] = STANDARD,
        newlines: Newlines = Newlines.NORMALISE,
        trace: Trace | None = None,
    ) -> None:
        self.limits = limits if limits is not None else Limits()
        self.extensions = extensions
        self._offered: tuple[Extension, ...] = ()
        self._newlines = newlines
        self._trace = trace
        self._buffer = ReceiveBuffer()
        self._parser = ReplyParser(self.limits)
        self._out: list[bytes] = []
        self._in_flight: deque[Command] = deque()
        self._state = State.GREETING
        self._expected_state = State.GREETING
        self._challenged = False
        self._unasked = False
        self._eof = False
        self._deadline: Deadline | None = None
        self._encoder = DotEncoder(newlines)
        self._declared_8bit = False
        self.capabilities = _NOTHING_OFFERED
        """What the last EHLO reply offered; nothing after HELO and after a TLS handshake."""
        self.tls: TLSInfo | None = None
        """The TLS in use, or None."""
        self.authenticated = False
        """AUTH succeeded on this connection."""

    @property
    def state(self) -> State:
        """Where the session stands by the replies that came."""
        return self._state

    @property
    def in_flight(self) -> int:
        """How many commands wait for their reply."""
        return len(self._in_flight)

    @property
    def can_pipeline(self) -> bool:
        return PIPELINING.keyword in self.capabilities

    # ---- out ----

    def send(self, command: Command) -> None:
        """Queue a command. Raises LocalProtocolError, and nothing of it is sent, when it may not
        come now, has no place in a line, or uses what the server does not offer."""
        verb = command.verb
        if verb not in ALLOWED[self._expected_state]:
            raise LocalProtocolError(f"{verb.value} may not be sent in state {self._expected_state.value}")
        self._check_group(verb)
        match command:
            case Auth():
                self._check_auth()
            case StartTls():
                self._check_starttls()
            case _:
                pass
        line = render_command(command, self._offered)
        if isinstance(command, Auth) and command.initial and len(line) > _COMMAND_LINE:
            raise LocalProtocolError("the initial response does not fit in a command line")
        if isinstance(command, Mail):
            self._declared_8bit = command.parameters.get(Body) is Body.EIGHT_BIT_MIME
        if self._trace is not None:
            trace_command(self._trace, line[:-2])
        self._queue(command, line)

    def _queue(self, command: Command, octets: bytes) -> None:
        self._check_unasked()
        self._out.append(octets)
        self._in_flight.append(command)
        verb = command.verb
        self._expected_state = advance(self._expected_state, verb, _EXPECTED.get(verb, 250))
        if len(self._in_flight) == 1:
            self._deadline = None

    def _check_unasked(self) -> None:
        # What is there before anything was asked answers nothing, and must not pass for the reply to
        # what is sent now.
        if (not self._in_flight or self._challenged) and (len(self._buffer) or self._parser.in_reply):
            self._unasked = True

    def _check_group(self, verb: Verb) -> None:
        if not self._in_flight:
            return
        # [RFC2920-3.1a] only what the current EHLO reply offers.
        if not self.can_pipeline:
            raise LocalProtocolError("a reply is outstanding and the server does not offer PIPELINING")
        if self._in_flight[-1].verb not in _MAY_BE_FOLLOWED:
            raise LocalProtocolError(f"{verb.value} may not follow a command that ends a group")

    def _check_auth(self) -> None:
        if self.authenticated:
            # [RFC4954-4b]
            raise LocalProtocolError("the session is authenticated already")
        if AUTH.keyword not in self.capabilities:
            raise LocalProtocolError("the server does not offer AUTH")

    def _check_starttls(self) -> None:
        # [RFC3207-4.2g]
        if self.tls is not None or STARTTLS.keyword not in self.capabilities:
            raise LocalProtocolError("TLS is active already, or the server does not offer STARTTLS")

    def auth_respond(self, data: bytes) -> None:
        """Answer the last AuthChallenge; no octets are an empty line."""
        line = base64.encode(data)
        if len(line) + 2 > self.limits.auth_line:
            raise LocalProtocolError("the response does not fit in an authentication line")
        self._auth_line(line)

    def auth_cancel(self) -> None:
        """Give the exchange up: the server answers 501."""
        self._auth_line(b"*")

    def _auth_line(self, line: bytes) -> None:
        if not self._challenged:
            raise LocalProtocolError("there is no challenge to answer")
        self._check_unasked()
        self._challenged = False
        self._deadline = None
        if self._trace is not None:
            trace_auth_line(self._trace, line)
        self._out.append(line + b"\r\n")

    def send_body(self, data: bytes) -> None:
        """The next piece of the message after BodyWanted, any size; dots are stuffed here.

        Raises LocalProtocolError for a bare CR or LF when `newlines` says so, and for octets over
        127 in a message that was not declared 8BITMIME [RFC5321-2.4d].
        """
        if self._state is not State.BODY or self._in_flight:
            raise LocalProtocolError("the server does not wait for a message")
        encoder = self._encoder
        octets = encoder.encode(data)
        if encoder.eight_bit and not self._declared_8bit:
            raise LocalProtocolError("the message has octets over 127 and was not declared 8BITMIME")
        self._deadline = None
        if octets:
            self._out.append(octets)

    def end_body(self) -> None:
        """The message is complete: CRLF.CRLF."""
        if self._state is not State.BODY or self._in_flight:
            raise LocalProtocolError("the server does not wait for a message")
        self._queue(EndOfData(), self._encoder.finish())
        if self._trace is not None:
            trace_note(self._trace, f"message data, {self._encoder.size} octets")

    def data_to_send(self) -> bytes:
        """The queued octets, in order; they are the caller's now."""
        data = b"".join(self._out)
        self._out.clear()
        return data

    # ---- in ----

    def receive_data(self, data: bytes) -> None:
        """Store octets; b"" says that the server will send no more."""
        if self._state is State.CLOSED:
            # [SEC-INJ-both-c] reported once, and nothing behind it is looked at.
            return
        if not data:
            self._eof = True
        elif self._state is State.TLS:
            self._fail("plaintext where the TLS handshake belongs")
        else:
            self._buffer.feed(data)

    def next_event(self) -> ClientEvent | Pause:
        """The next event; NEED_DATA: receive more; PAUSED: a challenge or TLS is due.

        Raises RemoteProtocolError; the connection is then closed.
        """
        if self._state is State.CLOSED:
            self._buffer.clear()
            return ConnectionClosed()
        if self._challenged or (self._state is State.TLS and not self._eof):
            return PAUSED
        try:
            reply = self._parser.next_reply(self._buffer)
        except RemoteProtocolError:
            self._end()
            raise
        if reply is not None:
            if self._trace is not None:
                trace_reply(self._trace, reply.render(utf8=True))
            self._deadline = None
            return self._take_reply(reply)
        if not self._eof:
            return NEED_DATA
        self._end()
        return ConnectionClosed()

    @property
    def deadline(self) -> Deadline | None:
        """How long the reply that is due, or the next block of the message, may take."""
        if self._state is State.CLOSED:
            return None
        if self._deadline is None:
            limits = self.limits
            match self._in_flight[0] if self._in_flight else None:
                case None if self._state is State.GREETING:
                    self._deadline = Deadline(Wait.GREETING, limits.greeting_timeout)
                case None if self._state is State.BODY:
                    self._deadline = Deadline(Wait.BLOCK, limits.block_timeout)
                case None if self._state is State.TLS:
                    self._deadline = Deadline(Wait.HANDSHAKE, limits.tls_timeout)
                case Data():
                    self._deadline = Deadline(Wait.DATA_START, limits.data_timeout)
                case EndOfData():
                    self._deadline = Deadline(Wait.FINAL_REPLY, limits.final_timeout)
                case Quit():
                    self._deadline = Deadline(Wait.QUIT, limits.quit_timeout)
                case _:
                    self._deadline = Deadline(Wait.REPLY, limits.command_timeout)
        return self._deadline

    def start_tls_done(self, info: TLSInfo) -> None:
        """The handshake ended well: after TlsReady, or before the greeting for implicit TLS."""
        if self._state is State.GREETING and not len(self._buffer):
            self.tls = info
            return
        if self._state is not State.TLS:
            raise LocalProtocolError("no TLS handshake is due")
        self._state = self._expected_state = advance(State.TLS, Verb.HANDSHAKE, 220)
        # [RFC3207-4.2d] everything learned in clear is forgotten.
        self.tls = info
        self._forget()
        if self._trace is not None:
            trace_note(self._trace, f"TLS started: {info.version} {info.cipher}")

    def _forget(self) -> None:
        self.capabilities = _NOTHING_OFFERED
        self._offered = ()
        self.authenticated = False

    def _end(self) -> None:
        self._state = self._expected_state = State.CLOSED

    def _fail(self, message: str) -> NoReturn:
        self._end()
        raise RemoteProtocolError(message)

    def _take_reply(self, reply: Reply) -> ClientEvent:
        if self._state is State.GREETING:
            if reply.reply_class is ReplyClass.INTERMEDIATE:
                self._fail("a greeting cannot be an intermediate reply")
            self._state = self._expected_state = advance(State.GREETING, Verb.CONNECT, reply.code)
            return GreetingReceived(reply)
        if not self._in_flight or self._unasked:
            return self._unsolicited(reply)
        command = self._in_flight[0]
        if reply.code == CHALLENGE and isinstance(command, Auth):
            return self._challenge(reply)
        wanted = ReplyClass.INTERMEDIATE if isinstance(command, Data) else ReplyClass.SUCCESS
        if reply.code < 400 and reply.reply_class is not wanted:
            self._fail(f"{reply.code} is no reply to {command.verb.value}")
        self._in_flight.popleft()
        self._state = advance(self._state, command.verb, reply.code)
        event = self._answered(command, reply)
        if not self._in_flight or self._state is State.CLOSED:
            self._expected_state = self._state
        return event

    def _unsolicited(self, reply: Reply) -> ClientEvent:
        # A server may give up on a message in the middle. There is no way back in step but to close.
        if reply.code == CLOSING or (self._state is State.BODY and reply.code >= 400):
            self._end()
            return Disconnecting(reply)
        self._fail("a reply that answers no command")

    def _challenge(self, reply: Reply) -> ClientEvent:
        if len(reply.lines) > 1:
            self._fail("a challenge of several lines")
        self._state = advance(self._state, Verb.AUTH, CHALLENGE)
        self._challenged = True
        return AuthChallenge(reply.text.encode("utf-8", "surrogateescape"))

    def _answered(self, command: Command, reply: Reply) -> ClientEvent:
        if not reply.is_success and reply.code >= 400:
            return AuthFailed(reply) if isinstance(command, Auth) else ReplyReceived(command, reply)
        match command:
            case Ehlo():
                self.capabilities = Capabilities.from_reply(reply)
                # [RFC5321-4.1.1.3b] from here on only what this reply offers.
                self._offered = tuple(x for x in self.extensions if x.keyword in self.capabilities)
                return EhloReceived(self.capabilities, reply)
            case Helo():
                self._offered = ()
                self.capabilities = Capabilities(reply.lines[0])
                return EhloReceived(self.capabilities, reply)
            case StartTls():
                if len(self._buffer):
                    # [SEC-TLS-cli-a] somebody put a reply where only a handshake may follow.
                    self._fail("plaintext behind the reply to STARTTLS")
                return TlsReady()
            case Auth():
                self.authenticated = True
                return AuthSucceeded(reply)
            case Data():
                self._encoder = DotEncoder(self._newlines)
                return BodyWanted(reply)
            case _:
                return ReplyReceived(command, reply)
