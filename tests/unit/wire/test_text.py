from __future__ import annotations

import pytest
from tests.helpers.splits import agreed

from ehlo import LocalProtocolError
from ehlo.wire.text import (
    Content,
    Newlines,
    TextEncoder,
    ends_header,
    expected_size,
    has_bare_newline,
    header_of,
    is_utf8,
    may_be_eight_bit,
)

# ---- what is seen of a message ----


def seen(pieces: list[bytes]) -> tuple[int, bool, bool]:
    content = Content()
    for piece in pieces:
        content.note(piece)
    content.note(b"", final=True)
    return content.size, content.eight_bit, content.bare_newline


def test_nothing_was_seen_yet() -> None:
    content = Content()
    assert (content.size, content.eight_bit, content.bare_newline) == (0, False, False)


@pytest.mark.clause("RFC1870-5a")
@pytest.mark.parametrize(
    ("message", "eight_bit", "bare"),
    [
        (b"", False, False),
        (b"a", False, False),
        (b"a\r\n\r\n", False, False),
        (b"a\x7f\0", False, False),
        (b"\x80", True, False),
        (b"a\r\n\xff\r\nb", True, False),
        (b"a\n", False, True),
        (b"a\rb", False, True),
        (b"a\r\nb\n", False, True),
        (b"a\r\n\r", False, True),
        (b"a\r", False, True),
        (b"\n\r", False, True),
        (b"\xe9\r", True, True),
    ],
)
def test_what_is_seen(message: bytes, eight_bit: bool, bare: bool) -> None:
    assert agreed(seen, message) == (len(message), eight_bit, bare)
    assert has_bare_newline(message) is bare


def test_a_cr_is_bare_only_when_no_lf_follows() -> None:
    content = Content()
    content.note(b"a\r")
    assert not content.bare_newline
    content.note(b"\nb\r")
    assert not content.bare_newline
    content.note(b"\n")
    assert not content.bare_newline
    content.note(b"c\r", final=True)
    assert content.bare_newline


# ---- lines on their way out ----


def sent(pieces: list[bytes], newlines: Newlines = Newlines.NORMALISE) -> tuple[bytes, int, bool]:
    encoder = TextEncoder(newlines)
    octets = b"".join(map(encoder.encode, pieces)) + encoder.finish()
    return octets, encoder.size, encoder.eight_bit


@pytest.mark.clause("RFC5321-2.3.8b", "RFC5321-4.1.1.4b")
@pytest.mark.parametrize(
    ("message", "octets"),
    [
        (b"", b""),
        (b"a", b"a\r\n"),
        (b"a\r\n", b"a\r\n"),
        (b"a\r", b"a\r\n"),
        (b"a\n", b"a\r\n"),
        (b"\r", b"\r\n"),
        (b"\n\r\r\n", b"\r\n\r\n\r\n"),
        (b"a\rb\nc", b"a\r\nb\r\nc\r\n"),
        (b".\xe9\r\n.", b".\xe9\r\n.\r\n"),
    ],
)
def test_each_line_ends_in_crlf(message: bytes, octets: bytes) -> None:
    assert agreed(sent, message) == (octets, len(octets), not message.isascii())


@pytest.mark.clause("RFC5321-2.3.8b")
@pytest.mark.parametrize("message", [b"a\nb", b"a\rb", b"a\r", b"\r", b"a\r\n\r"])
def test_bare_newlines_are_refused_by_choice(message: bytes) -> None:
    with pytest.raises(LocalProtocolError, match="bare CR or LF"):
        sent([message], Newlines.REFUSE)
    with pytest.raises(LocalProtocolError, match="bare CR or LF"):
        sent([message[:-1], message[-1:]], Newlines.REFUSE)


def test_a_cr_is_held() -> None:
    encoder = TextEncoder()
    assert encoder.holds is False
    assert encoder.encode(b"a\r") == b"a"
    assert (encoder.holds, encoder.size) == (True, 1)
    assert encoder.encode(b"\r") == b"\r\n"
    assert (encoder.holds, encoder.size) == (True, 3)
    assert encoder.encode(b"\nb") == b"\r\nb"
    assert (encoder.holds, encoder.size) == (False, 6)
    assert encoder.encode(b"\r") == b""
    assert encoder.finish() == b"\r\n"
    assert (encoder.holds, encoder.size) == (False, 8)
    # All lines have ended: there is nothing more to add.
    assert encoder.finish() == b""
    assert encoder.size == 8


def test_an_octet_over_127_is_remembered() -> None:
    encoder = TextEncoder()
    assert encoder.eight_bit is False
    encoder.encode(b"\x7f")
    assert encoder.eight_bit is False
    encoder.encode(b"\x80")
    encoder.encode(b"a")
    assert encoder.eight_bit is True


# ---- whole messages ----


@pytest.mark.parametrize(
    ("octets", "text"),
    [
        (b"", True),
        (b"abc\x7f", True),
        ("é\u4f60\U0001f600".encode(), True),
        (b"\xe9", False),
        (b"\xc3", False),
        (b"\xc0\x80", False),
        (b"\xed\xa0\x80", False),
    ],
)
def test_utf8(octets: bytes, text: bool) -> None:
    assert is_utf8(octets) is text


@pytest.mark.parametrize(
    ("message", "header"),
    [
        (b"", b""),
        (b"A: b", b"A: b"),
        (b"A: b\r\n", b"A: b\r\n"),
        (b"A: b\r\n\r\nbody\r\n\r\n", b"A: b"),
        (b"A: b\n\nbody\n\n", b"A: b"),
        (b"A: b\r\rbody", b"A: b"),
        (b"A: b\r\nC: d\r\n\r\n", b"A: b\r\nC: d"),
        (b"A: b\n\r\nbody", b"A: b"),
        (b"A: b\r\n\nbody", b"A: b"),
        (b"A: b\r\n\rbody", b"A: b"),
        (b"A: b\r\r\nbody", b"A: b"),
        (b"A: b\n\rbody", b"A: b"),
        (b"\rbody", b""),
        (b"\r\nbody", b""),
        (b"\nbody\r\n\r\n", b""),
        (b"A: b\r\n body\r\nX\r\n", b"A: b\r\n body\r\nX\r\n"),
    ],
)
def test_the_header(message: bytes, header: bytes) -> None:
    assert header_of(message) == header


@pytest.mark.clause("RFC1870-6a")
@pytest.mark.parametrize(
    ("message", "size"),
    [
        (b"", 0),
        (b"a", 3),
        (b"a\r\n", 3),
        (b"a\r\nb", 6),
        (b"a\nb\n", 6),
        (b"a\rb\r", 6),
        (b"a\r\nb\nc\rd", 12),
        (b"\n\r", 4),
    ],
)
def test_the_size_of_a_whole_message(message: bytes, size: int) -> None:
    assert expected_size(message) == size == sent([message])[1]


def test_only_the_beginning_tells_that_newlines_will_be_mended() -> None:
    """The first 4,096 octets, no less and no more."""
    for before, size in ((4095, 4097), (4096, 4097)):
        message = b"x" * before + b"\n"
        assert expected_size(message) == (size if before == 4095 else len(message))


# ---- where the header ends, and what it says ----


@pytest.mark.parametrize(
    ("message", "searched", "ends"),
    [
        (b"", 0, False),
        (b"a: b\r\n", 0, False),
        (b"a: b\r\n\r\n", 0, True),
        (b"\r\nx", 0, True),
        (b"\nx", 0, True),
        # It may begin in what was looked at, and end behind it.
        (b"a\n\nbody", 2, True),
        (b"a: b\r\n\r\nbody", 7, True),
        (b"a\n\nbody", 4, True),
        # What was looked at whole is not looked at again.
        (b"a\n\nbody", 5, False),
    ],
)
def test_whether_the_header_has_ended(message: bytes, searched: int, ends: bool) -> None:
    assert ends_header(message, searched) is ends
    assert ends_header(bytearray(message), searched) is ends


@pytest.mark.clause("RFC5321-2.4f")
@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (b"", False),
        (b"Subject: x\r\n\r\n\xff", False),
        (b"Subject: x\r\n\r\nMIME-Version: 1.0\r\n", False),
        (b"X-MIME-Version: 1.0\r\n\r\n", False),
        (b"MIME-Version: 1.0\r\n\r\n\xff", True),
        (b"Subject: x\r\nmime-version : 1.0\r\n\r\n", True),
        ("Subject: \u00fc\r\n\r\nx".encode(), True),
        (b"Subject: \xfc", True),
    ],
)
def test_what_octets_over_127_may_be(message: bytes, expected: bool) -> None:
    assert may_be_eight_bit(message) is expected


# ---- what is not taken changes nothing ----


@pytest.mark.clause("RFC5321-2.4d")
def test_octets_over_127_where_none_may_be() -> None:
    encoder = TextEncoder(seven_bit=True)
    assert encoder.encode(b"a\r\nb") == b"a\r\nb"
    before = encoder.place
    with pytest.raises(LocalProtocolError, match="not declared 8BITMIME"):
        encoder.encode(b"\xff\r\n")
    assert encoder.place == before == (False, False, False, 4)
    assert encoder.finish() == b"\r\n"
    assert TextEncoder().encode(b"\xff") == b"\xff"


def test_back_to_a_place() -> None:
    encoder = TextEncoder()
    encoder.encode(b"a\r\n")
    place = encoder.place
    assert place == (False, True, False, 3)
    encoder.encode(b"\xff\r")
    assert encoder.place == (True, False, True, 4)
    assert encoder.holds
    encoder.go_back(place)
    assert encoder.place == place
    assert not encoder.holds
    assert encoder.encode(b"b") == b"b"
    assert encoder.size == 4
