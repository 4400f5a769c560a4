"""Foreign clients and foreign servers with each other: what the other tests build on works without ehlo.

A server offers what its value says; each mechanism takes the right secret and refuses a wrong one. Postfix
proves every client, and a client or two every other peer.
"""

import smtplib
import ssl
from pathlib import Path

import attrs
import pytest
import trustme
from tests.interop import clients
from tests.interop.cases import BASIC, OAUTH, SCRAM, cases, in_front
from tests.interop.cyrus import MECHANISMS as CYRUS
from tests.interop.cyrus import Cyrus
from tests.interop.dovecot import Dovecot, token
from tests.interop.expect import expect_delivered, expect_refused, job, right, wrong
from tests.interop.kerberos import STRANGER, KerberosDovecot, with_ticket
from tests.interop.messages import fresh_recipient, message
from tests.interop.peer import HOST, PASSWORD, USER, Peer
from tests.interop.postfix import MECHANISMS as POSTFIX
from tests.interop.postfix import Postfix
from tests.interop.processes import PATIENCE

each_server = pytest.mark.parametrize(
    "peer",
    [
        pytest.param(name, marks=pytest.mark.peer(name))
        for name in ("postfix", "dovecot", "samba", "exim", "kerberos", "cyrus", "cyrus_kerberos")
    ],
    indirect=True,
)


PAIRS = [
    case
    for server, *groups in (
        ("postfix", cases(POSTFIX)),
        ("dovecot", cases((*BASIC, "OAUTHBEARER", "EXTERNAL"), ["curl"]), cases(SCRAM, ["gsasl"])),
        ("dovecot", cases((*OAUTH, "EXTERNAL"), ["msmtp", "aiosmtplib"])),
        ("dovecot", cases(("OAUTHBEARER", "EXTERNAL"), ["curl-at-once"])),
        ("exim", cases((*BASIC, "EXTERNAL"), ["curl"]), cases(("NTLM",), ["msmtp"])),
        ("cyrus", cases(CYRUS, ["gsasl"])),
        ("samba", cases(("PLAIN", "NTLM"), ["curl"])),
    )
    for case in in_front(server, *groups, peer=server)
]
TICKET_PAIRS = [
    *in_front("kerberos", cases(("GSSAPI",)), peer="kerberos"),
    *in_front("cyrus_kerberos", cases(("GSSAPI",), ["curl"]), peer="cyrus_kerberos"),
]
each_ticket_pair = pytest.mark.parametrize(("peer", "client", "mechanism"), TICKET_PAIRS, indirect=["peer"])
each_pair = pytest.mark.parametrize(("peer", "client", "mechanism"), PAIRS, indirect=["peer"])


@each_server
@pytest.mark.parametrize("implicit_tls", [False, True], ids=["starttls", "implicit"])
def test_server_offers_what_it_says_and_wants_authentication(peer: Peer, implicit_tls: bool) -> None:
    context = ssl.create_default_context(cafile=str(peer.ca))
    if implicit_tls:
        smtp: smtplib.SMTP = smtplib.SMTP_SSL("127.0.0.1", peer.tls_port, context=context, timeout=PATIENCE)
    else:
        smtp = smtplib.SMTP("127.0.0.1", peer.port, timeout=PATIENCE)
    with smtp:
        if not implicit_tls:
            smtp.starttls(context=context)
        assert smtp.ehlo()[1].startswith(HOST.encode())
        assert set(smtp.esmtp_features["auth"].split()) == set(peer.mechanisms)
        assert {"pipelining", "chunking", "size", "8bitmime"} <= smtp.esmtp_features.keys()
        smtp.mail("alice@local.example")
        assert smtp.rcpt("bob@local.example")[0] in (530, 550, 554)
        smtp.rset()
        if "PLAIN" in peer.mechanisms:
            smtp.login(USER, PASSWORD)
            assert smtp.mail("alice@local.example")[0] == 250
            assert smtp.rcpt("refused@local.example")[0] in (550, 554)
            assert smtp.rcpt("bob@local.example")[0] == 250


@each_pair
def test_right_secret_is_accepted(
    peer: Peer, client: clients.Client, mechanism: str, tmp_path: Path, authority: trustme.CA
) -> None:
    expect_delivered(peer, client, right(peer, tmp_path, mechanism, authority))


@each_pair
def test_wrong_secret_is_refused(
    peer: Peer, client: clients.Client, mechanism: str, tmp_path: Path, authority: trustme.CA
) -> None:
    expect_refused(peer, client, wrong(peer, tmp_path, mechanism, authority))


@pytest.mark.peer("curl")
@pytest.mark.parametrize(
    "peer",
    [pytest.param(name, marks=pytest.mark.peer(name)) for name in ("dovecot", "samba", "exim")],
    indirect=True,
)
def test_tls_from_the_first_byte(peer: Peer, tmp_path: Path) -> None:
    task = attrs.evolve(job(peer, tmp_path, "PLAIN"), port=peer.tls_port, implicit_tls=True)
    expect_delivered(peer, clients.curl, task)


@pytest.mark.peer("postfix")
@pytest.mark.parametrize(("client", "mechanism"), cases(("LOGIN",), implicit_tls=True))
def test_each_client_can_do_tls_from_the_first_byte(
    postfix: Postfix, tmp_path: Path, client: clients.Client, mechanism: str
) -> None:
    task = attrs.evolve(job(postfix, tmp_path, mechanism), port=postfix.tls_port, implicit_tls=True)
    expect_delivered(postfix, client, task)


@pytest.mark.peer("dovecot", "curl")
@pytest.mark.parametrize("fault", ["old", "forged", "of another user"])
def test_dovecot_refuses_bad_tokens(dovecot: Dovecot, tmp_path: Path, fault: str) -> None:
    bad = {
        "old": token(lifetime=-60),
        "forged": token(key=b"another key"),
        "of another user": token("mallory"),
    }
    expect_refused(dovecot, clients.curl, job(dovecot, tmp_path, "OAUTHBEARER", bad[fault]))


@pytest.mark.peer("cyrus")
@pytest.mark.parametrize(("client", "mechanism"), cases(CYRUS, ["gsasl"]))
def test_cyrus_refuses_another_channel_binding(
    cyrus_end_point: Cyrus, tmp_path: Path, client: clients.Client, mechanism: str
) -> None:
    """gsasl, which binds with tls-exporter over TLS 1.3, is welcome only unbound."""
    expect = expect_refused if mechanism.endswith("-PLUS") else expect_delivered
    expect(cyrus_end_point, client, job(cyrus_end_point, tmp_path, mechanism))


@pytest.mark.peer("samba")
@pytest.mark.parametrize(("client", "mechanism"), cases(("NTLM",), ["swaks"]))
def test_samba_refuses_the_old_ntlm(
    samba: Dovecot, tmp_path: Path, client: clients.Client, mechanism: str
) -> None:
    expect_refused(samba, client, job(samba, tmp_path, mechanism))


@pytest.mark.parametrize("implicit_tls", [False, True], ids=["starttls", "implicit"])
@each_ticket_pair
def test_ticket_is_accepted(
    peer: Peer,
    kerberos: KerberosDovecot,
    tmp_path: Path,
    client: clients.Client,
    mechanism: str,
    implicit_tls: bool,
) -> None:
    port = peer.tls_port if implicit_tls else peer.port
    task = attrs.evolve(job(peer, tmp_path, mechanism), port=port, implicit_tls=implicit_tls)
    expect_delivered(peer, client, with_ticket(kerberos.realm, task))


@each_ticket_pair
def test_no_ticket_no_mail(
    peer: Peer, kerberos: KerberosDovecot, tmp_path: Path, client: clients.Client, mechanism: str
) -> None:
    task = with_ticket(kerberos.realm, job(peer, tmp_path, mechanism))
    outcome = client(attrs.evolve(task, environment=kerberos.realm.variables()))
    assert not outcome.accepted
    assert peer.stored(task.recipient) == []


@pytest.mark.peer("kerberos", "curl")
def test_ticket_is_for_one_user(kerberos: KerberosDovecot, tmp_path: Path) -> None:
    task = with_ticket(kerberos.realm, job(kerberos, tmp_path, "GSSAPI"))
    expect_delivered(kerberos, clients.curl, attrs.evolve(task, authzid=USER))
    other = with_ticket(kerberos.realm, job(kerberos, tmp_path, "GSSAPI"))
    expect_refused(kerberos, clients.curl, attrs.evolve(other, authzid="bob"))


@pytest.mark.peer("kerberos", "curl")
def test_ticket_is_for_one_service(kerberos: KerberosDovecot, tmp_path: Path) -> None:
    task = with_ticket(kerberos.realm, job(kerberos, tmp_path, "GSSAPI"))
    expect_refused(kerberos, clients.curl, attrs.evolve(task, service=STRANGER))


@pytest.mark.peer("kerberos")
def test_realm_gives_no_ticket_for_a_wrong_password(kerberos: KerberosDovecot, tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="Password incorrect"):
        kerberos.realm.log_on(tmp_path / "tickets", password="wrong")


@pytest.mark.peer("postfix")
def test_postfix_reports_what_the_sender_asked_for(postfix: Postfix) -> None:
    sender, recipient = fresh_recipient("reporter"), fresh_recipient()
    context = ssl.create_default_context(cafile=str(postfix.ca))
    with smtplib.SMTP("127.0.0.1", postfix.port, "client.example", timeout=PATIENCE) as smtp:
        smtp.starttls(context=context)
        smtp.login(USER, PASSWORD)
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
