"""The program `ehlo` as a service that runs for long."""

from __future__ import annotations

import base64
import contextlib
import os
import signal
import socket
import ssl
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import trustme
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

import ehlo
from ehlo_io import blocking
from ehlo_io.cli import systemd as systemd_module

OPEN = "--no-require-auth"
KEPT = {kind: ehlo.StoredSecret.of(kind, PASSWORD, bytes(16)) for kind in ehlo.SecretKind}


# ---- how many may come ----


@each_io
@pytest.mark.parametrize(
    ("option", "code"), [("--max-connections", "421 4.3.2 "), ("--max-per-peer", "421 4.7.0 ")]
)
def test_serve_holds_no_more_than_it_shall(io: str, option: str, code: str) -> None:
    with serving(OPEN, option, 1, "--io", io) as program:
        address = ("127.0.0.1", program.port)
        with Peer.to(address), Peer.silent_to(address) as other:
            assert other.reply().startswith(code)
            assert other.ended()
        assert program.end() == 0
    (line,) = program.err.splitlines()
    assert "a connection was closed: Too many connections" in line
    assert line.endswith("(session with 127.0.0.1)")


@pytest.mark.parametrize("option", ["--max-connections", "--max-per-peer"])
def test_serve_holds_one_at_least(option: str) -> None:
    assert run("serve", OPEN, option, 0).exit_code == 2


# ---- SIGHUP ----


class Files:
    """The certificate and the accounts of a server, and clients that see what it has now."""

    def __init__(self, place: Path) -> None:
        self.certificate, self.users = place / "server.pem", place / "users"
        self.renew()
        self.accounts("alice")

    def renew(self) -> None:
        """A certificate of another authority: nobody who trusts only the last one trusts this one."""
        authority = trustme.CA()
        self.context = ssl.create_default_context(cadata=authority.cert_pem.bytes().decode())
        issued = authority.issue_cert("localhost")
        issued.private_key_and_cert_chain_pem.write_to_path(str(self.certificate))

    def accounts(self, name: str, kind: ehlo.SecretKind = ehlo.SecretKind.PASSWORD) -> None:
        self.users.write_text(f"{name}:{KEPT[kind].text()}\n")

    def options(self) -> tuple[object, ...]:
        return ("--tls-cert", self.certificate, "--users-file", self.users)

    def connect(self, program: Program, name: str, mechanism: str | None = None) -> blocking.Client:
        return program.connect(
            tls="starttls",
            server_name="localhost",
            context=self.context,
            auth=ehlo.Password(name, PASSWORD),
            mechanisms=None if mechanism is None else [mechanism],
        )


def before_long(attempt: Callable[[], blocking.Client]) -> None:
    """A signal is on its way: some client succeeds soon."""
    end = time.monotonic() + PATIENCE
    while True:
        try:
            attempt().close()
        except ehlo.SessionError:
            assert time.monotonic() < end, "nothing changed"
            time.sleep(0.01)
        else:
            return


@each_io
def test_new_sessions_see_new_certificates_and_accounts(io: str, tmp_path: Path) -> None:
    files = Files(tmp_path)
    with serving(*files.options(), "--io", io) as program:
        with files.connect(program, "alice") as old:
            files.renew()
            files.accounts("bob")
            program.process.send_signal(signal.SIGHUP)
            before_long(lambda: files.connect(program, "bob"))
            with pytest.raises(ehlo.AuthenticationFailed):
                files.connect(program, "alice")
            # The session that was open is the old one still.
            old.submit(MESSAGE, sender=SENDER, recipients=[BOB])
        assert program.end() == 0
    assert program.out.startswith(f"from <{SENDER}> to <{BOB}>")


@each_io
def test_an_open_session_authenticates_with_the_new_accounts(io: str, tmp_path: Path) -> None:
    files = Files(tmp_path)
    with serving(*files.options(), "--io", io, "--allow-cleartext-auth") as program:
        with Peer.to(("127.0.0.1", program.port)) as peer:
            peer.ask("EHLO client.test")
            files.accounts("bob")
            program.process.send_signal(signal.SIGHUP)
            before_long(lambda: files.connect(program, "bob"))
            for name, code in (("alice", "535 "), ("bob", "235 ")):
                response = base64.b64encode(f"\0{name}\0{PASSWORD}".encode()).decode()
                assert peer.ask(f"AUTH PLAIN {response}").startswith(code)
        assert program.end() == 0


def test_channel_bindings_are_those_of_the_new_certificate(tmp_path: Path) -> None:
    files = Files(tmp_path)
    with serving(*files.options()) as program:
        files.renew()
        program.process.send_signal(signal.SIGHUP)
        before_long(lambda: files.connect(program, "alice", "SCRAM-SHA-256-PLUS"))
        assert program.end() == 0


def test_the_stored_forms_decide_on_the_mechanisms_anew(tmp_path: Path) -> None:
    files = Files(tmp_path)
    with serving(*files.options()) as program:
        files.connect(program, "alice", "SCRAM-SHA-256").close()
        files.accounts("carol", ehlo.SecretKind.NT_HASH)
        program.process.send_signal(signal.SIGHUP)
        before_long(lambda: files.connect(program, "carol", "NTLM"))
        with pytest.raises(ehlo.AuthenticationFailed) as failed:
            files.connect(program, "carol", "SCRAM-SHA-256")
        assert failed.value.cause is ehlo.AuthCause.NO_MECHANISM
        assert program.end() == 0


@pytest.mark.parametrize("wrong", ["certificate", "users", "nobody"])
def test_what_does_not_load_leaves_the_old_in_its_place(tmp_path: Path, wrong: str) -> None:
    files = Files(tmp_path)
    with serving(*files.options()) as program:
        old = files.context
        files.renew()
        files.accounts("bob")
        if wrong == "certificate":
            files.context = old
            files.certificate.write_text("nothing")
        else:
            files.users.write_text("bob" if wrong == "users" else "")
        name = "bob" if wrong == "certificate" else "alice"
        program.process.send_signal(signal.SIGHUP)
        before_long(lambda: files.connect(program, name))
        assert program.end() == 0
    line = next(line for line in program.err.splitlines() if line.startswith("ERROR"))
    assert "stay as they were" in line
    assert program.err.count("stay as they were") == 1


def test_without_files_a_signal_ends_the_program() -> None:
    with serving(OPEN) as program:
        assert program.end(signal.SIGHUP) == -signal.SIGHUP


# ---- systemd ----


class Systemd:
    """Hears what a service tells, by its path or by an abstract name."""

    def __init__(self, name: str) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.sock.settimeout(PATIENCE)
        self.sock.bind(name.replace("@", "\0", 1))
        self.env = {"NOTIFY_SOCKET": name}

    def heard(self) -> list[str]:
        return self.sock.recv(4096).decode().split("\n")


@pytest.fixture(params=["path", "abstract"])
def systemd(request: pytest.FixtureRequest) -> Iterator[Systemd]:
    with tempfile.TemporaryDirectory(prefix="ehlo-") as directory:
        path = os.path.join(directory, "notify")
        one = Systemd(path if request.param == "path" else f"@{path}")
        with one.sock:
            yield one


@each_io
def test_systemd_hears_how_the_service_is(io: str, tmp_path: Path, systemd: Systemd) -> None:
    files = Files(tmp_path)
    with serving(*files.options(), "--io", io, env=systemd.env) as program:
        assert systemd.heard() == ["READY=1"]
        before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        program.process.send_signal(signal.SIGHUP)
        state, when = systemd.heard()
        assert state == "RELOADING=1"
        assert int(when.removeprefix("MONOTONIC_USEC=")) >= before
        assert systemd.heard() == ["READY=1"]
        assert program.end() == 0
        assert systemd.heard() == ["STOPPING=1"]
    assert program.err == ""


def test_a_service_that_is_not_heard_serves(tmp_path: Path) -> None:
    with serving(OPEN, env={"NOTIFY_SOCKET": str(tmp_path / "nobody")}) as program:
        program.connect().close()
        assert program.end() == 0
    assert [line.partition(": ")[2] for line in program.err.splitlines()] == [
        f"systemd could not be told {state}: No such file or directory" for state in ("READY=1", "STOPPING=1")
    ]


# ---- sockets that systemd passes ----


PASS = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.environ.setdefault("LISTEN_PID", str(os.getpid()))
os.execv(sys.argv[2], sys.argv[2:])
"""


@contextlib.contextmanager
def passing(sock: socket.socket, *options: object, **named: str) -> Iterator[Program]:
    """A server to which it is passed as systemd does: as descriptor 3, and for this process."""
    before = (sys.executable, "-c", PASS, str(sock.fileno()))
    env = {"LISTEN_FDS": "1", "LISTEN_FDNAMES": "mail"} | named
    with serving(OPEN, *options, env=env, before=before, pass_fds=(sock.fileno(),)) as program:
        yield program


def listening(kind: str, directory: str) -> socket.socket:
    if kind == "TCP":
        return socket.create_server(("127.0.0.1", 0))
    sock = socket.socket(socket.AF_UNIX)
    sock.bind(f"\0{directory}" if kind == "abstract" else os.path.join(directory, "mail"))
    sock.listen()
    return sock


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("kind", ["TCP", "UNIX", "abstract"])
@each_io
def test_a_socket_that_systemd_passes(io: str, kind: str, workers: int) -> None:
    with tempfile.TemporaryDirectory(prefix="ehlo-") as directory, listening(kind, directory) as sock:
        options = ("--io", io, "--workers", workers, "--unix", os.path.join(directory, "another"))
        name = sock.getsockname()
        place = {"TCP": f"127.0.0.1:{name[1]}", "UNIX": name, "abstract": f"@{directory}"}[kind]
        # The second one has the same socket: the first has neither shut it down nor removed it.
        for _ in range(2):
            with Peer(_connected(sock)) as early, passing(sock, *options) as program:
                assert program.place == place
                # Whoever came while nobody served was not turned away.
                assert early.reply().startswith("220 ")
                early.ask("QUIT")
                assert program.end() == 0
            assert program.err == ""
        assert os.listdir(directory) == (["mail"] if kind == "UNIX" else [])


def _connected(sock: socket.socket) -> socket.socket:
    client = socket.socket(sock.family)
    client.connect(sock.getsockname())
    return client


@pytest.mark.parametrize("named", [{"LISTEN_PID": "1"}, {"LISTEN_PID": "self"}, {"LISTEN_FDS": "0"}])
def test_sockets_that_are_for_others(named: dict[str, str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as sock, passing(sock, **named) as program:
        assert program.port != sock.getsockname()[1]
        assert program.end() == 0


def test_what_systemd_passes_is_one_socket_that_listens(monkeypatch: pytest.MonkeyPatch) -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as sock,
        socket.socket() as silent,
        socket.socket(type=socket.SOCK_DGRAM) as datagrams,
        open(os.devnull) as file,
    ):
        silent.bind(("127.0.0.1", 0))
        for given, number, complaint in (
            (sock, "2", "LISTEN_FDS is 2: one socket can be served"),
            (sock, "x\ny", "LISTEN_FDS is x?y: one socket can be served"),
            (silent, "1", "what systemd passes is no stream socket that listens"),
            (datagrams, "1", "what systemd passes is no stream socket that listens"),
            (file, "1", "what systemd passes is no socket: Socket operation on non-socket"),
        ):
            # In this process, where another descriptor has the number 3.
            monkeypatch.setattr(systemd_module, "_FIRST", os.dup(given.fileno()))
            monkeypatch.setenv("LISTEN_FDS", number)
            monkeypatch.setenv("LISTEN_FDNAMES", "mail")
            monkeypatch.setenv("LISTEN_PID", str(os.getpid()))
            assert one_line(run("serve", OPEN)) == complaint
            # Nobody whom this process starts is to take them for its own.
            assert [name for name in os.environ if name.startswith("LISTEN_")] == []
            with contextlib.suppress(OSError):
                os.close(systemd_module._FIRST)


def test_lmtp_has_no_place_on_port_25_of_systemd(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(systemd_module, "given_socket", Fake)
    assert one_line(run("serve", OPEN, "--lmtp")).startswith("--lmtp has no place on port 25")


class Fake:
    """A socket on a port that tests may not have."""

    family = socket.AF_INET

    def getsockname(self) -> tuple[str, int]:
        return "127.0.0.1", 25
