"""Clients and their servers that are absent, silent, gone or endless."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import AsyncGenerator, AsyncIterator, Coroutine, Iterator
from functools import partial
from typing import Any
from unittest import mock

import pytest
from tests.bindings.faces import Io
from tests.bindings.handlers import RCPT, SENDER
from tests.bindings.peers import (
    GREETING,
    OFFER,
    Peer,
    count_connected_to,
    greet,
    shrink_sending_to,
    take_envelope,
)
from tests.bindings.registry import add, scenario
from tests.bindings.scenarios_submit import ENVELOPE, MESSAGE

import ehlo


def drive(work: Coroutine[Any, Any, Any]) -> None:
    """Run to its end a coroutine that awaits nothing, as those of the blocking face are."""
    with contextlib.suppress(StopIteration):
        work.send(None)


BIG = b"x" * 70 + b"\r\n"
BIG = BIG * 200_000


@scenario()
async def nobody_listens(io: Io) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        with pytest.raises(ehlo.ConnectionFailed, match="no connection") as failed:
            await io.connect(taken.getsockname())
        assert failed.value.temporary
        assert isinstance(failed.value.__cause__, OSError)


@scenario()
async def nobody_accepts(io: Io) -> None:
    """A full backlog answers nothing at all."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        with socket.create_connection(listener.getsockname()):
            started = time.monotonic()
            with pytest.raises(ehlo.ConnectionFailed):
                await io.connect(listener.getsockname(), connect_timeout=0.3)
            assert time.monotonic() - started < 3


@scenario()
async def success_before_the_message_has_ended(io: Io) -> None:
    """It is no reply to this message, however long the rest of it takes."""
    asked, sent = threading.Event(), threading.Event()

    def script(peer: Peer) -> None:
        greet(peer)
        take_envelope(peer)
        assert asked.wait(10)
        peer.send(b"250 queued\r\n")
        sent.set()
        peer.rest()

    async def slowly() -> AsyncGenerator[bytes, None]:
        yield b"\r\nfirst\r\n"
        asked.set()
        await io.thread(sent.wait)
        await io.sleep(0.05)
        yield b"second\r\n"

    def blocking() -> Iterator[bytes]:
        yield b"\r\nfirst\r\n"
        asked.set()
        assert sent.wait(10)
        yield b"second\r\n"

    async with io.scripted(script) as address:
        client = await io.connect(address, tls="none")
        async with contextlib.aclosing(slowly()) as source:
            with pytest.raises(ehlo.RemoteProtocolError, match="answers no command"):
                await client.submit(blocking() if io.name == "blocking" else source, **ENVELOPE)
        await client.close()


@scenario()
async def a_session_does_one_thing_at_a_time(io: Io) -> None:
    asked, go_on = threading.Event(), threading.Event()
    stored: list[bytes] = []

    class Store:
        def on_message(self, session: object, envelope: object, content: bytes) -> None:
            stored.append(content)

    async def slowly() -> AsyncIterator[bytes]:
        yield b"\r\nfirst\r\n"
        asked.set()
        await io.thread(go_on.wait)

    def blocking() -> Iterator[bytes]:
        yield b"\r\nfirst\r\n"
        asked.set()
        assert go_on.wait(10)

    async with io.serve_open(Store()) as server, io.connect_open(server.address) as client:

        async def first() -> None:
            if io.name == "blocking":
                work = client.submit(blocking(), **ENVELOPE)
                await io.thread(lambda: drive(work))
            else:
                await client.submit(slowly(), **ENVELOPE)

        async def second() -> None:
            await io.thread(asked.wait)
            with pytest.raises(ehlo.LocalProtocolError, match="busy"):
                await client.submit(MESSAGE, **ENVELOPE)
            with pytest.raises(ehlo.LocalProtocolError, match="busy"):
                await client.close()
            go_on.set()

        await io.together(first(), second())
        await client.submit(MESSAGE, **ENVELOPE)
    assert stored == [b"\r\nfirst\r\n", MESSAGE]


_STAGES = ("greeting", "hello", "mail", "rcpt", "data", "body", "end")


def _play_until(stage: str, peer: Peer) -> None:
    """Serve by the book up to a stage, whose command is read and not answered."""
    if stage == "greeting":
        return
    peer.send(GREETING)
    peer.line()
    if stage == "hello":
        return
    peer.send(OFFER)
    peer.line()
    if stage == "mail":
        return
    peer.send(b"250 2.1.0 OK\r\n")
    peer.line()
    if stage == "rcpt":
        return
    peer.send(b"250 2.1.5 OK\r\n")
    peer.line()
    if stage == "data":
        return
    peer.send(b"354 Go on\r\n")
    if stage == "body":
        peer.sock.recv(10)
        return
    peer.until(b"\r\n.\r\n")


async def _breaks(io: Io, stage: str, end: str) -> None:
    def play(peer: Peer) -> None:
        _play_until(stage, peer)
        if end == "reset":
            peer.reset()
        elif end == "close":
            peer.close()
        elif end == "half a reply":
            peer.send(b"250-half")
            peer.close()
        else:
            peer.ended()

    limits = ehlo.Limits(
        greeting_timeout=0.3, command_timeout=0.3, data_timeout=0.3, block_timeout=0.5, final_timeout=0.3
    )
    message = BIG if stage == "body" else MESSAGE
    async with io.scripted(play) as address:
        started = time.monotonic()
        with pytest.raises(ehlo.ConnectionFailed) as failed:
            async with io.connect_open(address, limits=limits) as client:
                await client.submit(message, **ENVELOPE)
        assert time.monotonic() - started < 5
        assert failed.value.temporary
        assert ("out of time" in str(failed.value)) is (end == "silence")


for _stage in _STAGES:
    for _end in ("close", "reset", "silence", "half a reply"):
        if (_stage, _end) != ("body", "silence"):
            add(f"server_at_{_stage}_{_end.replace(' ', '_')}", partial(_breaks, stage=_stage, end=_end))


@scenario()
async def server_stops_reading_in_mid_body(io: Io) -> None:
    """The deadline of a block ends it, and the connection with it."""
    gave_up = threading.Event()

    def play(peer: Peer) -> None:
        greet(peer)
        take_envelope(peer)
        gave_up.wait(5)

    async with io.scripted(play, small_buffers=True) as address:
        with pytest.raises(ehlo.ConnectionFailed, match="out of time"):
            async with io.connect_open(address, limits=ehlo.Limits(block_timeout=0.3)) as client:
                await client.submit(BIG, **ENVELOPE)
        await io.until(lambda: count_connected_to(address) == 0, 1.0)
        gave_up.set()


async def _last_words(io: Io, reply: bytes, *, tls: bool) -> None:
    def play(peer: Peer) -> None:
        greet(peer, b"250-mail.test\r\n250 STARTTLS\r\n" if tls else OFFER)
        if tls:
            peer.line()
            peer.send(b"220 Go\r\n")
            peer.start_tls(io.certificates.server, server_side=True)
            peer.line()
            peer.send(OFFER)
        take_envelope(peer)
        peer.sock.recv(1000)
        peer.send(reply)
        peer.close()

    async with io.scripted(play) as address:
        for _ in range(5):
            client = await io.connect(address, tls="starttls" if tls else "none")
            with pytest.raises(ehlo.SessionError) as failed:
                await client.submit(BIG, **ENVELOPE)
            await client.close()
            assert failed.value.reply is not None, failed.value
            assert failed.value.reply.code == int(reply[:3])
            assert failed.value.temporary is (reply[:1] == b"4")


for _code in (421, 451, 552):
    for _tls in (False, True):
        _reply = b"%d %d.3.0 Enough\r\n" % (_code, _code // 100)
        add(f"last_words_{_code}{'_in_tls' if _tls else ''}", partial(_last_words, reply=_reply, tls=_tls))


@scenario(limit=30)
async def two_thousand_recipients_in_one_flight(io: Io) -> None:
    """Long replies through small buffers: two peers that only write would wait for each other."""
    count = 2000
    reply = b"".join(b"250-2.1.5 " + b"y" * 400 + b"\r\n" for _ in range(3)) + b"250 2.1.5 OK\r\n"

    def play(peer: Peer) -> None:
        greet(peer)
        while (line := peer.line()) and line != b"DATA":
            peer.send(reply)
        peer.send(b"354 Go on\r\n")
        peer.until(b"\r\n.\r\n")
        peer.send(b"250 2.0.0 OK\r\n")
        assert peer.line() == b"QUIT"
        peer.send(b"221 2.0.0 Bye\r\n")

    async with io.scripted(play, small_buffers=True) as address:
        for name in ("user", "u" * 60):
            recipients = [f"{name}{number}@{'long-' * 10}name.example.net" for number in range(count)]
            async with io.connect_open(address, limits=ehlo.Limits(pipeline=10_000)) as client:
                shrink_sending_to(address)
                result = await client.submit(MESSAGE, sender=SENDER, recipients=recipients)
            assert len(result.accepted) == count


async def _endless(io: Io, *, in_body: bool) -> None:
    """A server that talks without end and reads nothing does not fill the memory."""

    def play(peer: Peer) -> None:
        greet(peer)
        if in_body:
            take_envelope(peer)
        else:
            peer.line()
        noise = b"250-" + b"z" * 400 + b"\r\n"
        while True:
            peer.send(noise * 100)

    recipients = [f"{'u' * 60}{number}@{'long-' * 10}name.net" for number in range(1 if in_body else 9000)]
    async with contextlib.AsyncExitStack() as stack:
        for pump in ("asyncio", "trio", "socket"):
            # So that it does not take long.
            stack.enter_context(mock.patch(f"ehlo_io._{pump}_pump.MAX_REPLIES", 500_000))
        address = await stack.enter_async_context(io.scripted(play, small_buffers=True))
        client = await io.connect_open(address, limits=ehlo.Limits(pipeline=100_000))
        shrink_sending_to(address)
        # In the body the reply that has no end is found first, when its last words are looked for.
        with pytest.raises(ehlo.Error, match="too many lines" if in_body else "without end"):
            await client.submit(BIG, sender=SENDER, recipients=recipients)
        await client.close()


add("endless_replies_in_body", partial(_endless, in_body=True))
add("endless_replies_in_a_flight", partial(_endless, in_body=False))


@scenario()
async def reply_octet_by_octet(io: Io) -> None:
    def drip(peer: Peer, octets: bytes) -> None:
        for octet in octets:
            peer.send(bytes([octet]))

    def play(peer: Peer) -> None:
        drip(peer, GREETING)
        peer.line()
        drip(peer, OFFER)
        while (line := peer.line()) != b"DATA":
            assert line
            drip(peer, b"250-2.0.0 OK\r\n250 2.0.0 OK\r\n")
        drip(peer, b"354 Go on\r\n")
        peer.until(b"\r\n.\r\n")
        drip(peer, b"250 2.0.0 OK\r\n")
        assert peer.line() == b"QUIT"
        drip(peer, b"221 2.0.0 Bye\r\n")

    async with io.scripted(play) as address, io.connect_open(address) as client:
        result = await client.submit(MESSAGE, sender=SENDER, recipients=[RCPT])
    assert result.reply is not None
    assert result.reply.code == 250


@scenario()
async def drip_does_not_extend_a_deadline(io: Io) -> None:
    def play(peer: Peer) -> None:
        peer.sock.settimeout(0.05)
        for octet in b"220" + b"-" * 1000:
            peer.send(bytes([octet]))
            try:
                if not peer.sock.recv(10):
                    return
            except TimeoutError:
                pass
        raise AssertionError("the client would wait for ever")

    async with io.scripted(play) as address:
        with pytest.raises(ehlo.ConnectionFailed, match="out of time"):
            await io.connect_open(address, limits=ehlo.Limits(greeting_timeout=0.3))


@scenario()
async def quit_changes_nothing(io: Io) -> None:
    ends: dict[str, Any] = {
        "close": Peer.close,
        "reset": Peer.reset,
        "silence": Peer.ended,
        "nonsense": lambda peer: peer.send(b"abc\r\n"),
        "refusal": lambda peer: peer.send(b"500 No\r\n"),
    }
    for end in ends.values():

        def play(peer: Peer, end: Any = end) -> None:
            greet(peer)
            peer.line()
            end(peer)

        limits = ehlo.Limits(quit_timeout=0.3)
        async with io.scripted(play) as address, io.connect_open(address, limits=limits):
            pass


@scenario()
async def refused_greeting(io: Io) -> None:
    lines: list[bytes] = []

    def play(peer: Peer) -> None:
        peer.send(b"554 5.3.2 Not you\r\n")
        lines.append(peer.line())
        peer.send(b"221 2.0.0 Bye\r\n")

    async with io.scripted(play) as address:
        with pytest.raises(ehlo.ServiceRefused) as refused:
            await io.connect_open(address)
    assert refused.value.reply is not None
    assert refused.value.reply.code == 554
    assert lines == [b"QUIT"]
