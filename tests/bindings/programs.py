"""The program `ehlo` run by a test, and the servers it talks to."""

import contextlib
import signal
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import attrs
import pytest
import trustme
from click.testing import CliRunner, Result
from tests.interop.processes import PATIENCE, end_group, python_environment

import ehlo
from ehlo_io import blocking
from ehlo_io.cli import main

PASSWORD = "pass-Word-314"
MESSAGE = b"Subject: test\r\n\r\n.\r\ntext\r\n"
SENDER, BOB, CAROL = "alice@local.example", "bob@local.example", "carol@local.example"

each_io = pytest.mark.parametrize("io", ["asyncio", "trio", "blocking"])


def run(*arguments: object, given: bytes | None = None, password: str | None = PASSWORD) -> Result:
    """Run the program in this process. Whatever it prints, the password is not in it."""
    runner = CliRunner(env={"EHLO_PASSWORD": password})
    result = runner.invoke(main, [str(argument) for argument in arguments], input=given, prog_name="ehlo")
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    assert PASSWORD not in result.output
    return result


def one_line(result: Result) -> str:
    """The one line that tells of a failure."""
    (line,) = result.stderr.splitlines()
    assert line.startswith("ehlo: ")
    return line.removeprefix("ehlo: ")


# ---- a server to talk to ----


class Handler(ehlo.UserStore):
    """Remembers what it took, and refuses whom and what a test names."""

    def __init__(self) -> None:
        super().__init__({"alice": PASSWORD})
        self.refusals: dict[str, ehlo.Reply] = {}
        """By address, "message" or "mail"."""
        self.taken: list[tuple[ehlo.Envelope, bytes]] = []
        self.sessions: list[tuple[ehlo.TLSInfo | None, ehlo.Identity | None]] = []

    def on_mail(self, session: ehlo.Session, path: ehlo.ReversePath, parameters: object) -> ehlo.Reply | None:
        return self.refusals.get("mail")

    def on_rcpt(self, session: ehlo.Session, path: ehlo.ForwardPath, parameters: object) -> ehlo.Reply | None:
        return self.refusals.get(str(path))

    def on_message(self, session: ehlo.Session, envelope: ehlo.Envelope, content: bytes) -> ehlo.Reply | None:
        self.taken.append((envelope, content))
        self.sessions.append((session.tls, session.identity))
        return self.refusals.get("message")


@attrs.frozen
class Peer:
    """A server in this process and the arguments that reach it."""

    handler: Handler
    port: int
    ca: Path
    message: Path

    @property
    def url(self) -> str:
        return f"submission://alice@localhost:{self.port}"

    def submit(
        self, *options: object, file: object = None, given: bytes | None = None, **named: Any
    ) -> Result:
        file = self.message if file is None else file
        named = {"server": self.url, "from": SENDER, "to": BOB, "ca": self.ca, "io": "blocking"} | named
        pairs = [word for name, value in named.items() for word in (f"--{name}", value) if value is not None]
        return run("submit", *pairs, *options, file, given=given)


@contextlib.contextmanager
def peer(
    tmp_path: Path, authority: trustme.CA, handler: Handler | None = None, **options: Any
) -> Iterator[Peer]:
    ca, message = tmp_path / "ca.pem", tmp_path / "message"
    authority.cert_pem.write_to_path(str(ca))
    message.write_bytes(MESSAGE)
    context = blocking_context(authority)
    handler = handler or Handler()
    arguments = {"tls": context, "hostname": "mail.local.example"} | options
    with blocking.serve(handler, "127.0.0.1", 0, **arguments) as server:
        yield Peer(handler, server.address[1], ca, message)


def blocking_context(authority: trustme.CA) -> Any:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    return context


@contextlib.contextmanager
def scripted(talk: Callable[[socket.socket], None]) -> Iterator[int]:
    """The port of a server that does with its one client whatever a test wants."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(PATIENCE)

        def accept() -> None:
            with contextlib.suppress(OSError):
                client, _ = listener.accept()
                with client:
                    client.settimeout(PATIENCE)
                    talk(client)

        thread = threading.Thread(target=accept)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            thread.join(PATIENCE)


@attrs.define
class Program:
    """A running `ehlo serve`; its output is there when it has ended."""

    process: subprocess.Popen[bytes]
    place: str
    """Where it said that it listens."""
    port: int = 0
    metrics: str = ""
    """The URL of its counters."""
    out: str = ""
    err: str = ""

    def end(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        out, err = self.process.communicate(timeout=PATIENCE)
        self.out, self.err = out.decode(), err.decode()
        assert "Traceback" not in self.err, self.err
        assert PASSWORD not in self.out + self.err
        return self.process.returncode

    def connect(self, **options: Any) -> blocking.Client:
        plain: dict[str, Any] = {"tls": "none", "client_name": "client.example"}
        return blocking.connect("127.0.0.1", self.port, **(plain | options))


LISTENING = (b"listening on 127.0.0.1:", b"listening on /", b"listening on @")


@contextlib.contextmanager
def serving(
    *options: object,
    env: Mapping[str, str] | None = None,
    before: tuple[str, ...] = (),
    pass_fds: tuple[int, ...] = (),
) -> Iterator[Program]:
    """`before` is a program with arguments that runs another one in its own place."""
    argv = [*before, sys.executable, "-m", "ehlo_io", "serve", "--port", "0", *map(str, options)]
    process = subprocess.Popen(
        argv,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        pass_fds=pass_fds,
        env=python_environment(env),
        start_new_session=True,
    )
    # A program that says nothing is ended, which ends the wait for its first line.
    timer = threading.Timer(PATIENCE, end_group, [process])
    timer.start()
    try:
        assert process.stdout is not None
        assert process.stderr is not None
        line, metrics = process.stdout.readline(), ""
        if line.startswith(b"metrics on "):
            metrics, line = line.decode().removeprefix("metrics on ").rstrip(), process.stdout.readline()
        timer.cancel()
        assert line.startswith(LISTENING), line + process.stderr.read()
        place = line.decode().removeprefix("listening on ").rstrip()
        port = 0 if place.startswith(("/", "@")) else int(place.rpartition(":")[2])
        yield Program(process, place, port, metrics)
    finally:
        timer.cancel()
        end_group(process)
        timer.join()
        for stream in (process.stdout, process.stderr):
            if stream is not None:
                stream.close()


USER = ("--user", f"alice:{PASSWORD}")
ALICE = ehlo.Password("alice", PASSWORD)
