"""`ehlo submit`: one message to one server."""

from __future__ import annotations

import contextlib
import json
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, Final, cast

import attrs
import click

import ehlo
from ehlo_io._client import ConnectOptions, SubmitOptions
from ehlo_io._common import printable
from ehlo_io.cli.common import File, ca_option, io_option, reason, trace_to_stderr, transcript_option, trust
from ehlo_io.cli.exits import Exit, Failure, complain, status_of, status_of_result
from ehlo_io.cli.message_file import MessageFile, progress_of
from ehlo_io.cli.sessions import SESSIONS, Attempt
from ehlo_io.cli.urls import ServerUrl, server_url

PASSWORD_VARIABLE: Final = "EHLO_PASSWORD"  # noqa: S105 (its name, not its value)
# [RFC5321-4.1.2d] a quoted local part may hold commas.
_ADDRESS = re.compile(r'(?:"(?:[^"\\]|\\.)*"|[^,"])+')


@attrs.frozen(kw_only=True)
class Arguments:
    """The command line."""

    server: ServerUrl
    sender: str
    to: tuple[str, ...]
    file: str
    password_file: Path | None
    token_file: Path | None
    auth: tuple[str, ...]
    client_cert: Path | None
    client_key: Path | None
    allow_ntlmv1: bool
    tls: str | None
    ca: Path | None
    allow_cleartext_auth: bool
    notify: str | None
    ret: str | None
    envid: str | None
    no_pipelining: bool
    no_chunking: bool
    binary: bool
    convert: bool
    io: str
    transcript: bool
    json: bool


@click.command()
@click.option(
    "--server",
    callback=server_url,
    required=True,
    metavar="URL",
    help="SCHEME://[USER@]HOST[:PORT], by submission, submissions, smtp, smtps or lmtp; or smtp:///PATH.",
)
@click.option("--from", "sender", required=True, metavar="ADDRESS", help="The sender; <> for none.")
@click.option(
    "--to",
    required=True,
    multiple=True,
    metavar="ADDRESS[,...]",
    help="A recipient, or several.  [repeatable]",
)
@click.option("--password-file", type=File(), help="The password is its first line.")
@click.option("--token-file", type=File(), help="An OAuth token is its first line.")
@click.option("--auth", multiple=True, metavar="MECHANISM", help="Only this one.  [repeatable]")
@click.option("--client-cert", type=File(), metavar="FILE", help="A client certificate, PEM (EXTERNAL).")
@click.option("--client-key", type=File(), metavar="FILE", help="Its key, where that is elsewhere.")
@click.option("--allow-ntlmv1", is_flag=True, help="Answer old NTLM servers in a form that others can break.")
@click.option(
    "--tls",
    type=click.Choice([mode.value for mode in ehlo.TlsMode]),
    help="What protects the session.  [default: implicit for submissions, smtps and 465, else starttls]",
)
@ca_option
@click.option("--allow-cleartext-auth", is_flag=True, help="Show the password where nothing protects it.")
@click.option("--notify", metavar="WHEN", help="success,failure,delay or some of them, or never.")
@click.option("--ret", type=click.Choice(["full", "hdrs"]), help="What a report returns of the message.")
@click.option("--envid", metavar="ID", help="The name of the message in reports.")
@click.option("--no-pipelining", is_flag=True, help="Wait for each reply.")
@click.option("--no-chunking", is_flag=True, help="Send by DATA, whatever the server offers.")
@click.option("--convert", is_flag=True, help="Encode what the server does not take as it is.")
@click.option("--binary", is_flag=True, help="The message is no text: send its octets as they are.")
@io_option
@transcript_option
@click.option("--json", is_flag=True, help="Print one JSON object.")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, allow_dash=True), default="-")
@click.pass_context
def submit(context: click.Context, /, **given: Any) -> None:
    """Submit FILE, or the standard input, as one message.

    The password for USER is the first line of --password-file, or the value of EHLO_PASSWORD, or asked
    for on a terminal. --auth EXTERNAL, GSSAPI and GSS-SPNEGO do without one, and --auth ANONYMOUS without
    a USER, too.

    Exit status: 0 accepted for all, 65 bad data, 67 recipient refused, 69 unavailable, 75 temporary,
    76 protocol error, 77 authentication refused; 2 wrong usage, 1 a file of an option that is no use.
    """
    context.exit(_submit(Arguments(**given)))


def _submit(arguments: Arguments) -> int:
    url = arguments.server
    try:
        envelope = ehlo.envelope(
            "" if arguments.sender == "<>" else arguments.sender,
            list(addresses(arguments.to)),
            notify=arguments.notify,
            ret=arguments.ret,
            envid=arguments.envid,
        )
    except ehlo.LocalProtocolError as error:
        raise Failure(str(error), Exit.BAD_DATA) from None
    if not envelope.recipients:
        raise Failure("there are no recipients", Exit.BAD_DATA)
    attempt = Attempt()
    report = Report(envelope)
    submit_options = SubmitOptions(
        sender=envelope.reverse_path,
        recipients=envelope.recipients,
        ret=arguments.ret,
        envid=arguments.envid,
        binary=arguments.binary,
        convert=arguments.convert,
    )
    options = _connect_options(arguments)
    try:
        with _message(arguments) as message:
            session = SESSIONS[arguments.io]
            report.result = session(url.where, options, message, submit_options, attempt)
            report.status = status_of_result(report.result)
    except ehlo.Error as error:
        report.status = status_of(error, connected=attempt.connected)
        report.error = f"{error} (the message may have arrived)" if error.in_doubt else str(error)
        report.in_doubt = error.in_doubt
        if isinstance(error, ehlo.SubmissionFailed):
            report.result = error.result
    try:
        report.print_json() if arguments.json else report.print_lines()
    except OSError as error:
        # What became of the message is what counts: another attempt would send it twice.
        complain(f"the report cannot be written: {reason(error)}")
    return int(report.status)


def addresses(given: tuple[str, ...]) -> Iterator[str]:
    """Each address of arguments that may be lists."""
    for text in given:
        for address in _ADDRESS.findall(text):
            stripped = address.strip()
            if stripped:
                yield stripped


@contextlib.contextmanager
def _message(arguments: Arguments) -> Iterator[IO[bytes]]:
    with contextlib.ExitStack() as stack:
        if arguments.file == "-":
            message = MessageFile(sys.stdin.buffer, "the standard input")
        else:
            try:
                file = stack.enter_context(Path(arguments.file).open("rb"))
            except OSError as error:
                raise Failure(f"{arguments.file}: {reason(error)}", Exit.BAD_DATA) from None
            message = MessageFile(file, arguments.file)
            stack.enter_context(progress_of(message, wanted=not arguments.transcript))
        # It has what a binding needs of a file.
        yield cast("IO[bytes]", message)


# ---- arguments to values ----


def _connect_options(arguments: Arguments) -> ConnectOptions:
    url = arguments.server
    tls = ehlo.TlsMode(arguments.tls) if arguments.tls else url.tls
    if arguments.password_file is not None and arguments.token_file is not None:
        raise click.UsageError("--password-file and --token-file exclude each other")
    if arguments.client_key is not None and arguments.client_cert is None:
        raise click.UsageError("--client-key needs --client-cert")
    if url.path is not None and tls is not ehlo.TlsMode.NONE:
        raise click.UsageError("a UNIX socket has no name that a certificate could prove: no --tls")
    options = ConnectOptions(
        tls=tls,
        context=trust(arguments.ca, arguments.client_cert, arguments.client_key),
        auth=_credentials(arguments, url),
        mechanisms=arguments.auth or None,
        allow_cleartext_auth=arguments.allow_cleartext_auth,
        allow_ntlmv1=arguments.allow_ntlmv1,
        pipelining=not arguments.no_pipelining,
        chunking=not arguments.no_chunking,
        lmtp=url.lmtp,
    )
    if arguments.transcript:
        options["trace"] = trace_to_stderr
    return options


def _credentials(arguments: Arguments, url: ServerUrl) -> ehlo.Credentials | None:
    """What --auth, the files and the user in the URL come to."""
    wanted = {name.upper() for name in arguments.auth}
    user = url.username or ""
    if wanted and wanted <= {"EXTERNAL"}:
        return ehlo.External(user)
    if wanted and wanted <= {"ANONYMOUS"}:
        return ehlo.Anonymous(user)
    if wanted and wanted <= {"GSSAPI", "GSS-SPNEGO"}:
        return ehlo.Kerberos(user, _given_password(arguments) or None)
    if url.username is None:
        if wanted or arguments.token_file is not None:
            raise click.UsageError("authentication needs the user's name in the URL of --server")
        return None
    if arguments.token_file is not None:
        return ehlo.Token(user, first_line(arguments.token_file))
    return ehlo.Password(user, _password(arguments, url))


def _password(arguments: Arguments, url: ServerUrl) -> str:
    password = _given_password(arguments)
    if not password and arguments.password_file is None and sys.stdin.isatty():
        password = click.prompt(
            f"Password for {printable(url.username or '')} at {url}", hide_input=True, err=True
        )
    if not password:
        raise Failure(f"no password: use --password-file or {PASSWORD_VARIABLE}", Exit.AUTHENTICATION)
    return password


def _given_password(arguments: Arguments) -> str:
    if arguments.password_file is not None:
        return first_line(arguments.password_file)
    return os.environ.get(PASSWORD_VARIABLE, "")


def first_line(path: Path) -> str:
    try:
        with path.open(encoding="utf-8", newline="\n") as file:
            return file.readline().rstrip("\r\n")
    except OSError as error:
        raise Failure(f"{path}: {reason(error)}") from None
    except UnicodeDecodeError:
        raise Failure(f"{path}: not UTF-8") from None


# ---- what became of it ----


@attrs.define
class Report:
    """What is said at the end."""

    envelope: ehlo.Envelope
    result: ehlo.SubmissionResult | None = None
    error: str | None = None
    in_doubt: bool = False
    status: Exit = Exit.OK

    @property
    def _outcomes(self) -> tuple[ehlo.Outcome, ...]:
        if self.result is not None:
            return self.result.outcomes
        return tuple(ehlo.Outcome(recipient.path, False, None) for recipient in self.envelope.recipients)

    def print_lines(self) -> None:
        """What was accepted on stdout, what was not on stderr."""
        if self.result is None:
            complain(self.error or "nothing was submitted")
            return
        for outcome in self.result.outcomes:
            if outcome.accepted:
                click.echo(printable(f"{outcome.recipient}: accepted: {outcome.reply}"))
            else:
                complain(f"{outcome.recipient}: refused: {outcome.reply or 'not asked for'}")
        for keyword in self.result.dropped:
            complain(f"{keyword} was left out: the server does not offer its extension")

    def print_json(self) -> None:
        if self.error is not None:
            complain(self.error)
        result = self.result
        report = {
            "status": int(self.status),
            "error": self.error,
            "in_doubt": self.in_doubt,
            "reply": _text(result.reply) if result else None,
            "dropped": list(result.dropped) if result else [],
            "recipients": [
                {
                    "address": str(outcome.recipient),
                    "accepted": outcome.accepted,
                    "temporary": outcome.temporary,
                    "reply": _text(outcome.reply),
                }
                for outcome in self._outcomes
            ],
        }
        click.echo(json.dumps(report, indent=2))


def _text(reply: ehlo.Reply | None) -> str | None:
    return None if reply is None else str(reply)
