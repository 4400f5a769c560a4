"""DATA and what follows it in the server role."""

from __future__ import annotations

import attrs
import pytest
from tests.helpers.driver import OPEN, Server, server_config
from tests.helpers.splits import every_cut, ways

from ehlo import (
    PAUSED,
    BareNewlines,
    BodyChunk,
    BodyStarted,
    Limits,
    LocalProtocolError,
    MessageReceived,
    Reply,
    State,
    TransactionReset,
)

MAIL, RCPT = "MAIL FROM:<a@x.org>", "RCPT TO:<b@x.org>"


def in_body(server: Server | None = None, mail: str = MAIL) -> Server:
    server = server or Server()
    assert [line[:3] for line in server.say(mail, RCPT, "DATA")] == ["250", "250", "354"]
    return server


@pytest.mark.clause("RFC5321-4.5.2a", "RFC5321-4.1.1.4a", "RFC1870-5a", "RFC5321-4.1.1.4d", "RFC5321-2.1a")
@pytest.mark.parametrize(
    ("sent", "stored"),
    [
        (b"", b""),
        (b"text\r\n", b"text\r\n"),
        (b"..\r\n", b".\r\n"),
        (b".a\r\n...b\r\n", b"a\r\n..b\r\n"),
        (b"\r\n\r\n", b"\r\n\r\n"),
        (b"a\r\n. \r\n", b"a\r\n \r\n"),
        (bytes(c for c in range(256) if c not in b"\r\n") + b"\r\n", None),
        (b"x" * 998 + b"\r\n", None),
        (b"x" * 5000 + b"\r\n", None),
    ],
)
def test_bodies(sent: bytes, stored: bytes | None) -> None:
    server = in_body()
    assert server.feed(sent + b".\r\n") == b"250 2.0.0 Message accepted\r\n"
    assert server.body == (sent if stored is None else stored)
    (message,) = server.of(MessageReceived)
    assert message.size == len(server.body)
    assert server.one(MAIL).startswith("250 ")


@pytest.mark.clause("RFC5321-4.5.2d", "RFC5321-4.5.2c")
def test_any_cut_gives_the_same_message() -> None:
    octets = f"{MAIL}\r\n{RCPT}\r\nDATA\r\n.a\r\n..\r\n\0\x01\r\n..b.\r\n.\r\nNOOP\r\n".encode()
    for pieces in (*ways(octets), *every_cut(octets)):
        server = Server()
        replies = b"".join(server.feed(piece) for piece in pieces if piece)
        assert [line[:3] for line in replies.split(b"\r\n")[:-1]] == [b"250", b"250", b"354", b"250", b"250"]
        assert server.body == b"a\r\n.\r\n\0\x01\r\n.b.\r\n", pieces
        assert len(server.of(MessageReceived)) == 1


@pytest.mark.clause("RFC5321-2.1a")
def test_the_final_reply_waits_for_the_decision() -> None:
    server = in_body()
    server.decisions[MessageReceived] = None
    assert server.feed(b"text\r\n.\r\nNOOP\r\n") == b""
    assert server.last is PAUSED
    assert server.conn.state is State.BODY
    assert server.conn.deadline is None
    server.conn.accept()
    assert server.pump() == b"250 2.0.0 Message accepted\r\n250 2.0.0 OK\r\n"


def test_the_last_piece_is_seen_before_the_decision() -> None:
    server = in_body()
    server.conn.receive_data(b"text\r\n.\r\n")
    assert server.conn.next_event() == BodyChunk(b"text\r\n")
    with pytest.raises(LocalProtocolError):
        server.conn.accept()
    assert isinstance(server.conn.next_event(), MessageReceived)
    server.conn.accept()


@pytest.mark.clause("RFC5321-4.2.5a", "RFC4409-6.3a", "RFC4409-6.3c", "RFC5321-4.1.1.4d")
@pytest.mark.parametrize(
    "reply", [Reply(550, "no", "5.7.1"), Reply(451, "later", "4.3.0"), Reply(554, "bad", "5.6.0")]
)
def test_a_refused_message(reply: Reply) -> None:
    server = in_body()
    server.decisions[MessageReceived] = reply
    assert server.feed(b"text\r\n.\r\n") == reply.render()
    assert server.conn.state is State.READY
    assert server.one(MAIL).startswith("250 ")


def test_data_that_the_application_refuses() -> None:
    server = Server(decisions={BodyStarted: Reply(554, "not today", "5.7.0")})
    assert [line[:3] for line in server.say(MAIL, RCPT, "DATA", "NOOP")] == ["250", "250", "554", "250"]
    assert server.conn.state is State.RCPT


@pytest.mark.clause("RFC4409-6.3b", "SEC-SMUG-in-b", "RFC5321-2.3.8a")
@pytest.mark.parametrize(
    "body", [b"a\nb\r\n", b"a\rb\r\n", b"\n\r\n", b"a\r\r\n", b"a\r\n\rb\r\n", b"\n.\r\n", b"a\r\n.\n\r\n"]
)
def test_bare_newlines_are_refused_at_the_true_end(body: bytes) -> None:
    server = in_body()
    assert server.feed(body) == b""
    assert server.feed(b"more\r\n.\r\n") == b"554 5.6.0 Bare newline not allowed\r\n"
    assert not server.of(MessageReceived)
    assert server.events[-1] == TransactionReset()
    assert server.one(MAIL).startswith("250 ")


@pytest.mark.clause("SEC-SMUG-in-d")
@pytest.mark.parametrize(
    "octets",
    [b"NOOP\nRSET\r\n", b"NOOP\rRSET\r\n", b"DATA\r\na\nb\r\n.\r\n", b"BDAT 3 LAST\r\na\nb"],
)
def test_bare_newlines_may_end_the_session(octets: bytes) -> None:
    server = Server(server_config(policy=attrs.evolve(OPEN, bare_newlines=BareNewlines.CLOSE)))
    server.say(MAIL, RCPT)
    replies = server.feed(octets + b"NOOP\r\n").split(b"\r\n")
    assert replies[-2:] == [b"421 4.7.0 Bare newline, closing connection", b""]
    assert server.closed
    assert not server.of(MessageReceived)


@pytest.mark.clause("SEC-SMUG-in-c")
def test_bare_newlines_that_are_allowed_stay_as_they_are() -> None:
    server = in_body(Server(server_config(policy=attrs.evolve(OPEN, bare_newlines=BareNewlines.KEEP))))
    assert server.feed(b"a\nb\rc\n.\n\r\n.\r\n").startswith(b"250 ")
    assert server.body == b"a\nb\rc\n.\n\r\n"


@pytest.mark.clause("RFC5321-2.4e")
@pytest.mark.parametrize(
    ("require", "mail", "code"),
    [
        (True, MAIL, b"554 5.6.1 "),
        (True, f"{MAIL} BODY=8BITMIME", b"250 "),
        (False, MAIL, b"250 "),
        (True, f"{MAIL} BODY=7BIT", b"554 5.6.1 "),
    ],
)
def test_octets_over_127(require: bool, mail: str, code: bytes) -> None:
    server = in_body(Server(server_config(policy=attrs.evolve(OPEN, require_8bitmime=require))), mail)
    assert server.feed(b"caf\xe9\r\n.\r\n").startswith(code)
    assert server.body == b"caf\xe9\r\n" if code == b"250 " else True


@pytest.mark.clause("RFC1870-7b", "SEC-INJ-srv-b", "RFC5321-4.5.3.1.9a")
def test_a_message_over_the_limit_is_read_to_its_end() -> None:
    server = in_body(Server(server_config(limits=Limits(message_size=100))))
    for _ in range(50):
        assert server.feed(b"x" * 98 + b"\r\n") == b""
    assert len(server.body) <= 100
    assert (
        server.feed(b"QUIT\r\n.\r\nNOOP\r\n") == b"552 5.3.4 Message size exceeds limit\r\n250 2.0.0 OK\r\n"
    )
    assert server.of(TransactionReset) == [TransactionReset()]
    assert not server.of(MessageReceived)


@pytest.mark.clause("RFC1870-5a")
def test_the_limit_counts_neither_stuffing_nor_terminator() -> None:
    server = in_body(Server(server_config(limits=Limits(message_size=5))))
    assert server.feed(b"..ab\r\n.\r\n").startswith(b"250 ")
    assert server.body == b".ab\r\n"
    in_body(server)
    assert server.feed(b"abcd\r\n.\r\n").startswith(b"552 ")


@pytest.mark.clause("RFC5321-4.5.3.1.7a", "RFC5321-4.5.3.1.6a")
def test_64k_by_default() -> None:
    server = in_body()
    assert server.feed(b"x" * 70000 + b"\r\n.\r\n").startswith(b"250 ")


def test_a_body_that_the_application_stops() -> None:
    server = in_body()
    server.feed(b"one\r\n")
    with pytest.raises(LocalProtocolError):
        server.conn.refuse_body(Reply(250, "fine"))
    server.conn.refuse_body(Reply(451, "disk", "4.3.0"))
    assert server.feed(b"two\r\nMAIL FROM:<x@y.org>\r\n") == b""
    assert server.feed(b".\r\n") == b"451 4.3.0 disk\r\n"
    assert server.body == b"one\r\n"
    assert server.events[-1] == TransactionReset()
    with pytest.raises(LocalProtocolError):
        server.conn.refuse_body(Reply(451, "again"))


def test_a_body_stopped_with_421_ends_the_session_at_its_end() -> None:
    server = in_body()
    server.conn.refuse_body(Reply(421, "going down", "4.3.2"))
    assert server.feed(b"text\r\n.\r\nNOOP\r\n") == b"421 4.3.2 going down\r\n"
    assert server.of(TransactionReset) == [TransactionReset()]
    assert server.closed


@pytest.mark.clause("RFC5321-4.1.1.10c", "RFC5321-4.1.1.5b")
@pytest.mark.parametrize("tail", [b"", b"x", b"x\r", b"x\r\n", b"x\r\n.", b"x\r\n.\r"])
def test_a_message_cut_off_is_no_message(tail: bytes) -> None:
    server = in_body()
    server.feed(b"whole\r\n.\r\n")
    in_body(server)
    if tail:
        server.feed(tail)
    server.feed(b"")
    assert len(server.of(MessageReceived)) == 1
    assert server.of(TransactionReset) == [TransactionReset()]
