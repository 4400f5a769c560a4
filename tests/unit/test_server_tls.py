"""STARTTLS and TLS from the first octet, in the server role."""

from __future__ import annotations

import attrs
import pytest
from tests.helpers.driver import OPEN, TLS, WEAK_TLS, Server, server_config, state_of

from ehlo import (
    NEED_DATA,
    PAUSED,
    ConnectionClosed,
    ConnectionOpened,
    LocalProtocolError,
    RemoteProtocolError,
    Reply,
    ServerConnection,
    State,
    TlsRequested,
    TransactionReset,
    Wait,
)

MAIL = "MAIL FROM:<a@x.org>"
READY = "220 2.0.0 Ready to start TLS"
INJECTED = ["EHLO x\r\n", "MAIL FROM:<e@x.org>\r\n", "N", "\r\n", "\x16\x03\x01", "x" * 65536]


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.mark.clause(
    "RFC3207-4b", "RFC3207-4.2a", "RFC3207-4.2h", "RFC3207-4.2c", "SEC-TLS-srv-c", "RFC3207-4.1a"
)
def test_starttls_resets_the_session(server: Server) -> None:
    server.say(MAIL, "RSET")
    assert server.one("STARTTLS") == READY
    assert server.conn.state is State.TLS
    assert server.last is PAUSED
    server.conn.start_tls_done(TLS)
    assert server.conn.data_to_send() == b""
    assert state_of(server.conn) is State.HELLO
    assert server.conn.client_name is None
    assert not server.conn.extended
    assert server.conn.tls == TLS
    assert server.one(MAIL) == "503 5.5.1 Send EHLO first"
    lines = server.say("EHLO a")
    assert not any("STARTTLS" in line for line in lines)


@pytest.mark.clause("RFC3207-4.2b", "RFC3207-4.2g")
def test_starttls_twice(server: Server) -> None:
    server.start_tls()
    server.say("EHLO a")
    assert server.one("STARTTLS") == "503 5.5.1 TLS is active already"
    assert server.one("STARTTLS x") == "503 5.5.1 TLS is active already"
    assert server.conn.tls == TLS


@pytest.mark.clause("RFC3207-4.2b")
def test_starttls_that_cannot_be_had() -> None:
    server = Server(server_config(tls_available=False), hello=False)
    assert not any("STARTTLS" in line for line in server.say("EHLO a"))
    assert server.one("STARTTLS") == "502 5.5.1 Command not implemented"
    assert server.conn.state is State.READY


@pytest.mark.clause("RFC3207-4a")
@pytest.mark.parametrize("argument", ["now", "x y", "="])
def test_starttls_with_an_argument(server: Server, argument: str) -> None:
    assert server.one(f"STARTTLS {argument}") == "501 5.5.4 Command takes no argument"
    assert server.conn.state is State.READY


@pytest.mark.clause("RFC3207-4c")
def test_tls_that_is_not_available_now(server: Server) -> None:
    server.decisions[TlsRequested] = Reply(454, "TLS not available", "4.7.0")
    assert server.one("STARTTLS") == "454 4.7.0 TLS not available"
    assert server.one(MAIL).startswith("250 ")


def test_starttls_in_a_transaction_is_out_of_sequence(server: Server) -> None:
    server.say(MAIL)
    assert server.one("STARTTLS") == "503 5.5.1 Bad sequence of commands"
    assert server.one("RCPT TO:<b@x.org>").startswith("250 ")


@pytest.mark.clause("SEC-TLS-srv-a", "SEC-TLS-srv-b")
@pytest.mark.parametrize("injected", INJECTED)
def test_plaintext_in_the_same_segment(server: Server, injected: str) -> None:
    server.conn.receive_data(f"NOOP\r\nSTARTTLS\r\n{injected}".encode())
    with pytest.raises(RemoteProtocolError) as caught:
        server.pump()
    hint = caught.value.reply_hint
    assert hint is not None
    assert (hint.code, str(hint.enhanced)) == (421, "4.7.0")
    # What was queued before leaves; there is no 220, and nothing of it ran.
    assert server.conn.data_to_send() == b"250 2.0.0 OK\r\n"
    assert server.conn.state is State.CLOSED
    assert server.pump() == b""
    assert not server.of(TlsRequested)


@pytest.mark.clause("SEC-TLS-srv-a", "SEC-TLS-srv-b")
@pytest.mark.parametrize("injected", INJECTED)
def test_plaintext_while_the_decision_is_due(server: Server, injected: str) -> None:
    server.decisions[TlsRequested] = None
    assert server.say("STARTTLS") == []
    server.conn.receive_data(injected.encode())
    with pytest.raises(RemoteProtocolError) as caught:
        server.conn.accept()
    assert caught.value.reply_hint is not None
    assert server.conn.data_to_send() == b""
    assert server.conn.state is State.CLOSED
    with pytest.raises(LocalProtocolError):
        server.conn.start_tls_done(TLS)


def test_plaintext_behind_a_refused_starttls_is_the_next_command(server: Server) -> None:
    server.decisions[TlsRequested] = None
    server.say("STARTTLS")
    server.conn.receive_data(b"NOOP\r\n")
    server.conn.reject(Reply(454, "not now", "4.7.0"))
    assert server.pump() == b"454 4.7.0 not now\r\n250 2.0.0 OK\r\n"


@pytest.mark.clause("SEC-TLS-srv-a")
@pytest.mark.parametrize("injected", INJECTED)
def test_plaintext_behind_220(server: Server, injected: str) -> None:
    server.say("STARTTLS")
    with pytest.raises(RemoteProtocolError):
        server.conn.receive_data(injected.encode())
    assert server.closed
    with pytest.raises(LocalProtocolError):
        server.conn.start_tls_done(TLS)


@pytest.mark.clause("SEC-TLS-srv-a")
def test_half_a_line_before_starttls_belongs_to_it(server: Server) -> None:
    assert server.feed(b"START") == b""
    assert server.feed(b"TLS\r") == b""
    assert server.feed(b"\n").decode() == READY + "\r\n"


def test_the_stream_ends_in_the_handshake(server: Server) -> None:
    server.say("STARTTLS")
    server.conn.receive_data(b"")
    assert server.pump() == b""
    assert server.events[-1] == ConnectionClosed()


def test_shutdown_in_the_handshake_says_nothing(server: Server) -> None:
    server.say("STARTTLS")
    server.conn.close()
    assert server.pump() == b""
    assert server.closed


def test_the_deadline_of_the_handshake(server: Server) -> None:
    server.say("STARTTLS")
    deadline = server.conn.deadline
    assert deadline is not None
    assert (deadline.wait, deadline.seconds) == (Wait.HANDSHAKE, 60.0)
    server.conn.start_tls_done(TLS)
    after = server.conn.deadline
    assert after is not None
    assert after.wait is Wait.COMMAND


@pytest.mark.clause("RFC3207-4.1a", "RFC3207-4.1c")
def test_tls_judged_too_weak(server: Server) -> None:
    server.start_tls(WEAK_TLS, accept=False)
    for line in ("EHLO a", "NOOP", MAIL, "AUTH PLAIN", "STARTTLS", "FOO", "TURN"):
        assert server.one(line).startswith("554 "), line
    assert server.one("NOOP") == "554 5.7.0 Command refused due to lack of security"
    assert server.one("QUIT").startswith("221 ")


# ---- TLS from the first octet ----


def implicit(*, accept: bool = True) -> ServerConnection:
    conn = ServerConnection(server_config())
    conn.start_tls_done(TLS, accept=accept)
    return conn


@pytest.mark.clause("RFC3207-4.2a", "RFC8314-3a")
def test_implicit_tls_is_greeted_and_offers_no_starttls() -> None:
    conn = implicit()
    assert conn.next_event() == ConnectionOpened()
    conn.accept()
    assert conn.data_to_send() == b"220 mail.example ESMTP ready\r\n"
    conn.receive_data(b"EHLO a\r\n")
    conn.next_event()
    conn.accept()
    lines = conn.data_to_send()
    assert b"STARTTLS" not in lines
    assert b"AUTH PLAIN LOGIN NTLM" in lines
    conn.receive_data(b"STARTTLS\r\n")
    assert conn.next_event() is NEED_DATA
    assert conn.data_to_send().startswith(b"503 5.5.1 ")


@pytest.mark.clause("RFC3207-4.1c", "RFC3207-4.1a")
def test_implicit_tls_judged_too_weak_is_not_let_in() -> None:
    conn = implicit(accept=False)
    conn.receive_data(b"EHLO a\r\nMAIL FROM:<a@x.org>\r\nQUIT\r\n")
    events = [conn.next_event() for _ in range(2)]
    assert not any(isinstance(event, ConnectionOpened) for event in events)
    lines = conn.data_to_send().split(b"\r\n")
    assert [line[:3] for line in lines] == [b"554", b"554", b"554", b"221", b""]
    assert lines[2].startswith(b"554 5.7.0 ")


def test_plaintext_before_an_implicit_handshake_is_not_taken_into_it() -> None:
    conn = ServerConnection(server_config())
    conn.receive_data(b"EHLO a\r\n")
    with pytest.raises(LocalProtocolError):
        conn.start_tls_done(TLS)
    assert conn.tls is None


def test_no_handshake_once_the_greeting_is_due() -> None:
    conn = ServerConnection(server_config())
    conn.next_event()
    with pytest.raises(LocalProtocolError):
        conn.start_tls_done(TLS)


def test_tls_required_holds_under_implicit_tls_too() -> None:
    config = server_config(policy=attrs.evolve(OPEN, require_tls=True))
    conn = ServerConnection(config)
    conn.start_tls_done(TLS)
    conn.next_event()
    conn.accept()
    conn.receive_data(f"EHLO a\r\n{MAIL}\r\n".encode())
    for _ in range(2):
        conn.next_event()
        conn.accept()
    assert b"250 2.1.0 " in conn.data_to_send()
    conn.close()
    assert conn.next_event() == TransactionReset()
