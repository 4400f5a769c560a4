"""Messages that are passed on as they come: the reply is the next server's, whatever becomes of it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from tests.bindings.peers import OFFER, Peer, greet, take_envelope
from tests.bindings.relay.helpers import (
    ALICE,
    BOB,
    CAROL,
    HOSTNAME,
    MESSAGE,
    NO_SUCH,
    NOT_NOW,
    Folder,
    NextServer,
    answers_garbage,
    closes_in_the_middle,
    each_tail,
    hop,
    long_message,
    run,
    says_421,
    scripted,
    serving,
    until,
    without,
)
from tests.interop.processes import free_port

import ehlo
import ehlo_io.asyncio
from ehlo import dsn
from ehlo.extensions import DSN, SMTPUTF8
from ehlo_io.relay.delivery import Attempted
from ehlo_io.relay.gateway import Gateway, RelaySettings
from ehlo_io.relay.through import Abandoned, Pipe, answer


@contextlib.asynccontextmanager
async def passing(
    target: tuple[str, int], spool: Path | None = None, *, lmtp: bool = False, **settings: Any
) -> AsyncIterator[ehlo_io.asyncio.Client]:
    """A client of a gateway that passes messages on."""
    chosen: dict[str, Any] = {"hop": hop(target), "hostname": HOSTNAME, "rest": 0.0}
    gateway = Gateway(RelaySettings(spool=spool, through=True, **(chosen | settings)))
    async with (
        gateway,
        serving(gateway.storage, hostname=HOSTNAME, lmtp=lmtp) as (host, port),
        ehlo_io.asyncio.connect(host, port, tls="none", client_name="client.example", lmtp=lmtp) as client,
    ):
        yield client


async def submit(client: ehlo_io.asyncio.Client, octets: bytes = MESSAGE, **options: Any) -> str:
    """The reply to the message."""
    chosen = {"sender": ALICE, "recipients": [BOB, CAROL]} | options
    try:
        result = await client.submit(octets, **chosen)
    except ehlo.SubmissionFailed as failed:
        result = failed.result
    return str(result.reply)


@each_tail
def test_the_next_server_has_the_last_word(size: int) -> None:
    class Talker(NextServer):
        async def on_message(
            self, session: ehlo.Session, envelope: ehlo.Envelope, content: bytes
        ) -> ehlo.Reply | None:
            await super().on_message(session, envelope, content)
            return ehlo.Reply(250, "queued as 314", "2.0.0")

    async def scenario() -> None:
        server = Talker()
        async with serving(server) as target, passing(target) as client:
            for _ in range(2):
                assert await submit(client, long_message(size)) == "250 2.0.0 queued as 314"
        assert [content for _, content in server.taken] == [long_message(size)] * 2
        assert server.connections == 1

    run(scenario())


@pytest.mark.parametrize("reply", [NOT_NOW, NO_SUCH], ids=str)
@pytest.mark.parametrize("size", [0, 1_500_000])
@pytest.mark.parametrize("what", ["message", "recipients"])
def test_a_refusal_is_handed_back(reply: ehlo.Reply, size: int, what: str) -> None:
    async def scenario() -> None:
        server = NextServer()
        server.refusals = {"message": [reply]} if what == "message" else {BOB: [reply], CAROL: [reply]}
        async with serving(server) as target, passing(target) as client:
            assert await submit(client, long_message(size)) == str(reply)
            assert (await submit(client)).startswith("250 ")
        assert [content for _, content in server.taken] == [MESSAGE]

    run(scenario())


def test_one_that_may_be_tried_again_speaks_for_all() -> None:
    async def scenario() -> None:
        server = NextServer()
        server.refusals = {BOB: [NO_SUCH], CAROL: [NOT_NOW]}
        async with serving(server) as target, passing(target) as client:
            assert await submit(client) == str(NOT_NOW)

    run(scenario())


@pytest.mark.parametrize("spooled", [False, True])
def test_some_accepted_and_a_report_on_the_others(spooled: bool, tmp_path: Path) -> None:
    spool = tmp_path / "spool" if spooled else None

    async def scenario() -> None:
        server = NextServer()
        server.refusals = {CAROL: [NO_SUCH]}
        async with serving(server) as target, passing(target, spool) as client:
            assert (await submit(client)).startswith("250 ")
            await until(lambda: len(server.taken) == 2)
        (first, content), (second, octets) = server.taken
        assert content == MESSAGE
        assert [str(recipient.path) for recipient in first.recipients] == [BOB]
        assert second.reverse_path is None
        report = dsn.parse(octets)
        assert [fate.final_recipient.value for fate in report.recipients] == [CAROL]
        assert report.returned == dsn.Returned(ehlo.Ret.HDRS, b"Subject: hand on\r\n")

    run(scenario())
    if spool is not None:
        assert Folder(spool).everything == {}


def test_some_accepted_and_no_report_can_be_left() -> None:
    async def scenario() -> None:
        server = NextServer()
        server.refusals = {CAROL: [NO_SUCH], ALICE: [NOT_NOW]}
        async with serving(server) as target, passing(target) as client:
            assert (await submit(client)).startswith("451 4.3.0 ")

    run(scenario())


def test_nobody_is_to_be_told() -> None:
    async def scenario() -> None:
        server = NextServer()
        server.refusals = {CAROL: [NO_SUCH]}
        async with serving(server) as target, passing(target) as client:
            assert (await submit(client, sender="")).startswith("250 ")
        assert len(server.taken) == 1

    run(scenario())


@pytest.mark.clause("RFC3461-5.2.2b")
def test_a_server_that_reports_nothing() -> None:
    async def scenario() -> None:
        server = NextServer()
        async with serving(server, extensions=without(DSN)) as target, passing(target) as client:
            await submit(client, recipients=[BOB], notify="success")
        assert dsn.parse(server.taken[1][1]).recipients[0].action is dsn.Action.RELAYED

    run(scenario())


def test_what_the_server_could_never_take() -> None:
    async def scenario() -> None:
        server = NextServer()
        utf8 = "Subject: b\u00f8b\r\n\r\n".encode()
        async with serving(server, extensions=without(SMTPUTF8)) as target, passing(target) as client:
            assert (await submit(client, utf8)).startswith("553 5.6.7 ")
        assert server.taken == []

    run(scenario())


def test_the_next_server_is_down() -> None:
    async def scenario() -> None:
        async with passing(("127.0.0.1", free_port())) as client:
            assert (
                await submit(client, long_message(1_500_000)) == "451 4.4.1 The next server cannot be reached"
            )

    run(scenario())


def is_slow(peer: Peer) -> None:
    greet(peer, OFFER)
    take_envelope(peer)
    peer.until(b"\r\n.\r\n")
    for octet in b"250 2.0.0 at last\r\n":
        peer.send(bytes([octet]))
    peer.line()


def says_it_its_way(peer: Peer) -> None:
    greet(peer)
    take_envelope(peer)
    peer.until(b"\r\n.\r\n")
    peer.send(b"250-2.0.0 caf\xc3\xa9\r\n250 2.0.0 " + b"x" * 470 + b"\r\n")
    peer.line()


@pytest.mark.parametrize(
    ("script", "reply"),
    [
        (closes_in_the_middle, "451 4.4.2 The connection with the next server was lost"),
        (answers_garbage, "451 4.4.2 The connection with the next server was lost"),
        (says_421, "451 4.3.2 going away"),
        (is_slow, "250 2.0.0 at last"),
        (says_it_its_way, "250 2.0.0 caf"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_servers_that_misbehave(script: Callable[[Peer], None], reply: str) -> None:
    async def scenario(target: tuple[str, int]) -> None:
        async with passing(target) as client:
            assert (await submit(client)).startswith(reply)

    with scripted(script) as target:
        run(scenario(target))


def test_an_old_session_that_broke_is_no_reason_to_wait() -> None:
    seen: list[bytes] = []

    def script(peer: Peer) -> None:
        greet(peer)
        take_envelope(peer)
        seen.append(peer.until(b"\r\n.\r\n"))
        peer.send(b"250 2.0.0 OK\r\n")
        peer.line()

    async def scenario(target: tuple[str, int]) -> None:
        async with passing(target) as client:
            for _ in range(3):
                assert await submit(client) == "250 2.0.0 OK"

    with scripted(script) as target:
        run(scenario(target))
    assert len(set(seen)) == 1
    assert len(seen) == 3


def test_what_is_no_longer_there_is_not_sent_anew() -> None:
    connections: list[Peer] = []

    def script(peer: Peer) -> None:
        connections.append(peer)
        greet(peer)
        take_envelope(peer)
        peer.until(b"\r\n.\r\n")
        peer.send(b"250 2.0.0 OK\r\n")
        take_envelope(peer)
        peer.until(b"0123456789abcdef\r\n" * 20_000)

    async def scenario(target: tuple[str, int]) -> None:
        async with passing(target) as client:
            assert await submit(client) == "250 2.0.0 OK"
            assert (await submit(client, long_message(1_000_000))).startswith("451 4.4.2 ")

    with scripted(script) as target:
        run(scenario(target))
    assert len(connections) == 1


def test_a_client_that_leaves_in_the_middle_sends_nothing() -> None:
    async def scenario() -> None:
        server = NextServer()
        gone: list[ehlo.Session] = []
        server.on_reset = gone.append  # type: ignore[attr-defined]

        async def half() -> AsyncIterator[bytes]:
            yield long_message(600_000)
            await until(lambda: server.connections)
            raise ConnectionAbortedError("the client leaves")

        async with serving(server) as target, passing(target) as client:
            with pytest.raises(ConnectionAbortedError):
                await client.submit(half(), sender=ALICE, recipients=[BOB])
            await until(lambda: gone)
        assert server.taken == []

    run(scenario())


# ---- the parts ----


def test_a_writer_waits_for_its_reader() -> None:
    async def scenario() -> None:
        pipe = Pipe()
        waits = 0

        async def write() -> None:
            nonlocal waits
            for _ in range(100):
                wait = pipe.write(b"x" * 10_000)
                if wait is not None:
                    waits += 1
                    await wait
            pipe.complete()

        writer = asyncio.create_task(write())
        await asyncio.sleep(0)
        assert not writer.done()
        assert waits == 1
        assert b"".join([piece async for piece in pipe.read()]) == b"x" * 1_000_000
        await writer
        assert not pipe.repeatable

    run(scenario())


def test_a_short_message_can_be_read_twice() -> None:
    async def scenario() -> None:
        pipe = Pipe()
        pipe.write(MESSAGE)
        pipe.complete()
        for _ in range(2):
            assert [piece async for piece in pipe.read()] == [MESSAGE]
        assert pipe.repeatable
        pipe.abandon()
        assert not pipe.repeatable
        with pytest.raises(Abandoned):
            assert [piece async for piece in pipe.read()] == []

    run(scenario())


def test_nobody_waits_for_a_reader_that_is_gone() -> None:
    async def scenario() -> None:
        pipe = Pipe()
        wait = pipe.write(b"x" * 1_000_000)
        assert wait is not None
        pipe.stop()
        await wait
        assert pipe.write(b"x" * 1_000_000) is None

    run(scenario())


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        (None, "451 4.4.2 The next server has not answered"),
        (ehlo.Reply(552, "Too many"), "452 4.5.3 Too many recipients for the next server"),
        (ehlo.Reply(552, "Full", "5.2.2"), "552 5.2.2 Full"),
    ],
    ids=str,
)
def test_odd_refusals(reply: ehlo.Reply | None, said: str) -> None:
    bob = ehlo.recipient(BOB).path
    assert str(answer(Attempted(outcomes=(ehlo.Outcome(bob, False, reply),)))) == said


def test_without_a_spool_there_is_one_way_only() -> None:
    with pytest.raises(ehlo.LocalProtocolError, match="passed through"):
        Gateway(RelaySettings(hop=hop(("127.0.0.1", 587)), hostname=HOSTNAME))
