"""`ehlo serve`: a submission server that stores what it takes in a Maildir, or prints that it came."""

from __future__ import annotations

import contextlib
import os
import secrets
import socket
import ssl
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from types import MappingProxyType, SimpleNamespace
from typing import Any, Final

import attrs
import click

import ehlo
import ehlo.extensions
from ehlo import flows
from ehlo_io._common import LOGGER
from ehlo_io._server import ServeOptions
from ehlo_io.cli import policies, systemd
from ehlo_io.cli.accounts import accounts
from ehlo_io.cli.announcer import Announcer, Storage
from ehlo_io.cli.certificates import from_files, self_signed, write_authority
from ehlo_io.cli.common import File, io_option, reason, trace_to_stderr, transcript_option
from ehlo_io.cli.exits import Failure
from ehlo_io.cli.maildir import Maildir
from ehlo_io.cli.places import Place, SharedPlace
from ehlo_io.cli.relay_options import RelayArguments, relay_options
from ehlo_io.cli.renewal import Accounts, LaterServers, Renewal
from ehlo_io.cli.runners import RUNNERS, Alone, Orders, Told, run_asyncio
from ehlo_io.cli.urls import is_host
from ehlo_io.cli.watching import WatchArguments, watch_options
from ehlo_io.cli.workers import Supervisor, Work

PRESETS: Final = MappingProxyType(
    {
        "oxsmtp-2008": ehlo.OXSMTP_2008,
        "exchange": ehlo.EXCHANGE,
        "rfc6409-strict": ehlo.RFC6409_STRICT,
        "open-test": ehlo.OPEN_TEST,
    }
)
_HERE: Final = ("127.0.0.0/8", "::1", flows.UNIX_PEER)


@attrs.frozen(kw_only=True)
class Arguments:
    """The command line."""

    host: str
    port: int
    unix: Path | None
    unix_mode: int
    hostname: str | None
    maildir: Path | None
    tls_cert: Path | None
    tls_key: Path | None
    self_signed: bool
    write_ca: Path | None
    implicit_tls: bool
    proxy_protocol: bool
    proxy_from: tuple[str, ...]
    user: tuple[str, ...] = attrs.field(repr=False)
    users_file: Path | None
    mechanisms: tuple[str, ...]
    client_ca: Path | None
    keytab: Path | None
    allow_ntlmv1: bool
    require_channel_binding: bool
    lmtp: bool
    no_require_auth: bool
    allow_cleartext_auth: bool
    max_size: int | None
    xclient_from: tuple[str, ...]
    max_connections: int | None
    max_per_peer: int | None
    workers: int
    preset: str
    sender: tuple[str, ...]
    no_fixups: bool
    io: str
    transcript: bool


def _octal(context: click.Context, parameter: click.Parameter, value: str) -> int:
    try:
        return int(value, 8)
    except ValueError:
        raise click.BadParameter(f"{value} is not an octal number", context, parameter) from None


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=5870,
    show_default=True,
    help="The port; 0: any free one.",
)
@click.option(
    "--unix", type=click.Path(path_type=Path), metavar="PATH", help="Listen on a UNIX socket instead."
)
@click.option("--unix-mode", callback=_octal, default="600", show_default=True, help="Its permissions.")
@click.option("--hostname", help="What the server calls itself.  [default: the host's name]")
@click.option("--maildir", type=click.Path(file_okay=False, path_type=Path), help="Where messages go.")
@click.option("--tls-cert", type=File(), help="The certificate and its chain, PEM.")
@click.option("--tls-key", type=File(), help="The key, where it is not with the certificate.")
@click.option("--self-signed", is_flag=True, help="A fresh certificate for this machine.")
@click.option(
    "--write-ca",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the authority that vouches for it there, for --ca of clients.",
)
@click.option("--implicit-tls", is_flag=True, help="TLS from the first octet, without STARTTLS.")
@click.option("--proxy-protocol", is_flag=True, help="Each connection begins with a PROXY header (HAProxy).")
@click.option(
    "--proxy-from",
    multiple=True,
    metavar="NETWORK",
    help="Where else proxies are than on this machine.  [repeatable]",
)
@click.option("--user", multiple=True, metavar="NAME:PASSWORD", help="An account.  [repeatable]")
@click.option("--users-file", type=File(), metavar="FILE", help="Accounts: lines that `ehlo passwd` makes.")
@click.option(
    "--mechanisms", multiple=True, metavar="NAME[,...]", help="Only these, in this order.  [repeatable]"
)
@click.option("--client-ca", type=File(), metavar="FILE", help="Whose client certificates count (EXTERNAL).")
@click.option("--keytab", type=File(), metavar="FILE", help="The key for Kerberos tickets (GSSAPI).")
@click.option("--require-channel-binding", is_flag=True, help="Refuse NTLM that does not bind to its TLS.")
@click.option("--allow-ntlmv1", is_flag=True, help="Take what old NTLM clients send, and others can break.")
@click.option("--lmtp", is_flag=True, help="Speak LMTP: LHLO, and a reply for each recipient.")
@click.option("--no-require-auth", is_flag=True, help="Take mail from anybody.")
@click.option("--allow-cleartext-auth", is_flag=True, help="Offer PLAIN and LOGIN without TLS.")
@click.option(
    "--max-size",
    type=click.IntRange(0),
    metavar="OCTETS",
    help="Of a message; 0: no limit.  [default: 67108864]",
)
@click.option(
    "--xclient-from", multiple=True, metavar="NET[,...]", help="Proxies to believe (XCLIENT).  [repeatable]"
)
@click.option("--max-connections", type=click.IntRange(1), metavar="N", help="Open at once; others get 421.")
@click.option("--max-per-peer", type=click.IntRange(1), metavar="N", help="The same of one address.")
@click.option(
    "--workers",
    type=click.IntRange(1, 256),
    default=1,
    show_default=True,
    metavar="N",
    help="Processes that serve; bounds are of each.",
)
@relay_options
@watch_options
@click.option(
    "--preset",
    type=click.Choice(list(PRESETS)),
    default="oxsmtp-2008",
    show_default=True,
    help="Which rules to keep: those of [MS-OXSMTP], of Microsoft's own servers, all of RFC 6409, or next to"
    " none (only for tests).",
)
@policies.sender_option
@policies.fixups_option
@io_option
@transcript_option
def serve(**given: Any) -> None:
    """Run a submission server until SIGTERM or SIGINT.

    At SIGHUP --tls-cert, --tls-key, --client-ca and --users-file are read again, and no session ends.

    With --maildir a message is on the disk before its sender hears 250; without it a line about each
    message is printed and the message itself is dropped.
    """
    relay, watch = RelayArguments.taken_from(given), WatchArguments.taken_from(given)
    arguments = Arguments(**given)
    with watch.logged(), watch.shared(several=arguments.workers > 1):
        _serve(arguments, relay, watch)


def _serve(arguments: Arguments, relay: RelayArguments, watch: WatchArguments) -> None:
    place = _place(arguments)
    if arguments.lmtp and place.port == 25:
        # [RFC2033-5c]
        raise Failure("--lmtp has no place on port 25, which is for SMTP")
    if not is_host(arguments.host):
        raise Failure(f"--host {arguments.host} is no address")
    hostname = arguments.hostname or socket.gethostname()
    policy = _policy(arguments)
    users = Accounts(_users(arguments, policy))
    options = ServeOptions(
        hostname=hostname,
        implicit_tls=arguments.implicit_tls,
        policy=policy,
        # A file keeps any octets.
        extensions=(*ehlo.STANDARD, ehlo.extensions.BINARY_MIME, *relay.extensions),
        mechanisms=names(arguments.mechanisms) or None,
        allow_ntlmv1=arguments.allow_ntlmv1,
        require_channel_binding=arguments.require_channel_binding,
        lmtp=arguments.lmtp,
        xclient_from=names(arguments.xclient_from),
        connections=arguments.max_connections,
        connections_per_peer=arguments.max_per_peer,
        message_policy=policies.message_policy(policy, no_fixups=arguments.no_fixups),
        observers=watch.observers(),
    )
    _add_tls(options, arguments)
    _add_proxies(options, arguments)
    if arguments.max_size is not None:
        options["limits"] = ehlo.Limits(message_size=arguments.max_size or None)
    if arguments.transcript:
        options["trace"] = trace_to_stderr
    if not policy.require_auth and place.public:
        LOGGER.warning("mail is taken from anybody who can reach %s", place.host)
    service = _Service(
        arguments=arguments,
        relay=relay,
        watch=watch,
        policy=policy,
        users=users,
        options=options,
        hostname=hostname,
    )
    if arguments.workers == 1:
        with watch.served():
            service.run(place, Alone())
    else:
        service.run_workers(place)


@attrs.frozen(kw_only=True)
class _Service:
    """What the command line comes to."""

    arguments: Arguments
    relay: RelayArguments
    watch: WatchArguments
    policy: ehlo.SubmissionPolicy
    users: Accounts
    options: ServeOptions
    hostname: str

    def run(self, place: Place, told: Told, worker: int | None = None) -> None:
        """Serve in this process, which may be one of several. Raises Failure."""
        arguments = self.arguments
        run = RUNNERS[arguments.io]
        gateway = self.relay.gateway(
            self.hostname,
            io=arguments.io,
            maildir=arguments.maildir,
            transcript=arguments.transcript,
            tally=self.watch.tally(),
            worker=worker,
        )
        if gateway is not None:
            run = partial(run_asyncio, beside=gateway)
        storage = gateway.storage if gateway is not None else _storage(arguments.maildir, self.hostname)
        handler = partial(_handler, arguments, storage, self.users)
        with _failures(place):
            run(handler(), place, self.options, Orders(told, self._renewal(handler)))

    def run_workers(self, place: Place) -> None:
        """Serve in several processes. Raises Failure."""
        if not hasattr(os, "fork"):
            raise Failure("--workers needs fork(2), which this system does not have")
        arguments = self.arguments
        # Whom nobody knows all of them give the same salt [RFC5802-5.1g].
        self.options["salt_key"] = secrets.token_bytes(32)
        if arguments.maildir is not None:
            # Made before several would make it.
            _storage(arguments.maildir, self.hostname)
        handler = partial(_handler, arguments, Announcer(), self.users)
        # Before the place: who fails here leaves no socket's file behind.
        spool = self.relay.share_out(arguments.workers)
        with _failures(place):
            later, shared = LaterServers(handler(), self.options), SharedPlace(place)
        renewal = self._renewal(handler)

        def serve(worker: int, told: Told) -> None:
            if spool is not None:
                # This process is not to hold the folder when the one that started it is gone.
                spool.close()
            if worker < arguments.workers:
                self.run(shared.place, told, worker)
            else:
                self.watch.tell(told, renews=renewal is not None)

        Supervisor(
            Work(
                # The counters of all have a process of their own: a fork is not for one that has threads.
                count=arguments.workers + self.watch.counts,
                serve=serve,
                ended=self.watch.ended,
                where=str(shared.place),
                leave=shared.close,
                renew=None if renewal is None else partial(renewal, later),
            ),
            Alone(),
        ).run()

    def _renewal(self, handler: Callable[[], object]) -> Renewal | None:
        arguments, made = self.arguments, self.options.get("tls")
        if arguments.tls_cert is None and arguments.users_file is None:
            return None
        load_users = partial(_users, arguments, self.policy)
        return Renewal(self.users, made, load_users, partial(_tls, arguments, made), handler)


@contextlib.contextmanager
def _failures(place: Place) -> Iterator[None]:
    try:
        yield
    except ehlo.LocalProtocolError as error:
        raise Failure(str(error)) from None
    except OSError as error:
        raise Failure(f"no server on {place}: {reason(error)}") from None


# ---- arguments to values ----


def _place(arguments: Arguments) -> Place:
    given = systemd.given_socket()
    if given is not None:
        return Place.of(given)
    return Place(arguments.host, arguments.port, arguments.unix, arguments.unix_mode)


def _policy(arguments: Arguments) -> ehlo.SubmissionPolicy:
    policy = PRESETS[arguments.preset]
    if arguments.no_require_auth:
        policy = attrs.evolve(policy, require_auth=False)
    if arguments.allow_cleartext_auth:
        policy = attrs.evolve(policy, allow_cleartext_auth=True)
    return policy


def _users(arguments: Arguments, policy: ehlo.SubmissionPolicy) -> ehlo.UserStore | None:
    users = accounts(arguments.user, arguments.users_file)
    if users is None and policy.require_auth:
        raise Failure("authentication is required and there are no accounts (see --user, --no-require-auth)")
    return users


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
    if arguments.client_ca is not None and not arguments.self_signed and arguments.tls_cert is None:
        raise Failure("--client-ca needs --tls-cert or --self-signed")
    if arguments.self_signed:
        made = self_signed(arguments.hostname, arguments.client_ca)
        options["tls"] = made.context
        if arguments.write_ca is not None:
            write_authority(arguments.write_ca, made.authority)
    elif arguments.tls_cert is not None:
        options["tls"] = _tls(arguments, None)
    elif arguments.implicit_tls:
        raise Failure("--implicit-tls needs --tls-cert or --self-signed")


def _tls(arguments: Arguments, made: ssl.SSLContext | None) -> ssl.SSLContext | None:
    """From the files as they are now; where there are none, what was made."""
    if arguments.tls_cert is None:
        return made
    return from_files(arguments.tls_cert, arguments.tls_key, arguments.client_ca)


def _add_proxies(options: ServeOptions, arguments: Arguments) -> None:
    if arguments.proxy_protocol:
        options["proxied_from"] = (*_HERE, *arguments.proxy_from)
    elif arguments.proxy_from:
        raise Failure("--proxy-from needs --proxy-protocol")


# ---- the handler ----


def _storage(maildir: Path | None, hostname: str) -> Storage:
    if maildir is None:
        return Announcer()
    try:
        return Maildir(maildir, hostname)
    except OSError as error:
        raise Failure(f"no Maildir in {maildir}: {reason(error)}") from None


def _handler(arguments: Arguments, storage: Storage, users: Accounts) -> SimpleNamespace:
    handler = handler_of(storage, None if users.store is None else users, arguments.keytab)
    policies.add_rights(handler, arguments.sender)
    return handler


def handler_of(
    storage: Storage, users: ehlo.UserStore | Accounts | None, keytab: Path | None = None
) -> SimpleNamespace:
    """The hooks of both; what waits for the disk runs where it stalls nobody else."""
    handler = SimpleNamespace(
        on_data=storage.on_data,
        on_body=storage.on_body,
        on_message=storage.on_message,
        on_reset=storage.on_reset,
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


def _owner(users: ehlo.UserStore | Accounts, session: ehlo.Session, principal: str) -> str | None:
    """The user of a principal: by its whole name, or by what stands before the realm."""
    short = principal.rpartition("@")[0]
    return next((name for name in (principal, short) if name in users), None)
