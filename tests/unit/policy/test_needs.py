from __future__ import annotations

import itertools
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.helpers.splits import agreed

from ehlo.policy import MessageNeed, NeedScanner, needs_of
from ehlo.policy.needs import LINE, NOTHING, needs_of_part

EIGHT_BIT, SMTPUTF8, BINARY = MessageNeed.EIGHT_BIT, MessageNeed.SMTPUTF8, MessageNeed.BINARY


def reference(message: bytes) -> MessageNeed:
    """Line by line, as a reader of RFC 5322 would."""
    needs = NOTHING
    in_header = True
    for line in message.split(b"\n"):
        if max(line, default=0) > 127:
            needs |= SMTPUTF8 if in_header else EIGHT_BIT
        if line in (b"", b"\r"):
            in_header = False
    bare = message.replace(b"\r\n", b"")
    if b"\0" in message or b"\r" in bare or b"\n" in bare:
        needs |= BINARY
    if any(len(line) > LINE for line in message.split(b"\r\n")):
        needs |= BINARY
    return needs


def scan(pieces: Iterable[bytes]) -> MessageNeed:
    scanner = NeedScanner()
    for piece in pieces:
        scanner.feed(piece)
    return scanner.finish()


def test_every_short_sequence_needs_what_the_reference_says() -> None:
    for length in range(7):
        for octets in itertools.product(b"\r\na\xe4\0", repeat=length):
            message = bytes(octets)
            expected = reference(message)
            assert needs_of(message) == expected, message
            assert scan(message[i : i + 1] for i in range(length)) == expected, message


@pytest.mark.parametrize(
    ("message", "needs"),
    [
        (b"", NOTHING),
        (b"Subject: x\r\n\r\nplain\r\n", NOTHING),
        pytest.param(
            "Subject: x\r\n\r\ngrün\r\n".encode(), EIGHT_BIT, marks=pytest.mark.clause("RFC5321-2.4d")
        ),
        pytest.param(
            "Subject: grün\r\n\r\nplain\r\n".encode(), SMTPUTF8, marks=pytest.mark.clause("RFC6531-3.4a")
        ),
        pytest.param(
            b"Subject: x\r\n\r\nSubject: plain\r\n", NOTHING, marks=pytest.mark.clause("RFC6531-3.4b")
        ),
        ("Subject: grün\r\n\r\ngrün\r\n".encode(), SMTPUTF8 | EIGHT_BIT),
        ("Subject: x\r\n folded grün\r\n".encode(), SMTPUTF8),
        ("\r\nSubject: grün\r\n".encode(), EIGHT_BIT),
        (
            "Content-Type: message/rfc822\r\n\r\nSubject: grün\r\n\r\nplain\r\n".encode(),
            EIGHT_BIT,
        ),
        (b"Subject: x\r\n\r\na\0b\r\n", BINARY),
        (b"Subject: x\r\n\r\na\rb\r\n", BINARY),
        (b"Subject: x\r\n\r\nab\r", BINARY),
        (b"Subject: x\n\nb\xe4\n", BINARY | EIGHT_BIT),
        (b"Subject: x\r\n\r\n\xe4\0\r\n", BINARY | EIGHT_BIT),
    ],
)
def test_needs(message: bytes, needs: MessageNeed) -> None:
    assert agreed(scan, message) == needs
    assert reference(message) == needs


@pytest.mark.clause("RFC6532-3.4a")
@pytest.mark.parametrize("before", [b"", b"a: b\r\n", b"a: b\r\n\r\n" + b"x" * 400 + b"\r\n" * 3])
@pytest.mark.parametrize("behind", [b"", b"\r\n", b"\r\nx", b"\r\n" + b"y" * 900 + b"\r\n"])
@pytest.mark.parametrize("length", [LINE - 1, LINE, LINE + 1, LINE + 2, LINE + 3, 3 * LINE])
def test_a_line_may_have_998_octets(before: bytes, behind: bytes, length: int) -> None:
    message = before + b"x" * length + behind
    expected = BINARY if length > LINE else NOTHING
    assert needs_of(message) == expected
    for size in (1, 7, 500, 997, 998, 999, 1000, 1001):
        assert scan(message[i : i + size] for i in range(0, len(message), size)) == expected, size


def test_a_line_of_998_octets_counts_octets_and_not_characters() -> None:
    assert needs_of(b"S: " + "ü".encode() * 498 + b"\r\n") == SMTPUTF8 | BINARY


@given(
    st.lists(
        st.sampled_from([b"\r\n", b"\n", b"\r", b"a", b"\xfc", b"\0", b"b" * 499, b"c" * 998, b": "]),
        max_size=30,
    ).map(b"".join),
    st.integers(1, 1200),
)
def test_any_message_needs_what_the_reference_says(message: bytes, size: int) -> None:
    expected = reference(message)
    assert needs_of(message) == expected
    assert scan(message[i : i + size] for i in range(0, len(message), size)) == expected


def test_octets_of_a_part_have_no_header_block() -> None:
    assert needs_of_part("a: grün".encode()) == EIGHT_BIT


def test_a_scanner_tells_what_it_saw_up_to_now() -> None:
    scanner = NeedScanner()
    scanner.feed("a: ü\r\n".encode())
    assert (scanner.in_header, scanner.eight_bit_header, scanner.eight_bit_body) == (True, True, False)
    scanner.feed("\r\nü".encode())
    assert (scanner.in_header, scanner.eight_bit_body, scanner.nul) == (False, True, False)
    scanner.feed(b"\0\n")
    assert (scanner.nul, scanner.bare_newline, scanner.long_line) == (True, True, False)
    scanner.feed(b"x" * 1001)
    assert scanner.long_line
