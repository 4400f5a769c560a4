from __future__ import annotations

import pytest
from tests.helpers.splits import agreed_before_tail

from ehlo.wire.buffer import LineTooLong, ReceiveBuffer


def two_lines(pieces: list[bytes]) -> tuple[list[bytes], bytes]:
    """The first two lines, asked for after each piece, and what the buffer still holds."""
    buffer = ReceiveBuffer()
    found: list[bytes] = []
    for piece in pieces:
        buffer.feed(piece)
        while len(found) < 2 and (line := buffer.take_line(100)) is not None:
            found.append(line)
    return found, buffer.take_all()


@pytest.mark.clause("RFC5321-2.3.8a")
@pytest.mark.parametrize(
    ("octets", "expected"),
    [
        (b"NOOP\r\nQUIT\r\n", [b"NOOP", b"QUIT"]),
        (b"\r\n\r\n", [b"", b""]),
        (b"a\nb\rc\r\n\r\r\n", [b"a\nb\rc", b"\r"]),
        (b"\n\r\n\r\n", [b"\n", b""]),
        (b"\0\xff\x85\r\n\xe2\x80\xa8\r\n", [b"\0\xff\x85", b"\xe2\x80\xa8"]),
    ],
)
def test_crlf_ends_a_line_and_nothing_else(octets: bytes, expected: list[bytes]) -> None:
    assert agreed_before_tail(two_lines, octets) == expected


def test_a_partial_line_stays() -> None:
    buffer = ReceiveBuffer()
    buffer.feed(b"a\r\nb\r")
    assert buffer.take_line(100) == b"a"
    assert len(buffer) == 2
    assert buffer.take_line(100) is None
    assert buffer.take_line(100) is None
    buffer.feed(b"")
    buffer.feed(b"\n")
    assert buffer.take_line(100) == b"b"
    assert buffer.take_line(100) is None
    assert len(buffer) == 0


@pytest.mark.parametrize("text", [b"12345678", b"", b"1234567\r"])
def test_the_limit_counts_the_crlf(text: bytes) -> None:
    buffer = ReceiveBuffer()
    buffer.feed(text + b"\r\n")
    assert buffer.take_line(len(text) + 2) == text
    buffer.feed(text + b"\r\n")
    with pytest.raises(LineTooLong):
        buffer.take_line(len(text) + 1)


def test_a_line_is_too_long_before_it_ends() -> None:
    buffer = ReceiveBuffer()
    buffer.feed(b"x" * 9)
    assert buffer.take_line(10) is None
    buffer.feed(b"x")
    with pytest.raises(LineTooLong):
        buffer.take_line(10)


def test_the_limit_counts_from_the_line_not_from_the_buffer() -> None:
    buffer = ReceiveBuffer()
    buffer.feed(b"12345678\r\n" * 3 + b"123456789\r\n")
    assert [buffer.take_line(10) for _ in range(3)] == [b"12345678"] * 3
    with pytest.raises(LineTooLong):
        buffer.take_line(10)


def test_a_smaller_limit_after_a_larger_one() -> None:
    buffer = ReceiveBuffer()
    buffer.feed(b"x" * 50)
    assert buffer.take_line(100) is None
    with pytest.raises(LineTooLong):
        buffer.take_line(10)
    buffer.feed(b"\r\n")
    assert buffer.take_line(52) == b"x" * 50


@pytest.mark.parametrize("end", [b"x\r\n", b"\r\n", b"\r\r\n", b"\n\r\n"])
def test_the_rest_of_a_line_is_discarded(end: bytes) -> None:
    for cut in range(len(end) + 1):
        buffer = ReceiveBuffer()
        buffer.feed(b"first\r\nxxxx")
        assert buffer.take_line(100) == b"first"
        assert not buffer.discard_line()
        assert len(buffer) == 0
        buffer.feed(end[:cut])
        ended = buffer.discard_line()
        assert ended == (cut == len(end))
        assert len(buffer) <= 1
        buffer.feed(end[cut:] + b"NOOP\r\n")
        if not ended:
            assert buffer.discard_line()
        assert buffer.take_line(100) == b"NOOP"


def test_octets_go_back_in_front() -> None:
    buffer = ReceiveBuffer()
    buffer.feed(b"a\r\nbody.rest\r\nQU")
    assert buffer.take_line(100) == b"a"
    taken = buffer.take_all()
    assert taken == b"body.rest\r\nQU"
    assert len(buffer) == 0
    buffer.feed(b"IT and a long argument")
    assert buffer.take_line(100) is None
    buffer.unread(taken[5:])
    buffer.feed(b"\r\n")
    assert buffer.take_line(100) == b"rest"
    assert buffer.take_line(100) == b"QUIT and a long argument"


def test_what_was_taken_is_not_kept() -> None:
    buffer = ReceiveBuffer()
    for _ in range(1000):
        buffer.feed(b"x" * 98 + b"\r\n" + b"y")
        assert buffer.take_line(1000) is not None
    assert len(buffer) == 1
    assert len(buffer._data) < 1000


def test_octets_go_back_only_where_nothing_was_taken() -> None:
    buffer = ReceiveBuffer()
    buffer.feed(b"a\r\nb\r\n")
    buffer.take_line(100)
    with pytest.raises(RuntimeError):
        buffer.unread(b"x")


@pytest.mark.parametrize("took", [False, True])
def test_take_all_and_clear(took: bool) -> None:
    buffer = ReceiveBuffer()
    buffer.feed(b"a\r\nbc")
    if took:
        buffer.take_line(100)
        buffer.take_line(100)
    everything = buffer.take_all()
    assert type(everything) is bytes
    assert everything == (b"bc" if took else b"a\r\nbc")
    assert buffer.take_all() == b""
    buffer.feed(b"d\r\n")
    assert buffer.take_line(100) == b"d"
    buffer.feed(b"secret")
    buffer.clear()
    assert len(buffer) == 0
    buffer.feed(b"\r\n")
    assert buffer.take_line(100) == b""


def test_what_comes_out_is_no_view() -> None:
    buffer = ReceiveBuffer()
    buffer.feed(b"a\r\nb\r\n")
    line = buffer.take_line(100)
    assert type(line) is bytes
    buffer.feed(b"xxxx\r\n")
    assert line == b"a"


def test_how_it_begins() -> None:
    buffer = ReceiveBuffer()
    assert not buffer.begins(b"BDAT")
    for fed, begins in ((b"x\r\nbd", False), (b"At 5", True)):
        buffer.feed(fed)
        if not begins:
            assert not buffer.begins(b"BDAT")
            assert buffer.take_line(100) == b"x"
        assert buffer.begins(b"BDAT") is begins
    assert len(buffer) == 6


def test_octets_are_taken_by_number() -> None:
    buffer = ReceiveBuffer()
    buffer.feed(b"a\r\n" + b"0123456789")
    assert buffer.take_line(100) == b"a"
    taken = buffer.take(4)
    assert taken == b"0123"
    assert type(taken) is bytes
    assert len(buffer) == 6
    assert buffer.take(1) == b"4"
    assert buffer.take(5) == b"56789"
    assert buffer.empty is True
    assert buffer.take(5) == b""


def test_one_feed_is_not_copied_when_all_of_it_is_taken() -> None:
    fed = bytes(range(256))
    for size in (256, 257):
        buffer = ReceiveBuffer()
        buffer.feed(fed)
        assert buffer.take(size) is fed
        buffer.feed(fed)
        assert buffer.take_all() is fed


def test_what_is_left_behind_what_was_taken_is_looked_through_for_lines() -> None:
    buffer = ReceiveBuffer()
    buffer.feed(b"0123\r\nNOOP\r\nQ")
    assert buffer.take(5) == b"0123\r"
    assert buffer.take_line(100) == b"\nNOOP"
    assert buffer.take_line(100) is None


@pytest.mark.parametrize("back", [1, 3, 7])
def test_what_was_taken_goes_back(back: int) -> None:
    """Also the very first octets that came: the mark moves back, or what is held is put together anew."""
    for most in (7, 100):
        buffer = ReceiveBuffer()
        buffer.feed(b"body.\r\n" + b"QUIT\r\n" * (most == 7))
        taken = buffer.take(most)
        assert taken == b"body.\r\n"
        buffer.unread(taken[-back:])
        assert buffer.empty is False
        assert buffer.fresh is None
        assert len(buffer) == back + 6 * (most == 7)
        buffer.feed(b"RSET\r\n")
        assert buffer.take_all() == taken[-back:] + b"QUIT\r\n" * (most == 7) + b"RSET\r\n"


def test_nothing_goes_back() -> None:
    buffer = ReceiveBuffer()
    buffer.unread(b"")
    assert buffer.empty is True
    assert len(buffer) == 0


def test_a_line_that_goes_back_is_found_at_once() -> None:
    buffer = ReceiveBuffer()
    buffer.unread(b"\r\nNOOP\r\n")
    assert buffer.take_line(100) == b""
    buffer.feed(b"QUIT")
    assert buffer.take_line(100) == b"NOOP"
    assert buffer.take_line(100) is None


def test_more_than_was_taken_cannot_go_back() -> None:
    buffer = ReceiveBuffer()
    buffer.feed(b"0123456789")
    assert buffer.take(4) == b"0123"
    for octets in (b"3456", b"0", b"90123"):
        with pytest.raises(RuntimeError):
            buffer.unread(octets)
    buffer.unread(b"0123")
    assert buffer.take_all() == b"0123456789"


def test_what_is_fresh_came_in_one_feed_and_nothing_of_it_was_read() -> None:
    fed = b"NOOP\r\nQUIT\r\nx"
    buffer = ReceiveBuffer()
    assert buffer.fresh is None
    buffer.feed(b"")
    assert (buffer.fresh, buffer.empty) == (None, True)
    buffer.feed(fed)
    assert buffer.fresh is fed
    buffer.feed(b"y")
    assert buffer.fresh is None
    for read in (lambda: buffer.take_line(100), lambda: buffer.take(1), buffer.discard_line, buffer.take_all):
        buffer.clear()
        assert buffer.fresh is None
        buffer.feed(fed)
        assert buffer.fresh is fed
        read()
        assert buffer.fresh is None
