"""The courier: what is due is attempted, what is not done with stays, and no message is forgotten."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import os
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

import pytest
from tests.bindings.relay.helpers import (
    ALICE,
    BOB,
    CAROL,
    HOSTNAME,
    MESSAGE,
    NO_SUCH,
    NOT_NOW,
    START,
    Folder,
    LeapingClock,
    NextServer,
    run,
    serving,
    sessions_with,
    until,
    without,
)
from tests.interop.processes import free_port

import ehlo
from ehlo import dsn
from ehlo.extensions import DSN
from ehlo_io.relay.courier import Courier
from ehlo_io.relay.queue import Queue, Retry
from ehlo_io.relay.reports import Reporter
from ehlo_io.relay.spool import Progress, Spool

RETRY = Retry(first=60, factor=2, most=240, jitter=0.0, warn_after=1000, give_up_after=2000)
ONE = ehlo.envelope(ALICE, [BOB])
BOTH = ehlo.envelope(ALICE, [BOB, CAROL])


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    spool = Spool(tmp_path / "spool")
    yield spool
    spool.close()


@pytest.fixture
def folder(tmp_path: Path, spool: Spool) -> Folder:
    return Folder(tmp_path / "spool")


@contextlib.asynccontextmanager
async def at_work(
    spool: Spool, address: tuple[str, int], clock: LeapingClock, **options: Any
) -> AsyncIterator[Courier]:
    """A courier that takes what is in the spool."""
    async with sessions_with(address, **options) as sessions:
        courier = Courier(
            spool=spool,
            queue=Queue(clock),
            sessions=sessions,
            hop="next.local.example",
            reporter=Reporter(HOSTNAME, clock),
            retry=RETRY,
            clock=clock,
            most=4,
        )
        await courier.recover()
        task = asyncio.create_task(courier.run())
        try:
            yield courier
        finally:
            clock.stopped = True
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
            await courier.finish(5.0)


def hand_on(
    spool: Spool, folder: Folder, server: NextServer, clock: LeapingClock | None = None, **options: Any
) -> None:
    """Until the spool is empty."""

    async def scenario() -> None:
        async with (
            serving(server, **options) as address,
            at_work(spool, address, clock or LeapingClock()),
        ):
            await until(lambda: not folder.names("messages"))

    run(scenario())
    assert folder.everything == {}


def reports(server: NextServer) -> list[dsn.Report]:
    return [dsn.parse(content) for envelope, content in server.taken if envelope.reverse_path is None]


def test_what_an_earlier_program_left(spool: Spool, folder: Folder) -> None:
    server, clock = NextServer(), LeapingClock()
    for number in range(10):
        spool.add(f"{number}", ONE, START, MESSAGE + b"%d\r\n" % number)
    spool.save("3", Progress(left=(0,), attempts=1, due=START + 3600))
    hand_on(spool, folder, server, clock)
    contents = [content for _, content in server.taken]
    assert sorted(contents) == sorted(MESSAGE + b"%d\r\n" % number for number in range(10))
    assert clock.waits == [3600]


def test_pauses_between_attempts(spool: Spool, folder: Folder) -> None:
    server, clock = NextServer(), LeapingClock()
    server.refusals = {BOB: [NOT_NOW] * 5}
    spool.add("one", ONE, START, MESSAGE)
    hand_on(spool, folder, server, clock)
    assert clock.waits == [60, 120, 240, 240, 240]
    assert len(server.taken) == 1


def test_who_has_got_it_does_not_get_it_again(spool: Spool, folder: Folder) -> None:
    server = NextServer()
    server.refusals = {CAROL: [NOT_NOW] * 2}
    spool.add("one", BOTH, START, MESSAGE)
    hand_on(spool, folder, server)
    goals = [[str(recipient.path) for recipient in envelope.recipients] for envelope, _ in server.taken]
    assert goals == [[BOB], [CAROL]]


@pytest.mark.clause("RFC5321-3.6.3a")
def test_a_refusal_is_reported(spool: Spool, folder: Folder) -> None:
    server = NextServer()
    server.refusals = {CAROL: [NO_SUCH]}
    spool.add("one", BOTH, START, MESSAGE)
    hand_on(spool, folder, server)
    (report,) = reports(server)
    (fate,) = report.recipients
    assert (fate.final_recipient.value, fate.action) == (CAROL, dsn.Action.FAILED)
    assert fate.remote_mta == dsn.Typed("dns", "next.local.example")
    (envelope,) = (envelope for envelope, _ in server.taken if envelope.reverse_path is None)
    assert [str(recipient.path) for recipient in envelope.recipients] == [ALICE]


def test_a_report_that_is_refused_is_the_end(spool: Spool, folder: Folder) -> None:
    server = NextServer()
    server.refusals = {BOB: [NO_SUCH], ALICE: [NO_SUCH]}
    spool.add("one", ONE, START, MESSAGE)
    hand_on(spool, folder, server)
    assert server.taken == []


@pytest.mark.clause("RFC3461-5.2.5a", "RFC3461-5.2.6a")
def test_a_delay_and_then_the_end(spool: Spool, folder: Folder) -> None:
    server, clock = NextServer(), LeapingClock()
    server.refusals = {BOB: [NOT_NOW] * 100}
    spool.add("one", ONE, START, MESSAGE)
    hand_on(spool, folder, server, clock)
    told = [(fate.action, str(fate.status)) for report in reports(server) for fate in report.recipients]
    assert len(told) == 2
    assert set(told) == {(dsn.Action.DELAYED, "4.2.0"), (dsn.Action.FAILED, "4.2.0")}
    # The last attempt is made when the time is over, and not later.
    assert sum(clock.waits) == RETRY.give_up_after


@pytest.mark.clause("RFC3461-5.2.2b")
def test_a_server_that_reports_nothing(spool: Spool, folder: Folder) -> None:
    server = NextServer()
    spool.add("one", ehlo.envelope(ALICE, [BOB], notify="success"), START, MESSAGE)
    hand_on(spool, folder, server, extensions=without(DSN))
    (report,) = reports(server)
    assert report.recipients[0].action is dsn.Action.RELAYED


def test_a_server_that_comes_back(spool: Spool, folder: Folder) -> None:
    server, clock, port = NextServer(), LeapingClock(), free_port()
    spool.add("one", ONE, START, MESSAGE)

    async def scenario() -> None:
        async with contextlib.AsyncExitStack() as later, at_work(spool, ("127.0.0.1", port), clock):
            await until(lambda: len(clock.waits) > 2)
            await later.enter_async_context(serving(server, port=port))
            await until(lambda: not folder.names("messages"))

    run(scenario())
    assert MESSAGE in [content for _, content in server.taken]
    assert folder.everything == {}


def test_what_cannot_be_read_is_set_aside(
    spool: Spool, folder: Folder, caplog: pytest.LogCaptureFixture
) -> None:
    server = NextServer()
    (folder.top / "messages" / "bad").write_bytes(b"no envelope\n")
    spool.add("good", ONE, START, MESSAGE)

    async def scenario() -> None:
        async with serving(server) as address, at_work(spool, address, LeapingClock()):
            await until(lambda: not folder.names("messages"))

    run(scenario())
    assert folder.everything == {"bad": ["bad"]}
    assert len(server.taken) == 1
    assert "envelope of message bad cannot be read" in caplog.text


def full_disk(*_: object, **__: object) -> NoReturn:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_report_that_cannot_be_stored_is_tried_again(
    spool: Spool, folder: Folder, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    server, clock = NextServer(), LeapingClock()
    server.refusals = {CAROL: [NO_SUCH] * 2}
    spool.add("one", BOTH, START, MESSAGE)
    left: list[Callable[..., None]] = [full_disk, spool.add]

    def add(*arguments: Any) -> None:
        left.pop(0)(*arguments)

    monkeypatch.setattr(spool, "add", add)
    hand_on(spool, folder, server, clock)
    assert len(reports(server)) == 1
    assert clock.waits == [60]
    assert [len(envelope.recipients) for envelope, content in server.taken if content == MESSAGE] == [1]
    assert "no report on message one could be stored: [Errno 28]" in caplog.text


def test_progress_that_cannot_be_stored_is_remembered(
    spool: Spool, folder: Folder, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    server, clock = NextServer(), LeapingClock()
    server.refusals = {CAROL: [NOT_NOW] * 2}
    spool.add("one", BOTH, START, MESSAGE)
    monkeypatch.setattr(spool, "save", full_disk)
    hand_on(spool, folder, server, clock)
    assert [len(envelope.recipients) for envelope, _ in server.taken] == [1, 1]
    assert clock.waits == [60, 120]
    assert caplog.text.count("progress of message one could not be stored") == 2


def test_a_message_that_cannot_be_removed_is_not_sent_again(
    spool: Spool, folder: Folder, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    server, clock = NextServer(), LeapingClock()
    spool.add("one", ONE, START, MESSAGE)
    left: list[Callable[[str], None]] = [full_disk, full_disk, spool.remove]

    def remove(name: str) -> None:
        left.pop(0)(name)

    monkeypatch.setattr(spool, "remove", remove)
    hand_on(spool, folder, server, clock)
    assert len(server.taken) == 1
    assert clock.waits == [60, 60]
    assert caplog.text.count("message one could not be attempted") == 2


def test_a_report_that_cannot_be_written_holds_nothing_up(
    spool: Spool, folder: Folder, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def never(*_: object) -> NoReturn:
        raise ehlo.LocalProtocolError("no report may say that")

    server = NextServer()
    server.refusals = {CAROL: [NO_SUCH]}
    spool.add("one", BOTH, START, MESSAGE)
    monkeypatch.setattr(Reporter, "report", never)
    hand_on(spool, folder, server)
    assert len(server.taken) == 1
    assert "no report on message one can be written" in caplog.text


def test_all_that_waited_go_when_the_next_server_is_back(spool: Spool, folder: Folder) -> None:
    server, clock, port = NextServer(), LeapingClock(), free_port()
    # Time alone brings none of them back.
    clock.stopped = True
    for name in ("one", "two", "three"):
        spool.add(name, ONE, START, MESSAGE)

    async def scenario() -> None:
        async with (
            contextlib.AsyncExitStack() as later,
            at_work(spool, ("127.0.0.1", port), clock) as courier,
        ):
            await until(lambda: len(courier.queue) == 3 and len(folder.names("progress")) == 3)
            await later.enter_async_context(serving(server, port=port))
            spool.add("new", ONE, START, MESSAGE)
            courier.queue.put("new", 0.0)
            await until(lambda: not folder.names("messages"))

    run(scenario())
    assert len(server.taken) == 4


@pytest.mark.parametrize("error", [OSError(errno.EIO, "broken"), RuntimeError("a defect")], ids=repr)
def test_whatever_goes_wrong_the_message_stays(
    spool: Spool,
    folder: Folder,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    error: Exception,
) -> None:
    server, clock = NextServer(), LeapingClock()
    spool.add("one", ONE, START, MESSAGE)
    real: Callable[[str], Any] = spool.load
    failures = [error]

    def load(name: str) -> Any:
        if failures:
            raise failures.pop()
        return real(name)

    monkeypatch.setattr(spool, "load", load)
    hand_on(spool, folder, server, clock)
    assert len(server.taken) == 1
    assert clock.waits == [60]
    assert "message one could not be attempted" in caplog.text


def test_an_attempt_that_has_begun_is_let_end(spool: Spool, folder: Folder) -> None:
    begun = asyncio.Event()

    class Slow(NextServer):
        async def on_message(
            self, session: ehlo.Session, envelope: ehlo.Envelope, content: bytes
        ) -> ehlo.Reply | None:
            begun.set()
            await asyncio.sleep(0.1)
            return await super().on_message(session, envelope, content)

    server = Slow()
    spool.add("one", ONE, START, MESSAGE)

    async def scenario() -> None:
        async with serving(server) as address, at_work(spool, address, LeapingClock()):
            await begun.wait()

    run(scenario())
    assert len(server.taken) == 1
    assert folder.everything == {}


def test_one_that_does_not_end_is_ended_and_stays(spool: Spool, folder: Folder) -> None:
    begun, over = asyncio.Event(), asyncio.Event()

    class Hanging(NextServer):
        async def on_message(
            self, session: ehlo.Session, envelope: ehlo.Envelope, content: bytes
        ) -> ehlo.Reply | None:
            begun.set()
            await over.wait()
            return None

    spool.add("one", ONE, START, MESSAGE)

    async def scenario() -> None:
        async with serving(Hanging()) as address, at_work(spool, address, LeapingClock()) as courier:
            await begun.wait()
            await courier.finish(0.01)
            over.set()

    run(scenario())
    assert folder.everything == {"messages": ["one"]}


def test_the_log_tells_of_each_recipient(
    spool: Spool, folder: Folder, caplog: pytest.LogCaptureFixture
) -> None:
    server = NextServer()
    server.refusals = {CAROL: [NOT_NOW]}
    spool.add("one", BOTH, START, MESSAGE)
    with caplog.at_level(logging.INFO, "ehlo_io"):
        hand_on(spool, folder, server)
    assert "message one to <bob@local.example> accepted: 250 2.0.0" in caplog.text
    assert "message one to <carol@local.example> put off: 451 4.2.0 Not now" in caplog.text
    assert "message one to <carol@local.example> accepted: 250 2.0.0" in caplog.text
