"""`ehlo serve`: a submission server that stores what it takes in a Maildir, or prints that it came."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import logging
import os
import queue
import signal
import socket
import sys
from collections.abc import Awaitable, Collection, Iterator
from functools import partial
from pathlib import Path
from types import MappingProxyType, SimpleNamespace
from typing import Any, Final, Protocol

import attrs
import click

import ehlo
import ehlo.extensions
import ehlo_io.asyncio
import ehlo_io.blocking
from ehlo_io._common import LOGGER
from ehlo_io._server import ServeOptions
from ehlo_io.cli.certificates import from_files, self_signed, write_authority
from ehlo_io.cli.common import File, io_option, reason, say, trace_to_stderr, transcript_option
from ehlo_io.cli.exits import Failure
from ehlo_io.cli.maildir import Maildir
from ehlo_io.cli.relay_options import RelayArguments, relay_options
from ehlo_io.cli.urls import is_host

PRESETS: Final = MappingProxyType(
    {"oxsmtp-2008": ehlo.OXSMTP_2008, "exchange": ehlo.EXCHANGE, "open-test": ehlo.OPEN_TEST}
)
_STOP: Final = (signal.SIGTERM, signal.SIGINT)


@attrs.frozen(kw_only=True)
class Arguments:
    """The command line."""

    host: str
    port: int
    hostname: str | None
    maildir: Path | None
    tls_cert: Path | None
    tls_key: Path | None
    self_signed: bool
    write_ca: Path | None
    implicit_tls: bool
    user: tuple[str, ...] = attrs.field(repr=False)
    users_file: Path | None
    mechanisms: tuple[str, ...]
    client_ca: Path | None
    keytab: Path | None
    allow_ntlmv1: bool
    no_require_auth: bool
    allow_cleartext_auth: bool
    max_size: int | None
    preset: str
    io: str
    transcript: bool


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=5870, show_default=True, help="0: any free one."
)
@click.option("--hostname", help="What the server calls itself.  [default: the host's name]")
@click.option("--maildir", type=click.Path(file_okay=False, path_type=Path), help="Where messages go.")
@click.option("--tls-cert", type=File(), help="The certificate and its chain, PEM.")
@click.option("--tls-key", type=File(), help="The key, where it is not with the certificate.")
@click.option("--self-signed", is_flag=True, help="A fresh certificate for this machine.")
@click.option("--write-ca", type=click.Path(dir_okay=False, path_type=Path), help="Who vouches for it.")
@click.option("--implicit-tls", is_flag=True, help="TLS from the first octet, without STARTTLS.")
@click.option("--user", multiple=True, metavar="NAME:PASSWORD", help="An account.  [repeatable]")
@click.option("--users-file", type=File(), metavar="FILE", help="Accounts: lines that `ehlo passwd` makes.")
@click.option(
    "--mechanisms", multiple=True, metavar="NAME[,...]", help="Only these, in this order.  [repeatable]"
)
@click.option("--client-ca", type=File(), metavar="FILE", help="Whose client certificates count (EXTERNAL).")
@click.option("--keytab", type=File(), metavar="FILE", help="The key for Kerberos tickets (GSSAPI).")
@click.option("--allow-ntlmv1", is_flag=True, help="Take what old NTLM clients send, and others can break.")
@click.option("--no-require-auth", is_flag=True, help="Take mail from anybody.")
@click.option("--allow-cleartext-auth", is_flag=True, help="Offer PLAIN and LOGIN without TLS.")
@click.option("--max-size", type=click.IntRange(0), metavar="OCTETS", help="Of a message; 0: no limit.")
@relay_options
@click.option("--preset", type=click.Choice(list(PRESETS)), default="oxsmtp-2008", show_default=True)
@io_option
@transcript_option
def serve(**given: Any) -> None:
    """Run a submission server until SIGTERM or SIGINT.

    With --maildir a message is on the disk before its sender hears 250; without it a line about each
    message is printed and the message itself is dropped.
    """
    relay = RelayArguments.taken_from(given)
    arguments = Arguments(**given)
    with _log_on_stderr():
        _serve(arguments, relay)


def _serve(arguments: Arguments, relay: RelayArguments) -> None:
    if not is_host(arguments.host):
        raise Failure(f"--host {arguments.host} is no address")
    hostname = arguments.hostname or socket.gethostname()
    policy = _policy(arguments)
    users = accounts(arguments.user, arguments.users_file)
    if users is None and policy.require_auth:
        raise Failure("authentication is required and there are no accounts (see --user, --no-require-auth)")
    options = ServeOptions(
        hostname=hostname,
        implicit_tls=arguments.implicit_tls,
        policy=policy,
        # A file keeps any octets.
        extensions=(*ehlo.STANDARD, ehlo.extensions.BINARY_MIME, *relay.extensions),
        mechanisms=names(arguments.mechanisms) or None,
        allow_ntlmv1=arguments.allow_ntlmv1,
    )
    _add_tls(options, arguments)
    if arguments.max_size is not None:
        options["limits"] = ehlo.Limits(message_size=arguments.max_size or None)
    if arguments.transcript:
        options["trace"] = trace_to_stderr
    if not policy.require_auth and not _is_loopback(arguments.host):
        LOGGER.warning("mail is taken from anybody who can reach %s", arguments.host)
    run = RUNNERS[arguments.io]
    gateway = relay.gateway(
        hostname, io=arguments.io, maildir=arguments.maildir, transcript=arguments.transcript
    )
    if gateway is not None:
        run = partial(_run_asyncio, beside=gateway)
    storage = gateway.storage if gateway is not None else _storage(arguments.maildir, hostname)
    handler = handler_of(storage, users, arguments.keytab)
    try:
        run(handler, arguments.host, arguments.port, options)
    except ehlo.LocalProtocolError as error:
        raise Failure(str(error)) from None
    except OSError as error:
        where = address_text(arguments.host, arguments.port)
        raise Failure(f"no server on {where}: {reason(error)}") from None


# ---- arguments to values ----


def _policy(arguments: Arguments) -> ehlo.SubmissionPolicy:
    policy = PRESETS[arguments.preset]
    if arguments.no_require_auth:
        policy = attrs.evolve(policy, require_auth=False)
    if arguments.allow_cleartext_auth:
        policy = attrs.evolve(policy, allow_cleartext_auth=True)
    return policy


def accounts(given: tuple[str, ...], file: Path | None) -> ehlo.UserStore | None:
    """The accounts of NAME:PASSWORD arguments and of a file; None for none. No failure repeats a secret."""
    users: dict[str, str | list[ehlo.StoredSecret]] = {}
    if file is not None:
        try:
            users |= ehlo.parse_users(file.read_text("utf-8"))
        except OSError as error:
            raise Failure(f"{file}: {reason(error)}") from None
        except ValueError as error:
            raise Failure(f"{file}: {'not UTF-8' if isinstance(error, UnicodeError) else error}") from None
    for text in given:
        name, colon, password = text.partition(":")
        if not colon or not name:
            raise Failure("--user is NAME:PASSWORD")
        if name in users:
            raise Failure(f"--user {name} is given twice")
        users[name] = password
    try:
        return ehlo.UserStore(users) if users else None
    except ValueError as error:
        raise Failure(f"--user: {error}") from None


def names(given: tuple[str, ...]) -> tuple[str, ...]:
    """Each name of arguments that may be lists."""
    return tuple(name for text in given for name in text.replace(",", " ").split())


def _add_tls(options: ServeOptions, arguments: Arguments) -> None:
    if arguments.self_signed and arguments.tls_cert is not None:
        raise Failure("--self-signed and --tls-cert exclude each other")
    if arguments.write_ca is not None and not arguments.self_signed:
        raise Failure("--write-ca needs --self-signed")
    if arguments.tls_key is not None and arguments.tls_cert is None:
        raise Failure("--tls-key needs --tls-cert")
    if arguments.self_signed:
        made = self_signed(arguments.hostname, arguments.client_ca)
        options["tls"] = made.context
        if arguments.write_ca is not None:
            write_authority(arguments.write_ca, made.authority)
    elif arguments.tls_cert is not None:
        options["tls"] = from_files(arguments.tls_cert, arguments.tls_key, arguments.client_ca)
    elif arguments.implicit_tls:
        raise Failure("--implicit-tls needs --tls-cert or --self-signed")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def address_text(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


# ---- the handler ----


class Storage(Protocol):
    """The hooks that take a message; on asyncio they may be async."""

    @property
    def in_thread(self) -> Collection[str]: ...

    def on_data(self, session: ehlo.Session, envelope: ehlo.Envelope) -> ehlo.Reply | None: ...

    def on_body(self, session: ehlo.Session, data: bytes) -> Awaitable[None] | None: ...

    def on_message(
        self, session: ehlo.Session, envelope: ehlo.Envelope, content: bytes
    ) -> Awaitable[ehlo.Reply | None] | ehlo.Reply | None: ...

    def on_reset(self, session: ehlo.Session) -> None: ...


class Announcer:
    """Keeps nothing of a message but the line that it prints about it."""

    in_thread = frozenset({"on_message"})

    def on_data(self, session: ehlo.Session, envelope: ehlo.Envelope) -> ehlo.Reply | None:
        session.state = 0
        return None

    def on_body(self, session: ehlo.Session, data: bytes) -> None:
        session.state += len(data)

    def on_message(self, session: ehlo.Session, envelope: ehlo.Envelope, content: bytes) -> ehlo.Reply | None:
        goals = ", ".join(f"<{recipient.path}>" for recipient in envelope.recipients)
        click.echo(f"from <{envelope.reverse_path or ''}> to {goals}: {session.state} octets")
        return None

    def on_reset(self, session: ehlo.Session) -> None:
        session.state = 0


def _storage(maildir: Path | None, hostname: str) -> Storage:
    if maildir is None:
        return Announcer()
    try:
        return Maildir(maildir, hostname)
    except OSError as error:
        raise Failure(f"no Maildir in {maildir}: {reason(error)}") from None


def handler_of(storage: Storage, users: ehlo.UserStore | None, keytab: Path | None = None) -> object:
    """The hooks of both; what waits for the disk runs where it stalls nobody else."""
    handler = SimpleNamespace(
        on_data=storage.on_data,
        on_body=storage.on_body,
        on_message=storage.on_message,
        on_reset=storage.on_reset,
        on_auth_refused=log_refusal,
        in_thread=set(storage.in_thread),
    )
    if users is not None:
        handler.on_auth_password = users.on_auth_password
        handler.on_auth_secret = users.on_auth_secret
        handler.on_auth_external = users.on_auth_external
        handler.auth_secrets = users.auth_secrets
        handler.auth_iterations = users.auth_iterations
        handler.in_thread |= users.in_thread
        if keytab is not None:
            os.environ["KRB5_KTNAME"] = str(keytab)
            handler.on_auth_kerberos = partial(_owner, users)
    return handler


def _owner(users: ehlo.UserStore, session: ehlo.Session, principal: str) -> str | None:
    """The user of a principal: by its whole name, or by what stands before the realm."""
    short = principal.rpartition("@")[0]
    return next((name for name in (principal, short) if name in users), None)


def log_refusal(session: ehlo.Session, mechanism: str, why: str, failures: int) -> None:
    """What the client is not told."""
    LOGGER.warning(
        "AUTH %s refused (session with %s, failure %d): %s", mechanism, session.peer, failures, why
    )


# ---- running until a signal ----


def _announce(address: tuple[str, int]) -> None:
    say(f"listening on {address_text(*address)}")


def _run_asyncio(
    handler: object,
    host: str,
    port: int,
    options: ServeOptions,
    beside: contextlib.AbstractAsyncContextManager[object] | None = None,
) -> None:
    async def run() -> None:
        stopped = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in _STOP:
            loop.add_signal_handler(number, stopped.set)
        async with (
            beside or contextlib.nullcontext(),
            ehlo_io.asyncio.serve(handler, host, port, **options) as server,
        ):
            _announce(server.address)
            await stopped.wait()

    asyncio.run(run())


def _run_trio(handler: object, host: str, port: int, options: ServeOptions) -> None:
    import trio  # noqa: PLC0415 (only when asked for)

    import ehlo_io.trio  # noqa: PLC0415

    async def run() -> None:
        with trio.open_signal_receiver(*_STOP) as signals:
            async with ehlo_io.trio.serve(handler, host, port, **options) as server:
                _announce(server.address)
                await anext(aiter(signals))

    trio.run(run)


def _run_blocking(handler: object, host: str, port: int, options: ServeOptions) -> None:
    # An Event could be asked to wake its waiter while the waiter holds its lock; `put` may be
    # called at any moment.
    signals: queue.SimpleQueue[int] = queue.SimpleQueue()
    before = {number: signal.signal(number, lambda number, _: signals.put(number)) for number in _STOP}
    try:
        with ehlo_io.blocking.serve(handler, host, port, **options) as server:
            _announce(server.address)
            signals.get()
    finally:
        for number, previous in before.items():
            signal.signal(number, previous)


RUNNERS: Final = MappingProxyType({"asyncio": _run_asyncio, "trio": _run_trio, "blocking": _run_blocking})


@contextlib.contextmanager
def _log_on_stderr() -> Iterator[None]:
    output = logging.StreamHandler(sys.stderr)
    output.setFormatter(logging.Formatter("%(levelname)s %(name)s: %(message)s"))
    root = logging.getLogger()
    root.addHandler(output)
    try:
        yield
    finally:
        root.removeHandler(output)
