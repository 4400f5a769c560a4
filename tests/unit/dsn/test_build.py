"""What is written: read back by the standard library, octet by octet where that matters."""

from __future__ import annotations

import email.policy
import re
from datetime import UTC, datetime, timedelta, timezone
from email.message import EmailMessage, Message
from typing import Any

import attrs
import pytest

from ehlo import EnhancedCode, LocalProtocolError, Mailbox, Ret
from ehlo.dsn import Action, Header, RecipientReport, Report, Returned, Typed, build, parse

NOON = datetime(1997, 11, 21, 12, 0, 5, tzinfo=timezone(timedelta(hours=-6)))
HEADER = Header(
    to=Mailbox("alice", "local.example"),
    postmaster=Mailbox("postmaster", "mail.local.example"),
    date=NOON,
    message_id="<1.dsn@mail.local.example>",
    boundary="b-1",
)
FAILURE = RecipientReport(
    final_recipient=Typed("rfc822", "Bob@remote.example"),
    action=Action.FAILED,
    status=EnhancedCode(5, 1, 1),
    original_recipient=Typed("rfc822", "bob+list@local.example"),
    remote_mta=Typed("dns", "mx.remote.example"),
    diagnostic=Typed("smtp", "550-5.1.1 No such user 550 5.1.1 here"),
    last_attempt=NOON,
    final_log_id="queue 7",
    extensions=(("SMTP-Remote-Recipient", "rfc822; bob@remote.example"),),
)
DELAY = RecipientReport(
    final_recipient=Typed("rfc822", "carol@remote.example"),
    action=Action.DELAYED,
    status=EnhancedCode(4, 4, 1),
    will_retry_until=NOON,
)
REPORT = Report(
    reporting_mta=Typed("dns", "mail.local.example"),
    recipients=(FAILURE, DELAY),
    envelope_id="QQ=314 Q",
    dsn_gateway=Typed("dns", "gate.local.example"),
    received_from=Typed("dns", "client.local.example ([192.0.2.1])"),
    arrival=NOON,
    extensions=(("X-Queue", "7"),),
    returned=Returned(Ret.FULL, b"Subject: Hello\r\n\r\nHi Bob!\r\n"),
)
NORDIC = attrs.evolve(
    REPORT,
    recipients=(
        attrs.evolve(
            FAILURE,
            final_recipient=Typed("utf-8", "b\u00f8b=1@remote.example"),
            original_recipient=Typed("utf-8", "b\\\u00f8b@local.example"),
        ),
    ),
    returned=Returned(Ret.FULL, "Subject: p\u00e5 norsk\r\n\r\nHei\r\n".encode()),
)


def with_recipient(**changes: Any) -> Report:
    return attrs.evolve(REPORT, recipients=(attrs.evolve(FAILURE, **changes),))


def returning(ret: Ret, content: bytes) -> Report:
    return attrs.evolve(REPORT, returned=Returned(ret, content))


def read(octets: bytes) -> EmailMessage:
    """The message as the standard library reads it, which must find nothing to complain about."""
    message = email.message_from_bytes(octets, policy=email.policy.default)
    assert isinstance(message, EmailMessage)
    for entity in (message, *message.iter_parts()):
        assert entity.defects == []
    assert message.get_content_type() == "multipart/report"
    return message


def parts_of(octets: bytes) -> list[Message]:
    return list(read(octets).iter_parts())


def status_of(octets: bytes) -> bytes:
    """The octets of the second part, without the line end that belongs to the boundary."""
    boundary = read(octets).get_boundary()
    assert boundary is not None
    part = octets.split(f"--{boundary}\r\n".encode())[2]
    return part.partition(b"\r\n\r\n")[2].removesuffix(b"\r\n")


def check_octets(octets: bytes) -> None:
    assert not re.search(rb"\r(?!\n)|(?<!\r)\n|\0", octets)
    assert max(map(len, octets.split(b"\r\n"))) <= 998


@pytest.mark.clause("RFC5321-3.6.3a", "RFC4409-3.2d")
@pytest.mark.clause(
    "RFC3464-2a", "RFC3464-2b", "RFC3464-2c", "RFC6522-3a", "RFC3464-2.1b", "RFC3464-2.2.1a", "RFC6522-4a"
)
def test_the_message() -> None:
    octets = build(REPORT, HEADER)
    check_octets(octets)
    assert octets.isascii()
    message = read(octets)
    assert message["From"] == "Mail Delivery System <postmaster@mail.local.example>"
    assert message["To"] == "alice@local.example"
    assert message["Subject"] == "Undeliverable mail returned to sender"
    assert message["Date"].datetime == NOON
    assert message["Message-ID"] == HEADER.message_id
    assert message["Auto-Submitted"] == "auto-replied"
    assert message["MIME-Version"] == "1.0"
    assert message.get_param("report-type") == "delivery-status"
    explanation, status, original = parts_of(octets)
    assert explanation.get_content_type() == "text/plain"
    assert status.get_content_type() == "message/delivery-status"
    assert original.get_content_type() == "message/rfc822"
    assert [part["Content-Transfer-Encoding"] for part in (explanation, status, original)] == [None] * 3
    returned = original.get_payload(0)
    assert isinstance(returned, Message)
    assert returned["Subject"] == "Hello"


@pytest.mark.clause(
    "RFC3464-2.1a", "RFC3464-2.2.4a", "RFC3461-6.3a", "RFC3461-6.3b", "RFC3461-6.3d", "RFC3461-6.3f",
    "RFC3464-2.3a", "RFC3461-9.2a",
)  # fmt: skip
def test_the_status() -> None:
    assert status_of(build(REPORT, HEADER)).decode() == (
        "Original-Envelope-Id: QQ=314 Q\r\n"
        "Reporting-MTA: dns; mail.local.example\r\n"
        "DSN-Gateway: dns; gate.local.example\r\n"
        "Received-From-MTA: dns; client.local.example ([192.0.2.1])\r\n"
        "Arrival-Date: Fri, 21 Nov 1997 12:00:05 -0600\r\n"
        "X-Queue: 7\r\n"
        "\r\n"
        "Original-Recipient: rfc822; bob+list@local.example\r\n"
        "Final-Recipient: rfc822; Bob@remote.example\r\n"
        "Action: failed\r\n"
        "Status: 5.1.1\r\n"
        "Remote-MTA: dns; mx.remote.example\r\n"
        "Diagnostic-Code: smtp; 550-5.1.1 No such user\r\n"
        " 550 5.1.1 here\r\n"
        "Last-Attempt-Date: Fri, 21 Nov 1997 12:00:05 -0600\r\n"
        "Final-Log-ID: queue 7\r\n"
        "SMTP-Remote-Recipient: rfc822; bob@remote.example\r\n"
        "\r\n"
        "Final-Recipient: rfc822; carol@remote.example\r\n"
        "Action: delayed\r\n"
        "Status: 4.4.1\r\n"
        "Will-Retry-Until: Fri, 21 Nov 1997 12:00:05 -0600\r\n"
    )


@pytest.mark.clause("RFC3464-2.1a")
def test_the_standard_library_finds_the_same_groups() -> None:
    _, status, _ = parts_of(build(REPORT, HEADER))
    groups = [group for group in status.walk() if group is not status]
    assert [group.keys()[0] for group in groups] == [
        "Original-Envelope-Id",
        "Original-Recipient",
        "Final-Recipient",
    ]
    assert [group["Action"] for group in groups] == [None, "failed", "delayed"]


@pytest.mark.clause("RFC3464-2.3.3a")
@pytest.mark.parametrize(
    ("action", "klass", "subject"),
    [
        (Action.FAILED, 5, "Undeliverable mail returned to sender"),
        (Action.FAILED, 4, "Undeliverable mail returned to sender"),
        (Action.DELAYED, 4, "Delivery of your mail is delayed"),
        (Action.DELIVERED, 2, "Your mail was delivered"),
        (Action.RELAYED, 2, "Your mail was relayed"),
        (Action.EXPANDED, 2, "Your mail was delivered"),
    ],
)
def test_actions(action: Action, klass: int, subject: str) -> None:
    octets = build(with_recipient(action=action, status=EnhancedCode(klass, 0, 0)), HEADER)
    assert read(octets)["Subject"] == subject
    assert f"\r\nAction: {action.value}\r\n".encode() in status_of(octets)


@pytest.mark.clause("RFC3464-2.3.4a", "RFC3464-2.3a")
@pytest.mark.parametrize(
    ("report", "message"),
    [
        (with_recipient(status=EnhancedCode(2, 0, 0)), "contradicts"),
        (with_recipient(action=Action.DELAYED), "contradicts"),
        (with_recipient(action=Action.DELIVERED, status=EnhancedCode(4, 0, 0)), "contradicts"),
        (with_recipient(will_retry_until=NOON), "for delays"),
        (attrs.evolve(REPORT, recipients=()), "at least one"),
        (attrs.evolve(REPORT, reporting_mta=None), "reporting MTA"),
        (with_recipient(final_recipient=Typed("rfc 822", "x@y.example")), "atom"),
        (with_recipient(diagnostic=Typed("smtp\r\nX", "1")), "atom"),
        (with_recipient(extensions=(("Action", "delivered"),)), "name of its own"),
        (with_recipient(extensions=(("X-A\r\nAction", "delivered"),)), "name of its own"),
        (attrs.evolve(REPORT, extensions=(("status", "2.0.0"),)), "name of its own"),
        (attrs.evolve(REPORT, extensions=(("X:", ""),)), "name of its own"),
        (attrs.evolve(REPORT, arrival=datetime(1997, 11, 21)), "zone"),
    ],
)
def test_what_no_report_may_say(report: Report, message: str) -> None:
    with pytest.raises(LocalProtocolError, match=message):
        build(report, HEADER)


@pytest.mark.clause("SEC-INJ-srv-a")
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"to": Mailbox("alice>\r\nBcc: <eve", "local.example")}, "mailbox"),
        ({"postmaster": Mailbox("x", "local.example\r\nBcc: eve")}, "domain"),
        ({"to": Mailbox("\u00e6", "local.example")}, "mailbox"),
        ({"message_id": "<1@x>\r\nBcc: eve"}, "Message-ID"),
        ({"message_id": "1@x"}, "Message-ID"),
        ({"message_id": f"<{'1' * 251}>"}, "Message-ID"),
        ({"boundary": 'b"\r\nBcc: eve'}, "boundary"),
        ({"boundary": ""}, "boundary"),
        ({"boundary": "b" * 51}, "boundary"),
        ({"boundary": "b "}, "boundary"),
        ({"date": datetime(1997, 11, 21)}, "zone"),
    ],
)
def test_what_no_header_may_say(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(LocalProtocolError, match=message):
        build(REPORT, attrs.evolve(HEADER, **changes))


NASTY = "x\r\nAction: delivered\n\r\nStatus: 2.0.0\r\0\x0b\x85\u2028--b-1\r\n--b-1--\r\n\x7f"


@pytest.mark.clause("SEC-INJ-srv-a", "RFC3464-2.3.2a", "RFC3461-6.3d")
@pytest.mark.parametrize("utf8", [False, True])
@pytest.mark.parametrize(
    "report",
    [
        attrs.evolve(REPORT, envelope_id=NASTY),
        attrs.evolve(REPORT, reporting_mta=Typed("dns", NASTY)),
        attrs.evolve(REPORT, received_from=Typed("dns", NASTY)),
        attrs.evolve(REPORT, extensions=(("X-Queue", NASTY),)),
        with_recipient(final_recipient=Typed("rfc822", NASTY)),
        with_recipient(final_recipient=Typed("utf-8", NASTY)),
        with_recipient(original_recipient=Typed("utf-8", NASTY)),
        with_recipient(original_recipient=Typed("x400", NASTY)),
        with_recipient(remote_mta=Typed("dns", NASTY)),
        with_recipient(diagnostic=Typed("smtp", NASTY)),
        with_recipient(diagnostic=Typed("smtp", "550-" + NASTY)),
        with_recipient(final_log_id=NASTY),
        with_recipient(extensions=(("SMTP-Remote-Recipient", NASTY),)),
    ],
)
def test_nothing_that_strangers_said_becomes_a_field(report: Report, utf8: bool) -> None:
    octets = build(report, HEADER, utf8=utf8)
    check_octets(octets)
    plain = build(with_recipient() if len(report.recipients) == 1 else REPORT, HEADER)
    names = re.compile(rb"^[A-Za-z-]+(?=:)", re.MULTILINE)
    assert names.findall(status_of(octets)) == names.findall(status_of(plain))
    assert not re.search(r"[\x00-\x09\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028]", octets.decode())
    assert [recipient.action for recipient in parse(octets).recipients] == [
        recipient.action for recipient in report.recipients
    ]
    assert len(parts_of(octets)) == 3


@pytest.mark.parametrize(
    "text",
    [
        "word " * 400,
        "x" * 3000,
        "x" + " " * 30_000 + "y",
        "\u00f8" * 2000,
        "x " + "y" * 990 + " z",
        "a   b" * 300,
    ],
)
@pytest.mark.parametrize("utf8", [False, True])
def test_no_line_is_too_long(text: str, utf8: bool) -> None:
    report = with_recipient(
        diagnostic=Typed("smtp", text),
        final_recipient=Typed("utf-8", text),
        extensions=(("X-Log", text),),
    )
    octets = build(attrs.evolve(report, envelope_id=text), HEADER, utf8=utf8)
    check_octets(octets)
    # A line of nothing but space would end the group for lenient readers.
    assert not re.search(rb"^[ \t]+\r$", status_of(octets), re.MULTILINE)
    assert len(parse(octets).recipients) == 1


def test_empty_texts_and_line_breaks_in_texts() -> None:
    report = attrs.evolve(REPORT, envelope_id="a\r\n\tb\nc", extensions=(("X-Empty", ""), ("X-Last", "1")))
    octets = build(report, HEADER)
    assert b"Original-Envelope-Id: a b c\r\n" in octets
    assert b"\r\nX-Empty:\r\nX-Last: 1\r\n" in octets


def test_long_texts_fold_where_they_can_be_put_together_again() -> None:
    text = " ".join(f"word{number}" for number in range(100))
    octets = build(with_recipient(diagnostic=Typed("smtp", text)), HEADER)
    lines = status_of(octets).split(b"\r\n")
    assert max(map(len, lines)) <= 78
    assert parse(octets).recipients[0].diagnostic == Typed("smtp", text)


@pytest.mark.clause("RFC6533-4.1a", "RFC6533-4.2a", "RFC6522-3a", "RFC6531-3.2d")
def test_utf8_where_the_way_back_takes_it() -> None:
    octets = build(NORDIC, HEADER, utf8=True)
    check_octets(octets)
    assert read(octets).get_param("report-type") == "global-delivery-status"
    assert read(octets)["Content-Transfer-Encoding"] == "8bit"
    kinds = [(part.get_content_type(), part["Content-Transfer-Encoding"]) for part in parts_of(octets)]
    assert kinds == [
        ("text/plain", "8bit"),
        ("message/global-delivery-status", "8bit"),
        ("message/global", "8bit"),
    ]
    assert "Final-Recipient: utf-8; b\u00f8b=1@remote.example\r\n".encode() in octets
    assert parse(octets) == NORDIC


@pytest.mark.clause("RFC6533-4.1a", "RFC6533-4.5a", "RFC6533-3c", "RFC6533-3d")
@pytest.mark.parametrize("eight_bit", [False, True])
def test_ascii_where_it_does_not(eight_bit: bool) -> None:
    octets = build(NORDIC, HEADER, eight_bit=eight_bit)
    check_octets(octets)
    assert read(octets).get_param("report-type") == "delivery-status"
    explanation, status, original = parts_of(octets)
    assert status.get_content_type() == "message/delivery-status"
    assert b"Final-Recipient: utf-8; b\\x{F8}b\\x{3D}1@remote.example\r\n" in octets
    assert b"Original-Recipient: utf-8; b\\x{5C}\\x{F8}b@local.example\r\n" in octets
    assert status_of(octets).isascii()
    assert explanation["Content-Transfer-Encoding"] == ("8bit" if eight_bit else "quoted-printable")
    assert (original.get_content_type(), original["Content-Transfer-Encoding"]) == (
        "message/global",
        "base64",
    )
    assert octets.isascii() is not eight_bit
    assert parse(octets) == NORDIC


@pytest.mark.parametrize("utf8", [False, True])
@pytest.mark.parametrize("text", ["a\\x{F8}b", "\u00f8\\x{F8}", "a\\x{0}", "a\\", "\\x{5C}x{F8}"])
@pytest.mark.clause("RFC6533-3f")
def test_a_backslash_stays_a_backslash(text: str, utf8: bool) -> None:
    report = with_recipient(original_recipient=Typed("utf-8", text))
    assert parse(build(report, HEADER, utf8=utf8)) == report


@pytest.mark.parametrize("utf8", [False, True])
def test_ascii_of_type_utf8_needs_no_escape(utf8: bool) -> None:
    octets = build(with_recipient(final_recipient=Typed("utf-8", "b+c=d@x.example")), HEADER, utf8=utf8)
    assert b"Final-Recipient: utf-8; b+c=d@x.example\r\n" in octets


@pytest.mark.clause("RFC6533-4.1a")
def test_what_has_no_form_in_ascii_is_replaced() -> None:
    report = with_recipient(
        diagnostic=Typed("smtp", "550 caf\u00e9"), final_recipient=Typed("rfc822", "\u00f8@x.example")
    )
    (found,) = parse(build(report, HEADER)).recipients
    assert found.diagnostic == Typed("smtp", "550 caf?")
    assert found.final_recipient == Typed("utf-8", "\u00f8@x.example")
    (found,) = parse(build(report, HEADER, utf8=True)).recipients
    assert found.diagnostic == Typed("smtp", "550 caf\u00e9")


LATIN = b"Subject: Hello\r\n\r\nCaf\xe9\r\n"
LATIN_HEADER = b"Subject: Caf\xe9\r\n\r\nHello\r\n"
UTF8_HEADER = "Subject: Caf\u00e9\r\n".encode()
LONG = b"Subject: Hello\r\n\r\n" + b"x" * 999 + b"\r\n"
NO_LINE = b"Subject: \xe9" * 99
LONG_HEADER = b"Subject: " + b"x" * 999 + b"\r\n"


@pytest.mark.clause("RFC6522-3b", "RFC6533-4.2a", "RFC6533-4.5a", "RFC6522-4a")
@pytest.mark.parametrize(
    ("returned", "way", "kind", "encoding", "content"),
    [
        (Returned(Ret.FULL, LATIN), "8bit", "message/rfc822", "8bit", LATIN),
        (Returned(Ret.FULL, LATIN), "utf8", "message/rfc822", "8bit", LATIN),
        (Returned(Ret.FULL, LATIN), "7bit", "text/rfc822-headers", None, b"Subject: Hello\r\n"),
        (Returned(Ret.FULL, LONG), "utf8", "text/rfc822-headers", None, b"Subject: Hello\r\n"),
        (Returned(Ret.FULL, b"A: b\r\n\r\n\0"), "utf8", "text/rfc822-headers", None, b"A: b\r\n"),
        (
            Returned(Ret.FULL, LATIN_HEADER), "utf8", "text/rfc822-headers", "quoted-printable",
            b"Subject: Caf\xe9\r\n",
        ),
        (Returned(Ret.HDRS, UTF8_HEADER), "utf8", "message/global-headers", "8bit", UTF8_HEADER),
        (Returned(Ret.HDRS, UTF8_HEADER), "8bit", "text/rfc822-headers", "quoted-printable", UTF8_HEADER),
        (Returned(Ret.HDRS, UTF8_HEADER), "7bit", "text/rfc822-headers", "quoted-printable", UTF8_HEADER),
        (Returned(Ret.HDRS, LONG_HEADER), "utf8", "text/rfc822-headers", "quoted-printable", LONG_HEADER),
        (Returned(Ret.HDRS, NO_LINE), "7bit", "text/rfc822-headers", "quoted-printable", NO_LINE),
        (Returned(Ret.FULL, UTF8_HEADER + LONG), "utf8", "message/global", "base64", UTF8_HEADER + LONG),
        (
            Returned(Ret.HDRS, UTF8_HEADER + LONG_HEADER), "utf8", "text/rfc822-headers", "quoted-printable",
            UTF8_HEADER + LONG_HEADER,
        ),
        (Returned(Ret.HDRS, b""), "7bit", "text/rfc822-headers", None, b""),
    ],
)  # fmt: skip
def test_what_is_returned_fits_the_way(
    returned: Returned, way: str, kind: str, encoding: str | None, content: bytes
) -> None:
    report = attrs.evolve(REPORT, returned=returned)
    octets = build(report, HEADER, eight_bit=way == "8bit", utf8=way == "utf8")
    check_octets(octets)
    part = parts_of(octets)[2]
    assert (part.get_content_type(), part["Content-Transfer-Encoding"]) == (kind, encoding)
    found = parse(octets).returned
    assert found is not None
    assert found.content == content


def test_line_ends_of_what_is_returned() -> None:
    octets = build(returning(Ret.FULL, b"A: b\n\nbare\rcr\n"), HEADER)
    check_octets(octets)
    assert parse(octets).returned == Returned(Ret.FULL, b"A: b\r\n\r\nbare\r\ncr\r\n")


@pytest.mark.clause("RFC6522-3a")
def test_nothing_returned() -> None:
    octets = build(attrs.evolve(REPORT, returned=None), HEADER)
    assert len(parts_of(octets)) == 2
    assert parse(octets).returned is None


@pytest.mark.parametrize(
    ("content", "boundary"),
    [
        (b"A: b\r\n\r\n--b-1\r\n", "b-1.0."),
        (b"A: b\r\n\r\n--b-1--\r\n", "b-1.0."),
        (b"A: b\r\n\r\n--b-1 is a prefix\r\n", "b-1.0."),
        (b"A: b\r\n\r\n--b-1.0.\r\n--b-1.2.\r\n", "b-1.1."),
        (b"A: b\r\n\r\n--b-1.0.5\r\n--b-1.00.\r\n--b-1.1\r\n", "b-1.1."),
        (b"A: b\r\n\r\n--b-2\r\n x --b-1\r\n", "b-1"),
    ],
)
def test_the_boundary_begins_no_line_of_the_content(content: bytes, boundary: str) -> None:
    report = returning(Ret.FULL, content)
    octets = build(report, HEADER)
    assert read(octets).get_boundary() == boundary
    assert f"\r\n--{boundary}".encode() not in content
    assert len(parts_of(octets)) == 3
    assert parse(octets) == report


def test_words_of_ones_own() -> None:
    octets = build(REPORT, HEADER, text="Beklager,\nden kom ikke frem \u2014 pr\u00f8v igjen.\r--b-1")
    check_octets(octets)
    explanation = parts_of(octets)[0]
    assert explanation.get_payload(decode=True) == (
        "Beklager,\r\nden kom ikke frem \u2014 pr\u00f8v igjen.\r\n--b-1\r\n".encode()
    )
    assert read(octets).get_boundary() == "b-1.0."
    assert b"8bit" in build(REPORT, HEADER, text="\u00f8", eight_bit=True)


def test_our_words_name_recipients_and_answers() -> None:
    text = parts_of(build(REPORT, HEADER))[0].get_payload()
    assert isinstance(text, str)
    assert "Your message to <Bob@remote.example>" in text
    assert "The answer of mx.remote.example: 550-5.1.1 No such user 550 5.1.1 here" in text
    assert "Your message to <carol@remote.example>" in text


@pytest.mark.clause("RFC3464-2.2.4a")
@pytest.mark.parametrize(
    ("date", "text"),
    [
        (datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), "Fri, 2 Jan 2026 03:04:05 +0000"),
        (
            datetime(2026, 12, 31, 23, 4, 5, tzinfo=timezone(timedelta(hours=5, minutes=45))),
            "Thu, 31 Dec 2026 23:04:05 +0545",
        ),
        (
            datetime(1999, 2, 28, 0, 0, 0, tzinfo=timezone(-timedelta(hours=3, minutes=30))),
            "Sun, 28 Feb 1999 00:00:00 -0330",
        ),
    ],
)
def test_dates(date: datetime, text: str) -> None:
    octets = build(attrs.evolve(REPORT, arrival=date), HEADER)
    assert f"\r\nArrival-Date: {text}\r\n".encode() in octets
    assert parse(octets).arrival == date


def test_a_zone_of_seconds_is_rounded_and_the_instant_kept() -> None:
    odd = datetime(1900, 1, 1, 12, 0, 0, tzinfo=timezone(timedelta(minutes=19, seconds=32)))
    octets = build(attrs.evolve(REPORT, arrival=odd), HEADER)
    assert b"Arrival-Date: Mon, 1 Jan 1900 11:59:28 +0019\r\n" in octets
    assert parse(octets).arrival == odd
