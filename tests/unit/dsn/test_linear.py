"""What strangers make long takes in proportion, in a report that is read and in one that is written."""

from __future__ import annotations

import contextlib
from typing import Any

import attrs
import pytest
from tests.helpers.linear import FACTOR, WORST, ratio
from tests.unit.dsn.test_build import HEADER, REPORT, returning, with_recipient

from ehlo import Ret
from ehlo.dsn import Report, ReportError, Typed, build, parse

REPORT_TYPE = b"Content-Type: multipart/report; boundary=b"
STATUS = REPORT_TYPE + b"\n\n--b\nContent-Type: message/delivery-status\n\n"
RECIPIENT = STATUS + b"Action: failed\nFinal-Recipient: "


def _read(octets: bytes) -> None:
    with contextlib.suppress(ReportError):
        parse(octets)


@pytest.mark.parametrize(
    ("head", "unit"),
    [
        (b"", b"\n"),
        (b"Content-Type: x", b';a="\\'),
        (b"Content-Type: x", b';a="'),
        (b"Content-Type: x", b";a \t="),
        (b"Content-Type: ", b" \t"),
        (b"X-A: 1", b"\n 2"),
        (REPORT_TYPE + b"\n\n", b"--b\n"),
        (REPORT_TYPE + b"\n\n", b"--b \t"),
        (REPORT_TYPE + b"\n\n--b", b" \t"),
        (STATUS, b"X: y\n"),
        (STATUS, b"X: y\n\n"),
        (STATUS, b" \t\n "),
        (STATUS, b"Final-Recipient: x\nAction: failed\n\n"),
        (RECIPIENT, b"a "),
        (RECIPIENT + b"utf-8;", b"\\x{F8}"),
        (RECIPIENT + b"x\nLast-Attempt-Date: ", b"Mon "),
        (RECIPIENT + b"x\nLast-Attempt-Date: 1 Nov ", b"    "),
        (RECIPIENT + b"x\nStatus: ", b"5.1"),
    ],
)
def test_reading(head: bytes, unit: bytes) -> None:
    times = 12_000 // len(unit)
    assert ratio(_read, head + unit * times, head + unit * times * FACTOR) < WORST


def _with_content(content: str) -> Report:
    return returning(Ret.FULL, b"A: b\r\n\r\n" + content.encode())


def _with_diagnostic(text: str) -> Report:
    return with_recipient(diagnostic=Typed("smtp", "550-" + text))


def _with_address(text: str) -> Report:
    return with_recipient(final_recipient=Typed("utf-8", text))


def _with_extensions(text: str) -> Report:
    return attrs.evolve(REPORT, extensions=(("X-A", "b"),) * len(text))


@pytest.mark.parametrize(
    ("make", "unit"),
    [
        (_with_content, "x\n"),
        (_with_content, "\n--b-1"),
        (_with_content, "\n--b-1.7."),
        (_with_content, "\n\u00f8"),
        (_with_diagnostic, "x "),
        (_with_diagnostic, " "),
        (_with_diagnostic, " 550-x"),
        (_with_diagnostic, "x"),
        (_with_diagnostic, "\r\n\t"),
        (_with_address, "\u00f8"),
        (_with_address, "\\x{F8}"),
        (_with_extensions, "x"),
    ],
)
def test_writing(make: Any, unit: str) -> None:
    def write(report: Report) -> None:
        build(report, HEADER)

    times = 12_000 // len(unit)
    assert ratio(write, make(unit * times), make(unit * times * FACTOR)) < WORST


def test_many_numbered_boundaries() -> None:
    """Each is in the content, and none is looked for twice."""

    def write(count: int) -> None:
        content = "".join(f"\n--b-1.{number}." for number in range(count))
        assert f'boundary="b-1.{count}."'.encode() in build(_with_content(content), HEADER)

    assert ratio(write, 1000, 1000 * FACTOR) < WORST
