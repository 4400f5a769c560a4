"""What an observer is told of a session, and in which order."""

from __future__ import annotations

import ssl
from typing import TypeVar

import attrs
import pytest
from tests.helpers.driver import TLS, server_config
from tests.helpers.served import DATA, ENVELOPE, HELLO, MESSAGE, PLAIN, QUIT, Recorder, served

from ehlo import Envelope, Limits, Reply, ServerConnection, Session
from ehlo._commands import Verb
from ehlo.flows import (
    Answered,
    AuthEnded,
    Crowd,
    Ending,
    Exchange,
    Fact,
    Flow,
    MessageEnded,
    ProtocolFault,
    SessionEnded,
    SessionOpened,
    SessionRefused,
    Shutdown,
    StartTLS,
    TlsFailed,
    TlsStarted,
    TrustedProxies,
    hooks_of,
    serve,
)

T = TypeVar("T")


class Witness:
    """Remembers all that it is told."""

    def __init__(self) -> None:
        self.facts: list[Fact] = []
        self.sessions: set[Session] = set()

    def __call__(self, session: Session, fact: Fact) -> None:
        self.sessions.add(session)
        self.facts.append(fact)

    def of(self, kind: type[T]) -> list[T]:
        return [fact for fact in self.facts if isinstance(fact, kind)]

    @property
    def answers(self) -> list[tuple[Verb, int]]:
        return [(fact.verb, fact.reply.code) for fact in self.of(Answered)]

    @property
    def ending(self) -> Ending:
        assert isinstance(self.facts[0], SessionOpened)
        assert isinstance(self.facts[-1], SessionEnded)
        assert len(self.of(SessionEnded)) == len(self.of(SessionOpened)) == len(self.sessions) == 1
        return self.facts[-1].ending


@pytest.fixture
def witness() -> Witness:
    return Witness()


def test_a_session_from_its_beginning_to_its_end(witness: Witness) -> None:
    served(HELLO + MESSAGE + "S: 250...\n" + QUIT, Recorder(), observe=witness)
    assert witness.ending is Ending.QUIT
    assert witness.answers == [
        (Verb.CONNECT, 220),
        (Verb.EHLO, 250),
        (Verb.MAIL, 250),
        (Verb.RCPT, 250),
        (Verb.DATA, 354),
        (Verb.END_OF_DATA, 250),
        (Verb.QUIT, 221),
    ]
    (ended,) = witness.of(MessageEnded)
    assert (ended.size, ended.accepted, str(ended.envelope.reverse_path)) == (7, 1, "a@x.org")
    (session,) = witness.sessions
    assert session.peer == "192.0.2.1"


def test_what_is_refused_by_the_engine_and_by_the_handler(witness: Witness) -> None:
    script = (
        HELLO
        + "C: DATA\nS: 503...\nC: HELLO?\nS: 500...\nC: RCPT TO:<b@x.org>\nS: 503...\n"
        + MESSAGE
        + "S: 554...\n"
        + QUIT
    )
    served(script, Recorder(on_message=Reply(554, "No", "5.6.0")), observe=witness)
    assert witness.answers[2:5] == [(Verb.DATA, 503), (Verb.NONE, 500), (Verb.RCPT, 503)]
    (ended,) = witness.of(MessageEnded)
    assert ended.replies == (Reply(554, "No", "5.6.0"),)
    assert ended.accepted == 0
    assert witness.ending is Ending.QUIT


def test_a_message_that_is_too_big_is_told_with_what_came_of_it(witness: Witness) -> None:
    config = server_config(limits=Limits(message_size=3))
    served(HELLO + MESSAGE + "S: 552...\n" + QUIT, Recorder(), config, observe=witness)
    (ended,) = witness.of(MessageEnded)
    assert ended.replies[0].code == 552
    assert ended.size >= 3


@pytest.mark.parametrize(
    ("codes", "accepted"), [((250, 450), 1), ((550, 450), 0), ((250, 250), 2)], ids=["one", "none", "both"]
)
def test_lmtp_has_a_reply_for_each(witness: Witness, codes: tuple[int, ...], accepted: int) -> None:
    config = attrs.evolve(server_config(), lmtp=True)
    each = [Reply(code, "so", f"{code // 100}.0.0") for code in codes]
    script = (
        HELLO.replace("EHLO", "LHLO")
        + ENVELOPE
        + "C: RCPT TO:<c@x.org>\nS: 250...\n"
        + DATA
        + "C: hello\nC: .\n"
        + "".join(f"S: {code}...\n" for code in codes)
        + QUIT
    )
    served(script, Recorder(on_message=each), config, observe=witness)
    (ended,) = witness.of(MessageEnded)
    assert (ended.replies, ended.accepted) == (tuple(each), accepted)
    assert [code for verb, code in witness.answers if verb is Verb.END_OF_DATA] == list(codes)


def test_lmtp_with_one_reply_for_all(witness: Witness) -> None:
    config = attrs.evolve(server_config(), lmtp=True)
    script = (
        HELLO.replace("EHLO", "LHLO")
        + ENVELOPE
        + "C: RCPT TO:<c@x.org>\nS: 250...\n"
        + DATA
        + "C: hello\nC: .\n"
        + "S: 250...\nS: 250...\n"
        + QUIT
    )
    served(script, Recorder(), config, observe=witness)
    assert [fact.accepted for fact in witness.of(MessageEnded)] == [2]


@pytest.mark.clause("RFC2033-4.3a")
def test_replies_to_a_last_chunk_that_ends_no_message_are_not_those_of_the_next(witness: Witness) -> None:
    config = attrs.evolve(server_config(limits=Limits(message_size=7)), lmtp=True)
    two = ENVELOPE + "C: RCPT TO:<c@x.org>\nS: 250...\n"
    script = (
        HELLO.replace("EHLO", "LHLO")
        + two
        + "C: BDAT 8\nC: 123456\nS: 552...\n"
        + "C: BDAT 0 LAST\nS: 503...\nS: 503...\n"
        + "C: RSET\nS: 250...\n"
        + two
        + DATA
        + "C: hello\nC: .\nS: 250...\nS: 250...\n"
        + QUIT
    )
    served(script, Recorder(), config, observe=witness)
    assert [fact.accepted for fact in witness.of(MessageEnded)] == [2]
    assert [len(fact.replies) for fact in witness.of(MessageEnded)] == [2]


def test_the_name_of_a_message_is_that_of_one_message(witness: Witness) -> None:
    class Storing(Recorder):
        def on_message(self, session: Session, envelope: Envelope, content: bytes) -> None:
            if not self.calls.count(("stored",)):
                session.message_name = "first"
            self.calls.append(("stored",))

    served(HELLO + (MESSAGE + "S: 250...\n") * 2 + QUIT, Storing(), observe=witness)
    assert [fact.name for fact in witness.of(MessageEnded)] == ["first", None]


def test_auth_accepted_and_refused(witness: Witness) -> None:
    script = (
        HELLO
        + "C: AUTH PLAIN AGFsaWNlAHdyb25n\nS: 535...\n"
        + "C: AUTH PLAIN\nS: 334...\nC: *\nS: 501...\n"
        + "C: AUTH X-NONE\nS: 504...\n"
        + f"C: AUTH PLAIN {PLAIN}\nS: 235...\n"
        + "C: AUTH LOGIN\nS: 503...\n"
        + QUIT
    )

    class Knowing(Recorder):
        def on_auth_password(self, session: Session, *arguments: object) -> object:
            return arguments[1] == "wonder"

    served(script, Knowing(), observe=witness)
    ends = [(fact.mechanism, fact.reply.code) for fact in witness.of(AuthEnded)]
    assert ends == [("PLAIN", 535), ("PLAIN", 501), (None, 504), ("PLAIN", 235), (None, 503)]
    reasons = [fact.reason for fact in witness.of(AuthEnded)]
    assert reasons[0]
    assert reasons[1:] == [None] * 4
    assert (Verb.AUTH, 334) in witness.answers
    (session,) = witness.sessions
    assert session.identity is not None


def test_a_back_end_that_is_down(witness: Witness) -> None:
    script = HELLO + f"C: AUTH PLAIN {PLAIN}\nS: 454...\n" + QUIT
    served(script, Recorder(on_auth_password=OSError("down")), observe=witness)
    assert [(fact.mechanism, fact.reply.code) for fact in witness.of(AuthEnded)] == [("PLAIN", 454)]


def _flow(witness: Witness, **options: object) -> tuple[ServerConnection, Flow[None]]:
    conn = ServerConnection(server_config())
    settings: dict[str, object] = {"peer": "192.0.2.1", "observe": witness}
    return conn, serve(conn, hooks_of(object()), **(settings | options))  # type: ignore[arg-type]


def test_tls_begins(witness: Witness) -> None:
    _, flow = _flow(witness, implicit_tls=True)
    assert isinstance(next(flow), StartTLS)
    action = flow.send(TLS)
    assert isinstance(action, Exchange)
    assert action.data.startswith(b"220 ")
    assert [type(fact) for fact in witness.facts] == [SessionOpened, TlsStarted, Answered]
    (session,) = witness.sessions
    assert session.tls is TLS


@pytest.mark.parametrize(
    ("error", "reason"), [(ssl.SSLError("bad"), "('bad',)"), (TimeoutError(), "TimeoutError")]
)
def test_tls_fails(witness: Witness, error: Exception, reason: str) -> None:
    _, flow = _flow(witness, implicit_tls=True)
    assert isinstance(next(flow), StartTLS)
    flow.throw(error)
    assert list(flow) == []
    assert [fact.reason for fact in witness.of(TlsFailed)] == [reason]
    assert witness.ending is Ending.NO_TLS


@pytest.mark.parametrize(
    ("end", "ending"),
    [
        (b"", Ending.LOST),
        (OSError("broken"), Ending.LOST),
        (TimeoutError(), Ending.TIMED_OUT),
        (Shutdown(), Ending.SHUT_DOWN),
        (b"QUIT\r\n", Ending.QUIT),
        (b"BDAT x\r\n", Ending.CLOSED),
        (b"STARTTLS\r\nNOOP\r\n", Ending.CLOSED),
        (None, Ending.LOST),
    ],
)
def test_how_a_session_ends(witness: Witness, end: bytes | Exception | None, ending: Ending) -> None:
    _, flow = _flow(witness)
    assert isinstance(next(flow), Exchange)
    flow.send(b"EHLO a.example\r\n")
    if end is None:
        flow.close()
    else:
        flow.send(end) if isinstance(end, bytes) else flow.throw(end)
        for _action in flow:
            pass
    assert witness.ending is ending
    assert bool(witness.of(ProtocolFault)) == (end == b"STARTTLS\r\nNOOP\r\n")


def test_no_room(witness: Witness) -> None:
    crowd = Crowd(connections=1)
    crowd.enter(None)
    _, flow = _flow(witness, crowd=crowd)
    for _action in flow:
        pass
    (refused,) = witness.facts
    assert isinstance(refused, SessionRefused)
    assert refused.reply == Reply(421, "Too many connections, try again later", "4.3.2")


def test_not_the_proxy(witness: Witness) -> None:
    _, flow = _flow(witness, proxied_from=TrustedProxies.of(["198.51.100.1"]))
    for _action in flow:
        pass
    assert witness.facts == [SessionRefused(None)]


def test_behind_a_proxy_the_session_is_its_clients(witness: Witness) -> None:
    _, flow = _flow(witness, proxied_from=TrustedProxies.of(["192.0.2.1"]))
    next(flow)
    assert witness.facts == []
    flow.send(b"PROXY TCP4 198.51.100.7 203.0.113.9 4711 587\r\nQUIT\r\n")
    for _action in flow:
        pass
    assert witness.ending is Ending.QUIT
    (session,) = witness.sessions
    assert session.peer == "198.51.100.7"
