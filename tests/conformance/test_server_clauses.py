"""Clauses of the server role that no module answers for alone."""

from __future__ import annotations

import attrs
import pytest
from tests.helpers.driver import OPEN, TLS, Server, server_config

from ehlo import (
    EVERY,
    OXSMTP_2008,
    ConnectionOpened,
    LocalProtocolError,
    MailReceived,
    MessageReceived,
    MtPriority,
    RcptReceived,
    Reply,
    RequireTls,
    ServerConfig,
    SmtpUtf8,
    Solicit,
    State,
    Submitter,
    VrfyReceived,
)

MAIL, RCPT = "MAIL FROM:<a@x.org>", "RCPT TO:<b@x.org>"
DATA = ("DATA", "hello", ".")


def with_every_extension() -> Server:
    return Server(ServerConfig(hostname="mail.example", policy=OPEN, extensions=EVERY))


# ---- what the application decides, and the client hears as it was said ----


@pytest.mark.parametrize(
    ("kind", "parameter", "line"),
    [
        pytest.param(MailReceived, "", "455 4.5.1 Not now", marks=pytest.mark.clause("RFC5321-4.1.1.11b")),
        pytest.param(
            MailReceived, " BY=60;R", "455 4.5.1 Not so soon today", marks=pytest.mark.clause("RFC2852-4d")
        ),
        pytest.param(
            MailReceived, " BY=60;R", "555 5.5.4 Not so soon", marks=pytest.mark.clause("RFC2852-4d")
        ),
        pytest.param(
            MailReceived, " SIZE=9", "452 4.3.1 No room now", marks=pytest.mark.clause("RFC1870-6.1b")
        ),
        pytest.param(
            MailReceived,
            " HOLDFOR=9",
            "552 5.7.16 You have held enough",
            marks=pytest.mark.clause("RFC4865-6a"),
        ),
        pytest.param(
            MailReceived,
            " HOLDFOR=9",
            "552 5.7.17 All have held enough",
            marks=pytest.mark.clause("RFC4865-6a"),
        ),
        pytest.param(
            MailReceived,
            " SUBMITTER=b@x.org",
            "550 5.7.1 Not yours",
            marks=pytest.mark.clause("RFC4405-4.2a"),
        ),
        pytest.param(
            MailReceived, " MT-PRIORITY=-1", "450 4.7.15 Not today", marks=pytest.mark.clause("RFC6710-4.1d")
        ),
        pytest.param(
            MailReceived,
            " MT-PRIORITY=-1",
            "550 5.7.15 Priority too low",
            marks=pytest.mark.clause("RFC6710-4.1d"),
        ),
        pytest.param(
            MailReceived,
            " MT-PRIORITY=-1",
            "552 5.7.16 Too big for it",
            marks=pytest.mark.clause("RFC6710-5a"),
        ),
        pytest.param(
            RcptReceived, "", "550 5.7.1 Relaying denied", marks=pytest.mark.clause("RFC5321-3.6.2a")
        ),
        pytest.param(RcptReceived, "", "550 5.5.3 Too many", marks=pytest.mark.clause("RFC5321-4.5.3.1.10c")),
        pytest.param(
            RcptReceived, "", "552 5.2.3 Too big for them", marks=pytest.mark.clause("RFC1870-6.4a")
        ),
        pytest.param(RcptReceived, "", "452 4.2.2 Mailbox full", marks=pytest.mark.clause("RFC1870-6.4a")),
        pytest.param(
            RcptReceived,
            " SOLICIT=a.example:adv",
            "550 5.7.1 Not wanted: a.example:adv",
            marks=pytest.mark.clause("RFC3865-2.3b", "RFC3865-2.4a"),
        ),
        pytest.param(
            MessageReceived, "", "550 5.7.1 Not the Sender", marks=pytest.mark.clause("RFC4405-4.2b")
        ),
        pytest.param(
            MessageReceived, "", "554 5.7.7 Nobody is responsible", marks=pytest.mark.clause("RFC4405-4.2b")
        ),
        pytest.param(
            MessageReceived, "", "554 5.6.9 They take ASCII only", marks=pytest.mark.clause("RFC6531-3.5b")
        ),
        pytest.param(VrfyReceived, "", "551 5.1.6 Try <b@y.org>", marks=pytest.mark.clause("RFC5321-4.3.2d")),
        pytest.param(VrfyReceived, "", "553 5.1.4 Which b", marks=pytest.mark.clause("RFC5321-4.3.2d")),
    ],
)
def test_a_decision_reaches_the_client_as_it_is(kind: type, parameter: str, line: str) -> None:
    code, enhanced, text = line.split(" ", 2)
    server = with_every_extension()
    server.decisions[kind] = Reply(int(code), text, enhanced)
    lines = {
        MailReceived: [MAIL + parameter],
        RcptReceived: [MAIL + parameter, RCPT],
        MessageReceived: [MAIL + parameter, RCPT, *DATA],
        VrfyReceived: ["VRFY b"],
    }
    assert server.say(*lines[kind])[-1] == line
    assert len(server.of(kind)) == 1


@pytest.mark.clause("RFC5321-4.3.2d")
@pytest.mark.parametrize(
    ("line", "code"),
    [("VRFY b", 252), ("EXPN b", 502), ("HELP", 214), ("RSET", 250), ("NOOP", 250), ("QUIT", 221)],
)
def test_codes_without_an_application(line: str, code: int) -> None:
    assert Server().one(line).startswith(f"{code} ")


@pytest.mark.clause("RFC2920-3.2d", "RFC5321-6.1a", "RFC6409-5.3a")
def test_no_reply_is_held_back_once_it_is_decided() -> None:
    server = Server()
    for line in ("EHLO a", "VRFY b", "EXPN b", "HELP", "NOOP", "WHAT", MAIL, RCPT, "DATA"):
        assert server.say(line)[-1][3] == " "
    server.decisions[MessageReceived] = None
    assert server.feed(b"hello\r\n.\r\n") == b""
    server.conn.accept()
    assert server.conn.data_to_send() == b"250 2.0.0 Message accepted\r\n"
    assert server.one("QUIT").startswith("221 ")


@pytest.mark.clause("RFC2920-3.2g")
def test_the_text_says_what_was_answered() -> None:
    server = Server()
    assert "Sender" in server.one(MAIL)
    assert "Recipient" in server.one(RCPT)
    assert "recipient" in server.one("RCPT TO:<b@x..org>")
    assert "sender" in Server().one("MAIL FROM:<a@x..org>")
    assert "Message" in server.say(*DATA)[-1]


@pytest.mark.clause("RFC7504-3b")
def test_a_greeting_of_521() -> None:
    server = Server(decisions={ConnectionOpened: Reply(521, "mail.example takes no mail")}, hello=False)
    assert server.greeting == b"521 mail.example takes no mail\r\n"
    assert server.conn.state is State.REFUSED


# ---- octets ----


@pytest.mark.clause("RFC3030-2o")
@pytest.mark.parametrize("start", [0, 64, 128, 192])
def test_octets_that_are_no_command(start: int) -> None:
    octets = bytes(octet for octet in range(start, start + 64) if octet not in b"\r\n")
    server = Server()
    assert server.feed(octets + b"\r\n").startswith(b"500 5.5.")
    assert server.one("NOOP").startswith("250 ")


@pytest.mark.clause("RFC2821-4.1.1a")
@pytest.mark.parametrize("line", ["NOOP ", "RSET  ", "QUIT ", MAIL + " "])
def test_space_at_the_end_of_a_line(line: str) -> None:
    assert Server().one(line)[0] == "2"


@pytest.mark.clause("RFC6152-2a")
def test_8bitmime() -> None:
    server = Server(hello=False)
    assert "250-8BITMIME" in server.say("EHLO a")
    for word in ("7BIT", "8BITMIME"):
        assert server.one(f"{MAIL} BODY={word}").startswith("250 ")
        server.say("RSET")


@pytest.mark.clause("RFC6152-3e")
@pytest.mark.parametrize(
    ("sent", "taken"),
    [("..ü\r\n", ".ü\r\n"), ("ü\n.\r\nMAIL\r\n", None), ("ü\r\n", "ü\r\n")],
)
def test_8bitmime_changes_nothing_about_lines(sent: str, taken: str | None) -> None:
    server = Server()
    server.say(MAIL + " BODY=8BITMIME", RCPT, "DATA")
    reply = server.feed(sent.encode() + b".\r\n")
    assert reply.startswith(b"554 5.6.0 " if taken is None else b"250 2.0.0 ")
    assert len(server.of(MessageReceived)) == (taken is not None)
    if taken is not None:
        assert server.body == taken.encode()


@pytest.mark.clause("RFC5321-3.3f", "RFC5321-3.3g", "RFC5321-6.4a")
@pytest.mark.parametrize(
    "message",
    [
        "no header at all\r\n",
        "\r\n",
        "Subject without a colon\r\n\r\nhi\r\n",
        "From: two, at\r\nFrom: once\r\n\r\nhi\r\n",
        "Content-Type: multipart/mixed\r\n\r\nno boundary\r\n",
        "Resent-To: b@x.org\r\n\r\nand no other field of the kind\r\n",
        "Resent-From: a@x.org\r\nResent-From: b@x.org\r\nResent-Date: never\r\n\r\n",
    ],
)
def test_odd_headers_are_taken_and_stay_as_they_are(message: str) -> None:
    server = Server()
    server.say(MAIL, RCPT, "DATA")
    assert server.feed(f"{message}.\r\n".encode()).startswith(b"250 ")
    assert server.body == message.encode()


# ---- extensions ----


@pytest.mark.clause("RFC6409-7c", "RFC4865-4.2a", "RFC8314-4a")
def test_what_is_not_offered_is_not_taken() -> None:
    server = Server(server_config(tls_available=False), hello=False)
    lines = server.say("EHLO a")
    for keyword, parameter in (
        ("CONPERM", " CONPERM"),
        ("CONNEG", " CONPERM"),
        ("FUTURERELEASE", " HOLDFOR=9"),
        ("STARTTLS", ""),
    ):
        assert not any(keyword in line for line in lines)
        if parameter:
            assert server.one(MAIL + parameter).startswith("555 ")
    assert server.one("STARTTLS").startswith("502 ")


@pytest.mark.clause("RFC6409-7d")
def test_the_registry_has_nothing_that_a_submission_service_may_not_offer() -> None:
    keywords = {extension.keyword for extension in EVERY}
    assert not keywords & {"ETRN", "ATRN", "TURN", "CHECKPOINT", "VERB", "ONEX", "SEND", "SOML", "SAML"}


@pytest.mark.clause("RFC8689-2d")
def test_requiretls_in_clear() -> None:
    assert with_every_extension().one(MAIL + " REQUIRETLS") == "555 5.5.4 Unsupported parameter"


@pytest.mark.clause("RFC8689-4.1a")
def test_requiretls_is_told_whatever_the_header_says() -> None:
    config = ServerConfig(hostname="mail.example", policy=OPEN, extensions=EVERY, tls_available=True)
    server = Server(config)
    server.start_tls(TLS)
    server.say("EHLO a", MAIL + " REQUIRETLS", RCPT, "DATA", "TLS-Required: No", "", ".")
    (message,) = server.of(MessageReceived)
    assert message.envelope.parameters.get(RequireTls) == RequireTls()
    assert server.body == b"TLS-Required: No\r\n\r\n"


@pytest.mark.clause("RFC4405-4.2c")
def test_submitter_is_not_the_reverse_path() -> None:
    server = with_every_extension()
    server.say(MAIL + " SUBMITTER=c@y.org", RCPT, *DATA)
    (message,) = server.of(MessageReceived)
    assert str(message.envelope.reverse_path) == "a@x.org"
    submitter = message.envelope.parameters.get(Submitter)
    assert submitter is not None
    assert str(submitter.mailbox) == "c@y.org"


@pytest.mark.clause("RFC4409-7m")
def test_values_of_extensions_are_told() -> None:
    server = with_every_extension()
    server.say(MAIL + " SOLICIT=net.example:adv MT-PRIORITY=-4 SMTPUTF8")
    (mail,) = server.of(MailReceived)
    assert mail.parameters.get(Solicit) == Solicit(("net.example:adv",))
    assert mail.parameters.get(MtPriority) == MtPriority(-4)
    assert mail.parameters.get(SmtpUtf8) == SmtpUtf8()


@pytest.mark.clause("RFC6531-3.7.4.2b")
@pytest.mark.parametrize("line", [MAIL, "VRFY ü"])
def test_replies_are_ascii(line: str) -> None:
    server = Server()
    server.decisions[MailReceived] = server.decisions[VrfyReceived] = Reply(550, "Not ü", "5.7.1")
    assert server.one(line) == "550 5.7.1 Not ?"


@pytest.mark.clause("RFC6531-3.7.1a")
def test_a_host_name_is_ascii() -> None:
    with pytest.raises(LocalProtocolError, match="hostname"):
        ServerConfig(hostname="bücher.example")


@pytest.mark.clause("RFC4409-3.1b")
def test_no_port_decides_what_is_a_submission_service() -> None:
    assert not [field.name for field in attrs.fields(ServerConfig) if "port" in field.name]
    assert ServerConfig(hostname="mail.example").policy is OXSMTP_2008
