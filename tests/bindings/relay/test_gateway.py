"""The gateway as a whole: what it takes it hands on, and it ends without leaving anything behind."""

from __future__ import annotations

import asyncio
from pathlib import Path

from tests.bindings.relay.helpers import (
    ALICE,
    BOB,
    HOSTNAME,
    MESSAGE,
    Folder,
    NextServer,
    hop,
    run,
    serving,
    until,
)

import ehlo
import ehlo_io.asyncio
from ehlo_io.relay import Gateway, RelaySettings


class Slow(NextServer):
    begun = False

    async def on_message(
        self, session: ehlo.Session, envelope: ehlo.Envelope, content: bytes
    ) -> ehlo.Reply | None:
        self.begun = True
        await asyncio.sleep(0.1)
        return await super().on_message(session, envelope, content)


def gateway_to(target: tuple[str, int], spool: Path) -> Gateway:
    return Gateway(RelaySettings(hop=hop(target), hostname=HOSTNAME, spool=spool))


def test_what_has_begun_when_it_ends_is_let_end(tmp_path: Path) -> None:
    async def scenario() -> None:
        server = Slow()
        async with serving(server) as target:
            async with gateway_to(target, tmp_path) as gateway, serving(gateway.storage) as (host, port):
                async with ehlo_io.asyncio.connect(host, port, tls="none") as client:
                    await client.submit(MESSAGE, sender=ALICE, recipients=[BOB])
                await until(lambda: server.begun)
            assert len(server.taken) == 1
            assert Folder(tmp_path).everything == {}

    run(scenario())


def test_what_comes_when_its_loop_is_closed_waits_for_the_next(tmp_path: Path) -> None:
    gateway = gateway_to(("127.0.0.1", 587), tmp_path)

    async def enter_and_leave() -> None:
        async with gateway:
            pass

    async def submit() -> None:
        async with (
            serving(gateway.storage) as (host, port),
            ehlo_io.asyncio.connect(host, port, tls="none") as client,
        ):
            await client.submit(MESSAGE, sender=ALICE, recipients=[BOB])

    async def hand_on(server: NextServer) -> None:
        async with serving(server) as target, gateway_to(target, tmp_path):
            await until(lambda: not Folder(tmp_path).names("messages"))

    run(enter_and_leave())
    run(submit())
    assert len(Folder(tmp_path).names("messages")) == 1
    server = NextServer()
    run(hand_on(server))
    assert len(server.taken) == 1
