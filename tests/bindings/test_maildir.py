"""The Maildir of `ehlo serve`: durable before 250, and nothing left of what was not accepted."""

import errno
import os
import re
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NoReturn

import pytest

import ehlo
from ehlo import flows
from ehlo_io.cli import maildir as module
from ehlo_io.cli.maildir import Maildir, return_path
from ehlo_io.storage import deposit as storage
from ehlo_io.storage.deposit import Deposit

MESSAGE = b"Subject: dots\r\n\r\n.\r\nand text\r\n"
STUFFED = b"Subject: dots\r\n\r\n..\r\nand text\r\n.\r\n"
HELLO = b"EHLO client.example\r\n"
ENVELOPE = b"MAIL FROM:<alice@local.example>\r\nRCPT TO:<bob@local.example>\r\n"
HOSTNAME = "mail.local.example"


@pytest.fixture
def top(tmp_path: Path) -> Path:
    return tmp_path / "mail" / "dir"


@pytest.fixture
def store(top: Path) -> Maildir:
    return Maildir(top, HOSTNAME)


def files(top: Path, *folders: str) -> list[Path]:
    return [path for folder in folders or ("tmp", "new", "cur") for path in (top / folder).iterdir()]


def serve(store: Maildir, pieces: Iterable[bytes], log: list[str] | None = None) -> bytes:
    """The replies of a server to a client that sends these pieces and then closes."""
    config = ehlo.ServerConfig(hostname=HOSTNAME, policy=ehlo.OPEN_TEST)
    flow = flows.serve(ehlo.ServerConnection(config), flows.hooks_of(store), peer="192.0.2.1")
    waiting = iter(pieces)
    replies: list[bytes] = []
    answer: Any = None
    error: Exception | None = None
    while True:
        try:
            action = flow.send(answer) if error is None else flow.throw(error)
        except StopIteration:
            return b"".join(replies)
        answer = error = None
        match action:
            case flows.Receive():
                answer = next(waiting, b"")
            case flows.Send(data) | flows.Exchange(data):
                replies.append(data)
                if log is not None:
                    log.append(f"sent {data[:3].decode()}")
                answer = next(waiting, b"") if isinstance(action, flows.Exchange) else None
            case flows.Ask(question):
                try:
                    answer = question()
                except Exception as raised:
                    error = raised
            case _:
                pass


def codes(replies: bytes) -> list[str]:
    return re.findall("(?m)^([0-9]{3}) ", replies.decode())


def one_message(*pieces: bytes) -> tuple[bytes, ...]:
    return (HELLO, ENVELOPE, b"DATA\r\n", *(pieces or (STUFFED,)))


def failing(number: int) -> Any:
    def fail(*arguments: object, **named: object) -> NoReturn:
        raise OSError(number, os.strerror(number))

    return fail


def test_message_is_stored_as_it_came_below_the_return_path(store: Maildir, top: Path) -> None:
    assert codes(serve(store, one_message())) == ["220", "250", "250", "250", "354", "250"]
    (stored,) = files(top)
    assert stored.parent == top / "new"
    assert stored.read_bytes() == b"Return-Path: <alice@local.example>\r\n" + MESSAGE


def test_only_the_owner_may_read(store: Maildir, top: Path) -> None:
    serve(store, one_message())
    assert [stat.S_IMODE(path.stat().st_mode) for path in files(top)] == [0o600]
    assert {stat.S_IMODE((top / name).stat().st_mode) for name in ("tmp", "new", "cur")} == {0o700}


def test_a_maildir_that_is_there_is_used(store: Maildir, top: Path) -> None:
    serve(store, one_message())
    serve(Maildir(top, HOSTNAME), one_message())
    assert len(files(top, "new")) == 2


@pytest.mark.clause("RFC5321-2.1a")
def test_file_and_name_are_durable_before_the_reply(
    store: Maildir, top: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log: list[str] = []
    fsync, replace = os.fsync, os.replace

    def logged_fsync(descriptor: int) -> None:
        fsync(descriptor)
        path = Path(os.readlink(f"/proc/self/fd/{descriptor}"))
        log.append("fsync file" if path.parent.name == "tmp" else f"fsync {path.name}")
        if path.parent.name == "tmp":
            assert path.read_bytes().endswith(MESSAGE), "octets that are not in the file yet"

    def logged_replace(source: Path, goal: Path) -> None:
        replace(source, goal)
        log.append("replace")

    monkeypatch.setattr(os, "fsync", logged_fsync)
    monkeypatch.setattr(os, "replace", logged_replace)
    serve(store, one_message(), log=log)
    assert log[log.index("sent 354") + 1 :] == ["fsync file", "replace", "fsync new", "sent 250"]


@pytest.mark.parametrize(
    "pieces",
    [
        pytest.param(one_message(b"Subject: half\r\n"), id="lost in the middle"),
        pytest.param(one_message(b"bare\nnewline\r\n", b".\r\n"), id="refused by policy"),
        pytest.param((HELLO, ENVELOPE, b"RSET\r\n"), id="before the message"),
    ],
)
def test_nothing_is_left_of_a_message_that_was_not_accepted(
    store: Maildir, top: Path, pieces: tuple[bytes, ...]
) -> None:
    serve(store, pieces)
    assert files(top) == []


def test_reset_removes_the_file_at_once(store: Maildir, top: Path) -> None:
    seen = []
    forget = store.on_reset

    class Watched(Maildir):
        def on_reset(self, session: ehlo.Session) -> None:
            seen.append(len(files(top, "tmp")))
            forget(session)
            seen.append(len(files(top, "tmp")))

    serve(Watched(top, HOSTNAME), one_message(b"Subject: half\r\n"))
    # Once before a message begins, for nothing; once at the end of the connection.
    assert seen == [0, 0, 1, 0]


def test_one_session_stores_many_messages(store: Maildir, top: Path) -> None:
    serve(store, (*one_message(), ENVELOPE, b"DATA\r\n", b"second\r\n.\r\n"))
    first, second = sorted((path.read_bytes() for path in files(top, "new")), key=len, reverse=True)
    assert first.endswith(MESSAGE)
    assert second.endswith(b"\r\nsecond\r\n")


@pytest.mark.parametrize(
    ("number", "code"),
    [(errno.ENOSPC, "452"), (errno.EDQUOT, "452"), (errno.EIO, "451")],
    ids=["full", "quota", "broken"],
)
@pytest.mark.parametrize(
    ("owner", "name", "at_data"),
    [
        (os, "open", True),
        (Deposit, "write", False),
        (os, "fsync", False),
        (os, "replace", False),
        (storage, "sync_directory", False),
    ],
)
def test_disk_that_fails(
    store: Maildir,
    top: Path,
    monkeypatch: pytest.MonkeyPatch,
    number: int,
    code: str,
    owner: object,
    name: str,
    at_data: bool,
) -> None:
    """The client hears 452 when there is no room and 451 else; what was written is gone."""

    def broken() -> Iterator[bytes]:
        yield HELLO
        yield ENVELOPE
        if not at_data:
            yield b"DATA\r\n"
        with monkeypatch.context() as patch:
            patch.setattr(owner, name, failing(number))
            yield b"DATA\r\n" if at_data else STUFFED
        assert files(top) == []
        yield b"RSET\r\n"
        yield ENVELOPE
        yield b"DATA\r\n"
        yield STUFFED

    replies = serve(store, broken())
    accepted = ["250", "250", "250", "354", "250"]
    before = ["220", "250", "250", "250", *([] if at_data else ["354"])]
    assert codes(replies) == [*before, code, *accepted]
    assert (b"452 4.3.1 " if code == "452" else b"451 4.3.0 ") in replies
    (stored,) = files(top)
    assert stored.read_bytes().endswith(MESSAGE)


# ---- the header ----


@pytest.mark.clause("RFC5321-4.4h")
@pytest.mark.parametrize(
    "sender", [None, "alice@local.example", '"a b"@local.example', "j\u00f6rg@local.example"]
)
def test_return_path(sender: str | None) -> None:
    envelope = ehlo.envelope(sender, ["bob@local.example"])
    assert return_path(envelope).decode() == f"Return-Path: <{sender or ''}>\r\n"


def test_names_are_unique_and_hold_no_separators() -> None:
    names = {module._unique_name("host/with:separators") for _ in range(1000)}
    assert len(names) == 1000
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+", name) for name in names)
