"""The spool: whole or not at all, at whatever moment the program ends."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.bindings.relay.helpers import ALICE, BOB, CAROL, MESSAGE, START, Folder

import ehlo
from ehlo_io.relay.spool import Progress, Spool, SpoolError

ENVELOPE = ehlo.envelope(ALICE, [BOB, CAROL], envid="314", parameters=[ehlo.RequireTls()])
EARLIER = Progress(left=(0, 1), attempts=1, due=START)
LATER = Progress(left=(1,), attempts=2, due=START + 60, warned=True)


@pytest.fixture
def top(tmp_path: Path) -> Path:
    return tmp_path / "spool"


@pytest.fixture
def spool(top: Path) -> Iterator[Spool]:
    spool = Spool(top)
    yield spool
    spool.close()


@pytest.fixture
def folder(top: Path) -> Folder:
    return Folder(top)


def recovered(spool: Spool) -> list[tuple[str, float]]:
    return list(spool.recover())


def test_a_message_is_read_as_it_was_written(spool: Spool) -> None:
    spool.add("one", ENVELOPE, START, MESSAGE)
    entry = spool.load("one")
    assert (entry.name, entry.envelope, entry.arrival) == ("one", ENVELOPE, START)
    with entry.open() as file:
        assert file.read() == MESSAGE
    assert entry.size == len(MESSAGE)
    assert entry.part([1]).recipients == ENVELOPE.recipients[1:]
    assert entry.part([1]).parameters == ENVELOPE.parameters


def test_a_message_without_octets(spool: Spool) -> None:
    spool.add("one", ENVELOPE, START, b"")
    assert spool.load("one").size == 0


def test_only_the_owner_may_read(spool: Spool, top: Path) -> None:
    spool.add("one", ENVELOPE, START, MESSAGE)
    assert stat.S_IMODE((top / "messages" / "one").stat().st_mode) == 0o600
    assert stat.S_IMODE(top.stat().st_mode) == 0o700


def test_progress(spool: Spool) -> None:
    assert Progress.start(ENVELOPE) == Progress(left=(0, 1))
    assert spool.progress("one") is None
    for progress in (EARLIER, LATER):
        spool.save("one", progress)
        assert spool.progress("one") == progress


@pytest.mark.parametrize("octets", [b"", b"[]", b"{}", b'{"left": [0], "attempts": "x"}', b"\xff"])
def test_progress_that_cannot_be_read_is_none(spool: Spool, top: Path, octets: bytes) -> None:
    (top / "progress" / "one").write_bytes(octets)
    assert spool.progress("one") is None


def test_what_is_done_with_goes(spool: Spool, folder: Folder) -> None:
    spool.add("one", ENVELOPE, START, MESSAGE)
    spool.save("one", EARLIER)
    spool.remove("one")
    assert folder.everything == {}
    spool.remove("one")
    with pytest.raises(FileNotFoundError):
        spool.load("one")


def test_recovery(spool: Spool, folder: Folder) -> None:
    for name in ("three", "one", "two"):
        spool.add(name, ENVELOPE, START, MESSAGE)
    spool.save("two", LATER)
    spool.save("nobody", EARLIER)
    half, _ = spool.begin("half", ENVELOPE, START)
    half.write(b"x")
    assert folder.names("tmp") == ["half"]
    assert recovered(spool) == [("one", 0.0), ("three", 0.0), ("two", LATER.due)]
    assert folder.everything == {"messages": ["one", "three", "two"], "progress": ["two"]}
    half.discard()


def test_one_process_at_a_time(spool: Spool, top: Path) -> None:
    with pytest.raises(BlockingIOError):
        Spool(top)
    spool.close()
    again = Spool(top)
    # The fixture closes a descriptor.
    spool._lock = again._lock


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"\n",
        b"no JSON\n",
        b"[1]\n",
        b'{"version": 2}\n',
        b'{"version": 1, "arrival": 1}\n',
        b'{"version": 1, "arrival": 1, "sender": null, "parameters": ["NONSENSE"], "recipients": []}\n',
        b'{"version": 1, "arrival": null, "sender": null, "parameters": [], "recipients": []}\n',
    ],
)
def test_a_message_that_cannot_be_read_is_set_aside(
    spool: Spool, top: Path, folder: Folder, head: bytes
) -> None:
    (top / "messages" / "one").write_bytes(head + MESSAGE)
    spool.save("one", EARLIER)
    with pytest.raises(SpoolError, match="envelope of message one"):
        spool.load("one")
    spool.set_aside("one")
    assert folder.everything == {"bad": ["one"]}
    assert (top / "bad" / "one").read_bytes() == head + MESSAGE


# ---- the end of the program at any step ----


class Killed(BaseException):
    """The program ends here: nothing that would clean up runs."""


CALLS = ("open", "fsync", "link", "replace", "unlink", "close")


@contextmanager
def killed_at(step: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """No call to the system from this one on does anything."""
    made: list[str] = []
    with monkeypatch.context() as patch:
        for name in CALLS:
            patch.setattr(os, name, _counted(name, getattr(os, name), step, made))
        yield made


def _counted(name: str, real: Callable[..., Any], step: int, made: list[str]) -> Callable[..., Any]:
    def call(*arguments: Any, **named: Any) -> Any:
        made.append(name)
        if len(made) > step:
            raise Killed
        return real(*arguments, **named)

    return call


def killed_everywhere(
    top: Path, monkeypatch: pytest.MonkeyPatch, before: Callable[[Spool], None], act: Callable[[Spool], None]
) -> Iterator[Spool]:
    """The spool as the next process finds it, for each call to the system that the last one could end at."""
    step = 0
    finished = False
    while not finished:
        place = top / str(step)
        spool = Spool(place)
        before(spool)
        with killed_at(step, monkeypatch):
            try:
                act(spool)
                finished = True
            except Killed:
                pass
        spool.close()
        spool = Spool(place)
        yield spool
        assert Folder(place).names("tmp") == []
        spool.close()
        step += 1
    assert step > 1


@pytest.mark.clause("RFC5321-2.1a")
def test_a_message_is_there_whole_or_not_at_all(top: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    def add(spool: Spool) -> None:
        spool.add("one", ENVELOPE, START, MESSAGE)

    for spool in killed_everywhere(top, monkeypatch, lambda _: None, add):
        names = [name for name, _ in spool.recover()]
        seen.append(len(names))
        for name in names:
            with spool.load(name).open() as file:
                assert file.read() == MESSAGE
    # First never, at last always.
    assert seen == sorted(seen)
    assert (seen[0], seen[-1]) == (0, 1)


def test_progress_is_the_old_or_the_new_one(top: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def before(spool: Spool) -> None:
        spool.add("one", ENVELOPE, START, MESSAGE)
        spool.save("one", EARLIER)

    seen = []
    for spool in killed_everywhere(top, monkeypatch, before, lambda spool: spool.save("one", LATER)):
        ((_, due),) = spool.recover()
        progress = spool.progress("one")
        assert progress in (EARLIER, LATER)
        assert progress is not None
        assert due == progress.due
        seen.append(progress)
    assert (seen[0], seen[-1]) == (EARLIER, LATER)


def test_a_message_goes_at_once(top: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def before(spool: Spool) -> None:
        spool.add("one", ENVELOPE, START, MESSAGE)
        spool.save("one", EARLIER)

    seen = []
    for spool in killed_everywhere(top, monkeypatch, before, lambda spool: spool.remove("one")):
        names = recovered(spool)
        assert names in ([("one", EARLIER.due)], [])
        assert (spool.progress("one") is None) == (not names)
        seen.append(len(names))
    assert (seen[0], seen[-1]) == (1, 0)
