"""Four times the message takes about four times as long, whatever it holds and however it is cut."""

from __future__ import annotations

from collections.abc import Callable

import attrs
import pytest
from tests.helpers.linear import FACTOR, WORST, ratio

from ehlo import Mailbox
from ehlo.policy import (
    ConversionError,
    MessageFacts,
    MessageFixer,
    MessagePolicy,
    NeedScanner,
    convert,
    message,
    needs_of,
    to_eight_bit,
    to_seven_bit,
)
from ehlo.policy._addresses import qualified
from ehlo.policy._fields import split_fields

FACTS = MessageFacts(
    hostname="mx.example", timestamp=0, unique="x", identity=Mailbox("alice", "a.example"), utf8=True
)
POLICY = MessagePolicy(
    correct_date=True,
    sender=True,
    remove_bcc=True,
    qualify_with="q.example",
    refuse_unqualified=True,
    check_syntax=True,
    refuse_repeated=True,
    refuse_raw_header=True,
    most_received=None,
    header_octets=10**9,
)
MIME = b"MIME-Version: 1.0\r\nContent-Type: "
PARTS = MIME + b"multipart/mixed; boundary=b\r\n\r\n"


def _fix(data: bytes) -> None:
    fixer = MessageFixer(attrs.evolve(POLICY, refuse_nul=True), FACTS)
    fixer.feed(data)
    fixer.finish()


def _fix_bytewise(data: bytes) -> None:
    fixer = MessageFixer(attrs.evolve(POLICY, refuse_nul=True), FACTS)
    for place in range(len(data)):
        fixer.feed(data[place : place + 1])
    fixer.finish()


def _scan(data: bytes) -> None:
    needs_of(data)


def _scan_bytewise(data: bytes) -> None:
    scanner = NeedScanner()
    for place in range(len(data)):
        scanner.feed(data[place : place + 1])


def _convert(data: bytes) -> None:
    # What has a NUL behind it needs to be converted, whatever else it is.
    for work in (to_seven_bit, to_eight_bit):
        try:
            work(data + b"\0")
        except ConversionError:
            continue


def _read(data: bytes) -> None:
    fields = split_fields(b"Content-Type:" + data + b"\r\nContent-Transfer-Encoding:" + data)
    convert._content_type(fields, b"")
    convert._label(fields)
    qualified(data, b"q.example")
    message._MESSAGE_ID.match(data)
    message._DATE.match(data)


CASES: list[tuple[Callable[[bytes], None], bytes, bytes, int]] = [
    *[(_fix, head, unit, 100_000) for head, unit in (
        (b"X: ", b"y"), (b"X: y", b"\r\n z"), (b"", b"X: y\r\n"), (b"", b"y\r\n"), (b"", b"Date:\r\n"),
        (b"", b"From: a@b\r\n"), (b"", b"Bcc: a\r\nMessage-ID: <\r\n"), (b"", b"\r\n"), (b"", b"\n"),
        (b"From: ", b"("), (b"", b"\r"),
        (b"Date: ", b"1 "), (b"Date: 1 Jan 1999 00:00 GMT", b"("), (b"Date: 1 Jan 1999 00:00 GMT", b" (x)"),
        (b"Message-ID: <", b"a@"), (b"Message-ID: ", b"(x)"), (b"Message-ID: <a@b>", b"(x) "),
    )],
    *[(work, head, unit, 12_000) for work in (_fix_bytewise, _scan_bytewise) for head, unit in (
        (b"X: ", b"y"), (b"", b"X: y\r\n"), (b"", b"\n"), (b"", b"\r"),
        (b"\r\n", b"y"), (b"\r\n", b"\r"),
    )],
    *[(_fix, b"From: ", unit, 4_000) for unit in (b"a,", b"a@b,\r\n ", b"<a@b", b"a.", b"a@")],
    *[(_scan, b"X: y\r\n\r\n", unit, 1_000_000) for unit in (
        b"y", b"\r\n", b"\n", b"\r", b"\0", b"\xfc", b"y" * 998 + b"\r\n", b"y" * 997 + b"\n",
    )],
    *[(_convert, head, unit, 40_000) for head, unit in (
        (b"\r\n", b"y"), (b"\r\n", b"y\xfc \r\n"), (b"\r\n", b"\n"), (b"\r\n", b"\xfc"), (b"", b"X: y\r\n"),
        (PARTS, b"--b\r\n"), (PARTS, b"--b\r\n\r\n"), (PARTS, b"--b\r\n\r\n\xfc\r\n"), (PARTS + b"--b", b" "),
        (PARTS, b"--b \t"), (PARTS, b"\r\n--"), (PARTS, b"--b--\r\n"), (PARTS + b"--b\r\n", b"X: y\r\n"),
        (b"", MIME + b"message/rfc822\r\n\r\n"), (b"", PARTS + b"--b\r\n"),
    )],
    *[(_read, head, unit, 12_000) for head in (
        b"", b'text/plain; a="', b"(", b"<", b"[", b"a@b <", b"<a@",
    ) for unit in (
        b'"', b"\\", b'\\"', b'"\\', b"(", b"()", b"\\(", b"(\\", b"[", b"[\\", b"<", b"<a@b>", b"@", b"a@",
        b"a.", b",", b":", b";", b"; a", b"; a=b", b'; a="', b" ", b"\r\n ", b"a", b"a/",
    )],
]  # fmt: skip


@pytest.mark.parametrize(("work", "head", "unit", "octets"), CASES)
def test_time_grows_with_the_message(
    work: Callable[[bytes], None], head: bytes, unit: bytes, octets: int
) -> None:
    times = octets // len(unit)
    assert ratio(work, head + unit * times, head + unit * times * FACTOR) < WORST


def test_a_header_line_of_ten_megabytes_takes_no_longer_than_its_limit() -> None:
    """Cut into pieces as a connection does, all but the first are passed over."""

    def work(data: bytes) -> None:
        fixer = MessageFixer(MessagePolicy(header_octets=65536), FACTS)
        for place in range(0, len(data), 65536):
            fixer.feed(data[place : place + 65536])
        assert fixer.refusal is not None

    assert ratio(work, b"X: " + b"y" * 2_500_000, b"X: " + b"y" * 10_000_000) < WORST
