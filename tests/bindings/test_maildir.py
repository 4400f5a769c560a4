"""The Maildir of `ehlo serve`: durable before 250, and nothing left of what was not accepted."""

import errno
import os
import re
import stat
from collections.abc import Iterable, Iterator
from email import message_from_bytes
from email.utils import parsedate_to_datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NoReturn

import pytest

import ehlo
from ehlo import flows
from ehlo_io.cli import maildir as module
from ehlo_io.cli.maildir import Maildir, added_header
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


@pytest.mark.clause("RFC5321-4.4a", "RFC5321-4.4b", "RFC5321-4.4e")
def test_message_is_stored_as_it_came_below_new_header_lines(store: Maildir, top: Path) -> None:
    assert codes(serve(store, one_message())) == ["220", "250", "250", "250", "354", "250"]
    (stored,) = files(top)
    assert stored.parent == top / "new"
    content = stored.read_bytes()
    assert content.endswith(MESSAGE)
    header = content.removesuffix(MESSAGE)
    assert header.startswith(
        b"Return-Path: <alice@local.example>\r\nReceived: from client.example ([192.0.2.1])\r\n"
    )
    received = message_from_bytes(header)["Received"]
    clauses, _, date = received.partition(";")
    assert " ".join(clauses.split()) == (
        f"from client.example ([192.0.2.1]) by {HOSTNAME} with ESMTP for <bob@local.example>"
    )
    assert parsedate_to_datetime(date.strip()).tzinfo is not None


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


# ---- the header lines ----


def session(**facts: Any) -> Any:
    """What the header lines are made from; a stand-in for a Session in any state."""
    plain = {
        "peer": "192.0.2.1",
        "client_name": "client.example",
        "extended": True,
        "tls": None,
        "identity": None,
    }
    return SimpleNamespace(**(plain | facts))


def received(envelope: ehlo.Envelope, **facts: Any) -> str:
    header = added_header(session(**facts), envelope, HOSTNAME).decode()
    assert re.fullmatch(r"(?:[!-9;-~]+:[ -~]*\r\n(?:\t[ -~]*\r\n)*)*", header)
    return " ".join(header.partition("Received: ")[2].split())


TLS = ehlo.TLSInfo(version="TLSv1.3", cipher="TLS_AES_128_GCM_SHA256")
IDENTITY = ehlo.Identity("alice", "alice", "PLAIN")
NOBODY = ehlo.Identity("anonymous", "anonymous", "ANONYMOUS", anonymous=True)
TO_BOB = ehlo.envelope("alice@local.example", ["bob@local.example"])
TO_TWO = ehlo.envelope("alice@local.example", ["bob@local.example", "carol@local.example"])


@pytest.mark.clause("RFC3848-1a", "RFC5321-4.4f", "RFC4954-7a", "RFC4505-2c")
@pytest.mark.parametrize(
    ("facts", "protocol"),
    [
        ({"extended": False}, "SMTP"),
        ({}, "ESMTP"),
        ({"tls": TLS}, "ESMTPS"),
        ({"identity": IDENTITY}, "ESMTPA"),
        ({"tls": TLS, "identity": IDENTITY}, "ESMTPSA"),
        ({"tls": TLS, "identity": NOBODY}, "ESMTPS"),
    ],
)
def test_protocol_says_how_the_message_came(facts: dict[str, Any], protocol: str) -> None:
    assert f" with {protocol} for " in received(TO_BOB, **facts)


@pytest.mark.clause("RFC6531-3.7.3a")
@pytest.mark.parametrize(
    ("facts", "protocol"), [({}, "UTF8SMTP"), ({"tls": TLS, "identity": IDENTITY}, "UTF8SMTPSA")]
)
def test_protocol_says_that_there_was_more_than_ascii(facts: dict[str, Any], protocol: str) -> None:
    to_bob = ehlo.envelope("alice@local.example", ["bob@local.example"], parameters=[ehlo.SmtpUtf8()])
    assert f" with {protocol} for " in received(to_bob, **facts)


@pytest.mark.clause("RFC5321-4.4c", "RFC5321-7.2a")
def test_recipients_are_named_only_when_there_is_one() -> None:
    assert " for <bob@local.example>;" in received(TO_BOB)
    assert " with ESMTP; " in received(TO_TWO)
    assert "carol" not in received(TO_TWO)


@pytest.mark.clause("RFC8314-4b", "RFC8314-4.3a")
def test_cipher_suite_is_named_when_its_registered_name_is_known() -> None:
    assert " for <bob@local.example> tls TLS_AES_128_GCM_SHA256;" in received(TO_BOB, tls=TLS)
    old = ehlo.TLSInfo(version="TLSv1.2", cipher="ECDHE-RSA-AES128-GCM-SHA256")
    assert " tls " not in received(TO_BOB, tls=old)


@pytest.mark.parametrize(
    ("peer", "literal"),
    [
        ("192.0.2.1", "[192.0.2.1]"),
        ("2001:db8::1", "[IPv6:2001:db8::1]"),
        ("fe80::1%eth0", "[IPv6:fe80::1]"),
        (None, "[0.0.0.0]"),
        ("/run/socket", "[0.0.0.0]"),
    ],
)
def test_peer_is_an_address_literal(peer: str | None, literal: str) -> None:
    assert received(TO_BOB, peer=peer).startswith(f"from client.example ({literal}) by ")


@pytest.mark.clause("RFC5321-4.4g")
@pytest.mark.parametrize("name", [None, "", "a b", "a(b", "a\r\nX: y", "\u00e9.example", "x" * 256])
def test_client_name_that_is_no_name_is_not_repeated(name: str | None) -> None:
    assert received(TO_BOB, client_name=name).startswith("from [192.0.2.1] ([192.0.2.1]) by ")


def test_null_sender() -> None:
    header = added_header(session(), ehlo.envelope(None, ["bob@local.example"]), HOSTNAME)
    assert header.startswith(b"Return-Path: <>\r\n")


def test_names_are_unique_and_hold_no_separators() -> None:
    names = {module._unique_name("host/with:separators") for _ in range(1000)}
    assert len(names) == 1000
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+", name) for name in names)
