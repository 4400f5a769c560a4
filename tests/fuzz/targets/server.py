"""The server connection, from each state of the session table."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Final, get_args

import attrs
from tests.fuzz.mechanisms import TLS, answer
from tests.fuzz.seeds import HANDSHAKE, KEYWORDS, clients
from tests.fuzz.target import Choices, Target, cut, lines, same
from tests.helpers.driver import ALICE, DECIDED, OPEN
from tests.helpers.sasl import EVERY_KIND, constant, server_settings

from ehlo import (
    EVERY,
    EXCHANGE,
    OXSMTP_2008,
    RFC6409_STRICT,
    AuthNeed,
    BareNewlines,
    BodyChunk,
    BodyStarted,
    BurlReceived,
    BurlSources,
    ConnectionClosed,
    ConnectionOpened,
    Limits,
    LocalProtocolError,
    Mailbox,
    MailReceived,
    MessageReceived,
    Pause,
    RcptReceived,
    RemoteProtocolError,
    Reply,
    ServerConfig,
    ServerConnection,
    ServerEvent,
    State,
    SubmissionPolicy,
    TransactionReset,
)
from ehlo.extensions import burl, xclient
from ehlo.sasl import standard_mechanisms

LIMITS: Final = Limits(overlong_line=30_000, message_size=3000, recipients=4, errors=8, idle_commands=20)
_OWN: Final = (burl(BurlSources(imap=True)), xclient("NAME", "ADDR", "PORT", "PROTO", "HELO", "LOGIN"))
_EXTENSIONS: Final = (*(x for x in EVERY if x.keyword not in ("BURL", "XCLIENT")), *_OWN)
_MECHANISMS: Final = standard_mechanisms(
    server_settings(
        random=constant(bytes(range(8))),
        passwords=True,
        secrets=EVERY_KIND,
        tokens=True,
        certificates=True,
        scram_iterations=4,
    )
)


def _config(policy: SubmissionPolicy, limits: Limits = LIMITS, *, lmtp: bool = False) -> ServerConfig:
    return ServerConfig(
        hostname="mail.example",
        policy=policy,
        limits=limits,
        extensions=_EXTENSIONS,
        mechanisms=_MECHANISMS,
        tls_available=True,
        lmtp=lmtp,
    )


CONFIGS: Final = (
    _config(OPEN),
    _config(OXSMTP_2008),
    _config(EXCHANGE),
    _config(RFC6409_STRICT),
    _config(OPEN, lmtp=True),
    _config(attrs.evolve(OPEN, bare_newlines=BareNewlines.CLOSE, trust_submitter=True, qualify_with="x.org")),
    _config(OPEN, attrs.evolve(LIMITS, command_line=600, auth_line=700, errors=2, auth_failures=1)),
)
_HELLO, _MAIL, _RCPT = b"EHLO a.example", b"MAIL FROM:<a@x.org>", b"RCPT TO:<b@x.org>"
_CHUNK: Final = b"BDAT 3\r\nabc"
STARTS: Final[dict[State, bytes | None]] = {
    State.GREETING: None,
    State.REFUSED: b"",
    State.HELLO: b"",
    State.READY: lines(_HELLO),
    State.AUTH: lines(_HELLO, b"AUTH LOGIN"),
    State.TLS: lines(_HELLO, b"STARTTLS"),
    State.MAIL: lines(_HELLO, _MAIL),
    State.RCPT: lines(_HELLO, _MAIL, _RCPT),
    State.BODY: lines(_HELLO, _MAIL, _RCPT, b"DATA"),
    State.CHUNK: lines(_HELLO, _MAIL, _RCPT) + _CHUNK,
    State.VOID: lines(_HELLO, _MAIL, _RCPT) + _CHUNK,
    State.CLOSED: lines(b"QUIT"),
}
"""What the client said to get there; None: nothing was asked of the connection yet."""
_BEGINS_REFUSED: Final = {State.REFUSED: ConnectionOpened, State.VOID: BodyStarted}
_OUTSIDE_TLS: Final = frozenset({State.GREETING, State.REFUSED, State.HELLO, State.TLS})
_STATES: Final = tuple(STARTS)
_HEAD: Final = 8

_LINE: Final = re.compile(rb"[2-5]\d\d[ -][^\x00-\x1f\x7f]*\Z")
_MOST_LINE: Final = 510
_PLAINTEXT: Final = "plaintext"


@attrs.frozen
class Start:
    """Where a run begins, and what its application decides."""

    state: State
    config: ServerConfig
    decisions: bytes
    known: bool
    trusted: bool
    """It may say XCLIENT."""
    weak: bool
    """TLS is judged too weak."""
    ends: bool
    """The stream ends behind the octets."""


class Run:
    """One connection, and what was seen of it."""

    def __init__(self, start: Start, config: ServerConfig, *, traced: bool) -> None:
        self.start = start
        self.records = 0
        self.conn = ServerConnection(
            config,
            identity=ALICE if start.known else None,
            xclient=start.trusted,
            trace=self._trace if traced else None,
        )
        self.events: list[ServerEvent] = []
        self.sent = bytearray()
        self.error: str | None = None
        self._decided = 0
        self._open = self._in_body = False
        self._octets = 0
        self._begin()

    def _trace(self, _: object) -> None:
        self.records += 1

    def _begin(self) -> None:
        said = STARTS[self.start.state]
        if said is None:
            return
        conn, state = self.conn, self.start.state
        if self.start.config.policy.require_tls and state not in _OUTSIDE_TLS:
            conn.start_tls_done(TLS)
        refused = _BEGINS_REFUSED.get(state)
        self._settle(begins=True, refused=refused)
        if self.start.config.lmtp:
            said = said.replace(b"EHLO", b"LHLO")
        if not (self.start.config.policy.allow_cleartext_auth or conn.tls):
            said = said.replace(b"LOGIN", b"NTLM")
        if said:
            conn.receive_data(said)
        self._settle(begins=True, refused=refused)
        assert conn.state is state, f"{conn.state} in place of {state}: {bytes(self.sent)!r}"

    def feed(self, flights: list[Iterable[bytes]]) -> None:
        """Octets in pieces; between two flights there is a handshake, if one is due."""
        try:
            for number, pieces in enumerate(flights):
                if number and self.conn.state is State.TLS:
                    self.conn.start_tls_done(TLS, accept=not self.start.weak)
                for piece in pieces:
                    self.conn.receive_data(piece)
                    self._settle()
                    held, bound = len(self.conn._buffer), self.conn.config.line_limit
                    assert held <= max(bound, len(piece)), f"{held} octets are held"
            if self.start.ends:
                self.conn.receive_data(b"")
            self._settle()
        except RemoteProtocolError as error:
            self.error = str(error)
            if error.reply_hint is not None:
                self.sent += error.reply_hint.render()
            self._settle()
            assert self.conn.state is State.CLOSED
        if self.start.ends:
            assert self.conn.state is State.CLOSED
            assert not self._open, "the end of a transaction was not told"

    def _settle(self, *, begins: bool = False, refused: type[ServerEvent] | None = None) -> None:
        while True:
            event = self.conn.next_event()
            if isinstance(event, Pause | ConnectionClosed):
                break
            assert isinstance(event, get_args(ServerEvent))
            self._note(event)
            if refused is not None and isinstance(event, refused):
                self.conn.reject(Reply(554, "no"))
            elif isinstance(event, DECIDED | AuthNeed | BurlReceived):
                self._decide(event, 0 if begins else self._choice())
        self.sent += self.conn.data_to_send()

    def _note(self, event: ServerEvent) -> None:
        """Whether the event fits in with those before it."""
        if isinstance(event, BodyChunk):
            assert self._in_body
            assert event.data
            self._octets += len(event.data)
            before = self.events[-1]
            if isinstance(before, BodyChunk):
                # Where a body is cut depends on how its octets came.
                self.events.pop()
                event = BodyChunk(before.data + event.data)
        elif isinstance(event, MessageReceived):
            same("the size of a message", event.size, self._octets)
        elif isinstance(event, TransactionReset):
            assert self._open, "a transaction that was not open is over"
            self._open = self._in_body = False
            if isinstance(self.events[-1], BodyChunk):
                # And so does how much of one was handed out before it was refused.
                self.events.pop()
        self.events.append(event)

    def _choice(self) -> int:
        self._decided += 1
        return self.start.decisions[self._decided % len(self.start.decisions)]

    def _decide(self, event: ServerEvent, choice: int) -> None:
        if isinstance(event, AuthNeed):
            if choice < 192:
                self.conn.auth_answer(answer(event.need))
            else:
                self.conn.auth_refuse()
            return
        accepted = self._answer(event, choice)
        if isinstance(event, MailReceived):
            self._open = accepted
        elif isinstance(event, BodyStarted):
            self._in_body, self._octets = True, 0
            if accepted and choice & 7 == 7:
                self._refuse_body()
        elif isinstance(event, MessageReceived):
            # A transaction that ends with the session is told of twice.
            self._open, self._in_body = self.conn.state is State.CLOSED, False

    def _answer(self, event: ServerEvent, choice: int) -> bool:
        conn = self.conn
        if choice < 192:
            if isinstance(event, BurlReceived):
                conn.burl_answer(bytes([choice]) * (choice % 9))
            elif isinstance(event, MessageReceived) and conn.config.lmtp and choice & 1:
                conn.reply_each([Reply(250 if n else 550, "\xe9") for n in range(conn.transaction.accepted)])
            else:
                conn.accept()
            return True
        if choice < 208 and isinstance(event, MailReceived | RcptReceived):
            conn.accept_as(Mailbox("else", "y.org"))
            return True
        if choice < 220:
            conn.reply(Reply(421, "bye"))
        else:
            conn.reject(Reply(450 if choice & 1 else 550, "\xe9\r\n250 no"))
        return False

    def _refuse_body(self) -> None:
        # BURL asks at once for what is fetched, and there is no body yet.
        with suppress(LocalProtocolError):
            self.conn.refuse_body(Reply(552, "enough"))


def _read(data: bytes) -> tuple[Start, int, list[bytes]]:
    choices = Choices(data, _HEAD)
    state, config = choices.one_of(_STATES), choices.one_of(CONFIGS)
    seed, flags = choices.below(256), choices.below(256)
    known = bool(flags & 1) or (config.policy.require_auth and state not in _OUTSIDE_TLS)
    start = Start(state, config, choices.ring(4), known, bool(flags & 2), bool(flags & 4), bool(flags & 8))
    return start, seed, choices.rest.split(HANDSHAKE)


def _outcome(run: Run) -> tuple[object, ...]:
    events = run.events
    if events and isinstance(events[-1], BodyChunk):
        # Of a body that goes on, which may have been refused in the midst of a piece.
        events = events[:-1]
    return run.error, events, bytes(run.sent), run.conn.state, run.conn.identity, run.conn.client_name


def check(data: bytes) -> None:
    """Whatever octets come in whatever state, the server emits events that fit together and well-formed
    replies, or raises RemoteProtocolError and is closed; it holds no more than a line; and all is the same
    however the octets were cut, with a trace and without, and whatever sessions came before."""
    start, seed, flights = _read(data)
    whole = Run(start, start.config, traced=False)
    whole.feed([[flight] if flight else [] for flight in flights])
    replies = bytes(whole.sent)
    assert not replies or replies.endswith(b"\r\n")
    for line in replies.split(b"\r\n")[:-1]:
        assert _LINE.match(line), f"not a line of a reply: {line!r}"
        assert len(line) <= _MOST_LINE or line.startswith(b"334"), f"the line is too long: {line!r}"
    cut_up = Run(start, attrs.evolve(start.config), traced=True)
    cut_up.feed([cut(flight, seed) for flight in flights])
    assert not cut_up.sent or cut_up.records
    if _PLAINTEXT in (whole.error or ""):
        # Whether it came behind STARTTLS or behind its reply: what was said before is the same.
        same("events before plaintext", whole.events, cut_up.events[: len(whole.events)])
        return
    same("the outcome, cut up", _outcome(cut_up), _outcome(whole))


def seeds() -> Iterator[bytes]:
    hello = _STATES.index(State.HELLO)
    for number, said in enumerate(clients()):
        yield bytes([hello, number % len(CONFIGS), number % 256, number % 16, 0, 0, 0, 0]) + said
    for number, state in enumerate(_STATES):
        for config in range(len(CONFIGS)):
            said = TEXTS[(number + config) % len(TEXTS)]
            yield bytes([number, config, config, (number + config) % 16, 0, 7, 0, 0]) + said
            yield bytes([number, config, 1, 8, 0, 200, 7, 230]) + (STARTS[state] or b"") + TEXTS[config]


_PLAIN: Final = b"AUTH PLAIN AGFsaWNlAHdvbmRlci1MYW5kIDc="
_ENVELOPE: Final = (_MAIL, _RCPT)
TEXTS: Final = (
    lines(b"MAIL FROM:<a@x.org> SIZE=10 BODY=8BITMIME RET=FULL ENVID=x+2B", _RCPT, b"DATA")
    + b"a: b\r\n\r\n..x\r\n.\r\nQUIT\r\n",
    lines(b'RCPT TO:<"a b"@[IPv6:::1]> NOTIFY=SUCCESS ORCPT=rfc822;a+2Bb', b"DATA", b"x", b".", b"RSET"),
    lines(_PLAIN, *_ENVELOPE) + b"BDAT 3\r\nabcBDAT 0 LAST\r\nNOOP\r\n",
    lines(b"AUTH LOGIN", b"YWxpY2U=", b"d29uZGVyLUxhbmQgNw==", b"*", b"=", b"", b"AUTH NTLM", b"AUTH X"),
    lines(b"STARTTLS")
    + HANDSHAKE
    + lines(_HELLO, *_ENVELOPE, b"BURL imap://a@h/b;urlauth=submit+alice:x LAST"),
    lines(b"XCLIENT NAME=x.org ADDR=IPV6:::1 LOGIN=bob", b"EHLO b.example", b"MAIL FROM:<> SMTPUTF8"),
    lines(b"VRFY \xc3\xa9 SMTPUTF8", b"EXPN x", b"HELP", b"EHLO", b"MAIL FROM:<> BODY=BINARYMIME", b"DATA")
    + b"BDAT 9 NO\r\n123456789BDAT x\r\n"
    + b"x" * 5000
    + b"\r\n",
)

TARGETS: Final = (Target("server", check, seeds, KEYWORDS, longest=8192),)
