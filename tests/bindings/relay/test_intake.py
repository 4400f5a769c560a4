"""Taking messages into the spool: durable before the client hears, and nothing stored on a full disk."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.bindings.relay.helpers import ALICE, BOB, MESSAGE, START, Folder, LeapingClock, run, serving

import ehlo
import ehlo_io.asyncio
from ehlo_io.relay.intake import Intake
from ehlo_io.relay.spool import Spool
from ehlo_io.storage import deposit as storage
from ehlo_io.storage.deposit import Deposit


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    spool = Spool(tmp_path / "spool")
    yield spool
    spool.close()


@pytest.fixture
def folder(tmp_path: Path, spool: Spool) -> Folder:
    return Folder(tmp_path / "spool")


async def submit(client: ehlo_io.asyncio.Client, **options: Any) -> str:
    try:
        result = await client.submit(MESSAGE, sender=ALICE, recipients=[BOB], **options)
    except ehlo.SubmissionFailed as failed:
        return str(failed.reply)
    return str(result.reply)


def test_a_message_is_in_the_spool_before_it_is_announced(spool: Spool) -> None:
    announced = []

    def announce(name: str) -> None:
        entry = spool.load(name)
        with entry.open() as file:
            assert file.read() == MESSAGE
        announced.append(entry)

    async def scenario() -> None:
        async with (
            serving(Intake(spool, LeapingClock(), announce)) as (host, port),
            ehlo_io.asyncio.connect(host, port, tls="none") as client,
        ):
            for envid in ("3", "14"):
                assert (await submit(client, envid=envid)).startswith("250 ")

    run(scenario())
    assert [entry.name for entry in announced] == ["name-001", "name-002"]
    assert [entry.envelope.parameters.get(ehlo.EnvId) for entry in announced] == [
        ehlo.EnvId("3"),
        ehlo.EnvId("14"),
    ]
    assert {entry.arrival for entry in announced} == {START}


@pytest.mark.parametrize(
    ("owner", "name"),
    [(os, "open"), (Deposit, "write"), (os, "fsync"), (os, "replace"), (storage, "sync_directory")],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_full_disk(
    spool: Spool, folder: Folder, monkeypatch: pytest.MonkeyPatch, owner: object, name: str
) -> None:
    announced: list[str] = []

    def full(*_: object, **__: object) -> object:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    async def scenario() -> None:
        async with (
            serving(Intake(spool, LeapingClock(), announced.append)) as (host, port),
            ehlo_io.asyncio.connect(host, port, tls="none") as client,
        ):
            with monkeypatch.context() as patch:
                patch.setattr(owner, name, full)
                assert await submit(client) == "452 4.3.1 Insufficient system storage"
            assert folder.everything == {}
            assert (await submit(client)).startswith("250 ")

    run(scenario())
    assert len(announced) == 1
    assert folder.names("messages") == announced
