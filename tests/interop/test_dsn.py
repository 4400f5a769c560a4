"""Reports that Postfix writes become values, and a report of ours comes through Postfix as it was."""

from __future__ import annotations

import smtplib
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from tests.interop import ehlo_client
from tests.interop.messages import added_header, fresh_recipient, message
from tests.interop.peer import HOST
from tests.interop.postfix import Postfix
from tests.interop.processes import PATIENCE

import ehlo
from ehlo import EnhancedCode, Mailbox, Orcpt, Outcome, Reply, Ret, envelope
from ehlo.dsn import (
    Action,
    Header,
    RecipientReport,
    Report,
    Typed,
    build,
    parse,
    report_envelope,
    reports_wanted,
)

pytestmark = pytest.mark.peer("postfix")

LOST = "bob@elsewhere.example"
UNICODE = Orcpt.of("b\u00f8b@elsewhere.example")


@pytest.fixture
def session(postfix: Postfix) -> Iterator[smtplib.SMTP]:
    """Logged in as alice."""
    context = ssl.create_default_context(cafile=str(postfix.ca))
    with smtplib.SMTP("127.0.0.1", postfix.port, "client.example", timeout=PATIENCE) as smtp:
        smtp.starttls(context=context)
        smtp.login("alice", "secret")
        yield smtp


@pytest.mark.clause("RFC3464-2.2.1a", "RFC3464-2.1a")
@pytest.mark.parametrize("ret", list(Ret))
def test_a_failure(postfix: Postfix, session: smtplib.SMTP, ret: Ret) -> None:
    sender = fresh_recipient("reporter")
    sent = message(LOST)
    options = [f"RET={ret.value}", "ENVID=QQ+3D314"]
    session.sendmail(sender, [LOST], sent, options, ["ORCPT=rfc822;Bob+2Blist@elsewhere.example"])
    report = parse(postfix.wait_for(sender))
    assert report.reporting_mta == Typed("dns", HOST)
    assert report.envelope_id == "QQ=314"
    assert report.arrival is not None
    assert dict(report.extensions)["X-Postfix-Sender"] == f"rfc822; {sender}"
    assert report.recipients == (
        RecipientReport(
            final_recipient=Typed("rfc822", LOST),
            original_recipient=Typed("rfc822", "Bob+list@elsewhere.example"),
            action=Action.FAILED,
            status=EnhancedCode(5, 1, 1),
            diagnostic=Typed("x-postfix", f'unknown user: "{LOST}"'),
        ),
    )
    assert report.returned is not None
    assert report.returned.ret is ret
    if ret is Ret.FULL:
        assert b"Return-Path: " in added_header(report.returned.content, sent)
    else:
        assert report.returned.content.endswith(sent.partition(b"\r\n\r\n")[0] + b"\r\n")


def test_a_success(postfix: Postfix, session: smtplib.SMTP) -> None:
    sender, recipient = fresh_recipient("reporter"), fresh_recipient()
    session.sendmail(sender, [recipient], message(recipient), ["RET=FULL"], ["NOTIFY=SUCCESS"])
    report = parse(postfix.wait_for(sender))
    (found,) = report.recipients
    assert report.envelope_id is None
    assert (found.action, found.status.klass) == (Action.DELIVERED, 2)
    assert found.final_recipient == Typed("rfc822", recipient)
    assert report.returned is not None
    assert report.returned.ret is Ret.HDRS


@pytest.mark.clause("RFC6533-4.4a", "RFC6533-3f")
def test_a_failure_in_utf8(postfix: Postfix, session: smtplib.SMTP) -> None:
    sender = fresh_recipient("reporter")
    sent = "Subject: p\u00e5 norsk\r\n\r\nHei\r\n".encode()
    session.ehlo()
    session.sendmail(sender, [LOST], sent, ["SMTPUTF8", "BODY=8BITMIME"], [f"ORCPT={UNICODE.raw}"])
    report = parse(postfix.wait_for(sender))
    (found,) = report.recipients
    assert found.original_recipient == Typed("utf-8", UNICODE.address)
    assert report.returned is not None
    assert "Subject: p\u00e5 norsk\r\n".encode() in report.returned.content


@pytest.mark.clause("RFC3461-4.2a", "RFC3461-5.2.6a", "RFC3461-5.2.8a")
def test_each_recipient_has_wishes_of_its_own(postfix: Postfix) -> None:
    """By ehlo's own client: Postfix reports on those that asked, under the names that they were given."""
    sender, delivered, silent = fresh_recipient("reporter"), fresh_recipient(), fresh_recipient()
    elsewhere = "carol@elsewhere.example"
    recipients = [
        ehlo.recipient(delivered, notify="success", orcpt=UNICODE),
        ehlo.recipient(silent, notify="failure"),
        ehlo.recipient(LOST, notify="failure", orcpt=UNICODE),
        ehlo.recipient(elsewhere, notify="never"),
    ]
    with ehlo_client.session(postfix) as opened:
        opened.client.submit(message(silent), sender=sender, recipients=recipients, ret="hdrs", envid="Q+1")
        assert opened.commands("RCPT") == [
            f"RCPT TO:<{delivered}> NOTIFY=SUCCESS ORCPT={UNICODE.raw}",
            f"RCPT TO:<{silent}> NOTIFY=FAILURE ORCPT=rfc822;{silent}",
            f"RCPT TO:<{LOST}> NOTIFY=FAILURE ORCPT={UNICODE.raw}",
            f"RCPT TO:<{elsewhere}> NOTIFY=NEVER ORCPT=rfc822;{elsewhere}",
        ]
    postfix.wait_for(silent)
    reports = [parse(report) for report in postfix.wait_for_all(sender, 2)]
    assert {report.envelope_id for report in reports} == {"Q+1"}
    told = {str(found.action): found for report in reports for found in report.recipients}
    assert {name: found.final_recipient for name, found in told.items()} == {
        str(Action.DELIVERED): Typed("rfc822", delivered),
        str(Action.FAILED): Typed("rfc822", LOST),
    }
    assert {found.original_recipient for found in told.values()} == {Typed("utf-8", UNICODE.address)}


@pytest.mark.clause("RFC3461-6.1a")
def test_our_report_is_delivered(postfix: Postfix, session: smtplib.SMTP) -> None:
    failed = envelope(fresh_recipient("reporter"), [LOST], envid="QQ=314", ret="full")
    outcome = Outcome(failed.recipients[0].path, False, Reply(550, "No such user", "5.1.1"))
    report = Report.of(failed, reports_wanted(failed, [outcome]), reporting_mta="mail.local.example")
    report = report.returning(message(LOST), ret=Ret.FULL)
    carrier = report_envelope(failed)
    to = carrier.recipients[0].path
    header = Header(
        to=to,
        postmaster=Mailbox("postmaster", "local.example"),
        date=datetime(1997, 11, 21, tzinfo=UTC),
        message_id="<1@mail.local.example>",
        boundary="b",
    )
    octets = build(report, header)
    session.sendmail("", [str(to)], octets, [], ["NOTIFY=NEVER"])
    stored = postfix.wait_for(str(to))
    assert b"Return-Path: <>\r\n" in added_header(stored, octets)
    assert parse(stored) == report
