"""The client connection, from each state of the session table."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from typing import Final, TypeAlias, get_args

import attrs
from tests.fuzz.seeds import REPLIES, TURN, replies, servers
from tests.fuzz.target import Choices, Target, cut, lines, same
from tests.helpers.driver import TLS

from ehlo import (
    EVERY,
    STANDARD,
    Auth,
    AuthParam,
    Body,
    Burl,
    ByMode,
    ClientConnection,
    ClientEvent,
    Command,
    ConnectionClosed,
    Data,
    DeliverBy,
    Ehlo,
    EnvId,
    Expn,
    Helo,
    Help,
    HoldUntil,
    Lhlo,
    Limits,
    LocalProtocolError,
    Mail,
    Mailbox,
    MtPriority,
    Newlines,
    Noop,
    Notify,
    Orcpt,
    Parameters,
    Pause,
    Quit,
    Rcpt,
    RemoteProtocolError,
    ReplyReceived,
    RequireTls,
    Ret,
    Rset,
    Size,
    SmtpUtf8,
    StartTls,
    State,
    Vrfy,
    XClient,
    XClientCommand,
)

LIMITS: Final = Limits(reply_line=600, reply_lines=30, reply_octets=2000)
_ALICE, _BOB, _EVE = Mailbox("a", "x.org"), Mailbox("b", "x.org"), Mailbox("\xe9", "\xe9.org")
_OFFER: Final = lines(
    b"250-mail.example",
    *(
        b"250-" + extension.keyword.encode()
        for extension in EVERY
        if extension.keyword not in ("AUTH", "SIZE")
    ),
    b"250-SIZE 50",
    b"250-AUTH LOGIN PLAIN",
    b"250 XCLIENT NAME",
)

COMMANDS: Final[tuple[Command, ...]] = (
    *(Ehlo("a.example"), Helo("a.example"), Lhlo("a.example"), StartTls(), Data(), Rset(), Noop(), Quit()),
    *(Auth("PLAIN", b"\0a\0b"), Auth("LOGIN"), Auth("XOAUTH2", b""), Mail(None), Mail(_ALICE), Rcpt(_BOB)),
    *(Mail(_EVE, Parameters([SmtpUtf8()])), Rcpt(_EVE), Vrfy("x"), Vrfy("\xe9", True), Expn("x"), Help("\0")),
    Mail(_ALICE, Parameters([Size(9), Body.BINARY_MIME, Ret.FULL, EnvId("+="), AuthParam(None)])),
    Mail(_ALICE, Parameters([Body.EIGHT_BIT_MIME, MtPriority(3), RequireTls()])),
    Mail(_ALICE, Parameters([HoldUntil(datetime(2030, 1, 1, tzinfo=UTC)), DeliverBy(60, ByMode.RETURN)])),
    Rcpt(_BOB, Parameters([Notify.SUCCESS | Notify.DELAY, Orcpt.of(_EVE)])),
    Burl("imap://a@h/b;urlauth=submit+a:x"),
    Burl("imap://h/b", True),
    XClientCommand(XClient(name="x.org")),
    XClientCommand(XClient(login="a=b")),
)
"""Legal in themselves; whether they may be sent is for the connection to say."""


@attrs.frozen
class Do:
    """Something else than to send a command."""

    act: Callable[[ClientConnection], object]


_OTHERS: Final[tuple[Do, ...]] = (
    Do(lambda conn: conn.auth_respond(b"alice")),
    Do(lambda conn: conn.auth_respond(b"")),
    Do(lambda conn: conn.auth_cancel()),
    Do(lambda conn: conn.start_tls_done(TLS)),
    Do(lambda conn: conn.send_body(b".x\r\n")),
    Do(lambda conn: conn.send_body(b"\r")),
    Do(lambda conn: conn.send_body(b"\n.\xe9")),
    Do(lambda conn: conn.end_body()),
    Do(lambda conn: conn.send_chunk(b"abc\r\n")),
    Do(lambda conn: conn.send_chunk(b"\xe9\r")),
    Do(lambda conn: conn.send_chunk(b"x" * 30, last=True)),
    Do(lambda conn: conn.send_chunk(b"", last=True)),
    Do(lambda conn: conn.close()),
)

Act: TypeAlias = Command | Do
Step: TypeAlias = tuple[Act | None, bytes]
_HELLO: Final[tuple[Step, ...]] = ((None, b"220 x\r\n"), (Ehlo("a.example"), _OFFER))
_MAIL: Final[tuple[Step, ...]] = (*_HELLO, (Mail(_ALICE), b"250 ok\r\n"))
_RCPT: Final[tuple[Step, ...]] = (*_MAIL, (Rcpt(_BOB), b"250 ok\r\n"))
STARTS: Final[dict[State, tuple[Step, ...]]] = {
    State.GREETING: (),
    State.REFUSED: ((None, b"554 no\r\n"),),
    State.HELLO: _HELLO[:1],
    State.READY: _HELLO,
    State.AUTH: (*_HELLO, (Auth("LOGIN"), b"334 VXNlcm5hbWU6\r\n")),
    State.TLS: (*_HELLO, (StartTls(), b"220 go\r\n")),
    State.MAIL: _MAIL,
    State.RCPT: _RCPT,
    State.BODY: (*_RCPT, (Data(), b"354 go\r\n")),
    State.CHUNK: (*_RCPT, (Do(lambda conn: conn.send_chunk(b"x")), b"250 ok\r\n")),
    State.VOID: (*_RCPT, (Do(lambda conn: conn.send_chunk(b"x")), b"550 no\r\n")),
    State.CLOSED: (*_HELLO, (Quit(), b"221 bye\r\n")),
}
"""What is sent and what comes back."""
_STATES: Final = tuple(STARTS)
_HEAD: Final = 9
_PLAINTEXT: Final = "plaintext"


@attrs.frozen
class Start:
    state: State
    lmtp: bool
    strict: bool
    standard: bool
    ends: bool
    acts: bytes
    """What the client does at each turn: so many octets for each."""


class Run:
    """One connection and what was seen of it."""

    def __init__(self, start: Start, *, traced: bool) -> None:
        self.start = start
        self.conn = ClientConnection(
            limits=LIMITS,
            extensions=STANDARD if start.standard else None,
            newlines=Newlines.REFUSE if start.strict else Newlines.NORMALISE,
            lmtp=start.lmtp,
            trace=self._trace if traced else None,
        )
        self.events: list[ClientEvent] = []
        self.sent: list[bytes] = []
        self.error: str | None = None
        self._asked: deque[Command | None] = deque()
        self._turn = 0
        for act, reply in STARTS[start.state]:
            if act is not None:
                self._act(act)
            self.conn.receive_data(reply)
            self._settle()
        assert self.conn.state is start.state

    def _trace(self, _: object) -> None:
        pass

    def hear(self, turns: Iterable[Iterable[bytes]]) -> None:
        """Octets in pieces, and between two turns the client acts."""
        try:
            for number, pieces in enumerate(turns):
                if number:
                    self._take_turn()
                for piece in pieces:
                    self.conn.receive_data(piece)
                    last, held = self._settle(), len(self.conn._parser._buffer)
                    # Whoever is told PAUSED is to read no more.
                    assert last is Pause.PAUSED or held <= max(LIMITS.reply_line, len(piece))
            if self.start.ends:
                self.conn.receive_data(b"")
                self._settle()
                assert self.conn.state is State.CLOSED or self.conn.next_event() is not Pause.NEED_DATA
        except RemoteProtocolError as error:
            assert error.reply_hint is None  # noqa: PT017
            assert isinstance(self.conn.next_event(), ConnectionClosed)
            self.error = str(error)

    def _take_turn(self) -> None:
        size = len(self.start.acts) // 2
        for choice in self.start.acts[self._turn % 2 * size :][:size]:
            number = choice % (len(COMMANDS) + len(_OTHERS))
            others = number - len(COMMANDS)
            self._act(COMMANDS[number] if others < 0 else _OTHERS[others])
        self._turn += 1

    def _act(self, act: Act) -> None:
        conn, before = self.conn, self.conn.in_flight
        try:
            if isinstance(act, Do):
                act.act(conn)
            else:
                conn.send(act)
        except LocalProtocolError:
            assert not conn.data_to_send(), "something of what was refused is sent"
            same("commands in flight", conn.in_flight, before)
            return
        octets = conn.data_to_send()
        if not isinstance(act, Do):
            # [SEC-INJ-cli-a] one line, whatever is in it.
            assert octets.find(b"\r\n") == len(octets) - 2
            assert not octets[:-2].translate(None, bytes(range(32, 127)) + bytes(range(128, 256)))
            self._asked.append(act)
        elif conn.in_flight > before:
            self._asked.append(None)
        if octets:
            self.sent.append(octets)

    def _settle(self) -> Pause | ConnectionClosed:
        conn = self.conn
        while True:
            event = conn.next_event()
            if isinstance(event, Pause | ConnectionClosed):
                return event
            assert isinstance(event, get_args(ClientEvent))
            self.events.append(event)
            if isinstance(event, ReplyReceived):
                # [RFC2920-3.1c] replies are for commands in their order.
                asked = self._asked[0]
                assert asked is None or event.command is asked
            while len(self._asked) > conn.in_flight:
                self._asked.popleft()


def _read(data: bytes) -> tuple[Start, int, list[bytes]]:
    choices = Choices(data, _HEAD)
    state, flags, seed = choices.one_of(_STATES), choices.below(256), choices.below(256)
    start = Start(state, bool(flags & 1), bool(flags & 2), bool(flags & 4), bool(flags & 8), choices.ring(6))
    return start, seed, choices.rest.split(TURN)


def _outcome(run: Run) -> tuple[object, ...]:
    conn = run.conn
    return run.error, run.events, run.sent, conn.state, conn.in_flight, conn.authenticated, conn.capabilities


def check(data: bytes) -> None:
    """Whatever a server says in whatever state and to whatever legal commands, the client emits events, a
    reply for each command in their order, or raises RemoteProtocolError and is closed; what it refuses to
    send it sends nothing of; it holds no more than a line; and all is the same however the octets were cut,
    with a trace and without."""
    start, seed, turns = _read(data)
    whole = Run(start, traced=False)
    whole.hear([turn] if turn else [] for turn in turns)
    cut_up = Run(start, traced=True)
    cut_up.hear(cut(turn, seed) for turn in turns)
    if _PLAINTEXT in (whole.error or ""):
        # Whether it came behind the reply to STARTTLS or later: what was heard before is the same.
        same("events before plaintext", cut_up.events[: len(whole.events)], whole.events)
        assert _PLAINTEXT in (cut_up.error or "")
        return
    same("the outcome, cut up", _outcome(cut_up), _outcome(whole))


def seeds() -> Iterator[bytes]:
    greeting = _STATES.index(State.GREETING)
    mail = bytes(map(COMMANDS.index, (Mail(_ALICE), Rcpt(_BOB), Data())))
    for number, said in enumerate(servers()):
        yield bytes([greeting, number % 16, number % 256, 0, 9, 12, 13, number % 42, 8]) + said
    ready, tls = _STATES.index(State.READY), COMMANDS.index(StartTls())
    yield bytes([ready, 0, 2, *[tls] * 6]) + TURN + b"220 go\r\n250 early\r\n" + TURN + b"250 x\r\n"
    for number, _ in enumerate(_STATES):
        for place, told in enumerate(replies()[::9]):
            acts = mail + bytes([len(COMMANDS) + place % len(_OTHERS), (place * 3) % len(COMMANDS), 0])
            again = TURN.join(
                (told, b"250 ok\r\n250 ok\r\n354 go\r\n", b"250-x\r\n250 y\r\n", b"221 z\r\n", told)
            )
            yield bytes([number, place % 16, place % 256]) + acts + again


TARGETS: Final = (Target("client", check, seeds, REPLIES),)
