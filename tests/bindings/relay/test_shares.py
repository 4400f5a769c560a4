"""Spools of several processes: nobody's messages are stranded, at whatever moment a program ends."""

from __future__ import annotations

import contextlib
import os
import threading
from pathlib import Path

import pytest
from tests.bindings.relay.helpers import ALICE, BOB, CAROL, HOSTNAME, MESSAGE, START, Folder, hop
from tests.bindings.relay.test_spool import Killed, killed_at

import ehlo
from ehlo_io.relay import Gateway, RelaySettings
from ehlo_io.relay import shares as module
from ehlo_io.relay.shares import gather, held, share, share_out, shares
from ehlo_io.relay.spool import Progress, Spool

ENVELOPE = ehlo.envelope(ALICE, [BOB, CAROL])
GOT_ONE = Progress(left=(1,), attempts=3, due=START + 60, warned=True)


@pytest.fixture
def top(tmp_path: Path) -> Path:
    return tmp_path / "spool"


def fill(path: Path, *names: str) -> None:
    """A spool with these messages; of each the first recipient is done with."""
    with contextlib.closing(Spool(path)) as spool:
        for name in names:
            spool.add(name, ENVELOPE, START, MESSAGE)
            spool.save(name, GOT_ONE)


def messages(*paths: Path) -> list[str]:
    return [name for path in paths for name in Folder(path).names("messages")]


def check(path: Path, *names: str) -> None:
    """All of these are there, whole, and as far as they got."""
    with contextlib.closing(Spool(path)) as spool:
        assert [name for name, _ in spool.recover()] == sorted(names)
        for name in names:
            with spool.load(name).open() as file:
                assert file.read() == MESSAGE
            assert spool.progress(name) == GOT_ONE
    assert Folder(path).names("tmp") == []


def test_which_there_are(top: Path) -> None:
    for name in ("worker-10", "worker-2", "worker-x", "worker-", "other"):
        (top / name).mkdir(parents=True)
    (top / "worker-3").write_text("a file")
    assert sorted(shares(top)) == [(2, share(top, 2)), (10, share(top, 10))]


def test_fewer_processes(top: Path) -> None:
    for worker in range(4):
        fill(share(top, worker), f"of-{worker}")
    share_out(top, 2).close()
    check(share(top, 0), "of-0", "of-2", "of-3")
    check(share(top, 1), "of-1")
    check(share(top, 2))
    check(share(top, 3))


def test_several_processes_after_one(top: Path) -> None:
    fill(top, "one", "two")
    share_out(top, 2).close()
    check(share(top, 0), "one", "two")
    check(top)


def test_one_process_after_several(top: Path) -> None:
    fill(top, "plain")
    for worker in (0, 1, 12):
        fill(share(top, worker), f"of-{worker}")
    with contextlib.closing(Spool(top)) as spool:
        gather(top, spool)
    check(top, "plain", "of-0", "of-1", "of-12")
    for worker in (0, 1, 12):
        check(share(top, worker))


def test_a_gateway_is_one_process(top: Path) -> None:
    fill(share(top, 0), "one")
    settings = RelaySettings(hop=hop(("127.0.0.1", 587)), hostname=HOSTNAME, spool=top)
    gateway = Gateway(settings)
    assert messages(top) == ["one"]
    with pytest.raises(BlockingIOError):
        Gateway(settings)
    assert gateway._spool is not None
    gateway._spool.close()


def test_a_folder_that_cannot_be_had_is_let_go(top: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_PATIENCE", 0.05)
    settings = RelaySettings(hop=hop(("127.0.0.1", 587)), hostname=HOSTNAME, spool=top)
    with contextlib.closing(Spool(share(top, 0))):
        with pytest.raises(BlockingIOError):
            share_out(top, 2)
        with pytest.raises(BlockingIOError):
            Gateway(settings)
        Spool(top).close()


def test_who_holds_the_folder_keeps_others_out(top: Path) -> None:
    with contextlib.closing(share_out(top, 2)):
        with pytest.raises(BlockingIOError):
            share_out(top, 2)
        with pytest.raises(BlockingIOError):
            Spool(top)
        # The processes have theirs.
        Spool(share(top, 0)).close()
        Spool(share(top, 1)).close()


def test_those_of_a_killed_program_let_go_soon(top: Path) -> None:
    dying = Spool(top)
    timer = threading.Timer(0.1, dying.close)
    timer.start()
    held(top).close()
    timer.join()


def test_what_cannot_be_read_stays_for_a_person(top: Path) -> None:
    fill(share(top, 1), "one")
    (share(top, 1) / "bad" / "odd").write_text("odd")
    share_out(top, 1).close()
    assert Folder(share(top, 1)).everything == {"bad": ["odd"]}


@pytest.mark.clause("RFC5321-2.1a")
@pytest.mark.parametrize("then", ["same", "one process", "fewer"])
def test_it_ends_in_the_middle(top: Path, monkeypatch: pytest.MonkeyPatch, then: str) -> None:
    """Killed at any call to the system, whatever is started next loses nothing and forgets no progress."""
    names = ["of-0", "of-2", "of-3", "plain"]
    # The disk's own pace changes nothing here.
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)
    finished = False
    step = 0
    while not finished:
        place = top / str(step)
        fill(place, "plain")
        for worker in (0, 2, 3):
            fill(share(place, worker), f"of-{worker}")
        with killed_at(step, monkeypatch):
            try:
                share_out(place, 2).close()
                finished = True
            except Killed:
                pass
        places = [place, *(path for _, path in shares(place))]
        assert sorted(messages(*places)) == names
        let_go(place)
        if then == "one process":
            with contextlib.closing(Spool(place)) as spool:
                gather(place, spool)
            check(place, *names)
        else:
            share_out(place, 1 if then == "fewer" else 2).close()
            check(share(place, 0), *names)
        step += 1
    assert step > 20


def let_go(place: Path) -> None:
    """Of the locks that a process would have let go of at its end: the descriptors are still open here."""
    for lock in place.rglob("lock"):
        lock.unlink()
