"""The engines of other people, and one that is hard-coded. Peers are imported on first use."""

from __future__ import annotations

import asyncio
from typing import Any, Final

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
    email_message,
    message,
    stuffed,
)
from benchmarks.peers import load
from benchmarks.servers.null import CollectingSession

_BODY: Final = message(KIB)
_STEPS: Final = (MAIL, RCPT, DATA, stuffed(_BODY))

# The request of h11's own benchmark.
_REQUEST: Final = (
    b"GET / HTTP/1.1\r\n"
    b"Host: www.dogs.com\r\n"
    b"User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:45.0) Gecko/20100101 Firefox/45.0\r\n"
    b"Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\n"
    b"Accept-Language: en-US,en;q=0.5\r\n"
    b"Accept-Encoding: gzip, deflate, br\r\n"
    b"DNT: 1\r\n"
    b"Cookie: ID=unladen; swallow=european\r\n"
    b"Connection: keep-alive\r\n"
    b"\r\n"
)
_HEADERS: Final = [
    (b"Cache-Control", b"private, max-age=0"),
    (b"Content-Encoding", b"gzip"),
    (b"Content-Type", b"text/html; charset=UTF-8"),
    (b"Date", b"Fri, 20 May 2016 09:23:41 GMT"),
    (b"Expires", b"-1"),
    (b"Server", b"gws"),
    (b"X-Frame-Options", b"SAMEORIGIN"),
    (b"X-XSS-Protection", b"1; mode=block"),
    (b"Content-Length", b"1000"),
]


def h11_server(amount: int) -> None:
    h11 = load("h11")
    conn = h11.Connection(h11.SERVER)
    data = b"x" * 1000
    for _ in range(amount):
        conn.receive_data(_REQUEST)
        while type(conn.next_event()) is not h11.EndOfMessage:
            pass
        conn.send(h11.Response(status_code=200, headers=_HEADERS))
        conn.send(h11.Data(data=data))
        conn.send(h11.EndOfMessage())
        conn.start_next_cycle()


class _Raw:
    """Octets in the shape of an EmailMessage: what smtpproto could do without flattening one."""

    def __contains__(self, name: str) -> bool:
        return False

    def as_bytes(self, policy: object = None) -> bytes:
        return _BODY


_OK: Final = b"250 2.0.0 Ok\r\n"
_GO: Final = b"354 Go ahead\r\n"


def _smtpproto(conn: Any, found: object) -> None:
    conn.mail(SENDER)
    conn.get_outgoing_data()
    conn.feed_bytes(_OK)
    conn.recipient(RECIPIENT)
    conn.get_outgoing_data()
    conn.feed_bytes(_OK)
    conn.start_data()
    conn.get_outgoing_data()
    conn.feed_bytes(_GO)
    conn.data(found)
    assert conn.get_outgoing_data().endswith(b"\r\n.\r\n")
    assert not conn.feed_bytes(_OK).is_error()


def _smtpproto_session() -> Any:
    conn = load("smtpproto.protocol").SMTPClientProtocol()
    conn.feed_bytes(b"220 mx.server.example ESMTP\r\n")
    conn.send_greeting(CLIENT_NAME)
    conn.get_outgoing_data()
    conn.feed_bytes(b"250-mx.server.example\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 SIZE 67108864\r\n")
    return conn


def smtpproto_client(amount: int, *, raw: bool) -> None:
    conn = _smtpproto_session()
    found = _Raw() if raw else email_message(KIB)
    for _ in range(amount):
        _smtpproto(conn, found)


def smtpproto_sessions(amount: int) -> None:
    found = _Raw()
    for _ in range(amount):
        conn = _smtpproto_session()
        _smtpproto(conn, found)
        conn.quit()
        conn.get_outgoing_data()
        conn.feed_bytes(b"221 Bye\r\n")


class _Transport(asyncio.Transport):
    """Hands what is written to whoever waits for it."""

    def __init__(self) -> None:
        super().__init__({"peername": ("127.0.0.1", 1)})
        self._waiter: asyncio.Future[bytes] | None = None
        self._written: list[bytes] = []

    def write(self, data: Any) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(bytes(data))
        else:
            self._written.append(bytes(data))

    async def reply(self) -> bytes:
        if self._written:
            return self._written.pop(0)
        self._waiter = asyncio.get_running_loop().create_future()
        return await self._waiter

    def close(self) -> None:
        pass

    def is_closing(self) -> bool:
        return False

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass


class _Handler:
    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        assert envelope.content == _BODY
        return "250 Ok"


async def aiosmtpd_server(amount: int, *, kept: bool) -> None:
    smtp, handler = load("aiosmtpd.smtp").SMTP, _Handler()
    left = amount
    while left:
        protocol = smtp(handler, hostname="mx.server.example", loop=asyncio.get_running_loop())
        transport = _Transport()
        protocol.connection_made(transport)
        await transport.reply()
        protocol.data_received(EHLO)
        while not (await transport.reply()).startswith(b"250 "):
            pass
        for _ in range(left if kept else 1):
            for octets in _STEPS:
                protocol.data_received(octets)
                reply = await transport.reply()
            assert reply.startswith(b"250"), reply
            left -= 1
        protocol.data_received(QUIT)
        await transport.reply()
        protocol.connection_lost(None)


def hard_coded(amount: int) -> None:
    session = CollectingSession()
    for _ in range(amount):
        for octets in _STEPS:
            session.feed(octets)
