"""`ehlo demo`: a server and a client in one process, and proof that the message went across."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import MappingProxyType
from typing import Final, TypeAlias

import click

import ehlo
import ehlo_io.asyncio
import ehlo_io.blocking
from ehlo_io._client import ConnectOptions, SubmitOptions
from ehlo_io._common import printable
from ehlo_io._server import ServeOptions
from ehlo_io.cli.certificates import self_signed
from ehlo_io.cli.common import io_option, say
from ehlo_io.cli.exits import Failure, status_of
from ehlo_io.cli.maildir import Maildir
from ehlo_io.cli.serve import handler_of
from ehlo_io.cli.sessions import SESSIONS, Attempt

_HOST = "127.0.0.1"
_HOSTNAME = "mail.demo.example"
# An account that lives as long as the demo.
_USER, _PASSWORD = "alice", "wonderland"
_SENDER, _RECIPIENT = "alice@demo.example", "bob@demo.example"
MESSAGE: Final = (
    b"From: Alice <alice@demo.example>\r\n"
    b"To: Bob <bob@demo.example>\r\n"
    b"Date: Fri, 21 Nov 1997 09:55:06 -0600\r\n"
    b"Message-ID: <1@demo.example>\r\n"
    b"Subject: Hello\r\n"
    b"\r\n"
    b"A line that is only a dot does not end this message:\r\n"
    b".\r\n"
    b"and this line is its last.\r\n"
)


class Witness(Maildir):
    """A Maildir that remembers how its messages came."""

    session: ehlo.Session | None = None
    envelope: ehlo.Envelope | None = None
    tls: ehlo.TLSInfo | None = None
    identity: ehlo.Identity | None = None

    def on_data(self, session: ehlo.Session, envelope: ehlo.Envelope) -> ehlo.Reply | None:
        self.envelope, self.tls, self.identity = envelope, session.tls, session.identity
        return super().on_data(session, envelope)


@click.command()
@io_option
def demo(io: str) -> None:
    """Start a server with a fresh certificate, submit a message to it, and show what went over the wire.

    STARTTLS, AUTH NTLM, and the parameters of delivery reports.
    """
    with tempfile.TemporaryDirectory(prefix="ehlo-demo-") as directory:
        witness = Witness(Path(directory), _HOSTNAME)
        say(f"The dialogue ({io}):\n")
        try:
            result = _submit(witness, io)
        except ehlo.Error as error:
            raise Failure(str(error), status_of(error, connected=True)) from None
        stored = [path.read_bytes() for path in (Path(directory) / "new").iterdir()]
    say("\nThe message as it was stored:\n")
    for message in stored:
        for line in message.decode("utf-8", "backslashreplace").split("\r\n"):
            say(f"  {printable(line.expandtabs())}")
    checks = _checks(witness, result, stored)
    for what, holds in checks.items():
        say(f"{'ok' if holds else 'NOT OK':<8}{what}")
    if not all(checks.values()):
        raise Failure("the demonstration did not go as it should")


def _show(record: ehlo.WireRecord) -> None:
    # Whoever does not want to read on must not break the dialogue.
    with contextlib.suppress(OSError):
        click.echo(f"  {record}")


def _submit(witness: Witness, io: str) -> ehlo.SubmissionResult:
    made = self_signed(_HOSTNAME)
    handler = handler_of(witness, ehlo.UserStore({_USER: _PASSWORD}))
    server = ServeOptions(tls=made.context, hostname=_HOSTNAME, message_policy=ehlo.MessagePolicy())
    client = ConnectOptions(
        auth=ehlo.Password(_USER, _PASSWORD),
        mechanisms=("NTLM",),
        context=made.trusting(),
        server_name="localhost",
        client_name="client.demo.example",
        trace=_show,
    )
    message = SubmitOptions(
        sender=_SENDER, recipients=[_RECIPIENT], notify="success,failure", ret="hdrs", envid="demo-1"
    )
    return _SERVERS[io](
        handler, server, lambda port: SESSIONS[io]((_HOST, port), client, MESSAGE, message, Attempt())
    )


def _checks(witness: Witness, result: ehlo.SubmissionResult, stored: list[bytes]) -> dict[str, bool]:
    envelope = witness.envelope or ehlo.Envelope(None)
    wishes = [recipient.parameters for recipient in envelope.recipients]
    version = witness.tls.version if witness.tls else "none"
    mechanism = witness.identity.mechanism if witness.identity else "none"
    return {
        f"TLS: {version}": witness.tls is not None,
        f"authentication: {mechanism}": mechanism == "NTLM",
        "RET=HDRS and ENVID arrived": envelope.parameters.get(ehlo.Ret) is ehlo.Ret.HDRS
        and envelope.parameters.get(ehlo.EnvId) == ehlo.EnvId("demo-1"),
        "NOTIFY and ORCPT arrived": wishes
        == [ehlo.Parameters([ehlo.Notify.SUCCESS | ehlo.Notify.FAILURE, ehlo.Orcpt.of(_RECIPIENT)])],
        "the recipient was accepted": len(result.accepted) == 1 and not result.refused,
        "what was stored is what was sent": len(stored) == 1 and stored[0].endswith(b"\r\n" + MESSAGE),
    }


# ---- the server: the client runs beside it, in a thread of its own ----

_Use: TypeAlias = Callable[[int], ehlo.SubmissionResult]


def _serve_asyncio(handler: object, options: ServeOptions, use: _Use) -> ehlo.SubmissionResult:
    async def run() -> ehlo.SubmissionResult:
        async with ehlo_io.asyncio.serve(handler, _HOST, 0, **options) as server:
            return await asyncio.to_thread(use, server.address[1])

    return asyncio.run(run())


def _serve_trio(handler: object, options: ServeOptions, use: _Use) -> ehlo.SubmissionResult:
    import trio  # noqa: PLC0415 (only when asked for)

    import ehlo_io.trio  # noqa: PLC0415

    async def run() -> ehlo.SubmissionResult:
        async with ehlo_io.trio.serve(handler, _HOST, 0, **options) as server:
            return await trio.to_thread.run_sync(use, server.address[1])

    return trio.run(run)


def _serve_blocking(handler: object, options: ServeOptions, use: _Use) -> ehlo.SubmissionResult:
    with ehlo_io.blocking.serve(handler, _HOST, 0, **options) as server:
        return use(server.address[1])


_SERVERS: Final = MappingProxyType(
    {"asyncio": _serve_asyncio, "trio": _serve_trio, "blocking": _serve_blocking}
)
