"""What a client connection refuses to say leaves it as it was."""

from __future__ import annotations

import pytest
from tests.helpers.driver import Client
from tests.unit.test_client import A, B, in_body, ready, refuses

from ehlo import (
    Auth,
    Bdat,
    Body,
    ClientConnection,
    Data,
    Lhlo,
    LocalProtocolError,
    Mail,
    Mailbox,
    Newlines,
    Noop,
    Parameters,
    Rcpt,
    RemoteProtocolError,
    ReplyReceived,
    Rset,
    Size,
    StartTls,
    State,
)

MAIL, RCPT = Mail(A), Rcpt(B)


def in_rcpt(*offers: str, mail: Mail = MAIL, conn: ClientConnection | None = None) -> Client:
    client = ready("PIPELINING", "CHUNKING", *offers, conn=conn)
    for command in (mail, RCPT):
        client.conn.send(command)
    client.hear("250 ok", "250 ok")
    client.wire()
    return client


def test_a_sender_that_cannot_be_written_was_not_sent() -> None:
    client = ready("SIZE 9", "SMTPUTF8")
    refuses(client, Mail(Mailbox("\u00fc", "x.org"), Parameters([Size(3)])))
    assert client.conn.mails == 0
    client.conn.send(MAIL)
    assert client.conn.mails == 1


@pytest.mark.parametrize(
    ("newlines", "wrong"),
    [(Newlines.NORMALISE, b"\nb\xff"), (Newlines.REFUSE, b"b"), (Newlines.REFUSE, b"\nb\r.")],
)
def test_a_piece_of_a_body_that_is_refused_is_as_if_it_had_not_come(newlines: Newlines, wrong: bytes) -> None:
    client = in_body(conn=ClientConnection(newlines=newlines))
    client.conn.send_body(b"a\r")
    with pytest.raises(LocalProtocolError):
        client.conn.send_body(wrong)
    client.conn.send_body(b"\n.b")
    client.conn.end_body()
    assert client.wire() == b"a\r\n..b\r\n.\r\n"


@pytest.mark.parametrize("wrong", [b"\xff", b"x" * 30])
def test_a_chunk_that_is_refused_is_as_if_it_had_not_come(wrong: bytes) -> None:
    client = in_rcpt("SIZE 9")
    client.conn.send_chunk(b"a\r")
    for last in (False, True):
        with pytest.raises(LocalProtocolError):
            client.conn.send_chunk(wrong, last=last)
    client.conn.send_chunk(b"\nb", last=True)
    assert client.wire() == b"BDAT 1\r\naBDAT 5 LAST\r\n\r\nb\r\n"


def test_octets_that_wait_for_a_chunk_are_not_left_out_behind_data() -> None:
    client = in_rcpt()
    client.conn.send_chunk(b"\r")
    refuses(client, Data())
    client.conn.send_chunk(b"\n", last=True)
    assert client.wire() == b"BDAT 2 LAST\r\n\r\n"


def test_a_message_that_is_begun_again_is_measured_anew() -> None:
    client = in_rcpt("SIZE 9")
    client.conn.send(Rset())
    client.conn.send(MAIL)
    client.conn.send(RCPT)
    client.conn.send_chunk(b"12345\r\n", last=True)
    client.hear("250 ok", "250 ok", "550 no", "503 no")
    assert client.conn.state is State.MAIL
    client.conn.send(RCPT)
    client.hear("250 ok")
    client.conn.send_chunk(b"12345\r\n", last=True)
    assert client.wire().endswith(b"BDAT 7 LAST\r\n12345\r\n")


def test_a_challenge_is_not_answered_when_the_connection_is_closed() -> None:
    client = ready("AUTH LOGIN")
    client.conn.send(Auth("LOGIN"))
    client.wire()
    client.hear("334 VXNlcm5hbWU6")
    client.conn.close()
    with pytest.raises(LocalProtocolError):
        client.conn.auth_respond(b"alice")
    with pytest.raises(LocalProtocolError):
        client.conn.auth_cancel()
    assert client.wire() == b""


def test_a_server_that_agrees_to_tls_within_a_transaction() -> None:
    client = ready("PIPELINING", "STARTTLS")
    client.conn.send(MAIL)
    client.hear("250 ok")
    client.conn.send(Rset())
    client.conn.send(StartTls())
    with pytest.raises(RemoteProtocolError, match="out of sequence"):
        client.hear("550 no", "220 go")
    assert client.conn.state is State.CLOSED


@pytest.mark.clause("RFC3030-2k")
@pytest.mark.parametrize("chunk", ["250 ok", "450 no"])
def test_a_server_that_agrees_to_data_behind_a_chunk(chunk: str) -> None:
    client = in_rcpt()
    client.conn.send_chunk(b"x\r\n")
    for command in (Rset(), MAIL, RCPT, Data()):
        client.conn.send(command)
    with pytest.raises(RemoteProtocolError, match="out of sequence"):
        client.hear(chunk, "550 no", "503 no", "503 no", "354 go")


@pytest.mark.clause("RFC2033-4.2c", "RFC2033-4.3a")
def test_lmtp_outcomes_are_counted_when_a_chunk_has_failed() -> None:
    client = Client(ClientConnection(lmtp=True))
    client.hear("220 x LMTP")
    client.conn.send(Lhlo("a"))
    client.hear("250-x", "250-PIPELINING", "250 CHUNKING")
    for command in (MAIL, RCPT, RCPT):
        client.conn.send(command)
    client.conn.send_chunk(b"x\r\n")
    client.conn.send_chunk(b"y\r\n", last=True)
    client.conn.send(Noop())
    events = client.hear("250 ok", "250 ok", "250 ok", "452 full", "503 no", "503 no", "250 noop")
    verbs = [event.command.verb for event in events if isinstance(event, ReplyReceived)]
    assert verbs[-3:-1] == [Bdat(3, True).verb] * 2
    assert client.conn.in_flight == 0


def test_binary_messages_go_as_they_are() -> None:
    client = in_rcpt("BINARYMIME", mail=Mail(A, Parameters([Body.BINARY_MIME])))
    client.conn.send_chunk(b"\r\n\r", last=True)
    assert client.wire() == b"BDAT 3 LAST\r\n\r\n\r"
