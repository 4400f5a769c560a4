"""ehlo's server in threads of the test's own process, with a handler that knows tokens and shows who came."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Unpack

import attrs
import trustme
from tests.interop.clients import TOKENS
from tests.interop.peer import PASSWORD, USER, write_certificates

import ehlo
import ehlo_io
import ehlo_io.blocking
from ehlo_io._server import ServeOptions

TOKEN = "a.good-token~1"


@attrs.frozen
class Kept:
    """One message that was taken."""

    identity: ehlo.Identity | None
    envelope: ehlo.Envelope
    content: bytes

    @property
    def recipients(self) -> tuple[str, ...]:
        """Whom it is for."""
        return tuple(str(recipient.path) for recipient in self.envelope.recipients)


class Mailbox(ehlo.UserStore):
    """Knows alice by her password and her token, and keeps what arrives."""

    def __init__(self) -> None:
        super().__init__({USER: PASSWORD})
        self.kept: list[Kept] = []

    def on_auth_token(
        self, session: ehlo.Session, username: str, token: str, host: str, port: int
    ) -> str | None:
        return USER if token == TOKEN else None

    def on_message(self, session: ehlo.Session, envelope: ehlo.Envelope, content: bytes) -> None:
        self.kept.append(Kept(session.identity, envelope, content))


@attrs.frozen
class InProcess:
    """A running server."""

    port: int
    ca: Path
    mailbox: Mailbox

    def secret(self, mechanism: str) -> str:
        """What alice has to present with a mechanism."""
        return TOKEN if mechanism in TOKENS else PASSWORD

    def identity(self, recipient: str) -> ehlo.Identity | None:
        """Who sent the one message for a recipient."""
        (found,) = self._kept(recipient)
        return found.identity

    def envelope(self, recipient: str) -> ehlo.Envelope:
        """How the one message for a recipient was sent."""
        (found,) = self._kept(recipient)
        return found.envelope

    def stored(self, recipient: str) -> list[bytes]:
        """The messages for a recipient by now."""
        return [each.content for each in self._kept(recipient)]

    def _kept(self, recipient: str) -> list[Kept]:
        return [each for each in self.mailbox.kept if recipient in each.recipients]

    def wait_for(self, recipient: str) -> bytes:
        """The one message for a recipient: it is kept before its client hears of it."""
        (found,) = self.stored(recipient)
        return found

    def log(self) -> str:
        """What went wrong went to the log of the test."""
        return ""


@contextlib.contextmanager
def serving(
    top: Path, authority: trustme.CA, *, newest_tls: bool = True, **options: Unpack[ServeOptions]
) -> Iterator[InProcess]:
    """Run a server with a certificate of the authority; without the newest TLS it is TLS 1.2."""
    certificate, ca = write_certificates(authority, top)
    context = ehlo_io.server_context(str(certificate))
    if not newest_tls:
        context.maximum_version = context.minimum_version
    options["tls"] = context
    mailbox = Mailbox()
    with ehlo_io.blocking.serve(mailbox, port=0, **options) as server:
        yield InProcess(server.address[1], ca, mailbox)
