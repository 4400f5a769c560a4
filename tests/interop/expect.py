"""What a test says about one submission: it arrived byte for byte, or it was refused and left no trace."""

import re
from pathlib import Path
from typing import Protocol

import attrs
import trustme
from tests.interop.clients import Client, Job, Outcome
from tests.interop.messages import added_header, fresh_recipient, message
from tests.interop.peer import PASSWORD, USER, write_client_certificate

REFUSED = re.compile(r"(?<!\d)535(?!\d)")
# As curl, swaks, msmtp, Postfix, Exim and ehlo's transcript show what they send.
_AUTH = re.compile(r"(?:> (?:\S+: )?|^C: )AUTH ([\w-]+)", re.MULTILINE)


class Server(Protocol):
    """A running server, foreign or ehlo's."""

    @property
    def port(self) -> int:
        """Where it has STARTTLS."""
        ...

    @property
    def ca(self) -> Path:
        """The certificate authority that a client has to trust."""
        ...

    def secret(self, mechanism: str) -> str:
        """What alice has to present with a mechanism."""
        ...

    def stored(self, recipient: str) -> list[bytes]:
        """The messages stored for a recipient by now, with CRLF."""
        ...

    def wait_for(self, recipient: str) -> bytes:
        """The one message for a recipient, once it is stored."""
        ...

    def log(self) -> str:
        """The end of its log."""
        ...


def job(server: Server, directory: Path, mechanism: str, secret: str = PASSWORD, *, size: int = 0) -> Job:
    """A message in a file, to be submitted to a server."""
    recipient = fresh_recipient()
    file = directory / "message"
    file.write_bytes(message(recipient, size))
    return Job(server.port, server.ca, recipient, file, mechanism, secret)


def right(server: Server, directory: Path, mechanism: str, authority: trustme.CA) -> Job:
    """A message of alice's, who presents what a mechanism wants of her."""
    task = job(server, directory, mechanism, server.secret(mechanism))
    return _certified(task, USER, authority)


def wrong(server: Server, directory: Path, mechanism: str, authority: trustme.CA) -> Job:
    """The same with a wrong password or token, or the certificate of somebody whom no server knows."""
    return _certified(job(server, directory, mechanism, "wrong"), "mallory", authority)


def _certified(task: Job, name: str, authority: trustme.CA) -> Job:
    if task.mechanism != "EXTERNAL":
        return task
    file = write_client_certificate(authority, task.file.with_suffix(".pem"), name)
    return attrs.evolve(task, certificate=file)


def expect_delivered(server: Server, client: Client, task: Job) -> bytes:
    """The client is content, and the server has exactly what was sent; what it put on top."""
    outcome = _outcome(client, task)
    assert outcome.accepted, outcome.output + server.log()
    return added_header(server.wait_for(task.recipient), task.file.read_bytes())


def expect_refused(server: Server, client: Client, task: Job) -> str:
    """The client is told 535, and the server has nothing; what the client printed."""
    outcome = _outcome(client, task)
    assert not outcome.accepted, outcome.output + server.log()
    assert REFUSED.search(outcome.output), outcome.output + server.log()
    assert server.stored(task.recipient) == []
    return outcome.output


def _outcome(client: Client, task: Job) -> Outcome:
    outcome = client(task)
    # A client that prefers another mechanism would prove nothing of this one.
    assert set(_AUTH.findall(outcome.output)) <= {task.mechanism}, outcome.output
    return outcome
