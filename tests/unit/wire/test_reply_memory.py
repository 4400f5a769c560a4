"""What a parser of replies remembers of those it read."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ehlo import Limits, RemoteProtocolError
from ehlo.wire.reply import _KNOWN, Reply, ReplyParser

LIMITS = Limits(reply_line=40, reply_lines=4, reply_octets=100)

PIECES = st.sampled_from(
    [b"250", b"334", b"55", b" ", b"-", b"2.0.0 ", b"5.1.1", b"ok", b"\xff", b"\r\n", b"\r", b"\n"]
)
# Lines that are mostly right, so that there is something to remember.
LINES = st.sampled_from(
    [b"250 2.0.0 ok\r\n", b"250-a\r\n", b"250\r\n", b"334 c2VjcmV0\r\n", b"550 5.1.1 no\r\n", b"550 x" * 40]
)


def everything(feeds: list[bytes], limits: Limits) -> list[Reply | str | bool]:
    """Each reply, what is left after each feed, and the error that ended it."""
    parser = ReplyParser(limits)
    found: list[Reply | str | bool] = []
    for octets in feeds:
        parser.feed(octets)
        try:
            while (reply := parser.next_reply()) is not None:
                found.append(reply)
        except RemoteProtocolError as error:
            return [*found, str(error)]
        found.append(parser.empty)
    return found


@given(
    feeds=st.lists(st.lists(LINES | PIECES, max_size=4).map(b"".join), max_size=6),
    limits=st.sampled_from(
        [
            Limits(),
            LIMITS,
            Limits(reply_line=6),
            Limits(reply_octets=6),
            Limits(reply_lines=1),
            Limits(reply_lines=0),
        ]
    ),
)
def test_what_is_remembered_is_what_would_be_read(feeds: list[bytes], limits: Limits) -> None:
    _KNOWN.clear()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ehlo.wire.reply._whole", lambda _: None)
        patch.setattr("ehlo.wire.reply._remember", lambda *_: None)
        expected = everything(feeds, limits)
    assert not _KNOWN
    assert everything(feeds, limits) == expected
    # Remembered under generous limits, each feed and each line by itself; then met under the others.
    for octets in feeds:
        everything([octets], Limits())
        for line in octets.splitlines(keepends=True):
            everything([line], Limits())
    assert everything(feeds, limits) == expected
    assert everything(feeds, limits) == expected


@pytest.mark.parametrize(
    "octets",
    [
        b"334 c2VjcmV0\r\n",
        b"334-a\r\n334 b\r\n",
        b"250 " + b"x" * 1020 + b"\r\n",
        b"250-" + b"x" * 1020 + b"\r\n250 b\r\n",
        b"250 a",
        b"650 a\r\n",
        b"250 a\n\r\n",
    ],
)
def test_what_is_never_remembered(octets: bytes) -> None:
    """A challenge may be a secret; the rest would cost memory, or is no reply."""
    _KNOWN.clear()
    everything([octets], Limits())
    everything([octets[:3], octets[3:]], Limits())
    assert not _KNOWN


def test_what_is_remembered_is_bounded() -> None:
    for number in range(1000):
        parse_one = ReplyParser(Limits())
        parse_one.feed(b"250 queued as %d\r\n" % number)
        assert parse_one.next_reply() == Reply(250, f"queued as {number}")
        assert len(_KNOWN) <= 256
    assert all(len(octets) <= 1024 for octets in _KNOWN)


def passes_by(octets: bytes, limits: Limits) -> bool:
    """Whether what is fed needs no buffer."""
    parser = ReplyParser(limits)
    parser.feed(octets)
    assert parser.empty is False
    return parser._buffer.empty


ONE, TWO, BOTH = b"250 2.0.0 one\r\n", b"250-two\r\n250 lines\r\n", b"250 a\r\n250 b\r\n"


@pytest.mark.parametrize(
    ("octets", "replies"),
    [
        (ONE, [Reply(250, "one", "2.0.0")]),
        (TWO, [Reply(250, ["two", "lines"])]),
        (BOTH, [Reply(250, "a"), Reply(250, "b")]),
    ],
)
def test_what_was_read_before_passes_the_buffer_by(octets: bytes, replies: list[Reply]) -> None:
    _KNOWN.clear()
    for known in (False, True, True):
        assert passes_by(octets, Limits()) is known
        parser = ReplyParser(Limits())
        parser.feed(octets)
        for reply in replies:
            assert parser.empty is False
            assert parser.next_reply() == reply
        assert parser.empty is True
        assert parser.next_reply() is None


@pytest.mark.parametrize("octets", [ONE, TWO])
def test_what_the_bounds_allow_passes_the_buffer_by(octets: bytes) -> None:
    everything([octets], Limits())
    size, lines = len(octets), octets.count(b"\r\n")
    assert passes_by(octets, Limits(reply_line=size))
    assert not passes_by(octets, Limits(reply_line=size - 1))
    assert passes_by(octets, Limits(reply_octets=size))
    assert not passes_by(octets, Limits(reply_octets=size - 1))
    assert passes_by(octets, Limits(reply_lines=lines))
    assert everything([octets], Limits(reply_lines=lines - 1)) == ["reply has too many lines or octets"]


def test_only_what_came_by_itself_is_remembered_whole() -> None:
    _KNOWN.clear()
    parser = ReplyParser(Limits())
    parser.feed(TWO + b"250")
    parser.next_reply()
    parser.feed(b" ok\r\n")
    assert parser.next_reply() == Reply(250, "ok")
    assert set(_KNOWN) == {b"250 ok"}
    parser.feed(TWO)
    parser.next_reply()
    assert set(_KNOWN) == {b"250 ok", TWO}


def test_what_is_cleared_is_not_given_out_again() -> None:
    everything([BOTH], Limits())
    parser = ReplyParser(Limits())
    parser.feed(BOTH)
    assert parser.next_reply() == Reply(250, "a")
    parser.clear()
    assert parser.empty is True
    assert parser.next_reply() is None


def test_octets_are_measured_anew_after_clear() -> None:
    parser = ReplyParser(LIMITS)
    for _ in range(3):
        parser.feed(b"250-" + b"x" * 34 + b"\r\n" + b"250-" + b"x" * 34 + b"\r\n")
        assert parser.next_reply() is None
        parser.clear()
    exact = b"250-" + b"x" * 34 + b"\r\n" + b"250-" + b"x" * 34 + b"\r\n" + b"250 " + b"x" * 20 + b"\r\n"
    parser.feed(exact)
    reply = parser.next_reply()
    assert reply is not None
    assert len(reply.lines) == 3


@pytest.mark.parametrize("line", [b"250 2.0.0 one", b"354 go", b"550"])
def test_one_line_is_the_same_value_wherever_it_stands(line: bytes) -> None:
    _KNOWN.clear()
    octets = line + b"\r\n"
    found = []
    for limits in (Limits(), Limits(reply_line=len(octets)), Limits(reply_octets=len(octets))):
        for pieces in ([octets], [octets[:2], octets[2:]], [b"221\r\n" + octets + b"2"]):
            found.append(everything_read(pieces, limits)[-1])
    assert all(reply is _KNOWN[line] for reply in found)
    assert found[0].code == int(line[:3])
    beyond = Limits(reply_octets=len(octets) - 1)
    assert everything_read([octets], beyond) == [found[0]]
    assert everything_read([octets], beyond)[0] is not found[0]


def everything_read(pieces: list[bytes], limits: Limits) -> list[Reply]:
    parser = ReplyParser(limits)
    found = []
    for octets in pieces:
        parser.feed(octets)
        while (reply := parser.next_reply()) is not None:
            found.append(reply)
    return found


def test_what_follows_known_replies_waits_in_the_buffer() -> None:
    everything([BOTH], Limits())
    parser = ReplyParser(Limits())
    parser.feed(BOTH)
    parser.feed(b"25")
    assert parser.next_reply() == Reply(250, "a")
    assert parser.next_reply() == Reply(250, "b")
    assert parser.empty is False
    assert parser.next_reply() is None
    parser.feed(b"0\r\n")
    assert parser.next_reply() == Reply(250)


def test_each_reply_of_several_lines_has_its_own_measure() -> None:
    parser = ReplyParser(LIMITS)
    for _ in range(3):
        parser.feed((b"250-" + b"x" * 34 + b"\r\n") * 2 + b"250 " + b"x" * 20 + b"\r\n")
        reply = parser.next_reply()
        assert reply is not None
        assert len(reply.lines) == 3
