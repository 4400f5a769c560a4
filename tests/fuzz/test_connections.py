"""Whatever octets come, in whatever state and pieces: documented events and errors only, bounded memory.

Invariant: `next_event` gives an event of the union, NEED_DATA or PAUSED, or raises RemoteProtocolError,
after which the connection is closed.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from typing import get_args

import pytest
from tests.helpers.driver import DECIDED, TLS, Server, answer, server_config

from ehlo import (
    Auth,
    AuthChallenge,
    AuthNeed,
    BodyWanted,
    ClientConnection,
    ClientEvent,
    Command,
    ConnectionClosed,
    Data,
    Ehlo,
    Limits,
    LocalProtocolError,
    Mail,
    Mailbox,
    Noop,
    Pause,
    Quit,
    Rcpt,
    RemoteProtocolError,
    Reply,
    Rset,
    ServerEvent,
    StartTls,
    State,
    TlsReady,
)

SECONDS = 5.0
LIMITS = Limits(overlong_line=50_000, message_size=20_000, reply_octets=20_000)
PREPARED: dict[State, list[str]] = {
    State.HELLO: [],
    State.READY: ["EHLO a"],
    State.AUTH: ["EHLO a", "AUTH LOGIN"],
    State.MAIL: ["EHLO a", "MAIL FROM:<a@x.org>"],
    State.RCPT: ["EHLO a", "MAIL FROM:<a@x.org>", "RCPT TO:<b@x.org>"],
    State.BODY: ["EHLO a", "MAIL FROM:<a@x.org>", "RCPT TO:<b@x.org>", "DATA"],
    State.CLOSED: ["QUIT"],
}
SEEDS = [
    b"EHLO a.example\r\n",
    b"MAIL FROM:<a@x.org> SIZE=10 BODY=8BITMIME RET=FULL ENVID=x+2B\r\n",
    b'RCPT TO:<"a b"@[IPv6:::1]> NOTIFY=SUCCESS ORCPT=rfc822;a+2Bb\r\n',
    b"DATA\r\n",
    b"text\r\n..\r\n.\r\n",
    b"AUTH PLAIN AGFsaWNlAHdvbmRlcg==\r\n",
    b"AUTH NTLM TlRMTVNTUAABAAAAB4IIogAAAAAAAAAAAAAAAAAAAAAGAbEdAAAADw==\r\n",
    b"AUTH LOGIN\r\nYWxpY2U=\r\nd29uZGVy\r\n",
    b"*\r\n=\r\n\r\n",
    b"BDAT 10 LAST\r\n0123456789",
    b"STARTTLS\r\n",
    b"RSET\r\nNOOP\r\nVRFY x\r\nHELP\r\nQUIT\r\n",
]
REPLIES = [
    b"220 mail.example\r\n",
    b"250-mail.example\r\n250-PIPELINING\r\n250-SIZE 5\r\n250-AUTH PLAIN LOGIN NTLM\r\n250 STARTTLS\r\n",
    b"250 2.1.0 ok\r\n",
    b"354 go\r\n",
    b"334 VXNlcm5hbWU6\r\n",
    b"235 2.7.0 ok\r\n",
    b"535 5.7.8 no\r\n",
    b"421 4.3.2 bye\r\n",
    b"550-5.1.1 no\r\n550 5.1.1 such\r\n",
    b"221 bye\r\n",
]


def mutate(source: random.Random, seeds: list[bytes]) -> bytes:
    data = bytearray(b"".join(source.choice(seeds) for _ in range(source.randrange(1, 6))))
    for _ in range(source.choice((0, 0, 1, 3, 10))):
        place = source.randrange(len(data) + 1)
        match source.randrange(5):
            case 0:
                data[place:place] = bytes([source.randrange(256)])
            case 1:
                del data[place : place + source.randrange(5)]
            case 2:
                data[place:place] = source.choice(
                    (b"\r", b"\n", b"\r\n", b"\0", b".", b"\r\n.\r\n", b"=", b" ", b"<", b'"')
                )
            case 3:
                data[place:place] = source.choice((b"A", b"x ", b"\xff")) * source.randrange(1, 9000)
            case _:
                data[place : place + 1] = bytes([source.randrange(256)])
    return bytes(data)


def pieces(source: random.Random, data: bytes) -> Iterator[bytes]:
    step = source.choice((1, 7, 100, 1 << 20)) if len(data) < 3000 else source.choice((100, 1 << 20))
    for start in range(0, len(data), step):
        yield data[start : start + step]
    if source.random() < 0.2:
        yield b""


def rounds(seed: int, seconds: float) -> Iterator[random.Random]:
    """At least 200 rounds, more while there is time."""
    end = time.monotonic() + seconds
    count = 0
    while count < 200 or (time.monotonic() < end and count < 3000):
        yield random.Random(seed * 100_000 + count)  # noqa: S311
        count += 1


def settle(server: Server, source: random.Random) -> bytes:
    """Run the server with an application that decides at random."""
    conn = server.conn
    while True:
        event = conn.next_event()
        if isinstance(event, (Pause, ConnectionClosed)):
            return conn.data_to_send()
        assert isinstance(event, get_args(ServerEvent))
        if isinstance(event, AuthNeed):
            if source.random() < 0.3:
                conn.auth_refuse()
            else:
                conn.auth_answer(answer(event.need))
        elif isinstance(event, DECIDED):
            if source.random() < 0.2:
                conn.reject(Reply(source.choice((421, 450, 550)), "no"))
            else:
                conn.accept()


@pytest.mark.clause("SEC-INJ-both-b", "SEC-INJ-srv-b", "RFC5321-4.2a")
@pytest.mark.parametrize("state", PREPARED)
def test_server(state: State) -> None:
    for source in rounds(list(State).index(state), SECONDS / len(PREPARED)):
        server = Server(server_config(limits=LIMITS), hello=False)
        server.say(*PREPARED[state])
        assert server.conn.state is state
        data = source.randbytes(source.randrange(200)) if source.random() < 0.1 else mutate(source, SEEDS)
        try:
            for piece in pieces(source, data):
                server.conn.receive_data(piece)
                replies = settle(server, source)
                if server.conn.state is State.TLS:
                    server.conn.start_tls_done(TLS)
                for line in replies.split(b"\r\n")[:-1]:
                    assert line[:3].isdigit()
                    assert len(line) <= 510 or line.startswith(b"334")
                assert len(server.conn._buffer) <= max(server.conn.config.line_limit, len(piece))
        except RemoteProtocolError:
            assert server.closed
        except LocalProtocolError as error:
            assert str(error) == "octets after the end of the stream"  # noqa: PT017


ALL: list[Command] = [
    Ehlo("a.example"),
    Mail(Mailbox("a", "x.org")),
    Rcpt(Mailbox("b", "x.org")),
    Data(),
    Rset(),
    Noop(),
]
ALL += [Quit(), StartTls(), Auth("PLAIN", b"\0a\0b"), Auth("LOGIN")]


def act(conn: ClientConnection, event: object, source: random.Random) -> None:
    match event:
        case AuthChallenge():
            if source.random() < 0.5:
                conn.auth_respond(b"alice")
            else:
                conn.auth_cancel()
        case TlsReady():
            conn.start_tls_done(TLS)
        case BodyWanted():
            conn.send_body(b".x\r\n")
            if source.random() < 0.9:
                conn.end_body()
        case _:
            pass
    for command in source.sample(ALL, 4):
        try:
            conn.send(command)
        except LocalProtocolError:
            continue


@pytest.mark.clause("SEC-INJ-both-b", "SEC-INJ-cli-c")
@pytest.mark.parametrize("greeted", [False, True])
def test_client(greeted: bool) -> None:
    reached = set()
    for source in rounds(50 + greeted, SECONDS / 2):
        conn = ClientConnection(limits=LIMITS)
        if greeted:
            conn.receive_data(b"220 x\r\n")
            act(conn, conn.next_event(), source)
        data = source.randbytes(source.randrange(200)) if source.random() < 0.1 else mutate(source, REPLIES)
        try:
            for piece in pieces(source, data):
                conn.receive_data(piece)
                while True:
                    event = conn.next_event()
                    if isinstance(event, Pause | ConnectionClosed):
                        break
                    assert isinstance(event, get_args(ClientEvent))
                    act(conn, event, source)
                    reached.add(conn.state)
                assert len(conn._parser._buffer) <= max(LIMITS.reply_line, len(piece))
                sent = conn.data_to_send()
                assert sent == b"" or sent.endswith((b"\r\n", b".x\r\n"))
        except RemoteProtocolError as error:
            assert error.reply_hint is None  # noqa: PT017
            assert isinstance(conn.next_event(), ConnectionClosed)
    assert reached >= {State.HELLO, State.READY, State.CLOSED} | ({State.MAIL} if greeted else set())
