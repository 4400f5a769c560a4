"""`ehlo`'s connections and flows, fed with octets that are written down here."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

import ehlo
from benchmarks.messages import (
    CLIENT_NAME,
    DATA,
    EHLO,
    KIB,
    MAIL,
    QUIT,
    RCPT,
    RECIPIENT,
    SENDER,
    SERVER_NAME,
    chunk,
    message,
    stuffed,
)
from ehlo import flows

BODY: Final = message(KIB)
_WIRE: Final = stuffed(BODY)
_CONFIG: Final = ehlo.ServerConfig(hostname=SERVER_NAME, policy=ehlo.OPEN_TEST)
_NO_DECISION: Final = (ehlo.TransactionReset, ehlo.QuitReceived, ehlo.ConnectionClosed)
_STEPS: Final = (MAIL, RCPT, DATA, _WIRE)
_CHUNKED: Final = (MAIL, RCPT, chunk(BODY))
_GROUPED: Final = (MAIL + RCPT + DATA, _WIRE)

_GREETING: Final = b"220 mx.server.example ESMTP\r\n"
_HELLO: Final = b"250-mx.server.example\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 SIZE 67108864\r\n"
_CHUNKING: Final = _HELLO.replace(b"PIPELINING", b"CHUNKING")
_OK: Final = b"250 2.0.0 Ok\r\n"
_GO: Final = b"354 Go ahead\r\n"
_BYE: Final = b"221 2.0.0 Bye\r\n"


# ---- server ----


def _feed(conn: ehlo.ServerConnection, octets: bytes) -> bytes:
    if octets:
        conn.receive_data(octets)
    pieces = []
    while (event := conn.next_event()) is not ehlo.NEED_DATA:
        if isinstance(event, ehlo.BodyChunk):
            pieces.append(event.data)
        elif isinstance(event, ehlo.ConnectionClosed):
            break
        elif not isinstance(event, _NO_DECISION):
            conn.accept()
    assert not pieces or b"".join(pieces) == BODY
    return conn.data_to_send()


def _server() -> ehlo.ServerConnection:
    conn = ehlo.ServerConnection(_CONFIG)
    assert _feed(conn, b"").startswith(b"220")
    assert _feed(conn, EHLO).startswith(b"250")
    return conn


def _server_steps(amount: int, steps: tuple[bytes, ...]) -> None:
    conn = _server()
    for _ in range(amount):
        for octets in steps:
            replies = _feed(conn, octets)
        assert replies.startswith(b"250")


def server_kept(amount: int) -> None:
    _server_steps(amount, _STEPS)


def server_pipelined(amount: int) -> None:
    _server_steps(amount, _GROUPED)


def server_chunked(amount: int) -> None:
    _server_steps(amount, _CHUNKED)


def server_each(amount: int) -> None:
    for _ in range(amount):
        conn = _server()
        for octets in _STEPS:
            _feed(conn, octets)
        assert _feed(conn, QUIT).startswith(b"221")


class _Handler:
    def on_message(self, session: ehlo.Session, envelope: ehlo.Envelope, content: bytes) -> None:
        assert content == BODY


def _inputs(amount: int) -> Iterator[bytes]:
    yield EHLO
    for _ in range(amount):
        yield from _STEPS
    yield QUIT


def server_flow(amount: int) -> None:
    inputs = _inputs(amount)
    hooks = flows.hooks_of(_Handler())
    _drive(flows.serve(ehlo.ServerConnection(_CONFIG), hooks), lambda: next(inputs), b"")


def _drive(flow: flows.Flow[Any], receive: Callable[[], bytes], body: bytes) -> Any:
    """Perform the actions of a flow without any I/O."""
    value: Any = None
    pieces = iter((body, b""))
    try:
        while True:
            match flow.send(value):
                case flows.Receive() | flows.Exchange():
                    value = receive()
                case flows.Ask(question):
                    value = question()
                case flows.ReadBody():
                    value = next(pieces)
                case _:
                    value = None
    except StopIteration as stop:
        return stop.value


# ---- client ----


def _answer(conn: ehlo.ClientConnection, octets: bytes) -> None:
    conn.receive_data(octets)
    while (event := conn.next_event()) is not ehlo.NEED_DATA:
        if isinstance(event, ehlo.ConnectionClosed):
            break


def _client(hello: bytes = _HELLO) -> ehlo.ClientConnection:
    conn = ehlo.ClientConnection()
    _answer(conn, _GREETING)
    conn.send(ehlo.Ehlo(CLIENT_NAME))
    conn.data_to_send()
    _answer(conn, hello)
    return conn


def _envelope() -> ehlo.Envelope:
    """From text, as the caller has it."""
    return ehlo.envelope(SENDER, [RECIPIENT])


def _commands() -> tuple[ehlo.Command, ...]:
    found = _envelope()
    return ehlo.Mail(found.reverse_path), ehlo.Rcpt(found.recipients[0].path), ehlo.Data()


def _client_commands(conn: ehlo.ClientConnection, replies: tuple[bytes, ...]) -> None:
    """As many as there are replies."""
    for command, reply in zip(_commands(), replies, strict=False):
        conn.send(command)
        conn.data_to_send()
        _answer(conn, reply)


def _client_message(conn: ehlo.ClientConnection) -> None:
    _client_commands(conn, (_OK, _OK, _GO))
    _client_body(conn)


def _client_body(conn: ehlo.ClientConnection) -> None:
    conn.send_body(BODY)
    conn.end_body()
    assert conn.data_to_send().endswith(b"\r\n.\r\n")
    _answer(conn, _OK)


def client_kept(amount: int) -> None:
    conn = _client()
    for _ in range(amount):
        _client_message(conn)


def client_pipelined(amount: int) -> None:
    conn = _client()
    for _ in range(amount):
        for command in _commands():
            conn.send(command)
        conn.data_to_send()
        _answer(conn, _OK + _OK + _GO)
        _client_body(conn)


def client_chunked(amount: int) -> None:
    conn = _client(_CHUNKING)
    for _ in range(amount):
        _client_commands(conn, (_OK, _OK))
        conn.send_chunk(BODY, last=True)
        assert conn.data_to_send().endswith(BODY)
        _answer(conn, _OK)


def client_each(amount: int) -> None:
    for _ in range(amount):
        conn = _client()
        _client_message(conn)
        conn.send(ehlo.Quit())
        conn.data_to_send()
        _answer(conn, _BYE)


def client_flow(amount: int) -> None:
    conn = _client()
    for _ in range(amount):
        answers = iter((_OK + _OK + _GO, _OK))
        submission = ehlo.Submission(envelope=_envelope(), content=BODY)
        result = _drive(flows.submit(conn, submission), lambda: next(answers), BODY)  # noqa: B023
        assert result.accepted
