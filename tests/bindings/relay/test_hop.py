"""Sessions with the next server: few, kept for a while, and what it means when there is none."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from pathlib import Path

import pytest
from tests.bindings.peers import GREETING, Peer
from tests.bindings.relay.helpers import (
    ALICE,
    BOB,
    MESSAGE,
    NextServer,
    hop,
    run,
    scripted,
    serving,
    sessions_with,
    until,
)
from tests.interop.processes import free_port

import ehlo
from ehlo_io.relay.hop import HopDown, Sessions, why_down


async def submit(sessions: Sessions) -> None:
    async with sessions.lease() as (client, _):
        await client.submit(MESSAGE, sender=ALICE, recipients=[BOB])


def test_a_session_serves_message_after_message() -> None:
    async def scenario() -> None:
        server = NextServer()
        async with serving(server) as address, sessions_with(address) as sessions:
            for _ in range(3):
                await submit(sessions)
        assert (len(server.taken), server.connections) == (3, 1)

    run(scenario())


def test_no_more_sessions_than_are_allowed() -> None:
    async def scenario() -> None:
        server = NextServer()
        async with serving(server) as address, sessions_with(address, most=2) as sessions:
            await asyncio.gather(*(submit(sessions) for _ in range(7)))
        assert (len(server.taken), server.connections, server.most_open) == (7, 2, 2)

    run(scenario())


def test_a_session_that_nobody_wants_is_ended() -> None:
    ended = []

    class Watched(NextServer):
        def on_quit(self, session: ehlo.Session) -> None:
            ended.append(session)

    async def scenario() -> None:
        server = Watched()
        async with serving(server) as address, sessions_with(address, idle=0.01) as sessions:
            await submit(sessions)
            await until(lambda: ended)
            await submit(sessions)
        assert (len(server.taken), server.connections, len(ended)) == (2, 2, 2)

    run(scenario())


def test_one_that_is_lost_is_not_kept() -> None:
    async def scenario() -> None:
        server = NextServer()
        async with serving(server) as address, sessions_with(address) as sessions:
            await submit(sessions)
            with contextlib.suppress(ehlo.ConnectionFailed):
                async with sessions.lease() as (client, used):
                    assert used
                    await client.close()
            async with sessions.lease() as (_, used):
                assert not used
        assert server.connections == 2

    run(scenario())


@pytest.mark.parametrize(("rest", "attempts"), [(60.0, 1), (0.0, 2)], ids=["left alone", "tried again"])
def test_a_server_that_is_down(rest: float, attempts: int, caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        async with sessions_with(("127.0.0.1", free_port()), rest=rest) as sessions:
            for _ in range(2):
                with pytest.raises(HopDown) as down:
                    async with sessions.lease():
                        pytest.fail("there is no session")
                assert str(down.value.reply) == "451 4.4.1 The next server cannot be reached"

    with caplog.at_level(logging.WARNING, "ehlo_io"):
        run(scenario())
    assert len(caplog.records) == attempts


@pytest.mark.parametrize(
    ("error", "enhanced"),
    [
        (ehlo.ConnectionFailed("lost"), "4.4.1"),
        (ehlo.ServiceRefused("no"), "4.4.1"),
        (ehlo.AuthenticationFailed("no"), "4.7.0"),
        (ehlo.TlsFailed("no"), "4.7.5"),
        (ehlo.RemoteProtocolError("babble"), "4.5.0"),
        (FileNotFoundError("token"), "4.3.5"),
        (ValueError("not UTF-8"), "4.3.5"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else value,
)
def test_all_of_it_may_pass(error: Exception, enhanced: str) -> None:
    reply = why_down(error)
    assert (reply.code, str(reply.enhanced)) == (451, enhanced)


def test_a_secret_is_read_for_each_session(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = tmp_path / "password"

    def credentials() -> ehlo.Credentials:
        return ehlo.Password("alice", file.read_text())

    async def scenario() -> None:
        server = NextServer()
        async with serving(server, policy=ehlo.OPEN_TEST) as address:
            login = hop(address, allow_cleartext_auth=True, mechanisms=("PLAIN",))
            target = type(login)(
                host=login.host, port=login.port, options=login.options, credentials=credentials
            )
            for text, reason in ((None, "4.3.5"), ("wrong-314", "4.7.0"), ("right", None)):
                if text is not None:
                    file.write_text(text)
                if reason is None:
                    await (await target.connect()).close()
                else:
                    with pytest.raises(HopDown) as down:
                        await target.connect()
                    assert str(down.value.reply.enhanced) == reason
        assert server.passwords == ["wrong-314", "right"]

    run(scenario())
    assert "wrong-314" not in caplog.text
    assert "right" not in caplog.text.replace("copyright", "")


def babble(peer: Peer) -> None:
    peer.send(b"\x00\xff no reply\r\n" * 3)


def slam(peer: Peer) -> None:
    peer.reset()


def refuse(peer: Peer) -> None:
    peer.send(b"554 5.3.2 not here\r\n")


def no_tls(peer: Peer) -> None:
    peer.send(GREETING)
    peer.line()
    peer.send(b"250 mail.test\r\n")
    assert peer.line() == b"QUIT"
    peer.send(b"221 bye\r\n")


@pytest.mark.parametrize(
    ("script", "enhanced"),
    [(babble, "4.5.0"), (slam, "4.4.1"), (refuse, "4.4.1"), (no_tls, "4.7.5")],
    ids=lambda value: getattr(value, "__name__", value),
)
def test_servers_that_are_none(script: object, enhanced: str) -> None:
    async def scenario(address: tuple[str, int]) -> None:
        with pytest.raises(HopDown) as down:
            await hop(address, tls=ehlo.TlsMode.STARTTLS).connect()
        assert str(down.value.reply.enhanced) == enhanced

    with scripted(script) as address:  # type: ignore[arg-type]
        run(scenario(address))
