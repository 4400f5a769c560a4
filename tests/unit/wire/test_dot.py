from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator

import pytest
from tests.helpers.splits import agreed, agreed_before_tail, ways

from ehlo import LocalProtocolError
from ehlo.wire.dot import DotDecoder, DotEncoder
from ehlo.wire.text import Newlines, expected_size, has_bare_newline

END = b"\r\n.\r\n"


def decode(pieces: Iterable[bytes]) -> tuple[tuple[bytes, bool, bool, int], bytes | None]:
    """What the codec makes of the pieces up to the end of data, and the octets behind that."""
    decoder = DotDecoder()
    content = b""
    rest: bytes | None = None
    for piece in pieces:
        if rest is None:
            part, rest = decoder.decode(piece)
            content += part
        else:
            rest += piece
    return (content, decoder.bare_newline, decoder.eight_bit, decoder.size), rest


def reference(data: bytes) -> tuple[tuple[bytes, bool, bool, int], bytes]:
    """Line by line, as RFC 5321 section 4.5.2 tells it; `data` has an end of data."""
    stuffed: list[bytes] = []
    while True:
        line, crlf, data = data.partition(b"\r\n")
        assert crlf
        if line == b".":
            break
        stuffed.append(line)
    content = b"".join(line.removeprefix(b".") + b"\r\n" for line in stuffed)
    bare = any(b"\r" in line or b"\n" in line for line in stuffed)
    return (content, bare, not content.isascii(), len(content)), data


def normalised(message: bytes) -> bytes:
    text = re.sub(rb"\r\n|\r|\n", b"\r\n", message)
    return text if not text or text.endswith(b"\r\n") else text + b"\r\n"


def stuffed(message: bytes) -> bytes:
    lines = normalised(message).split(b"\r\n")[:-1]
    return b"".join((b"." if x.startswith(b".") else b"") + x + b"\r\n" for x in lines) + b".\r\n"


def encode(pieces: Iterable[bytes], newlines: Newlines = Newlines.NORMALISE) -> tuple[bytes, int, bool]:
    encoder = DotEncoder(newlines)
    octets = b"".join(map(encoder.encode, pieces)) + encoder.finish()
    return octets, encoder.size, encoder.eight_bit


def sequences(longest: int) -> Iterator[bytes]:
    for length in range(longest + 1):
        for octets in itertools.product(b"\r\n.a\0", repeat=length):
            yield bytes(octets)


def bytewise(data: bytes) -> list[bytes]:
    return [data[i : i + 1] for i in range(len(data))]


# ---- the decoder ----


@pytest.mark.clause("RFC5321-4.5.2a", "RFC5321-4.5.2c", "RFC5321-4.5.2d", "RFC5321-4.1.1.4c", "SEC-SMUG-in-a")
def test_every_short_sequence_decodes_as_the_reference_does() -> None:
    for data in sequences(7):
        whole = data + END
        expected = reference(whole)
        assert decode([whole]) == expected, data
        assert decode(bytewise(whole)) == expected, data


def test_every_shorter_sequence_at_other_cuts() -> None:
    for data in sequences(5):
        whole = data + END
        expected = reference(whole)
        for pieces in ways(whole, random_cuts=4):
            assert decode(pieces) == expected, pieces


def test_what_is_not_ended_is_held_back_by_four_octets_at_most() -> None:
    for data in sequences(6):
        (content, *_), rest = decode(bytewise(data))
        if rest is None:
            (full, *_), behind = reference(data + b"a" + END)
            assert behind == b""
            assert full.startswith(content)
            assert len(full) - len(content) <= 4 + len(b"a\r\n")
        else:
            assert (content, rest) == (reference(data)[0][0], reference(data)[1])


@pytest.mark.parametrize(
    ("octets", "content"),
    [
        (b".\r\n", b""),
        (b"\r\n.\r\n", b"\r\n"),
        (b"..\r\n.\r\n", b".\r\n"),
        (b".a\r\n.\r\n", b"a\r\n"),
        (b"...\r\n.\r\n", b"..\r\n"),
        (b"a\r\n.\r\n", b"a\r\n"),
        (b"a\r\n..\r\n.b\r\n.\r\n", b"a\r\n.\r\nb\r\n"),
        (b"a.\r\n.\r\n", b"a.\r\n"),
        (b"a\r\n\r\n\r\n.\r\n", b"a\r\n\r\n\r\n"),
        (b". \r\n.\r\n", b" \r\n"),
        (b"x" * 70000 + b"\r\n.\r\n", b"x" * 70000 + b"\r\n"),
    ],
)
@pytest.mark.clause("RFC5321-4.5.2a", "RFC5321-4.1.1.4a", "RFC1870-5a")
def test_transparency(octets: bytes, content: bytes) -> None:
    if len(octets) > 1000:
        assert decode(bytewise(octets)) == ((content, False, False, len(content)), b"")
        return
    assert agreed_before_tail(decode, octets) == (content, False, False, len(content))


_BREAKS = [
    b"\n", b"\r", b"\n\r", b"\r\r\n", b"\r\n\r", b"\n\r\n", b"\r\n\n", b"\r\0\n", b"\0\r\n", b"\r\n\0",
    b"\v", b"\f", b"\x1c", b"\x85", b"\xc2\x85", b"\xe2\x80\xa8", b"\xe2\x80\xa9", b"\x8d\x8a", b"\0",
    b"\r\n",
]  # fmt: skip
_FALSE_ENDS = [
    before + dot + after
    for before in _BREAKS
    for dot in (b".", b".\0", b"\0.", b". ", b"..", b"\x2e\xad", b"\xe3\x80\x82")
    for after in _BREAKS
    if b"\r\n.\r\n" not in before + dot + after
]


@pytest.mark.clause("RFC5321-4.1.1.4c", "SEC-SMUG-in-a", "SEC-SMUG-in-f", "RFC5321-2.3.8a")
@pytest.mark.parametrize("start", [b"", b"a", b"a\r\n"])
def test_nothing_else_ends_the_data(start: bytes) -> None:
    assert len(_FALSE_ENDS) > 2000
    for false_end in _FALSE_ENDS:
        smuggled = start + false_end + b"MAIL FROM:<e@x.example>\r\nx"
        for pieces in ([smuggled], bytewise(smuggled)):
            (content, *_), rest = decode(pieces)
            assert rest is None, pieces
            assert content.endswith(b"MAIL FROM:<e@x.example>\r\nx")


@pytest.mark.clause("SEC-SMUG-in-a", "SEC-SMUG-in-c", "RFC5321-4.1.1.4c")
@pytest.mark.parametrize(
    "false_end",
    [
        b"\n.\n",
        b"\n.\r\n",
        b"\r\n.\n",
        b"\r.\r",
        b"\r\n.\r",
        b"\r.\r\n",
        b"\r\n.\r\r\n",
        b"\n\r.\r\n",
        b"\r\r\n.\n",
    ],
)
def test_bare_newlines_are_told_and_kept(false_end: bytes) -> None:
    octets = b"a" + false_end + b"b" + END
    content, bare, _, size = agreed_before_tail(decode, octets)
    assert bare
    assert content == (b"a" + false_end + b"b\r\n").replace(b"\r\n.", b"\r\n")
    assert size == len(content)


@pytest.mark.parametrize("octets", [b"", b"a", b"a\r\nb", b"\0\v\f\x1c\x7f", b"\r\n\r\n", b"..", b"\xc2\x85"])
def test_what_is_no_bare_newline(octets: bytes) -> None:
    _, bare, _, _ = agreed_before_tail(decode, octets + END)
    assert not bare


@pytest.mark.parametrize(("octet", "eight_bit"), [(0x7F, False), (0x80, True), (0xFF, True), (0, False)])
def test_the_8_bit_flag(octet: int, eight_bit: bool) -> None:
    content, _, found, _ = agreed_before_tail(decode, b"a" + bytes([octet]) + END)
    assert found is eight_bit
    assert content == b"a" + bytes([octet]) + b"\r\n"


@pytest.mark.clause("RFC5321-4.5.2c", "RFC6152-3b")
def test_all_octets_pass() -> None:
    octets = b"".join(bytes([x, 0x41]) for x in range(256) if x not in b"\r\n")
    content, bare, eight_bit, _ = agreed_before_tail(decode, octets + END)
    assert (content, bare, eight_bit) == (octets + b"\r\n", False, True)


def test_flags_and_size_before_the_end() -> None:
    decoder = DotDecoder()
    assert decoder.decode(b"a\nb\xff\r\n..c") == (b"a\nb\xff\r\n.c", None)
    assert (decoder.bare_newline, decoder.eight_bit, decoder.size) == (True, True, 8)


def test_octets_behind_the_end_are_not_looked_at() -> None:
    assert decode([b"a\r\n.\r\n\nx\xff"]) == ((b"a\r\n", False, False, 3), b"\nx\xff")


# ---- the encoder ----


@pytest.mark.clause(
    "RFC5321-4.5.2b",
    "RFC5321-4.5.2d",
    "RFC5321-2.3.8b",
    "SEC-SMUG-out-a",
    "SEC-SMUG-out-b",
    "RFC5321-4.1.1.4b",
)
def test_every_short_sequence_encodes_as_the_reference_does_and_comes_back() -> None:
    for message in sequences(6):
        octets = stuffed(message)
        size = len(normalised(message))
        for pieces in ([message], bytewise(message)):
            assert encode(pieces) == (octets, size, False), pieces
        assert decode([octets]) == ((normalised(message), False, False, size), b"")
        assert expected_size(message) == size, message
        assert has_bare_newline(message) == has_bare(message), message


def has_bare(message: bytes) -> bool:
    return any(x in line for line in message.split(b"\r\n") for x in (b"\r", b"\n"))


@pytest.mark.clause("RFC5321-2.3.8b", "SEC-SMUG-out-a")
def test_a_strict_sender_refuses_what_it_would_repair() -> None:
    for message in sequences(5):
        for pieces in ways(message):
            if has_bare(message):
                with pytest.raises(LocalProtocolError):
                    encode(pieces, Newlines.REFUSE)
            else:
                assert encode(pieces, Newlines.REFUSE) == encode([message])


@pytest.mark.clause("RFC5321-4.5.2b", "RFC5321-4.1.1.4b")
@pytest.mark.parametrize(
    ("message", "octets"),
    [
        (b"", b".\r\n"),
        (b"a", b"a\r\n.\r\n"),
        (b"a\r\n", b"a\r\n.\r\n"),
        (b"a\r", b"a\r\n.\r\n"),
        (b"a\n", b"a\r\n.\r\n"),
        (b"a\r\n\r\n", b"a\r\n\r\n.\r\n"),
        (b".", b"..\r\n.\r\n"),
        (b".\r\n", b"..\r\n.\r\n"),
        (b".\n.\r.", b"..\r\n..\r\n..\r\n.\r\n"),
        (b"a\r\n.\r\nQUIT\r\n", b"a\r\n..\r\nQUIT\r\n.\r\n"),
        (b"a.\r\n", b"a.\r\n.\r\n"),
        (b"\xe9\r\n", b"\xe9\r\n.\r\n"),
    ],
)
def test_what_is_sent(message: bytes, octets: bytes) -> None:
    size = len(octets.replace(b"\r\n..", b"\r\n.").removesuffix(b".\r\n"))
    size -= message.startswith(b".")
    assert agreed(encode, message) == (octets, size, not message.isascii())


def test_a_long_line_is_not_folded() -> None:
    line = b"." + b"x" * 5000
    assert encode([line]) == (b"." + line + b"\r\n.\r\n", 5003, False)


def test_a_cr_waits_for_the_next_piece() -> None:
    encoder = DotEncoder(Newlines.REFUSE)
    assert encoder.encode(b"a\r") == b"a"
    assert encoder.encode(b"") == b""
    assert encoder.encode(b"\n.b") == b"\r\n..b"
    assert encoder.size == 5
    assert encoder.finish() == b"\r\n.\r\n"
    assert encoder.size == 7


@pytest.mark.parametrize(
    ("message", "size", "bare"),
    [
        (b"", 0, False),
        (b"\r\r\n", 4, True),
        (b"a\n\r\n", 5, True),
        (b"\r\n" * 3, 6, False),
        (b"a\n", 3, True),
    ],
)
@pytest.mark.clause("RFC1870-5a")
def test_the_size_of_a_whole_message(message: bytes, size: int, bare: bool) -> None:
    assert expected_size(message) == size
    assert has_bare_newline(message) == bare


@pytest.mark.clause("RFC1870-6a")
def test_the_size_of_a_message_that_is_mended_late_is_an_estimate() -> None:
    late = b"x" * 70000 + b"\n"
    assert expected_size(late) == len(late)
    assert expected_size(b"\n" + late) == len(late) + 3
