"""What holds for any report: it is read back as it was, and nothing in it makes a field of its own."""

from __future__ import annotations

import email.policy
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from email.message import EmailMessage
from typing import Any

import attrs
import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from ehlo import EnhancedCode, LocalProtocolError, Mailbox, Ret
from ehlo.dsn import (
    Action,
    Header,
    RecipientReport,
    Report,
    ReportError,
    Returned,
    Typed,
    build,
    parse,
)

HEADER = Header(
    to=Mailbox("alice", "local.example"),
    postmaster=Mailbox("postmaster", "local.example"),
    date=datetime(1997, 11, 21, tzinfo=UTC),
    message_id="<1@local.example>",
    boundary="b",
)
CLASSES = {Action.FAILED: (4, 5), Action.DELAYED: (4,)}

ASCII = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=80).map(
    lambda text: text.strip()
)
UNICODE = st.one_of(
    ASCII,
    st.text(
        st.characters(exclude_categories=("Cc", "Cs"), exclude_characters="\u2028\u2029"), max_size=80
    ).map(lambda text: text.strip(" ")),
    st.lists(st.sampled_from(["\\x{F8}", "\\", "\u00f8", "x{", "}", " ", "+", "="]), max_size=8).map(
        lambda parts: "".join(parts).strip(" ")
    ),
)
ANY_TEXT = st.one_of(
    UNICODE,
    st.text(max_size=80),
    st.lists(
        st.sampled_from(
            [
                "\r\n",
                "\n",
                "\r",
                "\0",
                "\x85",
                "\u2028",
                "Action: delivered",
                "--b",
                "--b--",
                " ",
                "\t",
                ";",
                "\ud800",
            ]
        ),
        max_size=12,
    ).map("".join),
)
NAMES = st.from_regex(r"X-[A-Za-z0-9-]{1,20}", fullmatch=True)
ATOMS = st.from_regex(r"[A-Za-z][A-Za-z0-9-]{0,10}", fullmatch=True)
DATES = st.builds(
    lambda naive, minutes: naive.replace(microsecond=0, tzinfo=timezone(timedelta(minutes=minutes))),
    st.datetimes(min_value=datetime(1900, 1, 2), max_value=datetime(9999, 12, 30)),
    st.integers(-1439, 1439),
)


def addresses(text: st.SearchStrategy[str]) -> st.SearchStrategy[Typed]:
    """`utf-8` with anything; `rfc822` and others with ASCII."""

    def is_bare(typed: Typed) -> bool:
        # Brackets around an address are taken off.
        return not (typed.value.startswith("<") and typed.value.endswith(">"))

    return st.one_of(
        st.builds(Typed, st.just("utf-8"), text), st.builds(Typed, st.just("rfc822"), ASCII)
    ).filter(is_bare)


def typed(text: st.SearchStrategy[str]) -> st.SearchStrategy[Typed]:
    return st.builds(Typed, ATOMS, text)


@st.composite
def recipients(
    draw: Callable[..., Any], text: st.SearchStrategy[str], address: st.SearchStrategy[str]
) -> Any:
    action = draw(st.sampled_from(Action))
    klass = draw(st.sampled_from(CLASSES.get(action, (2,))))
    return RecipientReport(
        final_recipient=draw(addresses(address)),
        action=action,
        status=EnhancedCode(klass, draw(st.integers(0, 999)), draw(st.integers(0, 999))),
        original_recipient=draw(st.none() | addresses(address)),
        remote_mta=draw(st.none() | typed(text)),
        diagnostic=draw(st.none() | typed(text)),
        last_attempt=draw(st.none() | DATES),
        final_log_id=draw(st.none() | text),
        will_retry_until=draw(st.none() | DATES) if action is Action.DELAYED else None,
        extensions=tuple(draw(st.lists(st.tuples(NAMES, text), max_size=2))),
    )


CONTENT = st.lists(
    st.sampled_from(
        [
            b"Subject: x\r\n",
            b"\r\n",
            b"--b",
            b"--b--",
            b"--b.0.",
            b".",
            b"\xc3\xb8",
            b"\xff",
            b"=",
            b" ",
            b"x",
        ]
    ),
    max_size=12,
).map(b"".join)
HEADERS = CONTENT.map(lambda content: re.sub(rb"(?:\r\n)+", b"\r\n", content).removeprefix(b"\r\n"))


def reports(
    text: st.SearchStrategy[str], address: st.SearchStrategy[str], returned: st.SearchStrategy[Returned]
) -> st.SearchStrategy[Report]:
    return st.builds(
        Report,
        reporting_mta=typed(text),
        recipients=st.lists(recipients(text, address), min_size=1, max_size=3).map(tuple),
        envelope_id=st.none() | text,
        dsn_gateway=st.none() | typed(text),
        received_from=st.none() | typed(text),
        arrival=st.none() | DATES,
        extensions=st.lists(st.tuples(NAMES, text), max_size=2).map(tuple),
        returned=st.none() | returned,
    )


ASCII_RETURNED = st.one_of(
    st.builds(Returned, st.just(Ret.FULL), CONTENT.filter(bytes.isascii)),
    st.builds(Returned, st.just(Ret.HDRS), HEADERS),
)
ANY_RETURNED = st.builds(Returned, st.sampled_from(Ret), st.one_of(CONTENT, st.binary(max_size=60)))


def check(octets: bytes, recipients: int) -> None:
    """One report, whoever reads it; CRLF and short lines only."""
    assert not re.search(rb"\r(?!\n)|(?<!\r)\n|\0", octets)
    assert max(map(len, octets.split(b"\r\n"))) <= 998
    message = email.message_from_bytes(octets, policy=email.policy.default)
    assert isinstance(message, EmailMessage)
    _, status, *rest = message.iter_parts()
    assert len(rest) <= 1
    if status.get_content_type() == "message/delivery-status":
        assert sum("Action" in group for group in status.walk()) == recipients


@pytest.mark.clause("RFC3464-2.1a", "RFC6533-3c", "RFC6533-3d", "RFC6533-4.5a", "RFC3464-2.2.1a")
@settings(max_examples=100)
@given(reports(ASCII, UNICODE, ASCII_RETURNED))
def test_what_is_written_is_read_in_ascii(report: Report) -> None:
    octets = build(report, HEADER)
    assert octets.isascii()
    check(octets, len(report.recipients))
    assert parse(octets) == report
    assert parse(octets.replace(b"\r\n", b"\n")) == report


@pytest.mark.clause("RFC6533-4.1a", "RFC6533-4.4a", "RFC6533-3f")
@settings(max_examples=100)
@given(reports(UNICODE, UNICODE, ASCII_RETURNED))
def test_what_is_written_is_read_in_utf8(report: Report) -> None:
    octets = build(report, HEADER, utf8=True)
    check(octets, len(report.recipients))
    assert parse(octets) == report


@pytest.mark.clause("SEC-INJ-srv-a", "RFC3464-2.3.2a")
@settings(max_examples=100)
@given(reports(ANY_TEXT, ANY_TEXT, ANY_RETURNED), ANY_TEXT, st.booleans(), st.booleans())
def test_nothing_in_a_report_breaks_out(report: Report, text: str, eight_bit: bool, utf8: bool) -> None:
    octets = build(report, HEADER, text=text, eight_bit=eight_bit, utf8=utf8)
    assert octets.isascii() or eight_bit or utf8
    check(octets, len(report.recipients))
    found = parse(octets)
    assert [(each.action, each.status) for each in found.recipients] == [
        (each.action, each.status) for each in report.recipients
    ]
    assert (found.returned is None) is (report.returned is None)
    # Read once, it says the same however often it is handed on.
    assert parse(build(found, HEADER, eight_bit=eight_bit, utf8=utf8)) == found


START = (
    b"Content-Type: multipart/report; boundary=b\n\n--b\nContent-Type: message/delivery-status\n\n"
    b"Reporting-MTA: dns; x\n\nFinal-Recipient: rfc822; x@y.example\nAction: failed\n"
)
ODD = st.lists(
    st.sampled_from(
        [
            b"--b\n", b"--b--\n", b"\n", b"\r\n", b" ", b"Action: failed\n", b"Status: 5.1.1\n",
            b"Status: x\n", b"Final-Recipient: rfc822; x@y.example\n", b"Arrival-Date: ", b"\xff", b"\0",
            b"Original-Recipient: utf-8; \\x{F8}\n", b"21 Nov 1997 09:55:06 -0600\n", b"X: ",
            b"Diagnostic-Code: smtp;", b"Content-Transfer-Encoding: base64\n",
            b"Content-Type: message/rfc822\n\n", b"Reporting-MTA: dns; x\n",
        ]
    ),
    max_size=20,
).map(lambda parts: START + b"".join(parts))  # fmt: skip


@settings(max_examples=400)
@given(st.one_of(ODD, st.binary(max_size=200)))
def test_any_octets_are_a_report_or_a_fault_of_one_type(octets: bytes) -> None:
    try:
        report = parse(octets)
    except ReportError:
        event("no report")
        return
    assert report.recipients
    try:
        written = build(report, HEADER, utf8=True)
    except LocalProtocolError:
        # What is missing or contradicts itself is read, and not written.
        event("contradicts itself")
        return
    again = parse(written)
    assert attrs.evolve(again, returned=None) == attrs.evolve(report, returned=None)
