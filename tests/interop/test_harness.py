"""The peers themselves: what the other tests of this directory build on works without ehlo."""

import re
import smtplib
import ssl
from pathlib import Path

import pytest
from tests.interop import clients
from tests.interop.messages import added_header, fresh_recipient, message
from tests.interop.postfix import Postfix
from tests.interop.processes import PATIENCE

pytestmark = pytest.mark.peer("postfix")

PEERS = [
    pytest.param(client, mechanism, marks=[] if name is None else [pytest.mark.peer(name)])
    for client, name, mechanisms in (
        (clients.curl, "curl", ("NTLM", "LOGIN", "PLAIN")),
        (clients.swaks, "swaks", ("LOGIN", "PLAIN")),
        (clients.msmtp, "msmtp", ("LOGIN", "PLAIN")),
        (clients.standard_library, None, ("LOGIN", "PLAIN")),
    )
    for mechanism in mechanisms
]


@pytest.mark.parametrize("implicit_tls", [False, True], ids=["starttls", "implicit"])
@pytest.mark.parametrize(("client", "mechanism"), PEERS)
def test_each_client_delivers_to_postfix(
    postfix: Postfix, tmp_path: Path, client: clients.Client, mechanism: str, implicit_tls: bool
) -> None:
    recipient = fresh_recipient()
    sent = message(recipient)
    file = tmp_path / "message"
    file.write_bytes(sent)
    port = postfix.tls_port if implicit_tls else postfix.port
    outcome = client(clients.Job(port, postfix.ca, recipient, file, mechanism, implicit_tls=implicit_tls))
    assert outcome.accepted, outcome.output + postfix.log()
    assert b"Received: from " in added_header(postfix.wait_for(recipient), sent)


@pytest.mark.parametrize(("client", "mechanism"), PEERS)
def test_each_client_reports_a_wrong_password(
    postfix: Postfix, tmp_path: Path, client: clients.Client, mechanism: str
) -> None:
    recipient = fresh_recipient()
    file = tmp_path / "message"
    file.write_bytes(message(recipient))
    outcome = client(clients.Job(postfix.port, postfix.ca, recipient, file, mechanism, "wrong"))
    assert not outcome.accepted
    assert re.search(r"(?<!\d)535(?!\d)", outcome.output), outcome.output
    assert postfix.stored(recipient) == []


def test_postfix_offers_the_profile_and_refuses_what_it_must(postfix: Postfix) -> None:
    context = ssl.create_default_context(cafile=str(postfix.ca))
    with smtplib.SMTP("127.0.0.1", postfix.port, "client.example", timeout=PATIENCE) as smtp:
        smtp.starttls(context=context)
        smtp.ehlo()
        assert set(smtp.esmtp_features["auth"].split()) == {"PLAIN", "LOGIN", "NTLM"}
        assert {"dsn", "pipelining", "chunking", "size", "8bitmime"} <= smtp.esmtp_features.keys()
        assert smtp.mail("alice@local.example")[0] == 250
        assert smtp.rcpt("bob@local.example")[0] == 554
        smtp.rset()
        smtp.login("alice", "secret")
        assert smtp.mail("alice@local.example")[0] == 250
        assert smtp.rcpt("refused@local.example")[0] == 554
        assert smtp.rcpt("bob@local.example")[0] == 250


def test_postfix_reports_what_the_sender_asked_for(postfix: Postfix) -> None:
    sender, recipient = fresh_recipient("reporter"), fresh_recipient()
    context = ssl.create_default_context(cafile=str(postfix.ca))
    with smtplib.SMTP("127.0.0.1", postfix.port, "client.example", timeout=PATIENCE) as smtp:
        smtp.starttls(context=context)
        smtp.login("alice", "secret")
        for to, envid, notify in (
            ("bob@elsewhere.example", "FIRST", "NEVER"),
            ("bob@elsewhere.example", "SECOND", "FAILURE"),
        ):
            options = ["RET=HDRS", f"ENVID={envid}"]
            smtp.sendmail(sender, [to], message(recipient), options, [f"NOTIFY={notify}"])
        assert b"Original-Envelope-Id: SECOND\r\n" in postfix.wait_for(sender)
        wanted = [f"NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;{recipient}"]
        sender = fresh_recipient("reporter")
        smtp.sendmail(sender, [recipient], message(recipient), ["RET=HDRS", "ENVID=QQ314"], wanted)
    postfix.wait_for(recipient)
    report = postfix.wait_for(sender)
    assert b"Original-Envelope-Id: QQ314\r\n" in report
    assert b"Original-Recipient: rfc822;" in report
    assert b"Content-Type: text/rfc822-headers\r\n" in report
