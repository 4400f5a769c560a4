"""BDAT in the server role (RFC 3030)."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import attrs
import pytest
from tests.helpers.driver import OPEN, Server, server_config
from tests.helpers.splits import every_cut, ways

from ehlo import (
    EVERY,
    NEED_DATA,
    PAUSED,
    STANDARD,
    BareNewlines,
    BodyChunk,
    BodyStarted,
    Limits,
    LocalProtocolError,
    MessageReceived,
    Reply,
    ServerConfig,
    State,
    SubmissionPolicy,
    TransactionReset,
    Wait,
)

MAIL, RCPT = "MAIL FROM:<a@x.org>", "RCPT TO:<b@x.org>"
BINARY = attrs.evolve(server_config(), extensions=EVERY)
PLAIN = attrs.evolve(server_config(), extensions=tuple(x for x in STANDARD if x.keyword != "CHUNKING"))
ACCEPTED = b"250 2.0.0 Message accepted\r\n"
BUSY = Reply(452, "Later", "4.3.1")


def in_rcpt(config: ServerConfig | None = None, mail: str = MAIL, **given: object) -> Server:
    server = Server(config, **given)  # type: ignore[arg-type]
    assert [line[:3] for line in server.say(mail, RCPT)] == ["250", "250"]
    return server


def chunk(octets: bytes, *, last: bool = False) -> bytes:
    return b"BDAT %d%s\r\n" % (len(octets), b" LAST" if last else b"") + octets


def taken(size: int) -> bytes:
    return b"250 2.0.0 %d octets received\r\n" % size


# ---- messages ----


@pytest.mark.clause("RFC3030-2a", "RFC3030-2d", "RFC3030-2e", "RFC3030-2f", "RFC4409-7i")
@pytest.mark.parametrize(
    "chunks",
    [
        [b""],
        [b"text\r\n"],
        [b"te", b"xt\r\n"],
        [b"text\r", b"\n"],
        [b"text\r\n", b""],
        [b"", b"", b"text\r\n", b""],
        [b"\r\n.\r\nQUIT\r\n.", b"..\r\n"],
        [b"BDAT 3 LAST\r\n", b"RSET\r\n"],
        [b"\0" * 70000, b"\xff\r\n"],
    ],
)
def test_a_message_in_chunks(chunks: list[bytes]) -> None:
    sent = b"".join(chunk(octets) for octets in chunks[:-1]) + chunk(chunks[-1], last=True)
    replies = b"".join(taken(len(octets)) for octets in chunks[:-1]) + ACCEPTED
    assert in_rcpt().feed(sent + b"NOOP\r\n") == replies + b"250 2.0.0 OK\r\n"
    for pieces in ways(sent) if len(sent) < 1000 else [[sent]]:
        server = in_rcpt()
        assert b"".join(server.feed(piece) for piece in pieces if piece) == replies
        assert server.body == b"".join(chunks)
        assert [event.size for event in server.of(MessageReceived)] == [len(server.body)]
        assert len(server.of(BodyStarted)) == 1
        assert server.conn.state is State.READY


@pytest.mark.clause("RFC3030-4.2a", "RFC2920-3.2a")
def test_everything_in_one_flight() -> None:
    server = Server()
    message = b"Subject: x\r\n\r\ntext\r\n"
    flight = f"{MAIL}\r\n{RCPT}\r\n".encode() + chunk(message, last=True)
    replies = server.feed(flight * 2 + b"QUIT\r\n").split(b"\r\n")
    assert [line[:3] for line in replies] == [b"250"] * 6 + [b"221", b""]
    assert [event.envelope.recipients[0].path.local for event in server.of(MessageReceived)] == ["b", "b"]


@pytest.mark.parametrize("last", [False, True])
def test_any_cut_gives_the_same(last: bool) -> None:
    octets = f"{MAIL}\r\n{RCPT}\r\n".encode() + chunk(b"\r\nNO") + chunk(b"OP\r\n", last=last) + b"RSET\r\n"
    expected = Server().feed(octets)
    for pieces in every_cut(octets):
        server = Server()
        assert b"".join(server.feed(piece) for piece in pieces if piece) == expected
        assert len(server.of(MessageReceived)) == last


@pytest.mark.clause("RFC3030-2m")
@pytest.mark.parametrize("command", ["RSET", "EHLO a", "HELO a", "QUIT"])
def test_what_ends_it_between_chunks(command: str) -> None:
    server = in_rcpt()
    server.feed(chunk(b"half"))
    assert server.conn.state is State.CHUNK
    server.say(command)
    assert server.of(MessageReceived) == []
    assert server.of(TransactionReset) == [TransactionReset()]


@pytest.mark.clause("RFC3030-2k")
@pytest.mark.parametrize(
    ("command", "code"), [("DATA", "503 5.5.1 Use BDAT"), (MAIL, "503"), (RCPT, "503"), ("NOOP", "250")]
)
def test_what_may_not_come_between_chunks(command: str, code: str) -> None:
    server = in_rcpt()
    server.feed(chunk(b"one"))
    assert server.one(command).startswith(code)
    assert server.feed(chunk(b"two", last=True)) == ACCEPTED
    assert server.body == b"onetwo"


# ---- refusals: the octets never run ----

OCTETS = b"RSET\r\nQUIT\r\n\r\n"


@pytest.mark.clause("RFC3030-2g", "RFC3030-2h", "RFC3030-2l", "RFC3030-2b")
@pytest.mark.parametrize(
    ("prepare", "config", "line", "reply"),
    [
        ([], None, "BDAT 14", "503 5.5.1 Need MAIL first"),
        ([MAIL], None, "BDAT 14 LAST", "503 5.5.1 Need RCPT first"),
        ([MAIL, "RCPT TO:<"], None, "bdat 14 last", "503 5.5.1 Need RCPT first"),
        ([MAIL, RCPT, "BDAT 0 LAST"], None, "BDAT 14 LAST", "503 5.5.1 Need MAIL first"),
        ([MAIL, RCPT], None, "BDAT 14 x", "501 5.5.4 Syntax: BDAT size [LAST]"),
        ([MAIL, RCPT], None, "BDAT 14 LAST LAST", "501 5.5.4 Syntax: BDAT size [LAST]"),
        (["HELO a", MAIL, RCPT], None, "BDAT 14", "502 5.5.1 Command not implemented"),
        ([MAIL, RCPT], PLAIN, "BDAT  14", "502 5.5.1 Command not implemented"),
        ([], server_config(policy=SubmissionPolicy(require_tls=True)), "BDAT 14", "530 5.7.0 Must issue"),
    ],
)
def test_the_octets_of_a_refused_chunk_never_run(
    prepare: list[str], config: ServerConfig | None, line: str, reply: str
) -> None:
    octets = f"{line}\r\n".encode() + OCTETS + b"NOOP\r\n"
    for pieces in ways(octets):
        server = Server(config)
        server.say(*prepare)
        state = server.conn.state
        replies = b"".join(server.feed(piece) for piece in pieces if piece).decode().split("\r\n")
        assert replies[0].startswith(reply)
        assert replies[1:] == ["250 2.0.0 OK", ""]
        assert server.conn.state is state


def test_before_hello() -> None:
    server = Server(hello=False)
    assert server.feed(b"BDAT 6\r\nQUIT\r\nNOOP\r\n").startswith(b"503 5.5.1 Send EHLO first\r\n250")


@pytest.mark.parametrize("size", ["", "-1", "+5", "0x10", "five", "1" * 21, "1" * 30, "1_0", "\u0661"])
def test_a_chunk_that_cannot_be_read_ends_the_session(size: str) -> None:
    for server in (Server(), in_rcpt()):
        assert server.say(f"BDAT {size}", "QUIT") == ["421 4.7.0 Bad chunk size, closing connection"]
        assert server.closed


@pytest.mark.clause("RFC3030-2p", "RFC3030-2h", "RFC3030-2j", "RFC1870-7b")
@pytest.mark.parametrize(
    "chunks", [[b"x" * 17], [b"x" * 10, b"y" * 7], [b"x" * 16, b"y"], [b"x" * 16, b"", b"y" * 5000]]
)
@pytest.mark.parametrize("last", [False, True])
def test_too_much(chunks: list[bytes], last: bool) -> None:
    server = in_rcpt(server_config(limits=Limits(message_size=16)))
    for octets in chunks[:-1]:
        assert server.feed(chunk(octets)) == taken(len(octets))
    assert server.feed(chunk(chunks[-1], last=last)) == b"552 5.3.4 Message size exceeds limit\r\n"
    assert len(server.body) <= 16
    assert server.of(TransactionReset) == [TransactionReset()]
    assert server.of(MessageReceived) == []
    if last:
        assert server.one(MAIL).startswith("250")
        return
    assert server.conn.state is State.VOID
    failed = b"503 5.5.1 A chunk failed, send RSET\r\n"
    assert server.feed(chunk(OCTETS) + chunk(b"x", last=True)) == failed * 2
    assert server.say("DATA", MAIL, RCPT, "RSET", MAIL)[-2:] == ["250 2.0.0 Reset", "250 2.1.0 Sender OK"]
    assert server.of(TransactionReset) == [TransactionReset()]


@pytest.mark.clause("RFC3030-2j")
def test_chunks_on_their_way_when_one_fails_are_no_fault() -> None:
    server = in_rcpt(server_config(limits=Limits(message_size=16, errors=2)))
    replies = server.feed(chunk(b"x" * 17) + chunk(b"more") * 50).splitlines()
    assert [line[:3] for line in replies] == [b"552"] + [b"503"] * 50
    assert server.one("RSET").startswith("250")


def test_a_size_that_is_only_said_allocates_nothing() -> None:
    server = in_rcpt()
    assert server.feed(b"BDAT 99999999999999999999 LAST\r\n" + b"x" * 100) == b""
    assert len(server.body) == 100
    assert server.feed(b"") == b""
    assert server.closed
    assert server.of(TransactionReset) == [TransactionReset()]


def test_empty_chunks_for_ever() -> None:
    server = in_rcpt(server_config(limits=Limits(idle_commands=5)))
    replies = server.feed(chunk(b"") * 20).splitlines()
    # EHLO and MAIL were the first two.
    assert [line[:3] for line in replies] == [b"250"] * 3 + [b"421"]
    assert server.closed


@pytest.mark.clause("SEC-SMUG-in-b", "RFC3030-2n", "RFC4409-7i")
@pytest.mark.parametrize("octets", [b"a\nb", b"a\rb", b"a\r", b"\n", b"a\r\r\n"])
@pytest.mark.parametrize("cut", range(4))
def test_bare_newlines_in_chunks(octets: bytes, cut: int) -> None:
    for policy, reply in (
        (OPEN, b"554 5.6.0"),
        (attrs.evolve(OPEN, bare_newlines=BareNewlines.KEEP), b"250"),
    ):
        server = in_rcpt(server_config(policy=policy))
        server.feed(chunk(octets[:cut]))
        assert server.feed(chunk(octets[cut:], last=True)).startswith(reply)
        assert bool(server.of(MessageReceived)) is (reply == b"250")


@pytest.mark.clause("RFC3030-2e")
def test_the_last_chunk_may_be_empty_and_the_message_wrong() -> None:
    server = in_rcpt()
    server.feed(chunk(b"a\r"))
    assert server.feed(b"BDAT 0 LAST\r\n").startswith(b"554 5.6.0")


# ---- BINARYMIME ----


@pytest.mark.clause("RFC3030-3a", "RFC3030-3d", "RFC4409-7h")
def test_binary_octets_arrive_as_they_are() -> None:
    server = in_rcpt(BINARY, MAIL + " BODY=BINARYMIME")
    octets = bytes(range(256)) * 3 + b"\r"
    assert server.feed(chunk(octets[:300]) + chunk(octets[300:], last=True)).endswith(ACCEPTED)
    assert server.body == octets
    assert "250-BINARYMIME" in Server(BINARY).say("EHLO a")


@pytest.mark.clause("RFC3030-3c")
@pytest.mark.parametrize("parameter", [" BODY=BINARYMIME", " BODY=binarymime SIZE=3"])
def test_no_dots_for_binary_octets(parameter: str) -> None:
    server = in_rcpt(BINARY, MAIL + parameter)
    assert server.one("DATA") == "503 5.5.1 Use BDAT"
    assert server.feed(chunk(b"a\nb", last=True)) == ACCEPTED


@pytest.mark.clause("RFC3030-3b", "RFC6152-3d")
def test_binary_is_a_bad_value_where_it_is_not_offered() -> None:
    assert Server().one(MAIL + " BODY=BINARYMIME") == "501 5.5.4 Bad parameter"


# ---- the application ----


@pytest.mark.clause("RFC3030-2h")
@pytest.mark.parametrize("last", [False, True])
def test_refused_before_the_first_octet(last: bool) -> None:
    server = in_rcpt(decisions={BodyStarted: BUSY})
    assert server.feed(b"BDAT 14%s\r\n" % (b" LAST" if last else b"")) == b""
    assert server.feed(OCTETS) == b"452 4.3.1 Later\r\n"
    assert server.body == b""
    assert server.conn.state is (State.READY if last else State.VOID)


def test_refused_in_the_middle() -> None:
    server = in_rcpt()
    server.feed(b"BDAT 10\r\nabc")
    server.conn.refuse_body(BUSY)
    assert server.feed(b"defghij") == b"452 4.3.1 Later\r\n"
    assert server.body == b"abc"
    assert server.conn.state is State.VOID


def test_refused_between_chunks() -> None:
    server = in_rcpt()
    server.feed(chunk(b"abc"))
    server.conn.refuse_body(BUSY)
    assert server.feed(chunk(b"def", last=True)) == b"452 4.3.1 Later\r\n"
    assert server.conn.state is State.READY
    with pytest.raises(LocalProtocolError, match="no body"):
        server.conn.refuse_body(BUSY)


def test_the_end_of_the_message_is_decided() -> None:
    server = in_rcpt(decisions={MessageReceived: BUSY})
    assert server.feed(chunk(b"abc") + chunk(b"", last=True)) == taken(3) + b"452 4.3.1 Later\r\n"
    assert server.one(MAIL).startswith("250")


@pytest.mark.clause("RFC2920-3.2h")
def test_what_follows_waits_for_the_decision() -> None:
    server = in_rcpt(decisions={BodyStarted: None, MessageReceived: None})
    assert server.feed(chunk(b"abc", last=True) + b"NOOP\r\n") == b""
    assert server.last is PAUSED
    assert server.conn.deadline is None
    server.conn.accept()
    assert server.pump() == b""
    server.conn.accept()
    assert server.pump() == ACCEPTED + b"250 2.0.0 OK\r\n"


def test_a_chunk_has_no_reply_that_could_be_given_at_its_start() -> None:
    server = in_rcpt(decisions={BodyStarted: None})
    server.feed(chunk(b"abc", last=True))
    with pytest.raises(LocalProtocolError, match="250 is no reply to BDAT"):
        server.conn.reply(Reply(250, "fine"))
    server.conn.reply(Reply(354, "fine"))
    assert server.pump() == ACCEPTED


def _say_nothing(_: Server) -> None: ...


def _send_more(server: Server) -> None:
    server.feed(b"x" * 16384)


@pytest.mark.parametrize(("meanwhile", "same"), [(_say_nothing, True), (_send_more, False)])
def test_the_time_for_a_chunk(meanwhile: Callable[[Server], None], same: bool) -> None:
    server = in_rcpt()
    server.feed(b"BDAT 100000\r\nabc")
    first = server.conn.deadline
    assert first is not None
    assert first.wait is Wait.BLOCK
    meanwhile(server)
    assert (server.conn.deadline is first) is same


def test_linear_in_chunks_and_octets() -> None:
    """The same work for each chunk, however many came before, by the number of pieces handed out."""
    counts = []
    for number in (100, 200, 400):
        server = in_rcpt()
        server.feed(chunk(b"ab\r\n") * number)
        assert server.last is NEED_DATA
        counts.append(len(server.of(BodyChunk)))
    assert all(b == 2 * a for a, b in pairwise(counts))
