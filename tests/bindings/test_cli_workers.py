"""`ehlo serve --workers`: several processes, and the one that looks after them."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import signal
import socket
import stat
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.bindings.peers import PATIENCE, Peer
from tests.bindings.programs import (
    BOB,
    MESSAGE,
    PASSWORD,
    SENDER,
    Program,
    each_io,
    one_line,
    run,
    serving,
)
from tests.bindings.test_cli_service import Files, Systemd
from tests.bindings.test_cli_watching import scraped_until

import ehlo
from ehlo.wire import base64
from ehlo_io import blocking
from ehlo_io.cli.exits import Failure
from ehlo_io.cli.runners import Alone
from ehlo_io.cli.workers import Supervisor, Work, pause
from ehlo_io.relay.spool import Spool

OPEN = "--no-require-auth"
TWO = ("--workers", 2)
pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are made by fork(2)")


def workers_of(program: Program) -> list[int]:
    """The processes that it has started."""
    process = program.process.pid
    return [int(word) for word in Path(f"/proc/{process}/task/{process}/children").read_text().split()]


def until(condition: Callable[[], object], what: str) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, what
        time.sleep(0.01)


def submit(program: Program, times: int = 1) -> None:
    for _ in range(times):
        with program.connect() as client:
            client.submit(MESSAGE, sender=SENDER, recipients=[BOB])


def refused(program: Program) -> bool:
    """Nobody listens there any more."""
    try:
        socket.create_connection(("127.0.0.1", program.port), PATIENCE).close()
    except ConnectionError:
        return True
    return False


@pytest.fixture
def systemd() -> Iterator[Systemd]:
    with tempfile.TemporaryDirectory(prefix="ehlo-") as directory:
        one = Systemd(os.path.join(directory, "notify"))
        with one.sock:
            yield one


# ---- what they do together ----


@each_io
def test_they_serve_on_one_socket(io: str) -> None:
    with serving(OPEN, *TWO, "--io", io) as program:
        assert len(workers_of(program)) == 2
        submit(program, 8)
        assert program.end() == 0
    # It is said once where they listen, and that was read already.
    line = f"from <{SENDER}> to <{BOB}>"
    assert [text.startswith(line) for text in program.out.splitlines()] == [True] * 8
    assert program.err == ""


@each_io
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_open_sessions_hear_of_the_end(io: str, number: signal.Signals) -> None:
    with serving(OPEN, *TWO, "--io", io) as program:
        address = ("127.0.0.1", program.port)
        with contextlib.ExitStack() as stack:
            peers = [stack.enter_context(Peer.to(address)) for _ in range(6)]
            program.process.send_signal(number)
            for peer in peers:
                assert peer.reply().startswith("421 ")
                peer.close()
        assert program.process.wait(PATIENCE) == 0
    assert refused(program)


@each_io
def test_on_a_unix_socket(io: str, tmp_path: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="ehlo-") as directory:
        path = os.path.join(directory, "mail")
        with serving(OPEN, *TWO, "--io", io, "--unix", path, "--unix-mode", "660") as program:
            assert program.place == path
            assert stat.S_IMODE(os.stat(path).st_mode) == 0o660
            with blocking.connect_unix(path) as client:
                client.submit(MESSAGE, sender=SENDER, recipients=[BOB])
            assert program.end() == 0
        assert not os.path.lexists(path)


def test_a_maildir_gets_each_message(tmp_path: Path) -> None:
    maildir = tmp_path / "maildir"
    with serving(OPEN, "--workers", 3, "--maildir", maildir) as program:
        threads = [threading.Thread(target=submit, args=(program, 10)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(PATIENCE)
        assert program.end() == 0
    names = [path.name for path in (maildir / "new").iterdir()]
    assert len(names) == 40
    writers = {found[1] for name in names if (found := re.search(r"P([0-9]+)Q", name))}
    assert str(program.process.pid) not in writers
    assert list((maildir / "tmp").iterdir()) == []


def test_lines_of_the_transcript_are_whole() -> None:
    long = "x" * 4000
    read: list[bytes] = []
    with serving(OPEN, *TWO, "--transcript") as program:
        stream = program.process.stderr
        assert stream is not None
        reader = threading.Thread(target=lambda: read.append(stream.read()))
        reader.start()

        def talk() -> None:
            for _ in range(20):
                with Peer.to(("127.0.0.1", program.port)) as peer:
                    for _ in range(2):
                        peer.ask(f"NOOP {long}")
                        # Each octet of it is shown as four.
                        peer.ask("NOOP " + "\x01" * 2000)
                        peer.ask("RSET")

        threads = [threading.Thread(target=talk) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(PATIENCE)
        program.process.send_signal(signal.SIGTERM)
        reader.join(PATIENCE)
        assert program.process.wait(PATIENCE) == 0
    lines = read[0].decode().splitlines()
    forms = (
        r"C: (RSET|QUIT)",
        rf"C: NOOP {long}",
        r"C: NOOP (\\x01)+[\\x0-9]* \.\.\.",
        r"C: \(not a command, [0-9]+ octets\)",
        r"S: [2-5][0-9][0-9][ -].*",
        r"- ?: .*",
    )
    assert len(lines) >= 6 * 20 * (1 + 2 * 6)
    assert [line for line in lines if not any(re.fullmatch(form, line) for form in forms)] == []


@pytest.mark.parametrize("option", ["--max-connections", "--max-per-peer"])
def test_bounds_are_of_each(option: str) -> None:
    with serving(OPEN, *TWO, option, 1) as program:
        address = ("127.0.0.1", program.port)
        welcome = 0
        with contextlib.ExitStack() as stack:
            end = time.monotonic() + PATIENCE
            # Whichever worker is awake takes the next one: in the end both have theirs.
            while welcome < 2 and time.monotonic() < end:
                peer = Peer.silent_to(address)
                if peer.reply().startswith("220 "):
                    stack.enter_context(peer)
                    welcome += 1
                else:
                    peer.close()
            assert welcome == 2
            for _ in range(5):
                with Peer.silent_to(address) as peer:
                    assert peer.reply().startswith("421 ")
            assert program.end() == 0


# ---- when one ends, or all ----


@each_io
def test_another_one_starts_where_one_ended(io: str) -> None:
    with serving(OPEN, *TWO, "--io", io) as program:
        before = workers_of(program)
        os.kill(before[0], signal.SIGKILL)
        until(lambda: len(set(workers_of(program)) - {before[0]}) == 2, "no other one has started")
        submit(program, 4)
        # One that is told to stop is missed, too.
        os.kill(before[1], signal.SIGTERM)
        until(lambda: len(set(workers_of(program)) - set(before)) == 2, "no other one has started")
        submit(program, 4)
        assert program.end() == 0
    first, second = program.err.splitlines()
    assert re.fullmatch(r"ERROR ehlo_io: worker 0 ended with SIGKILL; another one starts in 0(\.1)? s", first)
    assert re.fullmatch(
        r"ERROR ehlo_io: worker 1 ended with status 0; another one starts in 0(\.1)? s", second
    )


def test_the_pause_grows_while_they_end_at_once() -> None:
    pauses = [pause(deaths) for deaths in range(30)]
    assert pauses[:4] == [0.0, 0.1, 0.2, 0.4]
    assert pauses == sorted(pauses)
    assert pauses[-1] == 30.0
    assert pause(10**6) == 30.0


@each_io
def test_none_outlives_the_one_that_looks_after_them(io: str) -> None:
    with serving(OPEN, *TWO, "--io", io) as program:
        with Peer.to(("127.0.0.1", program.port)) as peer:
            program.process.send_signal(signal.SIGKILL)
            program.process.wait(PATIENCE)
            assert peer.ended()
        until(lambda: refused(program), "a worker listens still")


def test_a_worker_that_fails_at_the_start_ends_all(tmp_path: Path) -> None:
    relay = ("--relay", "submission://alice@h.example", "--spool", tmp_path / "spool")
    with pytest.raises(AssertionError) as failed, serving(OPEN, "--workers", 3, *relay):
        pass
    # What it printed: nothing but the one complaint.
    complaint = "ehlo: a user in the URL of --relay needs --relay-password-file or --relay-token-file\\n"
    assert f'b"{complaint}"' in str(failed.value) or f"b'{complaint}'" in str(failed.value)


def test_a_complaint_of_a_worker_is_one_line(tmp_path: Path) -> None:
    key = tmp_path / "two\nlines"
    key.write_text("none")
    relay = ("--relay", "submission://h.example", "--spool", tmp_path / "spool")
    dkim = ("--dkim-key", key, "--dkim-selector", "s", "--dkim-domain", "h.example")
    with pytest.raises(AssertionError) as failed, serving(OPEN, *TWO, *relay, *dkim):
        pass
    assert "two?lines: no RSA or Ed25519 key for DKIM is in it" in str(failed.value)


def test_a_socket_is_made_when_the_spool_is_there(tmp_path: Path) -> None:
    path, spool = tmp_path / "smtp", tmp_path / "spool"
    relay = ("--relay", "submission://h.example", "--spool", spool)
    with contextlib.closing(Spool(spool)):
        result = run("serve", *TWO, OPEN, "--unix", path, *relay)
    assert one_line(result) == f"another process uses the spool {spool}"
    assert not path.exists()


def test_no_room_for_a_process(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    left: list[str] = []
    work = Work(
        count=2,
        serve=lambda number, told: None,
        ended=lambda process: None,
        where="here",
        leave=lambda: left.append("here"),
        renew=None,
    )

    def fork() -> int:
        raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")

    monkeypatch.setattr(os, "fork", fork)
    with pytest.raises(Failure, match=r"^no workers: Resource temporarily unavailable$"):
        Supervisor(work, Alone()).run()
    assert left == ["here"]
    # Those that serve go on.
    supervisor = Supervisor(work, Alone())
    for _ in range(3):
        supervisor._start_again(1)
    assert [record.getMessage().rpartition(" in ")[2] for record in caplog.records] == [
        "0.1 s",
        "0.2 s",
        "0.4 s",
    ]


def test_what_fails_before_there_are_any(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nothing = tmp_path / "nothing.pem"
    nothing.write_text("nothing")
    result = run("serve", *TWO, OPEN, "--tls-cert", nothing)
    assert result.exit_code == 1
    assert one_line(result).startswith(f"the certificate in {nothing} cannot be used: ")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = run("serve", *TWO, OPEN, "--port", port)
    assert one_line(result).startswith(f"no server on 127.0.0.1:{port}: Address already in use")
    monkeypatch.delattr(os, "fork")
    assert one_line(run("serve", *TWO, OPEN)) == "--workers needs fork(2), which this system does not have"


@pytest.mark.parametrize("count", [0, 257, "x"])
def test_how_many_there_can_be(count: object) -> None:
    assert run("serve", OPEN, "--workers", count).exit_code == 2


# ---- SIGHUP and systemd ----


@each_io
def test_all_are_renewed_and_systemd_hears_it_once(io: str, tmp_path: Path, systemd: Systemd) -> None:
    files = Files(tmp_path)
    with serving(*files.options(), *TWO, "--io", io, env=systemd.env) as program:
        assert systemd.heard() == ["READY=1"]
        files.renew()
        files.accounts("bob")
        program.process.send_signal(signal.SIGHUP)
        assert systemd.heard()[0] == "RELOADING=1"
        assert systemd.heard() == ["READY=1"]
        for _ in range(6):
            files.connect(program, "bob").close()
        # Whoever is started later has what the others have.
        before = workers_of(program)
        for process in before:
            os.kill(process, signal.SIGKILL)
        until(lambda: not set(before) & set(workers_of(program)), "no others have started")
        for _ in range(6):
            files.connect(program, "bob").close()
        with pytest.raises(ehlo.AuthenticationFailed):
            files.connect(program, "alice")
        assert program.end() == 0
        assert systemd.heard() == ["STOPPING=1"]


def test_what_does_not_load_leaves_the_old_also_in_later_ones(tmp_path: Path, systemd: Systemd) -> None:
    files = Files(tmp_path)
    with serving(*files.options(), *TWO, env=systemd.env) as program:
        assert systemd.heard() == ["READY=1"]
        files.certificate.write_text("nothing")
        files.accounts("bob")
        program.process.send_signal(signal.SIGHUP)
        assert systemd.heard()[0] == "RELOADING=1"
        assert systemd.heard() == ["READY=1"]
        (first, _) = workers_of(program)
        os.kill(first, signal.SIGKILL)
        until(lambda: first not in workers_of(program), "it does not end")
        for _ in range(6):
            files.connect(program, "bob").close()
        assert program.end() == 0
    assert program.err.count("the certificates stay as they were") == 3


@pytest.mark.clause("RFC5802-5.1g")
def test_nobody_gets_the_same_salt_from_all(tmp_path: Path, systemd: Systemd) -> None:
    kept = ehlo.StoredSecret.of(ehlo.SecretKind.SCRAM_SHA_256, PASSWORD, bytes(16))
    users = tmp_path / "users"
    users.write_text(f"alice:{kept.text()}\n")
    salts = set()
    with serving("--users-file", users, "--workers", 3, env=systemd.env) as program:
        assert systemd.heard() == ["READY=1"]
        for _ in range(2):
            for _ in range(8):
                with Peer.to(("127.0.0.1", program.port)) as peer:
                    peer.ask("EHLO client.example")
                    first = base64.encode(b"n,,n=nobody,r=x").decode()
                    code, _, challenge = peer.ask(f"AUTH SCRAM-SHA-256 {first}").partition(" ")
                    assert code == "334"
                    salts.add(base64.decode(challenge.encode()).split(b",")[1])
            program.process.send_signal(signal.SIGHUP)
            assert systemd.heard()[0] == "RELOADING=1"
            assert systemd.heard() == ["READY=1"]
        assert program.end() == 0
    assert len(salts) == 1


# ---- counters ----


@each_io
def test_metrics_of_all_workers(io: str, tmp_path: Path, systemd: Systemd) -> None:
    files = Files(tmp_path)
    options = (*files.options(), *TWO, "--metrics-port", 0, "--io", io)
    with serving(*options, env=systemd.env) as program:
        assert systemd.heard() == ["READY=1"]

        def submit_some(times: int) -> None:
            for _ in range(times):
                with files.connect(program, "alice") as client:
                    client.submit(MESSAGE, sender=SENDER, recipients=[BOB])

        def counted(messages: float) -> bool:
            def condition(found: Any) -> bool:
                taken = sum(found.get("ehlo_messages_total", {}).values())
                return bool(taken == messages and found["ehlo_connections_open"][()] == 0)

            return bool(scraped_until(program.metrics, condition))

        submit_some(8)
        assert counted(8)
        # The counters stay where they are when all is renewed, and when those who counted are gone.
        program.process.send_signal(signal.SIGHUP)
        assert systemd.heard()[0] == "RELOADING=1"
        assert systemd.heard() == ["READY=1"]
        open_one = files.connect(program, "alice")
        scraped_until(program.metrics, lambda found: found["ehlo_connections_open"][()] == 1)
        before = workers_of(program)
        assert len(before) == 3
        for process in before[:2]:
            os.kill(process, signal.SIGKILL)
        until(lambda: len(set(workers_of(program)) - set(before)) == 2, "no others have started")
        with contextlib.suppress(ehlo.Error):
            open_one.close()
        assert counted(8)
        submit_some(3)
        assert counted(11)
        assert program.end() == 0


def test_counters_where_another_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(AssertionError) as failed, serving(OPEN, *TWO, "--metrics-port", port):
            pass
    assert f"ehlo: no metrics on 127.0.0.1 port {port}: Address already in use" in str(failed.value)
