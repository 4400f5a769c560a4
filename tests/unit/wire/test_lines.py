from __future__ import annotations

import pytest
from tests.helpers.splits import agreed, every_cut

from ehlo.wire.buffer import ReceiveBuffer
from ehlo.wire.lines import INCOMPLETE, Framing, LineReader

LIMIT = 12


def run(pieces: list[bytes], *, runaway: int = 1000) -> list[bytes | Framing]:
    buffer = ReceiveBuffer()
    reader = LineReader(buffer, runaway)
    found: list[bytes | Framing] = []
    for piece in pieces:
        buffer.feed(piece)
        while (line := reader.next_line(LIMIT)) is not INCOMPLETE:
            found.append(line)
            assert len(found) < 1000, "one answer is given for ever"
            if line is Framing.RUNAWAY:
                return found
    return found


@pytest.mark.parametrize("size", [LIMIT - 3, LIMIT - 2, LIMIT - 1, LIMIT, LIMIT + 1, 3 * LIMIT])
@pytest.mark.parametrize("filler", [b"x", b"\n", b"\r", b"QUIT\n", b"\0"])
@pytest.mark.clause("RFC5321-2.3.8a")
def test_the_tail_of_a_long_line_is_never_a_line(size: int, filler: bytes) -> None:
    text = (filler * size)[:size]
    expected = [Framing.OVERLONG if size + 2 > LIMIT else text, b"NOOP", Framing.OVERLONG, b"QUIT"]
    assert agreed(run, text + b"\r\nNOOP\r\n" + text.ljust(LIMIT, b"y") + b"\r\nQUIT\r\n") == expected


def test_commands_inside_a_long_line() -> None:
    octets = b"NOOP " + b"x" * LIMIT + b"\nRSET\n\rQUIT\r\r\nDATA\r\n"
    assert agreed(run, octets) == [Framing.OVERLONG, b"DATA"]


def test_one_answer_for_one_long_line() -> None:
    for pieces in every_cut(b"x" * 100 + b"\r\n"):
        assert run(pieces) == [Framing.OVERLONG]
    assert run([b"x" * 100, b"x" * 100]) == []


def test_nothing_of_a_long_line_is_kept() -> None:
    buffer = ReceiveBuffer()
    reader = LineReader(buffer, 10**6)
    for _ in range(100):
        buffer.feed(b"x" * 1000 + b"\r")
        assert reader.next_line(LIMIT) is INCOMPLETE
        assert len(buffer) <= 1


def test_a_line_without_an_end() -> None:
    buffer = ReceiveBuffer()
    reader = LineReader(buffer, 100)
    for expected in (INCOMPLETE, INCOMPLETE, Framing.RUNAWAY, Framing.RUNAWAY):
        buffer.feed(b"x" * 50)
        assert reader.next_line(LIMIT) is expected


@pytest.mark.parametrize(("size", "answer"), [(98, Framing.OVERLONG), (99, Framing.RUNAWAY)])
def test_the_second_limit_holds_however_the_octets_are_cut(size: int, answer: Framing) -> None:
    for pieces in every_cut(b"x" * size + b"\r\n"):
        assert run(pieces, runaway=100) == [answer]
    assert run([b"x"] * size + [b"\r", b"\n"], runaway=100) == [answer]


def test_each_long_line_has_its_own_measure() -> None:
    for octets in (60, 98):
        line = [b"x" * octets, b"\r\n"]
        assert run(line * 5, runaway=100) == [Framing.OVERLONG] * 5


def test_busy_while_a_line_is_thrown_away() -> None:
    buffer = ReceiveBuffer()
    reader = LineReader(buffer, 1000)
    assert reader.busy is False
    buffer.feed(b"x" * 20)
    assert reader.overlong() is INCOMPLETE
    assert reader.busy is True
    buffer.feed(b"x\r\nQUIT\r\n")
    assert reader.next_line(LIMIT) is Framing.OVERLONG
    assert reader.busy is False
    assert reader.next_line(LIMIT) == b"QUIT"


def test_limits_may_change_between_lines() -> None:
    buffer = ReceiveBuffer()
    reader = LineReader(buffer, 1000)
    buffer.feed(b"x" * 20)
    assert reader.next_line(40) is INCOMPLETE
    buffer.feed(b"\r\n" + b"y" * 20 + b"\r\nQUIT\r\n")
    assert reader.next_line(40) == b"x" * 20
    assert reader.next_line(LIMIT) is Framing.OVERLONG
    assert reader.next_line(LIMIT) == b"QUIT"
    assert reader.next_line(LIMIT) is INCOMPLETE
