"""What looks like the end of data and is not, and what is hidden behind it."""

from __future__ import annotations

import pytest
from tests.helpers.driver import Server
from tests.helpers.splits import every_cut, ways

from ehlo import MailReceived, MessageReceived, RcptReceived, State, TransactionReset

REFUSED = [
    b"\n.\n",
    b"\n.\r\n",
    b"\r\n.\n",
    b"\r.\r",
    b"\r\n.\r",
    b"\r.\r\n",
    b"\r.\n",
    b"\n.\r",
    b"\n\n.\n\n",
]
REFUSED += [
    b"\r\r\n.\r\r\n",
    b"\r\n\r.\r\n",
    b"\r\n.\r\r\n",
    b"\r\n.\n\r\n",
    b"\n\r\n.x\r\n",
    b"\r\n.\r\0\n",
    b"\r\0\n.\r\n",
]
NEIGHBOURS = [b"\0", b"\x0b", b"\x0c", b"\x85", "\u0085".encode(), "\u2028".encode(), b" ", b"\t", b"\x1a"]
TAKEN = [b"\r\n" + x + b".\r\n" for x in NEIGHBOURS] + [b"\r\n." + x + b"\r\n" for x in NEIGHBOURS]
TAKEN += [x + b"." + x for x in NEIGHBOURS] + [b"\r\n" + x + b"." + x + b"\r\n" for x in NEIGHBOURS]
TAKEN += [b"\r\n..\r\n", b"\\r\\n.\\r\\n"]
# A CR that is not followed by LF, or an LF that does not follow CR, beside an odd octet.
REFUSED += [b"\n" + x + b".\r\n" for x in NEIGHBOURS] + [b"\r" + x + b".\r\n" for x in NEIGHBOURS]

HEAD = b"MAIL FROM:<a@x.org>\r\nRCPT TO:<b@x.org>\r\nDATA\r\n"
SMUGGLED = b"MAIL FROM:<evil@x.org>\r\nRCPT TO:<victim@x.org>\r\nDATA\r\nsmuggled\r\n"
END = b"\r\n.\r\n"


def deliver(pieces: list[bytes]) -> tuple[Server, bytes]:
    server = Server()
    return server, b"".join(server.feed(piece) for piece in pieces if piece)


def check(sequence: bytes, *, refused: bool) -> None:
    octets = HEAD + b"x" + sequence + SMUGGLED + END[2:] + b"NOOP\r\n"
    for pieces in (*ways(octets), *every_cut(octets)):
        server, replies = deliver(pieces)
        codes = [line[:9] for line in replies.split(b"\r\n")[:-1]]
        final = b"554 5.6.0" if refused else b"250 2.0.0"
        assert codes == [b"250 2.1.0", b"250 2.1.5", b"354 End d", final, b"250 2.0.0"], (pieces, codes)
        assert [str(event.reverse_path) for event in server.of(MailReceived)] == ["a@x.org"]
        assert len(server.of(RcptReceived)) == 1
        assert len(server.of(MessageReceived)) == (0 if refused else 1)
        assert len(server.of(TransactionReset)) == (1 if refused else 0)
        assert server.conn.state is State.READY


@pytest.mark.clause("SEC-SMUG-in-a", "SEC-SMUG-in-b", "SEC-SMUG-in-f", "RFC5321-4.1.1.4c", "RFC5321-2.3.8a")
@pytest.mark.parametrize("sequence", REFUSED)
def test_a_false_end_is_refused_at_the_true_one(sequence: bytes) -> None:
    check(sequence, refused=True)


@pytest.mark.clause("SEC-SMUG-in-a", "SEC-SMUG-in-f", "RFC5321-4.5.2c")
@pytest.mark.parametrize("sequence", TAKEN)
def test_odd_octets_around_a_dot_are_text(sequence: bytes) -> None:
    check(sequence, refused=False)


@pytest.mark.clause("SEC-SMUG-in-a", "RFC5321-4.1.1.4c")
@pytest.mark.parametrize(
    "sequence", [b".\n", b".\r", b"\n.\n", b".\r\r\n", b".\n\r\n", b"\r.\r\n", b"\n.\r\n"]
)
def test_right_behind_354(sequence: bytes) -> None:
    octets = HEAD + sequence + SMUGGLED + END
    for pieces in (*ways(octets), *every_cut(octets)):
        server, replies = deliver(pieces)
        assert replies.count(b"\r\n") == 4, pieces
        assert replies.split(b"\r\n")[-2].startswith(b"554 5.6.0 ")
        assert len(server.of(MailReceived)) == 1


@pytest.mark.clause("SEC-SMUG-in-f")
def test_what_is_behind_the_true_end_does_run() -> None:
    octets = HEAD + b"x" + END + HEAD + b"y" + END
    for pieces in (*ways(octets), *every_cut(octets)):
        server, replies = deliver(pieces)
        assert [line[:3] for line in replies.split(b"\r\n")[:-1]] == [b"250", b"250", b"354", b"250"] * 2
        assert len(server.of(MessageReceived)) == 2


@pytest.mark.clause("SEC-SMUG-in-a", "RFC1870-7b")
def test_after_an_over_long_line_and_past_the_limit() -> None:
    body = b"x" * 100_000 + b"\n.\r\n" + SMUGGLED
    server, replies = deliver([HEAD, body, END])
    assert replies.split(b"\r\n")[-2].startswith(b"554 5.6.0 ")
    assert len(server.of(MailReceived)) == 1
