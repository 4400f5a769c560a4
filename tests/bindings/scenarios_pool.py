"""Pools: sessions that many share, and that come and go."""

from __future__ import annotations

import io as stdlib_io
import threading
from collections.abc import Callable
from typing import Any

import pytest
from tests.bindings.faces import Io
from tests.bindings.handlers import PASSWORD, RCPT, SENDER, Sink
from tests.bindings.peers import Peer, greet, take_envelope
from tests.bindings.registry import ASYNC, scenario

import ehlo

MESSAGE = b"Subject: test\r\n\r\nHello\r\n"
ENVELOPE: dict[str, Any] = {"sender": SENDER, "recipients": [RCPT]}
Script = Callable[[Peer], None]


class _Counting(Sink):
    """How many sessions were open at the same time, at most."""

    def __init__(self) -> None:
        super().__init__()
        self.open = self.most = 0
        self._guard = threading.Lock()

    def on_connect(self, session: ehlo.Session) -> None:
        super().on_connect(session)
        with self._guard:
            self.open += 1
            self.most = max(self.most, self.open)

    def on_quit(self, session: ehlo.Session) -> None:
        super().on_quit(session)
        with self._guard:
            self.open -= 1


@scenario()
async def many_share_few_sessions(io: Io) -> None:
    sink = _Counting()
    wanted = [b"Subject: %d\r\n\r\nHello\r\n" % number for number in range(12)]
    async with io.serve(sink) as server, io.pool(server.address, size=3, auth=PASSWORD) as pool:
        await io.together(*(pool.submit(message, **ENVELOPE) for message in wanted))
    assert sorted(sink.stored) == sorted(wanted)
    assert sink.most <= 3
    assert sink.calls.count("connect") == sink.calls.count("quit") == sink.most


@scenario()
async def one_after_another_needs_one_session(io: Io) -> None:
    sink = Sink()
    async with io.serve_open(sink) as server, io.pool(server.address, tls="none") as pool:
        await pool.submit(MESSAGE, **ENVELOPE)
        found = await pool.submit_many([(MESSAGE, ENVELOPE), (MESSAGE, ENVELOPE)])
        async with pool.session() as client:
            assert "PIPELINING" in client.capabilities
            await client.submit(MESSAGE, **ENVELOPE)
    assert all(isinstance(one, ehlo.SubmissionResult) for one in found)
    assert len(sink.stored) == 4
    assert sink.calls.count("connect") == 1


@scenario()
async def a_refused_message_keeps_the_session(io: Io) -> None:
    sink = Sink()
    async with io.serve_open(sink) as server, io.pool(server.address, tls="none") as pool:
        with pytest.raises(ehlo.SubmissionFailed):
            await pool.submit(MESSAGE, sender=SENDER, recipients=["bad@example.net"])
        with pytest.raises(ehlo.LocalProtocolError):
            await pool.submit(MESSAGE, sender=SENDER, recipients=[])
        await pool.submit(MESSAGE, **ENVELOPE)
    assert sink.calls.count("connect") == 1


@scenario()
async def what_nobody_uses_is_closed(io: Io) -> None:
    sink = Sink()
    async with io.serve_open(sink) as server, io.pool(server.address, tls="none", idle=0.02) as pool:
        await pool.submit(MESSAGE, **ENVELOPE)
        await io.until(lambda: "quit" in sink.calls)
        await pool.submit(MESSAGE, **ENVELOPE)
        await io.until(lambda: sink.calls.count("quit") == 2)
    assert sink.calls.count("connect") == 2


# ---- servers that leave ----


def _takes_one(peer: Peer, *, text: bytes = b"250 OK\r\n") -> None:
    take_envelope(peer)
    peer.until(b"\r\n.\r\n")
    peer.send(text)


class _Turns:
    """A script for each connection, in their order."""

    def __init__(self, *scripts: Script) -> None:
        self._scripts = list(scripts)
        self.count = self.ended = 0

    def __call__(self, peer: Peer) -> None:
        script = self._scripts[self.count]
        self.count += 1
        greet(peer)
        script(peer)
        peer.close()
        self.ended += 1


def _one_and_goodbye(peer: Peer) -> None:
    _takes_one(peer)
    peer.send(b"421 4.4.2 idle for too long\r\n")


def _one_and_gone(peer: Peer) -> None:
    _takes_one(peer)


def _one_and_no_mail(peer: Peer) -> None:
    _takes_one(peer)
    assert peer.line().startswith(b"MAIL")
    peer.send(b"421 4.7.0 too many messages in this session\r\n")


def _one_and_lost_behind_the_end(peer: Peer) -> None:
    _takes_one(peer)
    _takes_one(peer, text=b"")


def _takes_the_rest(peer: Peer) -> None:
    _takes_one(peer)
    assert peer.line() == b"QUIT"
    peer.send(b"221 bye\r\n")


async def _again(io: Io, first: Script, message: Any) -> int:
    turns = _Turns(first, _takes_the_rest)
    async with io.scripted(turns) as address, io.pool(address, tls="none") as pool:
        await pool.submit(MESSAGE, **ENVELOPE)
        if first is not _one_and_no_mail:
            await io.until(lambda: turns.ended)
        result = await pool.submit(message, **ENVELOPE)
    assert result.outcomes[0].accepted
    return turns.count


@scenario("RFC5321-3.8d")
async def a_session_that_was_given_up_is_no_failure(io: Io) -> None:
    for first in (_one_and_goodbye, _one_and_gone, _one_and_no_mail):
        assert await _again(io, first, MESSAGE) == 2, first
        assert await _again(io, first, stdlib_io.BytesIO(MESSAGE)) == 2, first


@scenario()
async def a_stream_that_cannot_be_read_again_is_not_tried_again(io: Io) -> None:
    with pytest.raises(ehlo.SubmissionFailed) as found:
        await _again(io, _one_and_no_mail, iter([MESSAGE]))
    assert found.value.temporary
    assert found.value.reply is not None
    assert found.value.reply.code == 421


@scenario()
async def a_message_in_doubt_is_not_sent_twice(io: Io) -> None:
    turns = _Turns(_one_and_lost_behind_the_end)
    async with io.scripted(turns) as address, io.pool(address, tls="none") as pool:
        await pool.submit(MESSAGE, **ENVELOPE)
        with pytest.raises(ehlo.ConnectionFailed) as found:
            await pool.submit(MESSAGE, **ENVELOPE)
    assert found.value.in_doubt
    assert turns.count == 1


@scenario()
async def a_new_session_that_breaks_is_a_failure(io: Io) -> None:
    turns = _Turns(lambda peer: None)
    async with io.scripted(turns) as address, io.pool(address, tls="none") as pool:
        with pytest.raises(ehlo.ConnectionFailed) as found:
            await pool.submit(MESSAGE, **ENVELOPE)
    assert not found.value.in_doubt
    assert turns.count == 1


@scenario()
async def a_session_that_cannot_be_had_frees_its_place(io: Io) -> None:
    sink = Sink()
    async with io.serve(sink) as server:
        address = server.address
        async with io.pool(address, size=1, tls="none") as pool:
            for _ in range(3):
                with pytest.raises(ehlo.SubmissionFailed):
                    await pool.submit(MESSAGE, **ENVELOPE)
    async with io.pool(address, size=1, tls="none") as pool:
        for _ in range(3):
            with pytest.raises(ehlo.ConnectionFailed):
                await pool.submit(MESSAGE, **ENVELOPE)


# ---- its end ----


@scenario()
async def a_closed_pool_gives_no_sessions(io: Io) -> None:
    async with io.serve_open(Sink()) as server:
        async with io.pool(server.address, tls="none") as pool:
            await pool.submit(MESSAGE, **ENVELOPE)
        with pytest.raises(ehlo.LocalProtocolError, match="closed"):
            await pool.submit(MESSAGE, **ENVELOPE)


@scenario()
async def a_pool_has_a_size_and_a_time(io: Io) -> None:
    for settings in ({"size": 0}, {"idle": 0.0}, {"idle": -1.0}, {"idle": float("nan")}):
        with pytest.raises(ehlo.LocalProtocolError, match="at least one session"):
            io.module.Pool(lambda: None, **settings)


@scenario()
async def a_session_outside_its_pool_is_closed_and_not_kept(io: Io) -> None:
    sink = Sink()
    async with io.serve_open(sink) as server:
        async with io.pool(server.address, tls="none") as pool:
            lease = pool.session()
            client = await lease.__aenter__()
        await client.submit(MESSAGE, **ENVELOPE)
        await lease.__aexit__(None, None, None)
        await io.until(lambda: "quit" in sink.calls)
    assert len(sink.stored) == 1


@scenario(bindings=ASYNC)
async def a_cancelled_submission_frees_its_place(io: Io) -> None:
    reached = threading.Event()

    def silent(peer: Peer) -> None:
        take_envelope(peer)
        reached.set()
        peer.rest()

    turns = _Turns(silent, _takes_the_rest)
    async with io.scripted(turns) as address, io.pool(address, size=1, tls="none") as pool:
        await io.cancel_when(reached.is_set, pool.submit(MESSAGE, **ENVELOPE))
        await pool.submit(MESSAGE, **ENVELOPE)
    assert turns.count == 2


@scenario(bindings=ASYNC)
async def a_cancelled_submission_leaves_no_session_that_is_ready(io: Io) -> None:
    """Its replies would be taken for those to the next message."""
    reached = threading.Event()

    def silent(peer: Peer) -> None:
        greet(peer)
        assert peer.line().startswith(b"MAIL")
        reached.set()
        peer.rest()

    async with io.scripted(silent) as address:
        client = await io.connect(address, tls="none")
        await io.cancel_when(reached.is_set, client.submit(MESSAGE, **ENVELOPE))
        assert not client.is_ready
        await client.close()
