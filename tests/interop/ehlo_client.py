"""ehlo's own client behind the signature of the foreign ones: in process, or as the command `ehlo submit`."""

import contextlib
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Unpack
from unittest import mock

import attrs
from tests.interop.clients import SENDER, TOKENS, Client, Job, Outcome, run
from tests.interop.peer import PASSWORD, USER, Peer
from tests.interop.processes import python_environment

import ehlo
import ehlo_io
import ehlo_io.blocking
from ehlo_io._client import ConnectOptions

KERBEROS = ("GSSAPI", "GSS-SPNEGO")
_CREDENTIALS: Mapping[str, Callable[[Job], ehlo.Credentials]] = {
    "EXTERNAL": lambda job: ehlo.External(job.authzid),
    **dict.fromkeys(KERBEROS, lambda job: ehlo.Kerberos(authzid=job.authzid, service=job.service)),
    **dict.fromkeys(TOKENS, lambda job: ehlo.Token(job.user, job.password)),
}


def _password(job: Job) -> ehlo.Credentials:
    return ehlo.Password(job.user, job.password, job.authzid)


def submit(job: Job, **options: Unpack[ConnectOptions]) -> Outcome:
    """Submit with `ehlo_io.blocking`; options given here win. The output is the transcript."""
    make = _CREDENTIALS.get(job.mechanism, _password)
    lines: list[str] = []
    certificate = None if job.certificate is None else str(job.certificate)
    chosen: ConnectOptions = {
        "auth": make(job),
        "mechanisms": [job.mechanism],
        "tls": "implicit" if job.implicit_tls else "starttls",
        "context": ehlo_io.client_context(str(job.ca), certificate=certificate),
        "trace": lambda record: lines.append(str(record)),
    }
    chosen.update(options)
    try:
        with (
            mock.patch.dict(os.environ, job.environment),
            ehlo_io.blocking.connect("localhost", job.port, **chosen) as client,
        ):
            client.submit(job.file.read_bytes(), sender=SENDER, recipients=[job.recipient])
    except ehlo.SessionError as error:
        cause = error.cause if isinstance(error, ehlo.AuthenticationFailed) else None
        return Outcome(False, "\n".join([*lines, f"{error!r} ({cause})"]))
    return Outcome(True, "\n".join(lines))


@attrs.frozen
class OpenSession:
    """A session of alice's, ready for messages."""

    client: ehlo_io.blocking.Client
    lines: list[str]
    """Its transcript, which grows."""

    def commands(self, *verbs: str) -> list[str]:
        """What the client said by now, in order, as far as it begins with one of the verbs."""
        said = [line.removeprefix("C: ") for line in self.lines if line.startswith("C: ")]
        return [line for line in said if line.partition(" ")[0] in verbs]


@contextlib.contextmanager
def session(peer: Peer, **options: Unpack[ConnectOptions]) -> Iterator[OpenSession]:
    """Log in to a server over blocking sockets; it ends with QUIT."""
    lines: list[str] = []
    chosen: ConnectOptions = {
        "auth": ehlo.Password(USER, PASSWORD),
        "context": ehlo_io.client_context(str(peer.ca)),
        "trace": lambda record: lines.append(str(record)),
    }
    chosen.update(options)
    with ehlo_io.blocking.connect("localhost", peer.port, **chosen) as client:
        yield OpenSession(client, lines)


def with_options(**options: Unpack[ConnectOptions]) -> Client:
    """The client in process with options of `connect`."""
    return partial(submit, **options)


def command(io: str, *options: str) -> Client:
    """`ehlo submit` over one kind of I/O, with options of its own; the output is its JSON and its errors."""
    return partial(_command, options=("--io", io, *options))


def _command(job: Job, options: tuple[str, ...]) -> Outcome:
    scheme = "submissions" if job.implicit_tls else "submission"
    who = "" if job.mechanism in ("EXTERNAL", *KERBEROS) else f"{job.user}@"
    secret = job.file.with_suffix(".secret")
    secret.write_text(job.password)
    argv = [sys.executable, "-m", "ehlo_io", "submit", "--json", "--auth", job.mechanism, "--ca", str(job.ca)]
    argv += ["--server", f"{scheme}://{who}localhost:{job.port}", "--from", SENDER, "--to", job.recipient]
    if who:
        argv += ["--token-file" if job.mechanism in TOKENS else "--password-file", str(secret)]
    if job.certificate is not None:
        argv += ["--client-cert", str(job.certificate)]
    outcome = run([*argv, *options, str(job.file)], python_environment(job.environment))
    assert "Traceback" not in outcome.output, outcome.output
    assert not who or job.password not in outcome.output
    return outcome
