"""What the servers here have in common: where they listen, what they offer and what they have stored.

Every server knows alice with the password secret, accepts mail only from who is authenticated, stores what is
for anyone at local.example but refuses the recipient refused@local.example.
"""

import abc
import re
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import attrs
import trustme
from tests.interop.processes import attempts, tail, wait_until_listening

USER, PASSWORD = "alice", "secret"
HOST = "mail.local.example"
"""What each server takes for its own name."""
UNICODE_DOMAIN = "b\u00fccher.example"
"""Where Postfix and Exim store mail for, too."""


@attrs.frozen
class Peer(abc.ABC):
    """A running server."""

    port: int
    """STARTTLS."""
    tls_port: int
    """TLS from the first byte."""
    ca: Path
    """The certificate authority that a client has to trust."""
    mechanisms: tuple[str, ...]
    """What it offers over TLS."""
    top: Path
    """The directory that holds all of it."""
    process: subprocess.Popen[bytes]

    @abc.abstractmethod
    def stored(self, recipient: str) -> list[bytes]:
        """The messages stored for a recipient by now; lines end in CRLF, and headers are added on top."""

    @abc.abstractmethod
    def logs(self) -> tuple[Path, ...]:
        """The files it writes its log to."""

    def secret(self, mechanism: str) -> str:
        """What alice has to present with a mechanism."""
        del mechanism
        return PASSWORD

    def wait_for(self, recipient: str) -> bytes:
        """The one message for a recipient, once it is stored."""
        (message,) = self.wait_for_all(recipient, 1)
        return message

    def wait_for_all(self, recipient: str, count: int) -> list[bytes]:
        """So many messages for a recipient, once they are stored; more are an error."""
        try:
            for _ in attempts(self.process):
                if len(found := self.stored(recipient)) >= count:
                    assert len(found) == count
                    return found
        except (RuntimeError, TimeoutError) as error:
            raise AssertionError(f"no message for {recipient}: {error}\n{self.log()}") from error
        raise AssertionError("unreachable")

    def sender(self, recipient: str) -> str:
        """Who sent the one message that is stored for a recipient, as the server wrote it on top."""
        (message,) = self.stored(recipient)
        (found,) = re.findall(rb"(?m)^Return-[Pp]ath: <(.*)>\r$", message.partition(b"\r\n\r\n")[0])
        return bytes(found).decode("utf-8")

    def wait_until_ready(self) -> None:
        """Return when both ports accept connections; anything else is an error that shows the log."""
        try:
            for listener in (self.port, self.tls_port):
                wait_until_listening(listener, self.process)
        except (RuntimeError, TimeoutError) as error:
            raise RuntimeError(f"{type(self).__name__} does not serve: {error}\n{self.log()}") from error

    def log(self) -> str:
        """The end of its log."""
        return "\n".join(tail(path) for path in self.logs())


@contextmanager
def directory(name: str) -> Iterator[Path]:
    """A directory that other users can reach, which pytest's own cannot; it vanishes afterwards."""
    with tempfile.TemporaryDirectory(prefix=f"ehlo-{name}-") as path:
        top = Path(path)
        top.chmod(0o755)
        yield top


def write_certificates(authority: trustme.CA, place: Path) -> tuple[Path, Path]:
    """Write a server's key and certificate in one file, and the authority in another."""
    server, ca = place / "server.pem", place / "ca.pem"
    authority.issue_cert("localhost", "127.0.0.1").private_key_and_cert_chain_pem.write_to_path(str(server))
    authority.cert_pem.write_to_path(str(ca))
    return server, ca


def write_client_certificate(authority: trustme.CA, file: Path, name: str = USER) -> Path:
    """Write a client's key and certificate, whose common name is a user's."""
    authority.issue_cert(
        f"{name}@local.example", common_name=name
    ).private_key_and_cert_chain_pem.write_to_path(str(file))
    return file


def maildir_messages(maildir: Path, header: str, recipient: str) -> list[bytes]:
    """What a maildir holds for a recipient who is named in a header that the server added."""
    mark = f"\n{header}: {recipient}\n".encode()
    files = sorted((maildir / "new").glob("*"))
    return [file.read_bytes().replace(b"\n", b"\r\n") for file in files if mark in b"\n" + _start(file)]


def _start(file: Path) -> bytes:
    """As much as any server adds: most files are of others, and some are long."""
    with file.open("rb") as opened:
        return opened.read(4096)
