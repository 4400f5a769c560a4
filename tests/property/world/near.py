"""The client's side: an application that sends what it likes, and knows what it was told."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

import attrs
from tests.helpers.driver import PASSWORD, USER
from tests.helpers.sasl import client_context
from tests.property.world.drafts import Draft, Fate
from tests.property.world.frozen import frozen_client
from tests.property.world.table import COMMANDS, LEGAL, Coverage, Fold, agreed

from ehlo import (
    Auth,
    AuthChallenge,
    AuthFailed,
    AuthSucceeded,
    Bdat,
    Body,
    BodyWanted,
    Burl,
    ClientConnection,
    ClientEvent,
    Command,
    ConnectionClosed,
    Data,
    Disconnecting,
    Ehlo,
    EhloReceived,
    EndOfData,
    EnvId,
    Expn,
    GreetingReceived,
    Helo,
    Help,
    Lhlo,
    LocalProtocolError,
    Mail,
    Mailbox,
    Noop,
    Password,
    Pause,
    Quit,
    Rcpt,
    Reply,
    ReplyReceived,
    Rset,
    Size,
    SmtpUtf8,
    StartTls,
    State,
    TlsReady,
    Verb,
    Vrfy,
    XClient,
    XClientCommand,
)
from ehlo.extensions import AUTH, NO_PARAMETERS, Parameters
from ehlo.sasl import ClientMechanism, MechanismError, make_client

PIECES = (
    *(b".", b"\r", b"\n", b"\r\n", b"a", b"..", b"\r\n.", b"\0", b"\r\n.\r\n", b"QUIT\r\n", b"\xff", b""),
    *(b".\r\n", b"x" * 120),
)
FETCHED = b"what was\nat the URL.\r\n"
URL = "imap://mail.example/x;urlauth=submit+alice:internal:0"
TERMS: tuple[Parameters, ...] = (
    NO_PARAMETERS,
    Parameters([Body.EIGHT_BIT_MIME]),
    Parameters([Body.BINARY_MIME]),
    Parameters([Size(9)]),
    Parameters([Size(999_999)]),
    Parameters([SmtpUtf8()]),
    Parameters([EnvId("q")]),
    Parameters([Body.EIGHT_BIT_MIME, SmtpUtf8()]),
)
RECIPIENTS = tuple(Mailbox(f"r{number}", "y.org") for number in range(5))
UTF8_RECIPIENT = Mailbox("\u00fc", "y.org")
MAX_IN_FLIGHT = 40


@attrs.define
class Sent:
    """A command that left, and the message that it is about."""

    command: Command
    draft: Draft | None
    replies: list[Reply] = attrs.Factory(list)


@attrs.define
class Attempt:
    """An exchange of AUTH."""

    mechanism: ClientMechanism
    first: bytes | None
    honest: bool
    """The right password, and nothing but what the mechanism says."""


_FIXED: dict[Verb, Callable[[int], Command]] = {
    Verb.EHLO: lambda _: Ehlo("client.example"),
    Verb.HELO: lambda _: Helo("client.example"),
    Verb.LHLO: lambda _: Lhlo("client.example"),
    Verb.STARTTLS: lambda _: StartTls(),
    Verb.RCPT: lambda pick: Rcpt(UTF8_RECIPIENT if pick % 7 == 6 else RECIPIENTS[pick % 5]),
    Verb.DATA: lambda _: Data(),
    Verb.BDAT: Bdat,
    Verb.END_OF_DATA: lambda pick: (EndOfData(), Bdat(pick, True), Burl(URL, last=True))[pick % 3],
    Verb.BURL: lambda _: Burl(URL),
    Verb.XCLIENT: lambda _: XClientCommand(XClient(login=USER)),
    Verb.RSET: lambda _: Rset(),
    Verb.NOOP: lambda _: Noop(),
    Verb.VRFY: lambda pick: Vrfy("somebody", utf8=pick % 3 == 2),
    Verb.EXPN: lambda pick: Expn("\u00fcbung" if pick % 4 == 3 else "list", utf8=pick % 3 == 2),
    Verb.HELP: lambda _: Help(),
    Verb.QUIT: lambda _: Quit(),
}


class Near:
    """A ClientConnection, its application, and what both were told."""

    def __init__(
        self, coverage: Coverage, numbers: Callable[[], int], *, lmtp: bool = False, strict: bool = True
    ) -> None:
        self.conn = ClientConnection(lmtp=lmtp)
        self.coverage = coverage
        self.fold = Fold(coverage, lmtp, strict)
        self.sent: list[Sent] = []
        """All commands of this connection."""
        self.waiting: deque[Sent] = deque()
        self.drafts: list[Draft] = []
        self.replies: list[Reply] = []
        """All that came, greeting and challenges included, in the order of their events."""
        self.events: list[ClientEvent] = []
        self.challenge: bytes | None = None
        self._numbers = numbers
        self.attempt: Attempt | None = None
        self._hoped = State.GREETING

    # ---- speaking ----

    @property
    def draft(self) -> Draft | None:
        return self.drafts[-1] if self.drafts else None

    @property
    def expected(self) -> State:
        """The state if all that is on its way succeeds, as it was hoped when the last of it left."""
        if self.conn.state is State.CLOSED:
            return State.CLOSED
        return self._hoped if self.waiting else self.fold.state

    def _try(self, verb: Verb | None, speak: Callable[[], None]) -> bool:
        """Whether it could be said. What may not come leaves everything as it was."""
        expected, before = self.expected, frozen_client(self.conn)
        try:
            speak()
        except LocalProtocolError:
            assert frozen_client(self.conn) == before
            if verb is not None and (expected, verb) not in LEGAL:
                self.coverage.barred.add((expected, verb))
            if verb not in (None, Verb.AUTH) and self.challenge is not None:
                # Inside an exchange there is no command at all.
                self.coverage.barred.add((State.AUTH, verb))
            return False
        assert verb is None or (expected, verb) in LEGAL, (expected, verb)
        return True

    def _note(self, command: Command) -> None:
        self._hoped = agreed(self.expected, command.verb)
        sent = Sent(command, self.draft)
        self.sent.append(sent)
        self.waiting.append(sent)

    def _command(self, verb: Verb, pick: int) -> Command:
        if verb is Verb.MAIL:
            terms = TERMS[pick % len(TERMS)]
            local = "\u00e9" if pick % 5 == 4 else "m"
            return Mail(Mailbox(f"{local}{self._numbers()}", "x.org"), terms)
        return _FIXED[verb](pick)

    def _auth(self, pick: int) -> Attempt:
        offered = self.conn.capabilities.offer(AUTH) or ("PLAIN",)
        name = offered[pick % len(offered)]
        honest = pick % 5 != 4
        secret = Password(USER, PASSWORD if honest else "not the password")
        mechanism = make_client(name, secret, client_context(offered=tuple(offered)))
        return Attempt(mechanism, mechanism.initial(), honest)

    def say(self, number: int, pick: int) -> bool:
        verb = COMMANDS[number % len(COMMANDS)]
        if len(self.waiting) >= MAX_IN_FLIGHT:
            return False
        attempt = self._auth(pick) if verb is Verb.AUTH else None
        if attempt is None:
            command = self._command(verb, pick)
        else:
            # The initial response may be told later, as the answer to the first challenge.
            command = Auth(attempt.mechanism.name, None if pick % 3 == 2 else attempt.first)
        if not self._try(verb, lambda: self.conn.send(command)):
            return False
        self.attempt = attempt or self.attempt
        if isinstance(command, Mail):
            assert command.reverse_path is not None
            binary = command.parameters.get(Body) is Body.BINARY_MIME
            self.drafts.append(Draft(command.reverse_path, binary))
        self._note(command)
        if isinstance(command, Burl):
            assert self.draft is not None
            self.draft.fetch(FETCHED)
            if command.last:
                self.draft.fate = Fate.UNKNOWN
        return True

    def write(self, pick: int) -> bool:
        """A piece of the message behind DATA."""
        data = PIECES[pick % len(PIECES)]
        if not self._try(None, lambda: self.conn.send_body(data)):
            assert self.conn.state is not State.BODY or self.waiting or data == b"\xff"
            return False
        assert self.conn.state is self.fold.state is State.BODY
        assert self.draft is not None
        self.draft.write(data)
        return True

    def end(self) -> bool:
        if not self._try(None, self.conn.end_body):
            assert self.conn.state is not State.BODY or self.waiting
            return False
        assert self.conn.state is self.fold.state is State.BODY
        assert self.draft is not None
        self.draft.fate = Fate.UNKNOWN
        self._note(EndOfData())
        return True

    def chunk(self, picks: Sequence[int], *, last: bool) -> bool:
        """A chunk of some pieces; one of which nothing is left now is none."""
        if len(self.waiting) >= MAX_IN_FLIGHT:
            return False
        data = b"".join(PIECES[pick % len(PIECES)] for pick in picks)
        before = self.conn.in_flight
        if not self._try(
            Verb.END_OF_DATA if last else Verb.BDAT, lambda: self.conn.send_chunk(data, last=last)
        ):
            return False
        assert self.draft is not None
        self.draft.write(data)
        if self.conn.in_flight > before:
            self._note(Bdat(0, last))
        if last:
            self.draft.fate = Fate.UNKNOWN
        return True

    def respond(self, pick: int) -> bool:
        """Answer a challenge: mostly what the mechanism says."""
        text = self.challenge
        if text is None or self.conn.state is State.CLOSED:
            return self._try(None, lambda: self.conn.auth_respond(b"x"))
        self.challenge = None
        attempt = self.attempt
        assert attempt is not None
        answer: bytes | None
        try:
            told = attempt.first if not text else None
            answer = attempt.mechanism.respond(text) if told is None else told
        except MechanismError:
            answer = None
        if pick % 8 == 7:
            answer = None
        elif pick % 8 == 6:
            attempt.honest = False
            answer = bytes(pick)
        attempt.honest &= answer is not None
        if answer is None:
            self.conn.auth_cancel()
        else:
            self.conn.auth_respond(answer)
        return True

    def give_up(self) -> None:
        """No answer to a challenge any more: the link is broken, and the connection has to hear of it."""
        if self.challenge is not None:
            self.challenge = None
            self.conn.auth_cancel()
            self.pump()

    # ---- hearing ----

    def hear(self, data: bytes) -> None:
        self.conn.receive_data(data)
        self.pump()

    def pump(self) -> None:
        while True:
            event = self.conn.next_event()
            if isinstance(event, Pause):
                break
            self.events.append(event)
            if isinstance(event, ConnectionClosed):
                assert self.conn.state is State.CLOSED
                return
            self._take(event)
            closed = isinstance(event, Disconnecting)
            assert self.conn.state is (State.CLOSED if closed else self.fold.state), event
        assert self.conn.in_flight == len(self.waiting)

    def _take(self, event: ClientEvent) -> None:
        match event:
            case GreetingReceived(reply):
                self.replies.append(reply)
                self.fold.reply(Verb.CONNECT, reply.code)
            case Disconnecting(reply):
                self.replies.append(reply)
                # With commands on their way it has to be for them, unless it came before they left.
                assert reply.code == 421
            case AuthChallenge(text):
                self.replies.append(Reply(334, text.decode()))
                self.waiting[0].replies.append(self.replies[-1])
                self.challenge = text
                self.fold.reply(Verb.AUTH, 334)
                assert self.waiting[0].command.verb is Verb.AUTH
            case ReplyReceived(command, reply):
                assert command.verb is self.waiting[0].command.verb
                assert isinstance(command, Bdat) or command == self.waiting[0].command
                self._answered(reply)
            case EhloReceived(_, reply):
                self._answered(reply, Verb.EHLO, Verb.HELO, Verb.LHLO)
            case AuthSucceeded(reply):
                if self.fold.strict and self.attempt is not None and self.attempt.honest:
                    self.attempt.mechanism.succeeded()
                self._answered(reply, Verb.AUTH)
            case AuthFailed(reply):
                self._answered(reply, Verb.AUTH)
            case BodyWanted(reply):
                self._answered(reply, Verb.DATA)
            case TlsReady():
                self.replies.append(Reply(220, ""))
                self.waiting[0].replies.append(self.replies[-1])
                assert self.waiting.popleft().command.verb is Verb.STARTTLS
                self.fold.reply(Verb.STARTTLS, 220)
            case _:
                raise AssertionError(event)

    def _answered(self, reply: Reply, *verbs: Verb) -> None:
        self.replies.append(reply)
        sent = self.waiting[0]
        verb, draft = sent.command.verb, sent.draft
        sent.replies.append(reply)
        assert not verbs or verb in verbs
        finished = self.fold.reply(verb, reply.code)
        if finished:
            self.waiting.popleft()
        if verb in (Verb.BDAT, Verb.BURL) and reply.code >= 400 and draft is not None:
            draft.spoiled = True
        if verb is Verb.RCPT and reply.code < 300:
            assert draft is not None
            assert isinstance(sent.command, Rcpt)
            draft.heard.append(sent.command.forward_path)
        elif verb is Verb.END_OF_DATA:
            assert draft is not None
            if finished:
                draft.outcomes = sent.replies
                accepted = any(outcome.code < 300 for outcome in draft.outcomes)
                draft.fate = Fate.ACCEPTED if accepted else Fate.REFUSED
