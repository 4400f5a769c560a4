"""Clauses of the client role that no module answers for alone."""

from __future__ import annotations

import pytest
from tests.helpers.driver import PASSWORD, USER, Client
from tests.helpers.sasl import session_options
from tests.unit.flows.test_submit import MAIL, OK, rcpt, ready, submitted, to

from ehlo import (
    ByMode,
    ClientConnection,
    DeliverBy,
    Ehlo,
    HoldFor,
    LocalProtocolError,
    Mailbox,
    MtPriority,
    Mtrk,
    Password,
    Reply,
    RequireTls,
    SessionLimits,
    State,
    Submission,
    SubmissionFailed,
    Submitter,
    TLSInfo,
    TlsMode,
    envelope,
)
from ehlo.dsn import Action, Attempt, reports_wanted
from ehlo.extensions import LIMITS
from ehlo.flows import Flow, Outcome, close, open_session, submit
from ehlo.flows.arguments import client_name
from ehlo.testing import ScriptedServer, ehlo_reply, run

REST = "C: DATA\nS: 354 go\nC: hello\nC: .\nS: 250 ok\n"
HELLO = "S: 220 x\nC: EHLO a.example\n"
QUIT = "C: QUIT\nS: 221 bye\n"


@pytest.mark.clause("OXSMTP-3.1-4.2a", "OXSMTP-3.1-6a")
def test_the_client_keeps_no_rules_of_a_server() -> None:
    """It says what it is given: names without a domain, and senders that are not who logged in."""
    script = (
        HELLO
        + ehlo_reply("x", ["AUTH PLAIN"])
        + "\nC: AUTH PLAIN AGFsaWNlAHdvbmRlcg==\nS: 235 ok\n"
        + "C: MAIL FROM:<boss@nickname>\nS: 250 ok\nC: RCPT TO:<b@host>\nS: 250 ok\n"
        + REST
    )

    def session(conn: ClientConnection) -> Flow[None]:
        login = Password(USER, PASSWORD)
        yield from open_session(conn, session_options(auth=login, allow_cleartext_auth=True))
        yield from submit(conn, Submission(envelope=envelope("boss@nickname", ["b@host"])))

    server = ScriptedServer(script)
    run(session(ClientConnection()), server, bodies=[b"hello\r\n"])
    server.check_done()


@pytest.mark.clause("RFC3207-4.1b")
def test_a_client_that_is_not_content_with_its_tls_says_quit() -> None:
    def session(conn: ClientConnection) -> Flow[None]:
        yield from open_session(conn, session_options(tls=TlsMode.STARTTLS))
        assert conn.tls is not None
        assert conn.tls.version == "TLSv1.3"
        yield from close(conn)

    offer = HELLO + ehlo_reply("x", ["STARTTLS"]) + "\nC: STARTTLS\nS: 220 go\nC: <TLS>\n"
    server = ScriptedServer(offer + "C: EHLO a.example\nS: 250 x\n" + QUIT)
    run(session(ClientConnection()), server)
    server.check_done()


@pytest.mark.clause("RFC5321-2.3.4a")
@pytest.mark.parametrize(
    ("hostname", "name"),
    [
        ("client.example", "client.example"),
        ("localhost", "[192.0.2.1]"),
        ("", "[192.0.2.1]"),
        ("a_b.example", "[192.0.2.1]"),
    ],
)
def test_a_client_names_its_address_only_for_want_of_a_name(hostname: str, name: str) -> None:
    assert client_name(hostname, "192.0.2.1") == name


@pytest.mark.clause("RFC6531-3.7.1a")
def test_the_name_of_a_client_is_ascii() -> None:
    client = Client()
    client.hear("220 x")
    with pytest.raises(LocalProtocolError):
        client.conn.send(Ehlo("bücher.example"))
    assert client.wire() == b""


# ---- replies of servers of old and of now ----


@pytest.mark.clause("RFC2821-4.3.2a")
@pytest.mark.parametrize("code", [500, 501, 504, 555])
def test_a_parameter_that_the_server_does_not_know(code: int) -> None:
    conn = ready("DSN")
    with pytest.raises(SubmissionFailed) as caught:
        submitted(f"C: MAIL FROM:<a@x.org> RET=HDRS\nS: {code} no\n", to("b", ret="hdrs"), conn=conn)
    assert not caught.value.temporary
    assert conn.state is State.READY


@pytest.mark.clause("RFC2821-4.3.2b")
@pytest.mark.parametrize(("code", "temporary"), [(451, True), (554, False), (503, False), (450, True)])
def test_data_refused_at_once(code: int, temporary: bool) -> None:
    with pytest.raises(SubmissionFailed) as caught:
        submitted(MAIL + OK + rcpt("b") + f"C: DATA\nS: {code} no\nC: RSET\n" + OK, offers=())
    assert caught.value.temporary is temporary


@pytest.mark.clause("RFC7504-4a")
def test_a_domain_that_takes_no_mail() -> None:
    script = MAIL + OK + rcpt("b", "556 5.1.10 no mail here") + rcpt("c") + REST
    result = submitted(script, to("b", "c"), offers=())
    refused, taken = result.outcomes
    assert not refused.accepted
    assert not refused.temporary
    assert refused.reply == Reply(556, "no mail here", "5.1.10")
    assert taken.accepted


# ---- what is said only where it is offered, and as far as it can be kept ----


@pytest.mark.clause("RFC6152-3a")
@pytest.mark.parametrize("eight_bit", [None, False])
def test_8bitmime_is_not_asked_of_a_server_that_does_not_offer_it(eight_bit: bool | None) -> None:
    message = Submission(envelope=to("b"), eight_bit=eight_bit)
    assert submitted(MAIL + OK + rcpt("b") + REST, message).dropped == ()


WORDS = [
    ("MT-PRIORITY", MtPriority(3), "MT-PRIORITY=3"),
    ("SUBMITTER", Submitter(Mailbox("boss", "x.org")), "SUBMITTER=boss@x.org"),
]


@pytest.mark.clause("RFC6710-4.2a", "RFC4405-4.3a")
@pytest.mark.parametrize(("keyword", "value", "word"), WORDS, ids=str)
def test_sent_where_it_is_offered_and_left_out_elsewhere(keyword: str, value: object, word: str) -> None:
    message = to("b", parameters=[value])
    submitted(f"C: MAIL FROM:<a@x.org> {word}\n" + OK + rcpt("b") + REST, message, offers=(keyword,))
    assert submitted(MAIL + OK + rcpt("b") + REST, message).dropped == (keyword,)


@pytest.mark.clause("RFC3885-3.1c")
def test_a_mark_whose_time_has_passed_is_not_passed_on() -> None:
    message = to("b", envid="1@x.org", parameters=[Mtrk(bytes(20), 0)])
    script = "C: MAIL FROM:<a@x.org> ENVID=1@x.org\n" + OK + rcpt("b") + REST
    assert submitted(script, message, offers=("DSN", "MTRK")).dropped == ("MTRK",)


@pytest.mark.clause("RFC4865-4.1a", "RFC4865-5.1a", "RFC2852-4.1.4.1a", "RFC8689-2c")
@pytest.mark.parametrize(
    ("sender", "offer", "value"),
    [
        ("a@x.org", "FUTURERELEASE 60 2030-01-01T00:00:00Z", HoldFor(61)),
        ("", "FUTURERELEASE 60 2030-01-01T00:00:00Z", HoldFor(1)),
        ("a@x.org", "DELIVERBY 60", DeliverBy(59, ByMode.RETURN)),
        ("a@x.org", "REQUIRETLS", RequireTls()),
    ],
)
def test_what_the_server_would_not_keep_is_not_sent(sender: str, offer: str, value: object) -> None:
    conn = ready(offer)
    message = envelope(sender, ["b@x.org"], parameters=[value])
    with pytest.raises(LocalProtocolError):
        submitted("", message, conn=conn)
    assert conn.state is State.READY


@pytest.mark.clause("RFC8689-4.3a")
def test_requiretls_inside_tls() -> None:
    def session(conn: ClientConnection) -> Flow[None]:
        yield from open_session(conn, session_options(tls=TlsMode.STARTTLS))
        yield from submit(conn, Submission(envelope=to("b", parameters=[RequireTls()])))

    script = HELLO + ehlo_reply("x", ["STARTTLS"]) + "\nC: STARTTLS\nS: 220 go\nC: <TLS>\nC: EHLO a.example\n"
    script += (
        ehlo_reply("x", ["REQUIRETLS"]) + "\nC: MAIL FROM:<a@x.org> REQUIRETLS\n" + OK + rcpt("b") + REST
    )
    server = ScriptedServer(script)
    run(session(ClientConnection()), server, bodies=[b"hello\r\n"])
    server.check_done()


@pytest.mark.clause("RFC8689-2c")
def test_no_requiretls_without_a_verified_certificate() -> None:
    conn = ready("REQUIRETLS")
    conn.tls = TLSInfo(version="TLSv1.3", cipher="X", verified=False)
    with pytest.raises(LocalProtocolError, match="verified"):
        submitted("", to("b", parameters=[RequireTls()]), conn=conn)
    assert conn.state is State.READY


@pytest.mark.clause("RFC9422-3.6a")
def test_the_newest_limits_count() -> None:
    client = Client()
    client.hear("220 x")
    seen = []
    for line in ("LIMITS RCPTMAX=5 MAILMAX=2", "LIMITS RCPTMAX=7", "DSN"):
        client.conn.send(Ehlo("a.example"))
        client.hear("250-x", f"250 {line}")
        seen.append(client.conn.capabilities.offer(LIMITS))
    assert seen == [SessionLimits(rcpt_max=5, mail_max=2), SessionLimits(rcpt_max=7), None]


# ---- reports ----


@pytest.mark.clause("RFC2852-4.1.3a")
@pytest.mark.parametrize("wanted", [True, False])
def test_the_time_to_deliver_has_passed(wanted: bool) -> None:
    notify = "failure,delay" if wanted else "never"
    sent = envelope("a@x.org", ["b@x.org"], notify=notify)
    b = Mailbox("b", "x.org")
    for reply, retrying, found in (
        (Reply(554, "Too late", "5.4.7"), False, (Action.FAILED, "5.4.7")),
        (Reply(454, "Late", "4.4.7"), True, (Action.DELAYED, "4.4.7")),
    ):
        reports = reports_wanted(sent, [Outcome(b, False, reply)], Attempt(retrying=retrying))
        assert [(each.action, str(each.status)) for each in reports] == [found] * wanted
