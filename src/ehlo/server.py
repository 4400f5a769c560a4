"""The server role: octets in, events out, replies back.

The connection answers by itself what is wrong in syntax, order or size; the application decides
the rest. While a decision is due `next_event` gives PAUSED and later commands wait in the buffer,
so that replies can never leave out of order [RFC2920-3.2h].

Order of the checks on a command: length, verb, TLS, sequence, authentication, syntax, parameters,
policy, application.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from ehlo import _replies as replies
from ehlo._commands import Verb
from ehlo._effects import EFFECTS
from ehlo._errors import LocalProtocolError, RemoteProtocolError
from ehlo._events import (
    PAUSED,
    Authenticated,
    AuthNeed,
    ConnectionClosed,
    ConnectionOpened,
    ExpnReceived,
    MailReceived,
    Pause,
    RcptReceived,
    ServerEvent,
    TLSInfo,
    VrfyReceived,
    XClientReceived,
)
from ehlo._exchange import AuthDialogue, Turn
from ehlo._intake import INTAKE, Plain, plain_command, take_plain
from ehlo._order import bad_line, out_of_order, settled, unknown_command
from ehlo._patience import IDLE
from ehlo._server_config import Offer, ServerConfig
from ehlo._state import ALLOWED, State, advance
from ehlo._taker import Taker
from ehlo._transcript import Trace, trace_auth_line, trace_command, trace_note
from ehlo.extensions import SmtpUtf8
from ehlo.sasl import NO_CONTEXT, Identity, ServerContext, proved
from ehlo.wire.address import AddressError, Mailbox, render_path
from ehlo.wire.buffer import LineTooLong
from ehlo.wire.codes import ReplyClass
from ehlo.wire.command import has_control, split_line
from ehlo.wire.lines import INCOMPLETE, Framing, LineReader
from ehlo.wire.reply import Reply

# Looking a member up in its enum costs three times as much as a name.
_GREETING, _AUTH, _TLS = State.GREETING, State.AUTH, State.TLS
_READY, _BODY, _CLOSED = State.READY, State.BODY, State.CLOSED
_PIECE: Final = 65536  # What stands behind a body in a large feed is not copied whole each time.
_AUTH_VERB, _STARTTLS, _END_OF_DATA = Verb.AUTH, Verb.STARTTLS, Verb.END_OF_DATA
_BDAT, _BURL, _XCLIENT = Verb.BDAT, Verb.BURL, Verb.XCLIENT
_SUCCESS: Final = ReplyClass.SUCCESS
_PIECES: Final = frozenset({_BDAT, _BURL})


class ServerConnection(Taker):
    """One connection in the server role.

    `identity` is asserted from outside: by the network, a client certificate [RFC4409-3.3a]. It holds
    through STARTTLS, for the client did not say it, and leaves AUTH open. With `xclient` the client is
    believed whatever it says by XCLIENT (Postfix): who it speaks for, until that one says EHLO.
    """

    __slots__ = (
        "_auth",
        "_lines",
        "_settled",
    )

    def __init__(
        self,
        config: ServerConfig,
        *,
        identity: Identity | None = None,
        xclient: bool = False,
        trace: Trace | None = None,
    ) -> None:
        super().__init__(config, identity, trace, xclient)
        # Made when they are needed: most connections never do.
        self._lines: LineReader | None = None
        self._auth: AuthDialogue | None = None
        self._settled = settled(self)

    @property
    def context(self) -> ServerContext:
        """The TLS in use, as far as mechanisms may know it."""
        tls = self.tls
        if tls is None:
            return NO_CONTEXT
        certified = tls.verified and tls.peer_certificate is not None
        return ServerContext(tls=True, channel_bindings=tls.channel_bindings, certified=certified)

    @property
    def mechanism(self) -> str | None:
        """What the last AUTH was for; None where there was none yet, and for a name that is no mechanism of
        this server."""
        name = None if self._auth is None else self._auth.name
        return name if name in self.config.mechanisms else None

    @property
    def refusal(self) -> str | None:
        """Why the last AUTH was refused, if its mechanism refused it: for the application only."""
        return None if self._auth is None else self._auth.reason

    @property
    def on_offer(self) -> Offer:
        """What the reply to EHLO would offer now."""
        xclient = self.may_xclient and self.xclient is None
        return self.config.offer(self.context, authenticated=proved(self.identity), xclient=xclient)

    def receive_data(self, data: bytes) -> None:
        """Store octets; b"" says that the peer will send no more.

        Raises RemoteProtocolError for plaintext between the 220 to STARTTLS and the handshake.
        """
        state = self._state
        if state is _CLOSED:
            # [SEC-INJ-both-c] nothing behind QUIT or a fatal error is looked at.
            return
        if not data:
            self._eof = True
        elif self._eof:
            raise LocalProtocolError("octets after the end of the stream")
        elif state is _TLS:
            self._die()
            raise RemoteProtocolError("plaintext where the TLS handshake belongs")
        else:
            self._buffer.feed(data)

    def next_event(self) -> ServerEvent | Pause:
        """The next event; NEED_DATA: receive more; PAUSED: a decision or TLS is due.

        Raises RemoteProtocolError, whose `reply_hint` may be sent before closing.
        """
        while True:
            if self._events:
                return self._events.pop(0)
            if self._undecided is not None:
                return PAUSED
            event = _READERS[self._state](self)
            if event is not None:
                return event

    def accept(self) -> None:
        """Decide the last event with the default success reply."""
        event, verb, reply = self._undecided, self._verb, self._default
        if event is None or self._events or verb is _AUTH_VERB:
            raise LocalProtocolError("no decision is due")
        accepted = reply.code < 400
        if accepted and verb is _STARTTLS:
            self._check_behind_tls()
        self._undecided = None
        if verb in _PIECES:
            if verb is _BURL:
                self._decide_burl(reply)
            else:
                # [RFC3030-2h] no reply before its octets were read.
                self._take_chunks(None if accepted else reply)
            return
        if verb is _END_OF_DATA:
            self._repeat(reply)
        self._answer(verb, reply)
        if accepted and (effect := EFFECTS.get(verb)) is not None:
            effect(self, event)

    def accept_as(self, path: Mailbox) -> None:
        """Decide the last MailReceived or RcptReceived: it is accepted, and the envelope has this path.

        Raises LocalProtocolError for a path that could not stand in this envelope [RFC4409-8.7a].
        """
        event = self._undecided
        if not isinstance(event, MailReceived | RcptReceived):
            raise LocalProtocolError("only the path of MAIL or RCPT can be replaced")
        mail = isinstance(event, MailReceived)
        utf8 = event.parameters.get(SmtpUtf8) is not None if mail else self.transaction.utf8
        try:
            render_path(path, utf8=utf8)
        except AddressError as error:
            raise LocalProtocolError(f"the other path: {error}") from None
        self.accept()
        self.transaction.replace(path)

    def reject(self, reply: Reply) -> None:
        """Decide the last event with a 4yz or 5yz reply."""
        if reply.code < 400:
            raise LocalProtocolError("a rejection has a 4yz or 5yz reply")
        self.reply(reply)

    def reply(self, reply: Reply) -> None:
        """Decide the last event. Raises LocalProtocolError for a class the command cannot have, and
        RemoteProtocolError, as `next_event` does, for plaintext that came behind STARTTLS."""
        default, verb = self._default, self._verb
        try:
            if reply is not default and self._undecided is not None and verb is not _AUTH_VERB:
                if not reply.text.isascii():
                    reply = self._readable(reply)
                if reply.code >= 400:
                    reply = self.patience.rejected(reply)
                elif reply.reply_class is not (_SUCCESS if verb is Verb.EXPN else default.reply_class):
                    # By default EXPN is refused; a list is the application's to show.
                    raise LocalProtocolError(f"{reply.code} is no reply to {verb.value}")
                self._default = replies.with_enhanced(verb, reply)
            self.accept()
        finally:
            self._in_utf8 = False

    def _readable(self, reply: Reply) -> Reply:
        """A reply that is not ASCII, or what is said to a client that did not allow it [RFC6531-3.7.4.2b]."""
        match self._undecided:
            case VrfyReceived(utf8=allowed) | ExpnReceived(utf8=allowed):
                self._in_utf8 = allowed
            case RcptReceived():
                self._in_utf8 = self.transaction.utf8 and reply.code in replies.WITH_MAILBOX
            case _:
                return reply
        return reply if self._in_utf8 else replies.without_mailbox(self._verb, reply)

    def reply_each(self, each: Sequence[Reply]) -> None:
        """Decide the last MessageReceived in LMTP: a reply for each recipient, in their order
        [RFC2033-4.2b]. Raises LocalProtocolError for another number of them, and where there is but one."""
        if self._verb is not _END_OF_DATA or self._undecided is None or self._events:
            raise LocalProtocolError("no decision on a message is due")
        if not self.config.lmtp or len(each) != self.transaction.accepted:
            raise LocalProtocolError("a reply for each recipient is for LMTP, and there is one for each")
        if any(reply.reply_class is ReplyClass.INTERMEDIATE for reply in each):
            raise LocalProtocolError("an intermediate reply is no outcome")
        for reply in each[:-1]:
            self._say_also(replies.with_enhanced(_END_OF_DATA, reply))
        self._undecided = None
        self._answer(_END_OF_DATA, replies.with_enhanced(_END_OF_DATA, each[-1]))
        if any(reply.code < 400 for reply in each):
            self.patience.renew()

    def auth_answer(self, value: object) -> None:
        """The answer to the need of the last AuthNeed.

        Raises LocalProtocolError for a value that cannot be one; the client then gets 454.
        """
        self._close_need()
        assert self._auth is not None, "a need follows AUTH"
        try:
            turn = self._auth.answer(value)
        except LocalProtocolError:
            self._refuse(Verb.AUTH, replies.AUTH_TEMPORARY)
            raise
        following = self._auth_turn(turn)
        if following is not None:
            self._emit(following)

    def auth_refuse(self, reply: Reply = replies.AUTH_TEMPORARY) -> None:
        """End the exchange instead of answering: by default 454, the back end is down."""
        if reply.code < 400:
            raise LocalProtocolError("a refusal has a 4yz or 5yz reply")
        self._close_need()
        self._refuse(Verb.AUTH, reply)

    def _close_need(self) -> None:
        if not isinstance(self._undecided, AuthNeed) or self._events:
            raise LocalProtocolError("no authentication need is open")
        self._undecided = None

    def start_tls_done(self, info: TLSInfo, *, accept: bool = True) -> None:
        """The handshake ended well: after STARTTLS, or before the greeting for implicit TLS.

        With `accept=False` the TLS is judged too weak: all but QUIT is 554 [RFC3207-4.1c].
        """
        implicit = self._state is _GREETING and self._undecided is None and self._buffer.empty
        if not implicit and self._state is not _TLS:
            raise LocalProtocolError("no TLS handshake is due")
        self._begin_anew(info)
        self.tls_refused = not accept
        if not implicit:
            self._state = advance(_TLS, Verb.HANDSHAKE, 220 if accept else 454)
        elif not accept:
            # The greeting is the reply to the connection: it is refused.
            self._send(Verb.CONNECT, replies.TLS_TOO_WEAK)
        self._settled = settled(self)
        self._wait = None
        if self._trace is not None:
            trace_note(self._trace, f"TLS started: {info.version} {info.cipher}")

    def _check_behind_tls(self) -> None:
        if not self._buffer.empty:
            # [SEC-TLS-srv-a] somebody put plaintext where only a handshake may follow.
            self._die()
            raise RemoteProtocolError("plaintext behind STARTTLS", replies.PLAINTEXT_BEHIND_TLS)

    # ---- reading: one method for each kind of state, None means: look again ----

    def _read_greeting(self) -> ServerEvent:
        return self._ask(Verb.CONNECT, ConnectionOpened(), self.config.greeting_reply)

    def _read_tls(self) -> ServerEvent | Pause | None:
        return self._end_of_input() if self._eof else PAUSED

    def _read_command(self) -> ServerEvent | Pause | None:
        if self._chunk is not None:
            return self._read_chunk(self._chunk)
        if self._lines is not None and self._lines.busy:
            return self._no_line(self._lines.go_on())
        config, buffer = self.config, self._buffer
        if buffer.fresh is not None and self._trace is None:
            event = self._read_plain(config.remembered.get(buffer.fresh))
            if event is not None:
                buffer.clear()
                return event
        elif buffer.empty:
            return self._end_of_input()
        try:
            line = buffer.take_line(config.line_limit)
        except LineTooLong:
            if buffer.begins(b"BDAT") or buffer.begins(b"BURL"):
                self._refuse_line(b"BDAT", replies.BAD_CHUNK)
                return None
            return self._no_line(self._line_reader().overlong())
        if line is None:
            return self._end_of_input()
        if self._trace is not None:
            trace_command(self._trace, line)
        return self._read_plain(plain_command(config, line)) or self._read_line(line)

    def _read_line(self, line: bytes) -> ServerEvent | None:
        self._wait = None
        if has_control(line):
            # [SEC-SMUG-in-e] refused whole: half of it must not become a command of its own.
            self._refuse_line(line, bad_line(self.config.policy, line))
            return None
        word, argument = split_line(line)
        verb = self.config.verbs.get(word)
        if verb is not Verb.AUTH and len(line) + 2 > self.config.command_limit:
            self._refuse_line(line, replies.LINE_TOO_LONG)
        elif verb is None or (verb is _XCLIENT and not self.may_xclient):
            self._refuse(Verb.NONE, unknown_command(self, word))
        elif verb in _PIECES:
            return self._burl_line(argument) if verb is _BURL else self._chunk_line(argument)
        elif self._settled and verb is not Verb.AUTH and verb in ALLOWED[self._state]:
            return self._command(verb, argument)
        elif (refusal := out_of_order(self, verb)) is not None:
            if verb is Verb.AUTH and self._auth is not None:
                self._auth.name, self._auth.reason = "", None
            self._refuse(verb, refusal)
        elif verb is Verb.AUTH:
            if self._auth is None:
                self._auth = AuthDialogue(self.config)
            return self._auth_turn(self._auth.command(argument, self.context))
        else:
            return self._command(verb, argument)
        return None

    def _read_plain(self, plain: Plain | None) -> ServerEvent | None:
        """The event of a command that is one of the few usual ones, in sequence and within limits."""
        if plain is None or not self._settled:
            return None
        verb, event, default = plain
        if verb not in ALLOWED[self._state]:
            return None
        found = take_plain(self, verb, event)
        if found is not None:
            self._wait = None
            self._verb, self._undecided, self._default = verb, found, default
        return found

    def _command(self, verb: Verb, argument: bytes) -> ServerEvent | None:
        if verb in IDLE and self.patience.idled():
            self._send(verb, replies.TOO_MANY_COMMANDS)
            return None
        if verb is Verb.RCPT:
            self.transaction.rcpt_seen = True
        intake = self._over(verb) or INTAKE[verb](self, argument)
        if isinstance(intake, tuple):
            if verb is Verb.STARTTLS:
                self._check_behind_tls()
            self._verb = verb
            self._undecided, self._default = intake
            if isinstance(self._undecided, XClientReceived):
                # Who decides shall see what he decides about; a refusal ends the session.
                self._speak_for(self._undecided.attributes)
                self._settled = settled(self)
            return self._undecided
        if intake.code < 400:
            self._send(verb, intake)
        else:
            self._refuse(verb, intake)
        return None

    def _over(self, verb: Verb) -> Reply | None:
        if verb is Verb.RCPT:
            return self.patience.addressed()
        return self.patience.mailed() if verb is Verb.MAIL else None

    def _no_line(self, framing: Framing) -> ServerEvent | Pause | None:
        if framing is INCOMPLETE:
            return self._end_of_input()
        in_auth = self._state is _AUTH
        if framing is Framing.RUNAWAY:
            refusal = replies.TOO_MANY_ERRORS
        else:
            # [RFC4954-4p] inside AUTH the exchange is over.
            refusal = replies.AUTH_LINE_TOO_LONG if in_auth else replies.LINE_TOO_LONG
        self._refuse(_AUTH_VERB if in_auth else Verb.NONE, refusal)
        return None

    def _line_reader(self) -> LineReader:
        if self._lines is None:
            self._lines = LineReader(self._buffer, self.config.limits.overlong_line)
        return self._lines

    def _read_auth_line(self) -> ServerEvent | Pause | None:
        line = self._line_reader().next_line(self.config.limits.auth_line)
        if isinstance(line, Framing):
            return self._no_line(line)
        if self._trace is not None:
            trace_auth_line(self._trace, line)
        self._wait = None
        assert self._auth is not None, "a line follows AUTH"
        return self._auth_turn(self._auth.line(line))

    def _auth_turn(self, turn: Turn) -> ServerEvent | None:
        reply, event = turn
        if isinstance(event, Authenticated):
            self._prove(event.identity)
            self._settled = settled(self)
        if reply is None:
            assert event is not None, "a turn without a reply is a need"
            return self._ask(Verb.AUTH, event, replies.AUTH_OK)
        if event is None and reply.code >= 400:
            self._refuse(Verb.AUTH, reply)
        else:
            self._send(Verb.AUTH, reply)
        return event


_Reader = Callable[[ServerConnection], ServerEvent | Pause | None]

_READERS: Final[dict[State, _Reader]] = {
    **dict.fromkeys(State, ServerConnection._read_command),
    _GREETING: ServerConnection._read_greeting,
    _AUTH: ServerConnection._read_auth_line,
    _TLS: ServerConnection._read_tls,
    _BODY: ServerConnection._read_body,
    _CLOSED: lambda _: ConnectionClosed(),
}
