"""LMTP (RFC 2033) in both roles: LHLO, and an outcome for each recipient."""

from __future__ import annotations

from collections.abc import Sequence

import attrs
import pytest
from tests.helpers.driver import OPEN, Server, server_config

from ehlo import (
    EVERY,
    BodyStarted,
    ClientConnection,
    ConnectionFailed,
    Envelope,
    Limits,
    LocalProtocolError,
    MessageReceived,
    Reply,
    ServerConfig,
    ServerConnection,
    ServiceRefused,
    Session,
    SessionOptions,
    State,
    Submission,
    SubmissionFailed,
    SubmissionResult,
    TlsMode,
    envelope,
)
from ehlo.flows import Flow, close, hooks_of, open_session, serve, submit
from ehlo.testing import ScriptedServer, drive, run

CONFIG = attrs.evolve(server_config(), lmtp=True)
OPTIONS = SessionOptions(client_name="a.example", server_name="mail.example", tls=TlsMode.NONE)
FULL, BUSY = Reply(452, "Mailbox full", "4.2.2"), Reply(450, "Busy", "4.2.0")
MAIL = "MAIL FROM:<a@x.org>"


def opened(config: ServerConfig = CONFIG, **given: object) -> Server:
    server = Server(config, hello=False, **given)  # type: ignore[arg-type]
    assert server.say("LHLO a")[-1].startswith("250 ")
    return server


def rcpts(*names: str) -> list[str]:
    return [f"RCPT TO:<{name}@x.org>" for name in names]


# ---- the server ----


@pytest.mark.clause("RFC2033-4.1a", "RFC2033-5c")
def test_the_hello_of_each() -> None:
    server = Server(CONFIG, hello=False)
    for word in ("EHLO", "HELO"):
        assert server.one(f"{word} a") == "500 5.5.1 Command not recognized"
    assert server.one(MAIL) == "503 5.5.1 Send EHLO first"
    assert Server(hello=False).one("LHLO a") == "500 5.5.1 Command not recognized"


@pytest.mark.clause("RFC2033-5a", "RFC2033-5b")
def test_what_is_offered() -> None:
    offered = Server(CONFIG, hello=False).say("LHLO a")
    assert {"250-PIPELINING", "250-ENHANCEDSTATUSCODES", "250-8BITMIME"} <= set(offered)
    with pytest.raises(LocalProtocolError, match="PIPELINING"):
        ServerConfig(hostname="x.org", lmtp=True, extensions=())


@pytest.mark.clause("RFC2033-4.2a")
def test_no_recipient() -> None:
    server = opened()
    server.say(MAIL, "RCPT TO:<")
    assert server.one("DATA").startswith("503 ")
    assert server.say("BDAT 0 LAST")[0].startswith("503 ")


@pytest.mark.clause("RFC2033-4.2b", "RFC2033-4.3a")
@pytest.mark.parametrize("end", [["DATA", "x", "."], ["BDAT 3 LAST", "x"]])
def test_a_reply_for_each_recipient_in_their_order(end: list[str]) -> None:
    def decide(event: MessageReceived) -> None:
        server.conn.reply_each([FULL, Reply(250, "Stored"), BUSY])

    server = opened(decisions={MessageReceived: decide})
    said = server.say(MAIL, *rcpts("b", "c", "b"), *end)
    assert said[-3:] == ["452 4.2.2 Mailbox full", "250 2.0.0 Stored", "450 4.2.0 Busy"]
    assert server.conn.state is State.READY
    assert server.one(MAIL).startswith("250")


@pytest.mark.clause("RFC2033-4.2b")
@pytest.mark.parametrize("count", [1, 2, 5])
def test_one_decision_is_said_to_all(count: int) -> None:
    names = [f"r{i}" for i in range(count)]
    for decisions, text in (
        ({}, "250 2.0.0 Message accepted"),
        ({MessageReceived: BUSY}, "450 4.2.0 Busy"),
    ):
        server = opened(decisions=decisions)
        said = server.say(MAIL, *rcpts(*names), "DATA", "x", ".")
        assert said[count + 2 :] == [text] * count
    small = attrs.evolve(CONFIG, limits=Limits(message_size=1))
    said = opened(small).say(MAIL, *rcpts(*names), "DATA", "too much", ".")
    assert said[count + 2 :] == ["552 5.3.4 Message size exceeds limit"] * count


@pytest.mark.clause("RFC2033-4.3a")
def test_a_chunk_that_is_not_the_last_gets_one_reply() -> None:
    server = opened()
    server.say(MAIL, *rcpts("b", "c"))
    assert server.say("BDAT 3", "x") == ["250 2.0.0 3 octets received"]
    assert len(server.say("BDAT 0 LAST")) == 2


@pytest.mark.clause("RFC2033-4.3a")
def test_the_last_chunk_has_a_reply_for_each_also_when_one_before_it_failed() -> None:
    server = Server(CONFIG, hello=False, decisions={BodyStarted: BUSY})
    server.say("LHLO a", MAIL, *rcpts("b", "c"))
    assert server.say("BDAT 3", "x") == ["450 4.2.0 Busy"]
    assert server.say("BDAT 0 LAST") == ["503 5.5.1 A chunk failed, send RSET"] * 2
    assert server.one("RSET").startswith("250 ")
    assert server.one("BDAT 0 LAST") == "503 5.5.1 Need MAIL first"


@pytest.mark.parametrize(
    ("config", "each"),
    [
        (CONFIG, [FULL]),
        (CONFIG, [FULL] * 3),
        (CONFIG, []),
        (CONFIG, [FULL, Reply(354, "go")]),
        (server_config(), [FULL, FULL]),
    ],
)
def test_replies_that_cannot_be(config: ServerConfig, each: Sequence[Reply]) -> None:
    server = Server(config, hello=False, decisions={MessageReceived: None})
    server.say("LHLO a" if config.lmtp else "EHLO a", MAIL, *rcpts("b", "c"), "DATA", "x", ".")
    with pytest.raises(LocalProtocolError):
        server.conn.reply_each(each)
    server.conn.accept()
    assert server.pump().count(b"250 ") == (2 if config.lmtp else 1)
    with pytest.raises(LocalProtocolError, match="no decision"):
        server.conn.reply_each([FULL])


# ---- the client ----

HELLO = "S: 220 x LMTP\nC: LHLO a.example\nS: 250-x\nS: 250 ENHANCEDSTATUSCODES\n"
TWO = (
    "C: MAIL FROM:<a@x.org>\nS: 250 ok\nC: RCPT TO:<b@x.org>\nS: 250 ok\nC: RCPT TO:<no@x.org>\nS: 550 no\n"
    "C: RCPT TO:<c@x.org>\nS: 250 ok\nC: DATA\nS: 354 go\nC: x\nC: .\n"
)


def session(script: str, locals_: Sequence[str] = ("b", "no", "c"), hello: str = HELLO) -> SubmissionResult:
    conn = ClientConnection(lmtp=True)
    given = envelope("a@x.org", [f"{local}@x.org" for local in locals_])

    def flow() -> Flow[SubmissionResult]:
        yield from open_session(conn, OPTIONS)
        return (yield from submit(conn, Submission(envelope=given, content=b"x\r\n")))

    server = ScriptedServer(hello + script)
    try:
        return run(flow(), server)
    finally:
        server.check_done()


@pytest.mark.clause("RFC2033-4.2c", "RFC2033-4.1a")
def test_each_outcome_is_its_own() -> None:
    result = session(TWO + "S: 452 4.2.2 full\nS: 250 2.0.0 stored\n")
    told = [(str(o.recipient), o.accepted, str(o.reply)) for o in result.outcomes]
    assert told == [
        ("b@x.org", False, "452 4.2.2 full"),
        ("no@x.org", False, "550 no"),
        ("c@x.org", True, "250 2.0.0 stored"),
    ]
    assert result.reply == Reply(250, "stored", "2.0.0")


def test_refused_for_each() -> None:
    with pytest.raises(SubmissionFailed) as failed:
        session(TWO + "S: 452 4.2.2 full\nS: 550 5.2.1 off\n")
    assert [str(o.reply) for o in failed.value.result.outcomes] == [
        "452 4.2.2 full",
        "550 no",
        "550 5.2.1 off",
    ]


@pytest.mark.parametrize("last", ["503 5.5.1 no", "552 5.2.2 full"])
def test_one_outcome_is_no_refusal_of_the_chunk(last: str) -> None:
    """It must not be sent anew by DATA: others have got it."""
    chunk = TWO.replace("C: DATA\nS: 354 go\nC: x\nC: .\n", "C: BDAT 3 LAST\nC: x\n")
    hello = HELLO.replace("ENHANCEDSTATUSCODES", "CHUNKING")
    result = session(chunk + f"S: 250 2.0.0 stored\nS: {last}\n", hello=hello)
    assert [o.accepted for o in result.outcomes] == [True, False, False]


@pytest.mark.clause("RFC2033-5d")
@pytest.mark.parametrize("end", ["S: <close>\n", "S: <reset>\n", "S: <silence>\n", "S: 421 4.3.2 going\n"])
def test_a_connection_that_ends_between_outcomes(end: str) -> None:
    result = session(TWO + "S: 250 2.0.0 stored\n" + end)
    assert [o.accepted for o in result.outcomes] == [True, False, False]
    assert [o.temporary for o in result.outcomes] == [False, False, True]


@pytest.mark.clause("RFC2033-5d")
def test_a_connection_that_ends_before_any_outcome() -> None:
    with pytest.raises(ConnectionFailed):
        session(TWO + "S: <close>\n")


@pytest.mark.clause("RFC2033-4.1a")
def test_a_server_that_speaks_no_lmtp() -> None:
    conn = ClientConnection(lmtp=True)
    script = "S: 220 x\nC: LHLO a.example\nS: 500 what?\nC: QUIT\nS: 221 bye\n"
    with pytest.raises(ServiceRefused, match="LHLO"):
        run(open_session(conn, OPTIONS), ScriptedServer(script))


# ---- both ----


class Boxes:
    """A mailbox for everybody but two."""

    def __init__(self) -> None:
        self.stored: list[bytes] = []

    def on_message(self, session: Session, envelope: Envelope, content: bytes) -> list[Reply]:
        self.stored.append(content)
        full = {"full": FULL, "busy": BUSY}
        return [full.get(r.path.local, Reply(250, "Stored")) for r in envelope.recipients]


@pytest.mark.clause("RFC2033-4.2b", "RFC2033-4.2c")
@pytest.mark.parametrize("chunking", [False, True])
@pytest.mark.parametrize("pipelining", [False, True])
@pytest.mark.parametrize("octet_by_octet", [False, True])
def test_to_our_own_server(chunking: bool, pipelining: bool, octet_by_octet: bool) -> None:
    boxes = Boxes()
    config = ServerConfig(hostname="mail.example", policy=OPEN, extensions=EVERY, lmtp=True)
    conn = ClientConnection(lmtp=True)
    names = ["b", "full", "c", "busy", "b"]
    submission = Submission(
        envelope=envelope("a@x.org", [f"{name}@x.org" for name in names]),
        content=b"x\r\n",
        chunking=chunking,
        pipelining=pipelining,
    )

    def client() -> Flow[list[SubmissionResult]]:
        yield from open_session(conn, OPTIONS)
        first = yield from submit(conn, submission)
        second = yield from submit(conn, submission)
        yield from close(conn)
        return [first, second]

    server = serve(ServerConnection(config), hooks_of(boxes))
    for result in drive(client(), server, sizes=[1] * 100_000 if octet_by_octet else None):
        assert [o.accepted for o in result.outcomes] == [True, False, True, False, True]
        assert [o.reply and o.reply.code for o in result.outcomes] == [250, 452, 250, 450, 250]
    assert boxes.stored == [b"x\r\n"] * 2
