"""The transcript shows the dialogue and no secret; neither does any repr or exception."""

from __future__ import annotations

from functools import partial

import pytest
from tests.helpers.driver import TLS, USER, Client, Server, server_config
from tests.helpers.leaks import forms
from tests.helpers.pair import Pair
from tests.helpers.sasl import HERE

from ehlo import (
    Auth,
    AuthChallenge,
    AuthNeed,
    ClientConnection,
    Data,
    Ehlo,
    LocalProtocolError,
    Mail,
    Mailbox,
    Noop,
    Password,
    Rcpt,
    ServerConnection,
    VerifyPassword,
    WireRecord,
)
from ehlo._transcript import trace_command
from ehlo.flows import Ask, Exchange, Receive, hooks_of, serve
from ehlo.sasl import NtlmClient
from ehlo.wire import base64

SECRET = "c0rrect-h0rse"


def assert_no_secret(*texts: object) -> None:
    for text in texts:
        for form in forms(SECRET):
            assert form not in str(text), text
            assert form not in repr(text), text


def plain(password: str) -> bytes:
    return b"\0".join((b"", USER.encode(), password.encode()))


def test_the_forms_would_be_found() -> None:
    for octets in (plain(SECRET), SECRET.encode(), b"x" + SECRET.encode("utf-16-le")):
        text = base64.encode(octets).decode()
        assert any(form in text for form in forms(SECRET))


@pytest.mark.clause("SEC-INJ-both-a", "RFC4409-7o")
@pytest.mark.parametrize(
    "lines",
    [
        [f"AUTH PLAIN {base64.encode(plain(SECRET)).decode()}"],
        ["AUTH PLAIN", base64.encode(plain(SECRET)).decode()],
        ["AUTH LOGIN", "YWxpY2U=", base64.encode(SECRET.encode()).decode()],
        [f"auth login {base64.encode(SECRET.encode()).decode()}", "*"],
        ["AUTH LOGIN", SECRET],
        [f"AUTH {base64.encode(SECRET.encode()).decode()}"],
        [f"AUTH  {base64.encode(plain(SECRET)).decode()}"],
        [f"AUTH PLAIN {SECRET}", SECRET, f"PASS {SECRET}", f"AUTH\tPLAIN {SECRET}", f"AUTHPLAIN {SECRET}"],
    ],
)
def test_no_secret_in_the_servers_records(lines: list[str]) -> None:
    server = Server()
    for line in lines:
        assert_no_secret(*server.say(line))
    assert_no_secret(*server.trace, *server.events)
    assert any("C: AUTH" in str(record) for record in server.trace)


@pytest.mark.clause("SEC-INJ-both-a")
def test_no_secret_in_the_clients_records() -> None:
    records: list[WireRecord] = []
    server = Server()
    pair = Pair(server)
    pair.client._trace = records.append
    answers = [USER.encode(), SECRET.encode()]
    pair.respond = lambda _: answers.pop(0)
    pair.send(Ehlo("a.example"))
    pair.send(Auth("PLAIN", plain(SECRET)))
    pair.send(Auth("LOGIN"))
    assert answers == []
    assert_no_secret(*records, *pair.events, *server.trace, *server.events, Auth("PLAIN", plain(SECRET)))
    text = [str(record) for record in records]
    assert "C: AUTH PLAIN ***" in text
    assert "C: AUTH LOGIN" in text
    assert text.count("S: 334 ***") == 2
    assert "S: 535 5.7.8 Authentication credentials invalid" in text


@pytest.mark.clause("SEC-INJ-both-a")
def test_no_secret_of_ntlm_in_any_record() -> None:
    server = Server()
    client = NtlmClient(Password(USER, SECRET), HERE)
    server.one("AUTH NTLM")
    challenge = server.one(base64.encode(client.respond(b"")).decode())
    server.one(base64.encode(client.respond(challenge[4:].encode())).decode())
    assert_no_secret(*server.trace, *server.events, client)
    assert [str(record) for record in server.trace[-6:]] == [
        "C: AUTH NTLM",
        "S: 334 ",
        "C: ***",
        "S: 334 ***",
        "C: ***",
        "S: 535 5.7.8 Authentication credentials invalid",
    ]


@pytest.mark.clause("SEC-INJ-both-a")
def test_no_secret_in_values_and_errors() -> None:
    need = VerifyPassword(USER, SECRET, "")
    assert_no_secret(need, AuthNeed(need, "PLAIN"), Password(USER, SECRET), AuthChallenge(SECRET.encode()))
    assert_no_secret(Ask(partial(str, SECRET)))
    client = Client()
    client.hear("220 x")
    with pytest.raises(LocalProtocolError) as caught:
        client.conn.send(Auth("PLAIN", SECRET.encode()))
    assert_no_secret(caught.value)
    with pytest.raises(LocalProtocolError) as caught:
        client.conn.auth_respond(SECRET.encode())
    assert_no_secret(caught.value)


@pytest.mark.clause("SEC-INJ-both-a")
def test_no_secret_in_the_actions_of_a_server() -> None:
    class Handler:
        def on_auth_password(self, *_: object) -> bool:
            return False

    flow = serve(ServerConnection(server_config()), hooks_of(Handler()))
    seen: list[object] = []
    action = next(flow)
    seen.append(action)
    try:
        for data in (b"EHLO a\r\n", b"AUTH PLAIN " + base64.encode(plain(SECRET)) + b"\r\n", b""):
            while not isinstance(action, Exchange | Receive):
                action = flow.send(action.question() if isinstance(action, Ask) else None)
                seen.append(action)
            action = flow.send(data)
            seen.append(action)
    except StopIteration:
        pass
    assert any(isinstance(action, Ask) for action in seen)
    assert_no_secret(*seen)


def test_what_is_shown() -> None:
    server = Server(server_config(), hello=False)
    server.say(
        "EHLO a", "FOO bar", "MAIL FROM:<a@x.org>", "RCPT TO:<b@x.org>", "DATA", "private", ".", "AUTH LOGIN"
    )
    server.say("", "*", "RSET", "STARTTLS")
    server.conn.start_tls_done(TLS)
    text = [str(record) for record in server.trace]
    assert text[:2] == ["S: 220 mail.example ESMTP ready", "C: EHLO a"]
    assert text[9:] == [
        "S: 250-DSN",
        "S: 250-CHUNKING",
        "S: 250 SMTPUTF8",
        "C: (not a command, 7 octets)",
        "S: 500 5.5.1 Command not recognized",
        "C: MAIL FROM:<a@x.org>",
        "S: 250 2.1.0 Sender OK",
        "C: RCPT TO:<b@x.org>",
        "S: 250 2.1.5 Recipient OK",
        "C: DATA",
        "S: 354 End data with <CR><LF>.<CR><LF>",
        "-: message data, 9 octets",
        "S: 250 2.0.0 Message accepted",
        "C: AUTH LOGIN",
        "S: 334 ***",
        "C: (empty line)",
        "S: 334 ***",
        "C: *",
        "S: 501 5.7.0 Authentication cancelled",
        "C: RSET",
        "S: 250 2.0.0 Reset",
        "C: STARTTLS",
        "S: 220 2.0.0 Ready to start TLS",
        "-: TLS started: TLSv1.3 X",
    ]


@pytest.mark.clause("OXSMTP-3.1-5.2a")
def test_what_a_client_shows() -> None:
    records: list[WireRecord] = []
    client = Client(ClientConnection(trace=records.append))
    client.hear("220 hello\x1b[31m\x85")
    client.conn.send(Ehlo("a.example"))
    client.hear("250-x", "250 PIPELINING")
    for command in (Mail(Mailbox("a", "x.org")), Rcpt(Mailbox("b", "x.org")), Data()):
        client.conn.send(command)
    client.hear("250 ok", "250 ok", "354 go")
    client.conn.send_body(b"private\r\n")
    client.conn.end_body()
    client.hear("250 2.0.0 queued")
    client.conn.send(Noop())
    assert [str(record) for record in records] == [
        "S: 220 hello?[31m?",
        "C: EHLO a.example",
        "S: 250-x",
        "S: 250 PIPELINING",
        "C: MAIL FROM:<a@x.org>",
        "C: RCPT TO:<b@x.org>",
        "C: DATA",
        "S: 250 ok",
        "S: 250 ok",
        "S: 354 go",
        "-: message data, 9 octets",
        "S: 250 2.0.0 queued",
        "C: NOOP",
    ]


@pytest.mark.parametrize(
    "line", [b"NOOP \r\nS: 250 fake", b"NOOP \x1b[2J", b"NOOP \xff\x00", "NOOP \u2028x\u0085".encode()]
)
def test_no_peer_can_forge_a_line(line: bytes) -> None:
    records: list[WireRecord] = []
    trace_command(records.append, line)
    (record,) = records
    assert str(record).isprintable()
    assert str(record).startswith("C: NOOP ")


def test_a_refusal_with_prose_in_a_334_is_hidden_too() -> None:
    records: list[WireRecord] = []
    client = Client(ClientConnection(trace=records.append))
    client.hear("220 x")
    client.conn.send(Ehlo("a.example"))
    client.hear("250-x", "250 AUTH NTLM")
    client.conn.send(Auth("NTLM"))
    client.hear(f"334 {SECRET}")
    assert_no_secret(*records)
