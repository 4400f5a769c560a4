"""Reports as others write them, and what is no report."""

from __future__ import annotations

import email.policy
from datetime import UTC, datetime, timedelta, timezone

import pytest
from tests.unit.dsn import samples

from ehlo import EnhancedCode, Error, Ret
from ehlo.dsn import Action, RecipientReport, Report, ReportError, Returned, Typed, parse

CST = timezone(timedelta(hours=-6))
POSTFIX = Report(
    reporting_mta=Typed("dns", "mail.local.example"),
    envelope_id="QQ=314159",
    arrival=datetime(1997, 11, 21, 9, 55, 6, tzinfo=CST),
    extensions=(
        ("X-Postfix-Queue-ID", "9A1C21E0A2"),
        ("X-Postfix-Sender", "rfc822; alice@local.example"),
    ),
    recipients=(
        RecipientReport(
            final_recipient=Typed("rfc822", "bob@remote.example"),
            original_recipient=Typed("rfc822", "Bob+list@remote.example"),
            action=Action.FAILED,
            status=EnhancedCode(5, 1, 1),
            remote_mta=Typed("dns", "mx.remote.example"),
            diagnostic=Typed(
                "smtp",
                "550 5.1.1 <bob@remote.example>: Recipient address rejected:"
                " User unknown in virtual mailbox table",
            ),
        ),
    ),
    returned=Returned(Ret.HDRS, b"Return-Path: <alice@local.example>\r\nSubject: Hello\r\n"),
)
POSTFIX_UTF8 = Report(
    reporting_mta=Typed("dns", "mail.local.example"),
    recipients=(
        RecipientReport(
            final_recipient=Typed("utf-8", "b\u00f8rge@remote.example"),
            original_recipient=Typed("utf-8", "b\u00f8rge@remote.example"),
            action=Action.FAILED,
            status=EnhancedCode(5, 1, 1),
            diagnostic=Typed("x-postfix", "ukjent: \u00abb\u00f8rge\u00bb"),
        ),
    ),
    returned=Returned(Ret.FULL, "Subject: p\u00e5 norsk\r\n\r\nHei\r\n".encode()),
)
EXIM = Report(
    reporting_mta=Typed("dns", "mail.local.example"),
    recipients=(
        RecipientReport(
            final_recipient=Typed("rfc822", "bob@remote.example"),
            action=Action.FAILED,
            status=EnhancedCode(5, 0, 0),
            remote_mta=Typed("dns", "mx.remote.example"),
            diagnostic=Typed("smtp", "550 No such user"),
        ),
    ),
    returned=Returned(Ret.FULL, b"Subject: Hello\r\n\r\nHi Bob!\r\n"),
)
EXCHANGE_2003 = Report(
    reporting_mta=Typed("dns", "mail.corp.example"),
    received_from=Typed("dns", "client.local.example"),
    arrival=datetime(1997, 11, 21, 9, 55, 6, tzinfo=CST),
    recipients=(
        RecipientReport(
            final_recipient=Typed("rfc822", "carol@corp.example"),
            action=Action.FAILED,
            status=EnhancedCode(5, 1, 1),
        ),
        RecipientReport(
            final_recipient=Typed("rfc822", "dave@corp.example"),
            action=Action.FAILED,
            status=EnhancedCode(5, 2, 3),
            extensions=(("X-Display-Name", "Dave"),),
        ),
    ),
    returned=Returned(Ret.FULL, b"Subject: Hello\r\n\r\nHi!\r\n"),
)
EXCHANGE_ONLINE = Report(
    reporting_mta=Typed("dns", "mail.corp.example"),
    received_from=Typed("dns", "mail.local.example"),
    arrival=datetime(1997, 11, 21, 15, 55, 6, tzinfo=UTC),
    recipients=(
        RecipientReport(
            final_recipient=Typed("rfc822", "carol@corp.example"),
            action=Action.FAILED,
            status=EnhancedCode(5, 1, 10),
            diagnostic=Typed(
                "smtp",
                "550 5.1.10 RESOLVER.ADR.RecipientNotFound;"
                " Recipient carol@corp.example not found by SMTP address lookup",
            ),
        ),
    ),
    returned=Returned(Ret.FULL, b"Subject: Hello\r\n\r\nHi Carol!\r\n"),
)
SENDMAIL = Report(
    reporting_mta=Typed("dns", "mail.local.example"),
    envelope_id="QQ314159",
    received_from=Typed("dns", "client.local.example"),
    arrival=datetime(1997, 11, 21, 9, 55, 6, tzinfo=CST),
    recipients=(
        RecipientReport(
            final_recipient=Typed("rfc822", "bob@remote.example"),
            original_recipient=Typed("rfc822", "bob@remote.example"),
            action=Action.RELAYED,
            status=EnhancedCode(2, 1, 5),
            remote_mta=Typed("dns", "mx.remote.example"),
            diagnostic=Typed("smtp", "250 OK"),
            last_attempt=datetime(1997, 11, 21, 9, 56, 10, tzinfo=CST),
            extensions=(("X-Actual-Recipient", "RFC822; bob@inner.remote.example"),),
        ),
    ),
    returned=Returned(Ret.HDRS, b"Subject: Hello\r\n"),
)
SAMPLES = pytest.mark.parametrize(
    ("octets", "report"),
    [
        pytest.param(samples.POSTFIX, POSTFIX, id="postfix"),
        pytest.param(samples.POSTFIX_UTF8, POSTFIX_UTF8, id="postfix-utf8"),
        pytest.param(samples.EXIM, EXIM, id="exim"),
        pytest.param(samples.EXCHANGE_2003, EXCHANGE_2003, id="exchange-2003"),
        pytest.param(samples.EXCHANGE_ONLINE, EXCHANGE_ONLINE, id="exchange-online"),
        pytest.param(samples.SENDMAIL, SENDMAIL, id="sendmail"),
    ],
)
MESSAGE_FIELDS = "Reporting-MTA: dns; mail.local.example\n"
RECIPIENT_FIELDS = "Final-Recipient: rfc822; bob@remote.example\nAction: failed\nStatus: 5.1.1\n"
BOB = Typed("rfc822", "bob@remote.example")


def report(status: str, *, kind: str = "message/delivery-status", returned: str = "") -> bytes:
    """A message with these fields."""
    message = (
        'Content-Type: multipart/report; report-type=delivery-status; boundary="b"\n\n'
        f"--b\n\nwords\n--b\nContent-Type: {kind}\n\n{status}\n{returned}--b--\n"
    )
    return message.encode()


def recipient(fields: str) -> RecipientReport:
    (found,) = parse(report(f"{MESSAGE_FIELDS}\n{fields}")).recipients
    return found


@pytest.mark.clause("RFC6533-4.4a", "RFC6533-3f", "RFC3464-2.1a", "RFC3464-2.2.1a", "RFC3464-2.3.2a")
@SAMPLES
@pytest.mark.parametrize("line_end", [b"\n", b"\r\n"])
def test_samples(octets: bytes, report: Report, line_end: bytes) -> None:
    assert parse(octets.replace(b"\n", line_end)) == report


@SAMPLES
def test_samples_are_messages(octets: bytes, report: Report) -> None:
    """The standard library finds as many groups in them."""
    message = email.message_from_bytes(octets, policy=email.policy.default)
    assert message.defects == []
    (status,) = (part for part in message.iter_parts() if part.get_content_type().endswith("delivery-status"))
    if status.get_content_type() == "message/delivery-status":
        assert sum("Action" in group for group in status.walk()) == len(report.recipients)


@SAMPLES
def test_a_report_cut_short_is_none_or_the_same_status(octets: bytes, report: Report) -> None:
    outcomes = set()
    for end in range(0, len(octets), 7):
        try:
            found = parse(octets[:end])
        except ReportError:
            outcomes.add("none")
        else:
            outcomes.add("report")
            assert len(found.recipients) <= len(report.recipients)
    assert outcomes == {"none", "report"}


@pytest.mark.clause("RFC6533-4.4a")
@pytest.mark.parametrize(
    "status", ["message/delivery-status", "Message/Global-Delivery-Status; charset=utf-8"]
)
@pytest.mark.parametrize(
    ("kind", "ret"),
    [
        ("message/rfc822", Ret.FULL),
        ("message/global", Ret.FULL),
        ("text/rfc822-headers; charset=us-ascii", Ret.HDRS),
        ("MESSAGE/GLOBAL-HEADERS", Ret.HDRS),
    ],
)
def test_the_types_mix(status: str, kind: str, ret: Ret) -> None:
    octets = report(
        f"{MESSAGE_FIELDS}\n{RECIPIENT_FIELDS}",
        kind=status,
        returned=f"--b\nContent-Type: {kind}\n\nA: b\n\n",
    )
    assert parse(octets).returned == Returned(ret, b"A: b\r\n")


@pytest.mark.parametrize(
    ("encoding", "text"),
    [
        ("base64", "QTogYg0KDQrDuA0K\n"),
        ("BASE64", "QTogYg0K\nDQrDuA0K\n"),
        ("quoted-printable", "A: b\n\n=C3=B8\n"),
        ("8bit", "A: b\n\n\u00f8\n"),
    ],
)
def test_encodings_of_what_is_returned(encoding: str, text: str) -> None:
    octets = report(
        f"{MESSAGE_FIELDS}\n{RECIPIENT_FIELDS}",
        returned=f"--b\nContent-Type: message/global\nContent-Transfer-Encoding: {encoding}\n\n{text}\n",
    )
    returned = parse(octets).returned
    assert returned is not None
    assert returned.content == "A: b\r\n\r\n\u00f8\r\n".encode()


def test_an_encoded_status() -> None:
    fields = f"{MESSAGE_FIELDS}\n{RECIPIENT_FIELDS}"
    plain = parse(report(fields))
    kind = "message/global-delivery-status\nContent-Transfer-Encoding: quoted-printable"
    assert parse(report(fields.replace("5.1.1", "5.1=\n.1"), kind=kind)) == plain


@pytest.mark.parametrize(
    ("fields", "action", "status"),
    [
        ("Action: failed\nStatus: 5.1.1 (bad destination)", Action.FAILED, "5.1.1"),
        ("ACTION: Failed\nstatus:5.01.001", Action.FAILED, "5.1.1"),
        ("Action: failed\nStatus: 4.4.7", Action.FAILED, "4.4.7"),
        ("Action: failed", Action.FAILED, "5.0.0"),
        ("Action: delayed", Action.DELAYED, "4.0.0"),
        ("Action: expanded (to multi-recipient alias)\nStatus: 2.1.5", Action.EXPANDED, "2.1.5"),
        ("Action: delivered\nStatus: ok", Action.DELIVERED, "2.0.0"),
        ("Status: 5.7.1", Action.FAILED, "5.7.1"),
        ("Action: bounced\nStatus: 4.2.2", Action.DELAYED, "4.2.2"),
        ("Action:\nStatus: 2.0.0", Action.DELIVERED, "2.0.0"),
        ("Action: failed\nStatus: 5.1", Action.FAILED, "5.0.0"),
        ("Action: failed\nStatus: 5.1.1111", Action.FAILED, "5.0.0"),
        ("Action: failed\nStatus: 3.0.0", Action.FAILED, "5.0.0"),
        ("Action: failed\nStatus: 5.999.999", Action.FAILED, "5.999.999"),
    ],
)
@pytest.mark.clause("RFC3463-2b", "RFC3464-2.3.3a", "RFC3464-2.3.4a")
def test_action_and_status(fields: str, action: Action, status: str) -> None:
    found = recipient(f"Final-Recipient: rfc822; bob@remote.example\n{fields}\n")
    assert (found.action, str(found.status)) == (action, status)


@pytest.mark.parametrize(
    ("field", "found"),
    [
        ("rfc822; bob@remote.example", BOB),
        ("RFC822;bob@remote.example", BOB),
        ("rfc822 ;\n\t<bob@remote.example>", BOB),
        ("bob@remote.example", BOB),
        ("<bob@remote.example>", BOB),
        ("utf-8; b\\x{F8}b@x.example", Typed("utf-8", "b\u00f8b@x.example")),
        ("utf-8; b\u00f8b@x.example", Typed("utf-8", "b\u00f8b@x.example")),
        ("utf-8; b\\x{D800}b@x.example", Typed("utf-8", "b\\x{D800}b@x.example")),
        ("utf-8; b\\x{0D}b@x.example", Typed("utf-8", "b\\x{0D}b@x.example")),
        ("utf-8; b\\x{0F8}b@x.example", Typed("utf-8", "b\\x{0F8}b@x.example")),
        ("x400; /C=NO/S=bob/; x", Typed("x400", "/C=NO/S=bob/; x")),
        ("rfc822; b\0b\x85@x.example", Typed("rfc822", "b?b?@x.example")),
        ("rfc822; b\rb@x.example", Typed("rfc822", "b?b@x.example")),
    ],
)
@pytest.mark.clause("RFC6533-3f", "RFC6533-3c", "RFC6533-3d", "RFC3464-2.3.2a")
def test_addresses(field: str, found: Typed) -> None:
    assert recipient(f"Final-Recipient: {field}\nAction: failed\n").final_recipient == found


@pytest.mark.parametrize(
    ("field", "found"),
    [
        ("smtp; 550 no", Typed("smtp", "550 no")),
        ("smtp;550 no; go away", Typed("smtp", "550 no; go away")),
        ("550 no; go away", Typed("unknown", "550 no; go away")),
        ("smtp", Typed("unknown", "smtp")),
        ("smtp;", Typed("smtp", "")),
        ("", Typed("unknown", "")),
        ("smtp; 550-a\n 550\tb", Typed("smtp", "550-a 550 b")),
    ],
)
def test_diagnostics(field: str, found: Typed) -> None:
    assert recipient(f"{RECIPIENT_FIELDS}Diagnostic-Code: {field}\n").diagnostic == found


@pytest.mark.parametrize(
    ("text", "date"),
    [
        ("Fri, 21 Nov 1997 09:55:06 -0600", datetime(1997, 11, 21, 9, 55, 6, tzinfo=CST)),
        ("21 nov 1997 9:55 -0600 (CST)", datetime(1997, 11, 21, 9, 55, tzinfo=CST)),
        ("Fri, 21 Nov 97 09:55:06 CST", datetime(1997, 11, 21, 9, 55, 6, tzinfo=CST)),
        ("Tue, 21 Nov 50 09:55:06 UT", datetime(1950, 11, 21, 9, 55, 6, tzinfo=UTC)),
        ("Fri, 21 Nov 25 09:55:06 GMT", datetime(2025, 11, 21, 9, 55, 6, tzinfo=UTC)),
        ("Fri, 21 Nov 125 09:55:06 Z", datetime(2025, 11, 21, 9, 55, 6, tzinfo=UTC)),
        ("Fri, 21 Nov 1997 09:55:06", datetime(1997, 11, 21, 9, 55, 6, tzinfo=UTC)),
        ("Sat, 31 Dec 2016 23:59:60 +0000", datetime(2016, 12, 31, 23, 59, 59, tzinfo=UTC)),
        ("Fri,  1 Nov 1997 09:55:06 -0000", datetime(1997, 11, 1, 9, 55, 6, tzinfo=UTC)),
    ],
)
def test_dates(text: str, date: datetime) -> None:
    assert recipient(f"{RECIPIENT_FIELDS}Last-Attempt-Date: {text}\n").last_attempt == date


@pytest.mark.parametrize(
    "text",
    [
        "yesterday", "", "21 Foo 1997 09:55:06 +0000", "31 Feb 1997 09:55:06 +0000",
        "21 Nov 1997 24:00:00 +0000", "21 Nov 1997 09:55:06 +2460", "21 Nov 0000 09:55:06 +0000",
        "1997-11-21T09:55:06Z",
    ],
)  # fmt: skip
def test_no_dates_are_kept_as_they_came(text: str) -> None:
    found = recipient(f"{RECIPIENT_FIELDS}Last-Attempt-Date: {text}\n")
    assert found.last_attempt is None
    assert found.extensions == (("Last-Attempt-Date", text),)


def test_what_is_repeated_or_unknown_is_kept() -> None:
    found = recipient(f"{RECIPIENT_FIELDS}Action: delivered\nX-One: 1\nX-One: 2\nX-Empty:\nno field\n")
    assert found.action is Action.FAILED
    assert found.extensions == (("Action", "delivered"), ("X-One", "1"), ("X-One", "2"), ("X-Empty", ""))


@pytest.mark.parametrize(
    ("status", "reporting_mta", "recipients"),
    [
        (f"{MESSAGE_FIELDS}\n{RECIPIENT_FIELDS}", "mail.local.example", 1),
        (
            f"\n \n{MESSAGE_FIELDS}\n \t\n\n{RECIPIENT_FIELDS}\n\n{RECIPIENT_FIELDS}\n\n\n",
            "mail.local.example",
            2,
        ),
        (f"{MESSAGE_FIELDS}{RECIPIENT_FIELDS}", "mail.local.example", 1),
        (f"{RECIPIENT_FIELDS}", None, 1),
        (f"{RECIPIENT_FIELDS} \t\n{RECIPIENT_FIELDS}", None, 2),
        (f"{RECIPIENT_FIELDS}\n{RECIPIENT_FIELDS}", None, 2),
        (f"{MESSAGE_FIELDS}\n{RECIPIENT_FIELDS}".replace(": ", " :"), "mail.local.example", 1),
        (f" folded from nothing\n{MESSAGE_FIELDS}\n{RECIPIENT_FIELDS}", "mail.local.example", 1),
    ],
)
@pytest.mark.clause("RFC3464-2.1a")
def test_groups(status: str, reporting_mta: str | None, recipients: int) -> None:
    found = parse(report(status))
    assert found.reporting_mta == (None if reporting_mta is None else Typed("dns", reporting_mta))
    assert [each.final_recipient for each in found.recipients] == [BOB] * recipients


def test_a_group_about_no_recipient_belongs_to_the_message() -> None:
    found = parse(report(f"{MESSAGE_FIELDS}X-A: 1\n\n{RECIPIENT_FIELDS}\nX-B: 2\n"))
    assert found.extensions == (("X-A", "1"), ("X-B", "2"))


def test_the_original_recipient_stands_in_for_the_final_one() -> None:
    found = recipient("Original-Recipient: rfc822; bob@remote.example\nAction: failed\n")
    assert (found.original_recipient, found.final_recipient) == (BOB, BOB)


@pytest.mark.parametrize(
    "content_type",
    [
        "multipart/report; boundary=b",
        'multipart/mixed; boundary="b"',
        'MULTIPART/Report;BOUNDARY = "b" ;report-type="delivery-status"',
        "multipart/report; report-type=delivery-status;\n\tboundary=b",
        'multipart/report; x="a;boundary=c\\""; boundary="\\b"',
    ],
)
def test_content_types(content_type: str) -> None:
    octets = report(f"{MESSAGE_FIELDS}\n{RECIPIENT_FIELDS}")
    _, _, rest = octets.partition(b"\n\n")
    assert len(parse(f"Content-Type: {content_type}\n\n".encode() + rest).recipients) == 1


@pytest.mark.parametrize(
    ("octets", "message"),
    [
        (b"", "multipart"),
        (b"\n", "multipart"),
        (b"Subject: x\n\nThis is the qmail-send program.\n", "multipart"),
        (b"Content-Type: multipart/report\n\n--b\n", "multipart"),
        (b"Content-Type: text/plain; boundary=b\n\n--b\n", "multipart"),
        (b"Content-Type: multipart/report; boundary=b\n\nnothing\n", "no part"),
        (report(RECIPIENT_FIELDS, kind="text/plain"), "no part"),
        (report(RECIPIENT_FIELDS, kind="message/disposition-notification"), "no part"),
        (report(""), "no recipient"),
        (report(MESSAGE_FIELDS), "no recipient"),
        (report(f"{MESSAGE_FIELDS}\nX-A: 1"), "no recipient"),
        (report(f"{MESSAGE_FIELDS}\nAction: failed\nStatus: 5.1.1"), "names no recipient"),
        (report(f"{MESSAGE_FIELDS}\nFinal-Recipient: rfc822; bob@x.example"), "neither"),
        (report("%", kind="message/delivery-status\nContent-Transfer-Encoding: base64"), "no recipient"),
        (report("QQQ", kind="message/delivery-status\nContent-Transfer-Encoding: base64"), "base64"),
    ],
)
def test_no_reports(octets: bytes, message: str) -> None:
    with pytest.raises(ReportError, match=message) as caught:
        parse(octets)
    assert isinstance(caught.value, ValueError)
    assert isinstance(caught.value, Error)


def test_delimiters() -> None:
    """The first may be the first line, white space may follow, and what is behind the last is not ours."""
    head = b"Content-Type: multipart/report; boundary=b\nContent-Type: text/plain\n\n"
    status = f"--b \t\nContent-Type: message/delivery-status\n\n{RECIPIENT_FIELDS}".encode()
    original = b"--b\nContent-Type: message/rfc822\n\nA: b\n"
    assert parse(head + status + original).returned == Returned(Ret.FULL, b"A: b\r\n")
    assert parse(head + status + b"--b\n" + original).returned == Returned(Ret.FULL, b"A: b\r\n")
    assert parse(head + status + b"--b--\n" + original).returned is None


def test_a_boundary_of_the_content_ends_no_part_of_ours() -> None:
    octets = report(
        f"{MESSAGE_FIELDS}\n{RECIPIENT_FIELDS}",
        returned="--b\nContent-Type: message/rfc822\n\nA: b\n\n--bb\nx --b\n--b-\n",
    )
    assert parse(octets).returned == Returned(Ret.FULL, b"A: b\r\n\r\n--bb\r\nx --b\r\n--b-")
