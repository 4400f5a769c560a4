"""The server under attack, in a process of its own, and the clients that it must not forget."""

from __future__ import annotations

import contextlib
import json
import os
import re
import resource
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import attrs
import trustme
from tests.bindings.programs import ALICE, PASSWORD, USER
from tests.helpers.leaks import forms
from tests.interop.processes import ROOT, end_group, python_environment

from ehlo_io import blocking

PATIENCE = 30.0
"""Seconds after which what does not come about is a failure."""
LONG = bool(os.environ.get("EHLO_ABUSE_LONG"))
"""All of everything, where the test suite takes a part."""
SENDER, RECIPIENT = "alice@local.example", "bob@local.example"
_CONNECTIONS = ("ehlo.server.ServerConnection", *(
    f"ehlo_io._{name}.{kind}Pump"
    for name, kind in (("asyncio_pump", "Asyncio"), ("trio_pump", "Trio"), ("socket_pump", "Socket"))
))  # fmt: skip
_TASKS = ("_asyncio.Task", "trio._core._run.Task")
_NUMBER = re.compile(rb"(?m)^X-Good: ([0-9]+)\r$")


def permit_descriptors(wanted: int) -> int:
    """Let this process and those it starts have so many open files, or as many as there may be."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return soft


@attrs.frozen
class Census:
    """What a server holds."""

    kinds: Mapping[str, int] = attrs.field(repr=False)
    """Objects, by class."""
    threads: int
    descriptors: int
    memory: int
    """Octets."""
    peak: int
    """The most since the census before."""

    @property
    def sessions(self) -> int:
        return sum(self.kinds.get(kind, 0) for kind in _CONNECTIONS)

    @property
    def tasks(self) -> int:
        return sum(self.kinds.get(kind, 0) for kind in _TASKS)

    @property
    def objects(self) -> int:
        return sum(self.kinds.values())

    def more_than(self, before: Census) -> dict[str, int]:
        """The classes that grew, most first."""
        grown = {kind: count - before.kinds.get(kind, 0) for kind, count in self.kinds.items()}
        return dict(sorted(((k, n) for k, n in grown.items() if n > 0), key=lambda pair: -pair[1])[:12])


def good_body(number: int) -> bytes:
    return b"".join(b"%d.%d\r\n..\r\n" % (number, line) for line in range(1 + number % 50))


def good_message(number: int) -> bytes:
    return b"Subject: good\r\nX-Good: %d\r\n\r\n%s" % (number, good_body(number))


@attrs.define(eq=False)
class Target:
    """A running `ehlo serve`."""

    io: str
    port: int
    context: ssl.SSLContext
    maildir: Path
    log: Path
    process: subprocess.Popen[bytes]
    control: socket.socket
    authority: trustme.CA
    accepted: int = 0
    """Messages of the well-behaved, all of which must be there in the end."""
    _lock: threading.Lock = attrs.field(factory=threading.Lock)

    @property
    def address(self) -> tuple[str, int]:
        return ("127.0.0.1", self.port)

    # ---- looking at it ----

    def census(self) -> Census:
        self.control.sendall(b"?")
        line = bytearray()
        while not line.endswith(b"\n"):
            piece = self.control.recv(65536)
            assert piece, f"the server is gone: {self.log.read_text()[-2000:]}"
            line += piece
        return Census(**json.loads(line))

    def at_rest(self) -> Census:
        """When nobody is connected any more, and nobody waits to be: twice the same."""
        end = time.monotonic() + PATIENCE
        before, found = None, self.census()
        while found.sessions or before != found.descriptors:
            assert time.monotonic() < end, f"{found.sessions} do not end: {found}"
            before = found.descriptors
            # To look costs what is looked at its time.
            time.sleep(0.05)
            found = self.census()
        return found

    def stored(self) -> list[bytes]:
        """All messages, the well-behaved and others."""
        return [path.read_bytes() for path in (self.maildir / "new").iterdir()]

    # ---- the well-behaved ----

    def connect(self, **options: Any) -> blocking.Client:
        settings: dict[str, Any] = {
            "tls": "starttls",
            "context": self.context,
            "server_name": "localhost",
            "auth": ALICE,
            "client_name": "good.example",
        }
        return blocking.connect(*self.address, **(settings | options))

    def serve_one(self) -> None:
        """A whole session: its message is accepted."""
        with self._lock:
            number = self.accepted
            with self.connect() as client:
                result = client.submit(good_message(number), sender=SENDER, recipients=[RECIPIENT])
            assert result.reply is not None
            assert result.reply.code == 250
            self.accepted += 1

    @contextlib.contextmanager
    def serving_others(self) -> Iterator[None]:
        """Well-behaved clients come all the while, one after the other, and each is served."""
        over, failures = threading.Event(), list[BaseException]()

        def come() -> None:
            while not over.wait(0.02):
                try:
                    self.serve_one()
                except BaseException as error:
                    failures.append(error)
                    return

        thread = threading.Thread(target=come)
        self.serve_one()
        thread.start()
        try:
            yield
            self.serve_one()
        finally:
            over.set()
            thread.join(PATIENCE)
        assert not thread.is_alive(), "a well-behaved client waits for ever"
        if failures:
            raise failures[0]

    def renew(self) -> None:
        """Another certificate of the same authority, from now on."""
        _write_certificate(self.authority, self.log.parent)
        self.process.send_signal(signal.SIGHUP)

    # ---- its end ----

    def check(self) -> None:
        """After all: no message is lost, doubled or damaged, and the log is clean."""
        numbers = []
        for content in self.stored():
            found = _NUMBER.search(content)
            if found is not None:
                numbers.append(int(found[1]))
                assert content.partition(b"\r\n\r\n")[2] == good_body(numbers[-1])
        assert sorted(numbers) == list(range(self.accepted))
        assert not list((self.maildir / "tmp").iterdir()), "parts of messages are left"
        log = self.log.read_text()
        lines = log.splitlines()
        assert all(line.startswith("WARNING ehlo_io: ") and line.isprintable() for line in lines), log[-4000:]
        assert not any(form in log for form in forms(PASSWORD))

    def end(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(PATIENCE) == 0, self.log.read_text()[-2000:]


def _write_certificate(authority: trustme.CA, place: Path) -> Path:
    certificate, made = place / "server.pem", place / "made.pem"
    authority.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(str(made))
    return made.replace(certificate)


@contextlib.contextmanager
def target(io: str, place: Path, *options: object, **limits: float) -> Iterator[Target]:
    """A server for everybody, with TLS, accounts and a Maildir; `limits` are fields of `ehlo.Limits`."""
    authority = trustme.CA()
    certificate, log, maildir = _write_certificate(authority, place), place / "log", place / "mail"
    context = ssl.create_default_context(cadata=authority.cert_pem.bytes().decode())
    ours, theirs = socket.socketpair()
    ours.settimeout(PATIENCE)
    argv = [sys.executable, "-m", "tests.abuse.watched", str(theirs.fileno()), json.dumps(limits)]
    argv += ["serve", "--port", "0", "--io", io, "--hostname", "mail.local.example", *USER]
    argv += ["--tls-cert", str(certificate), "--maildir", str(maildir)]
    with ours, theirs, log.open("wb") as output:
        process = subprocess.Popen(
            [*argv, *map(str, options)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=output,
            cwd=ROOT,
            env=python_environment(),
            pass_fds=[theirs.fileno()],
            start_new_session=True,
        )
        timer = threading.Timer(PATIENCE, end_group, [process])
        timer.start()
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert line.startswith(b"listening on 127.0.0.1:"), log.read_text()
            timer.cancel()
            theirs.close()
            port = int(line.rpartition(b":")[2])
            yield Target(io, port, context, maildir, log, process, ours, authority)
        finally:
            timer.cancel()
            timer.join()
            end_group(process)
            if process.stdout is not None:
                process.stdout.close()


OPEN = ("--no-require-auth", "--allow-cleartext-auth")
