"""Bounds of the server role: lines, numbers, time, memory, and linear work."""

from __future__ import annotations

from collections.abc import Callable
from unittest import mock

import attrs
import pytest
from tests.helpers.driver import OPEN, Server, server_config
from tests.helpers.linear import grows_linearly
from tests.helpers.splits import ways

from ehlo import (
    STANDARD,
    BareNewlines,
    BodyChunk,
    Deadline,
    Limits,
    MessageReceived,
    RcptReceived,
    Reply,
    ServerConnection,
    SessionLimits,
    State,
    TransactionReset,
    Wait,
)
from ehlo._patience import Patience
from ehlo._replies import TIMED_OUT
from ehlo.extensions.limits import session_limits
from ehlo.wire.buffer import ReceiveBuffer

MAIL, RCPT = "MAIL FROM:<a@x.org>", "RCPT TO:<b@x.org>"


def limited(**limits: int | float) -> Server:
    return Server(server_config(limits=Limits(**limits)))  # type: ignore[arg-type]


# ---- lines ----


@pytest.mark.clause("RFC5321-4.3.2e", "RFC5321-4.5.3.1.4a")
@pytest.mark.parametrize("length", [510, 4094])
def test_lines_up_to_the_limit(length: int) -> None:
    assert limited(command_line=512).one("NOOP " + "x" * 505) == "250 2.0.0 OK"
    assert Server().one("NOOP " + "x" * (length - 5)) == "250 2.0.0 OK"


@pytest.mark.clause("RFC5321-4.5.3.1.9a", "SEC-INJ-srv-b", "SEC-INJ-both-b")
@pytest.mark.parametrize("length", [4095, 4096, 12287, 12288, 100_000, 1_000_000])
def test_longer_lines_are_refused_once_and_whole(length: int) -> None:
    octets = b"NOOP " + b"x" * (length - 5) + b"\r\nRSET\r\n"
    for pieces in [[octets], [octets[i : i + 4096] for i in range(0, len(octets), 4096)]]:
        server = Server()
        replies = b"".join(server.feed(piece) for piece in pieces)
        assert replies == b"500 5.5.2 Line too long\r\n250 2.0.0 Reset\r\n"


def test_the_tail_of_a_long_line_never_runs() -> None:
    server = Server()
    server.say(MAIL)
    octets = b"x" * 20000 + b" RSET\r\rRSET\r\nNOOP\r\n"
    for pieces in ways(octets):
        replies = b"".join(server.feed(piece) for piece in pieces if piece)
        assert replies == b"500 5.5.2 Line too long\r\n250 2.0.0 OK\r\n"
    assert server.conn.state is State.MAIL


@pytest.mark.clause("SEC-INJ-srv-b")
def test_a_line_without_end_closes() -> None:
    server = limited(overlong_line=100_000)
    sent = 0
    replies = b""
    while not server.closed:
        replies += server.feed(b"x" * 5000)
        sent += 5000
        assert sent < 150_000
    assert replies == b"421 4.7.0 Too many errors\r\n"


@pytest.mark.clause("SEC-SMUG-in-e", "RFC5321-4.1.2k", "RFC5321-2.3.8a")
@pytest.mark.parametrize("octet", [b"\n", b"\r", b"\0", b"\x0b", b"\x0c", b"\x1b", b"\x7f", b"\t"])
@pytest.mark.parametrize(
    "template", [b"NOOP%cRSET", b"%cRSET", b"RSET%c", b"FOO%cQUIT", b"EHLO a%c%cMAIL FROM:<a@x.org>"]
)
def test_control_octets_do_not_split_a_line(octet: bytes, template: bytes) -> None:
    server = Server()
    server.say(MAIL)
    octets = template.replace(b"%c", octet) + b"\r\n"
    assert server.feed(octets) == b"500 5.5.2 Control character in command\r\n"
    assert server.conn.state is State.MAIL


def test_other_control_octets_end_no_session() -> None:
    policy = attrs.evolve(OPEN, bare_newlines=BareNewlines.CLOSE)
    server = Server(server_config(policy=policy))
    assert server.feed(b"NOOP\tRSET\r\n") == b"500 5.5.2 Control character in command\r\n"


@pytest.mark.parametrize("line", ["NOOP\u0085RSET", "NOOP\u2028RSET", "NOOP\xa0RSET", "NOOP é"])
def test_other_line_breaks_are_text(line: str) -> None:
    server = Server()
    server.say(MAIL)
    assert len(server.say(line)) == 1
    assert server.conn.state is State.MAIL


# ---- numbers ----


@pytest.mark.clause("SEC-INJ-srv-c", "SEC-INJ-srv-b", "RFC4409-5.2a", "RFC5321-3.8a")
@pytest.mark.parametrize(
    "line", ["FOO", "MAIL FROM:<", "DATA", "BDAT 0", "x" * 5000, "NOOP\nx", "AUTH FOO", "EHLO <"]
)
def test_errors_end_in_421(line: str) -> None:
    server = Server()
    codes = [reply[:3] for reply in server.say(*[line] * 30)]
    assert len(codes) == 21
    assert codes[-1] == "421"
    assert "421" not in codes[:-1]
    assert server.closed


def test_refusals_of_the_application_are_not_errors() -> None:
    server = limited(errors=1)
    server.decisions[RcptReceived] = Reply(550, "no", "5.1.1")
    assert {reply[:3] for reply in server.say(MAIL, *[RCPT] * 50)} == {"250", "550"}


def test_refusals_of_the_application_do_not_go_on_for_ever() -> None:
    server = limited(idle_commands=10)
    server.decisions[RcptReceived] = Reply(550, "no", "5.1.1")
    codes = [reply[:3] for reply in server.say(MAIL, *[RCPT] * 50)]
    # EHLO and MAIL are two of the ten; nobody tries out addresses at leisure.
    assert codes == ["250", *["550"] * 8, "421"]
    assert server.closed


@pytest.mark.clause("SEC-INJ-srv-b")
@pytest.mark.parametrize("line", ["NOOP", "RSET", "HELP", "VRFY x", "EHLO x", "HELO x"])
def test_commands_that_do_no_work_end_in_421(line: str) -> None:
    server = Server(server_config(limits=Limits(idle_commands=10)), hello=False)
    replies = [server.say(line)[-1] for _ in range(11)]
    assert {reply[:3] for reply in replies[:-1]} <= {"250", "214", "252"}
    assert replies[-1] == "421 4.7.0 Too many commands without a message"
    assert server.closed


def test_mail_and_rset_are_no_work_either() -> None:
    server = limited(idle_commands=10)
    replies = server.say(*[MAIL, "RSET"] * 10)
    assert replies[-1][:3] == "421"


def test_an_accepted_message_earns_patience() -> None:
    server = limited(idle_commands=5, errors=2)
    for _ in range(10):
        replies = server.say("FOO", "FOO", "NOOP", MAIL, RCPT, "DATA", ".")
        assert replies[-1].startswith("250 2.0.0 ")
    server.decisions[MessageReceived] = Reply(550, "no")
    replies = server.say(*["FOO", MAIL, RCPT, "DATA", "."] * 3)
    assert replies[-1][:3] == "421"


@pytest.mark.clause("RFC5321-4.5.3.1.8a", "RFC5321-4.5.3.1.10a", "RFC5321-4.5.3.1.9a", "RFC2821-4.5.3.1a")
def test_recipients() -> None:
    server = limited(recipients=100)
    replies = server.say(MAIL, *[f"RCPT TO:<r{i}@x.org>" for i in range(103)])
    assert set(replies[1:101]) == {"250 2.1.5 Recipient OK"}
    assert set(replies[101:]) == {"452 4.5.3 Too many recipients"}
    server.say("DATA", ".")
    (message,) = server.of(MessageReceived)
    assert len(message.envelope.recipients) == 100
    assert Limits().recipients >= 100


# ---- time ----


def wait(server: Server) -> Deadline:
    deadline = server.conn.deadline
    assert deadline is not None
    return deadline


@pytest.mark.clause("RFC5321-4.5.3.2.7a", "RFC6409-5.3b", "OXSMTP-3.1.2a")
def test_the_same_wait_goes_on_until_a_line_is_complete() -> None:
    server = Server()
    first = wait(server)
    assert (first.wait, first.seconds) == (Wait.COMMAND, 300.0)
    for octet in b"NOOP\r":
        server.feed(bytes([octet]))
        assert wait(server) is first
    server.feed(b"\n")
    assert wait(server) is not first
    assert wait(limited(idle_timeout=5.0)).seconds == 5.0


def test_a_long_line_earns_no_time() -> None:
    server = Server()
    first = wait(server)
    for _ in range(10):
        server.feed(b"x" * 10000)
        assert wait(server) is first
    server.feed(b"\r\n")
    assert wait(server) is not first


def test_the_octets_of_a_chunk_earn_no_time() -> None:
    server = Server()
    server.feed(b"BDAT 1000\r\n")
    first = wait(server)
    for _ in range(9):
        server.feed(b"x" * 100)
        assert wait(server) is first
    server.feed(b"x" * 100)
    assert wait(server) is not first


def test_lines_of_an_exchange() -> None:
    server = Server()
    server.say("AUTH LOGIN")
    first = wait(server)
    server.feed(b"YWxp")
    assert wait(server) is first
    server.feed(b"Y2U=\r\n")
    assert wait(server) is not first


@pytest.mark.clause("RFC5321-4.5.3.2a")
def test_a_body_must_come_at_a_least_rate() -> None:
    server = Server()
    server.say(MAIL, RCPT, "DATA")
    first = wait(server)
    assert (first.wait, first.seconds) == (Wait.BLOCK, 180.0)
    for _ in range(163):
        server.feed(b"x" * 98 + b"\r\n")
        assert wait(server) is first
    server.feed(b"x" * 1000)
    second = wait(server)
    assert second is not first
    server.feed(b"x" * 16000)
    assert wait(server) is second
    server.feed(b"x" * 1000)
    assert wait(server) is not second
    # A refused body is under the same clock.
    server.conn.refuse_body(Reply(550, "no"))
    third = wait(server)
    server.feed(b"x" * 100)
    assert wait(server) is third


def test_no_clock_runs_while_the_application_is_at_work_or_nobody_is_there() -> None:
    conn = ServerConnection(server_config())
    conn.next_event()
    assert conn.deadline is None
    conn.accept()
    assert conn.deadline is not None
    conn.close()
    assert conn.deadline is None


@pytest.mark.clause("RFC5321-4.5.3.2.7a")
def test_when_time_is_out() -> None:
    server = Server()
    server.say(MAIL)
    server.conn.close(TIMED_OUT)
    assert server.pump() == b"421 4.4.2 Timeout, closing connection\r\n"
    assert server.of(TransactionReset)


# ---- work ----

GENEROUS = Limits(errors=10**9, idle_commands=10**9, recipients=10**9)


def many(line: bytes) -> Callable[[int], Callable[[], object]]:
    def prepare(count: int) -> Callable[[], object]:
        server = Server(server_config(limits=GENEROUS))
        octets = line * count
        return lambda: server.feed(octets)

    return prepare


@pytest.mark.parametrize("line", [b"NOOP\r\n", b"RSET\r\n", b"FOO\r\n", b"\r\n"])
def test_pipelined_commands_in_linear_time(line: bytes) -> None:
    grows_linearly(many(line), 2500)


def test_pipelined_commands_each_get_their_reply() -> None:
    server = Server(server_config(limits=GENEROUS))
    assert server.feed(b"NOOP\r\n" * 10_000) == b"250 2.0.0 OK\r\n" * 10_000


def test_recipients_in_linear_time() -> None:
    def prepare(count: int) -> Callable[[], object]:
        server = Server(server_config(limits=GENEROUS))
        server.say(MAIL)
        octets = "".join(f"RCPT TO:<r{i}@x.org>\r\n" for i in range(count)).encode()
        return lambda: server.feed(octets)

    grows_linearly(prepare, 2500)


def test_one_octet_feeds_in_linear_time() -> None:
    def prepare(count: int) -> Callable[[], object]:
        server = Server()
        server.say(MAIL, RCPT, "DATA")
        octets = [b"%c" % octet for octet in b"text of a line\r\n" * (count // 16) + b".\r\n"]

        def run() -> None:
            for octet in octets:
                server.feed(octet)
            assert server.of(MessageReceived)

        return run

    grows_linearly(prepare, 8000)


def test_one_octet_feeds_of_a_long_line_in_linear_time() -> None:
    def prepare(count: int) -> Callable[[], object]:
        server = Server(server_config(limits=Limits(command_line=10**6)))

        def run() -> None:
            for _ in range(count):
                server.conn.receive_data(b"x")
                server.conn.next_event()

        return run

    grows_linearly(prepare, 8000)


def test_small_pieces_of_a_body_in_linear_time() -> None:
    def prepare(count: int) -> Callable[[], object]:
        server = Server()
        server.say(MAIL, RCPT, "DATA")

        def run() -> None:
            for _ in range(count):
                server.conn.receive_data(b"..\r\nabc\r\n.x\r")
                server.conn.next_event()
                server.conn.receive_data(b"\n")
                server.conn.next_event()

        return run

    grows_linearly(prepare, 4000)


def test_a_body_leaves_nothing_behind_in_memory() -> None:
    server = Server()
    server.say(MAIL, RCPT, "DATA")
    for _ in range(100):
        server.conn.receive_data(b"x" * 65536)
        assert isinstance(server.conn.next_event(), BodyChunk)
        assert len(server.conn._buffer) == 0


def test_what_stands_behind_a_small_message_is_not_copied_whole() -> None:
    server = limited(idle_commands=10**9)
    octets = f"{MAIL}\r\n{RCPT}\r\nDATA\r\nhi\r\n.\r\n".encode() * 3000
    taken: list[int] = []
    take = ReceiveBuffer.take

    def watched(buffer: ReceiveBuffer, most: int) -> bytes:
        data = take(buffer, most)
        taken.append(len(data))
        return data

    with mock.patch.object(ReceiveBuffer, "take", watched):
        server.feed(octets)
    assert len(server.of(MessageReceived)) == 3000
    # Else the time for many messages in one feed would grow with their square.
    assert max(taken) <= 65536 < len(octets)


# ---- what LIMITS announces (RFC 9422) ----


def announcing(
    *, mail_max: int | None = None, rcpt_max: int | None = None, rcpt_domain_max: int | None = None
) -> Server:
    limits = session_limits(
        SessionLimits(mail_max=mail_max, rcpt_max=rcpt_max, rcpt_domain_max=rcpt_domain_max)
    )
    return Server(attrs.evolve(server_config(), extensions=(*STANDARD, limits)))


@pytest.mark.clause("RFC9422-4a")
@pytest.mark.parametrize("pipelined", [False, True])
def test_one_recipient_more_than_announced(pipelined: bool) -> None:
    server = announcing(rcpt_max=2)
    server.say("MAIL FROM:<a@x.org>")
    # One that is refused counts, too, and a next transaction begins anew.
    commands = ["RCPT TO:<b@x.org>", "RCPT TO:<", "RCPT TO:<c@x.org>"]
    told = ["250 2.1.5 ", "501 5.1.3 ", "452 4.5.3 "]
    for _ in range(2):
        if pipelined:
            octets = "".join(f"{line}\r\n" for line in commands).encode()
            replies = server.feed(octets).decode().splitlines()
        else:
            replies = [server.one(line) for line in commands]
        assert [reply[:10] for reply in replies] == told
        assert server.one("RSET").startswith("250 ")
        assert server.one("MAIL FROM:<a@x.org>").startswith("250 ")


@pytest.mark.clause("RFC9422-4a")
def test_one_message_more_than_announced() -> None:
    server = announcing(mail_max=2)
    for _ in range(2):
        assert server.one("MAIL FROM:<a@x.org>") == "250 2.1.0 Sender OK"
        server.one("RSET")
    assert server.one("MAIL FROM:<a@x.org>") == "452 4.3.2 Too many messages in this session"
    assert server.one("NOOP") == "250 2.0.0 OK"


@pytest.mark.clause("RFC9422-4a")
def test_one_domain_more_than_announced() -> None:
    server = announcing(rcpt_domain_max=1)
    for _ in range(2):
        server.one("MAIL FROM:<a@x.org>")
        for address, code in (("b@x.org", 250), ("c@X.ORG", 250), ("b@y.org", 452)):
            assert server.one(f"RCPT TO:<{address}>").startswith(f"{code} ")
        server.one("RSET")


def test_domains_in_linear_time() -> None:
    def prepare(number: int) -> Callable[[], object]:
        patience = Patience(Limits(), SessionLimits(rcpt_domain_max=999_999))
        names = [f"x{place}.org" for place in range(number)]
        return lambda: [patience.reached(name) for name in names]

    grows_linearly(prepare, 1000)


def test_nothing_announced_nothing_held() -> None:
    server = announcing()
    for number in range(5):
        assert server.one("MAIL FROM:<a@x.org>").startswith("250 ")
        assert server.one(f"RCPT TO:<b@x{number}.org>").startswith("250 ")
        server.one("RSET")
