"""The options of `ehlo serve` that make it hand on what it takes."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, Final

import attrs
import click

import ehlo
from ehlo.extensions import REQUIRETLS
from ehlo_io._client import ConnectOptions
from ehlo_io.cli.common import File, reason, trace_to_stderr, trust, with_options
from ehlo_io.cli.exits import Failure
from ehlo_io.cli.urls import ServerUrl, server_url
from ehlo_io.dkim import Signer
from ehlo_io.relay.fitting import Sign
from ehlo_io.relay.gateway import Gateway, RelaySettings
from ehlo_io.relay.hop import Hop
from ehlo_io.relay.queue import Retry
from ehlo_io.relay.shares import share, share_out
from ehlo_io.relay.spool import Spool
from ehlo_io.relay.tally import Tally

_UNITS: Final = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}
_DURATION: Final = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,6})?)([smhd]?)")


class Duration(click.ParamType[float]):
    """Seconds, as a number or with a unit: 90, 15m, 4h, 5d."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        if isinstance(value, float):
            return value
        found = _DURATION.fullmatch(str(value))
        if found is None:
            self.fail("a duration is a number and s, m, h or d", param, ctx)
        return float(found[1]) * _UNITS[found[2]]


# What says nothing without --relay.
_FOR_RELAY: Final = frozenset(
    {
        "spool",
        "relay_password_file",
        "relay_token_file",
        "relay_auth",
        "relay_tls",
        "relay_ca",
        "dkim_key",
        "dkim_selector",
        "dkim_domain",
    }
)


def _url(context: click.Context, parameter: click.Parameter, value: str | None) -> ServerUrl | None:
    return None if value is None else server_url(context, parameter, value)


_OPTIONS: Final = (
    click.option(
        "--relay", callback=_url, metavar="URL", help="Hand on to this server: SCHEME://[USER@]HOST[:PORT]"
    ),
    click.option(
        "--relay-mode",
        type=click.Choice(["spool", "through"]),
        default="spool",
        show_default=True,
        help="Store and try until it is done, or let the client wait for the next server's reply.",
    ),
    click.option("--spool", type=click.Path(file_okay=False, path_type=Path), help="Where messages wait."),
    click.option("--relay-password-file", type=File(), help="The password is its first line."),
    click.option("--relay-token-file", type=File(), help="An OAuth token is its first line."),
    click.option("--relay-auth", multiple=True, metavar="MECHANISM", help="Only this one.  [repeatable]"),
    click.option(
        "--relay-tls",
        type=click.Choice([mode.value for mode in ehlo.TlsMode]),
        help="How it is protected.  [default: as `ehlo submit --tls`]",
    ),
    click.option("--relay-ca", type=File(), metavar="FILE", help="Trust these authorities, and no others."),
    click.option(
        "--relay-sessions", type=click.IntRange(1, 1000), default=4, show_default=True, help="Open at once."
    ),
    click.option(
        "--relay-retry",
        type=Duration(),
        default="1m",
        show_default=True,
        help="The first pause between tries.",
    ),
    click.option(
        "--relay-warn", type=Duration(), default="4h", show_default=True, help="When senders hear of a delay."
    ),
    click.option(
        "--relay-give-up",
        type=Duration(),
        default="5d",
        show_default=True,
        help="When messages are returned.",
    ),
    click.option(
        "--dkim-key", type=File(), metavar="FILE", help="Sign what is handed on by this key (extra dkim)."
    ),
    click.option("--dkim-selector", metavar="NAME", help="Its name below _domainkey."),
    click.option("--dkim-domain", metavar="NAME", help="The domain to sign for."),
)


relay_options = with_options(*_OPTIONS)


@attrs.frozen(kw_only=True)
class RelayArguments:
    """The command line."""

    relay: ServerUrl | None
    relay_mode: str
    spool: Path | None
    relay_password_file: Path | None
    relay_token_file: Path | None
    relay_auth: tuple[str, ...]
    relay_tls: str | None
    relay_ca: Path | None
    relay_sessions: int
    relay_retry: float
    relay_warn: float
    relay_give_up: float
    dkim_key: Path | None
    dkim_selector: str | None
    dkim_domain: str | None

    @classmethod
    def taken_from(cls, given: dict[str, Any]) -> RelayArguments:
        """Takes its own out of `given`."""
        return cls(**{field.name: given.pop(field.name) for field in attrs.fields(cls)})

    @property
    def extensions(self) -> tuple[ehlo.Extension, ...]:
        """What only a server that hands on can keep [RFC8689-4.2.1a]."""
        return () if self.relay is None else (REQUIRETLS,)

    def share_out(self, workers: int) -> Spool | None:
        """For a program with so many processes: what holds the folder of --spool. Raises Failure."""
        if self.relay is None or self.spool is None:
            return None
        with self._spool_can_be_had():
            return share_out(self.spool, workers)

    def gateway(
        self,
        hostname: str,
        *,
        io: str,
        maildir: Path | None,
        transcript: bool,
        tally: Tally,
        worker: int | None = None,
    ) -> Gateway | None:
        """None without --relay; `worker` is the number of one of several processes. Raises Failure."""
        if self.relay is None:
            for field in attrs.fields(type(self)):
                if field.name in _FOR_RELAY and getattr(self, field.name):
                    raise Failure(f"--{field.name.replace('_', '-')} needs --relay")
            return None
        if self.relay.path is not None:
            raise Failure("--relay needs the name of a host: a UNIX socket is no next server")
        if not self.relay_retry:
            raise Failure("--relay-retry has to be longer than nothing")
        if io != "asyncio":
            raise Failure("--relay needs --io asyncio")
        if maildir is not None:
            raise Failure("--relay and --maildir exclude each other")
        through = self.relay_mode == "through"
        sign = self._signer()
        if sign is not None and through:
            raise Failure("--dkim-key needs the message whole: not with --relay-mode through")
        if self.spool is None and not through:
            raise Failure("--relay needs --spool, or --relay-mode through")
        settings = RelaySettings(
            hop=self._hop(self.relay, transcript=transcript),
            hostname=hostname,
            spool=self.spool if self.spool is None or worker is None else share(self.spool, worker),
            through=through,
            retry=Retry(
                first=self.relay_retry,
                most=max(self.relay_retry, Retry().most),
                warn_after=self.relay_warn,
                give_up_after=self.relay_give_up,
            ),
            sessions=self.relay_sessions,
            rest=min(self.relay_retry, 5.0),
            tally=tally,
            sign=sign,
        )
        with self._spool_can_be_had():
            return Gateway(settings)

    @contextlib.contextmanager
    def _spool_can_be_had(self) -> Iterator[None]:
        """Raises Failure."""
        try:
            yield
        except BlockingIOError:
            raise Failure(f"another process uses the spool {self.spool}") from None
        except OSError as error:
            raise Failure(f"no spool in {self.spool}: {reason(error)}") from None

    def _signer(self) -> Sign | None:
        key, selector, domain = self.dkim_key, self.dkim_selector, self.dkim_domain
        if key is None and selector is None and domain is None:
            return None
        if key is None or selector is None or domain is None:
            raise Failure("--dkim-key, --dkim-selector and --dkim-domain go together")
        try:
            return Signer.of(key.read_bytes(), domain=domain, selector=selector)
        except ImportError:
            raise Failure("--dkim-key needs the extra dkim: pip install 'ehlo[dkim]'") from None
        except OSError as error:
            raise Failure(f"{key}: {reason(error)}") from None
        except ValueError as error:
            raise Failure(f"{key}: {error}") from None

    def _hop(self, url: ServerUrl, *, transcript: bool) -> Hop:
        options = ConnectOptions(
            tls=ehlo.TlsMode(self.relay_tls) if self.relay_tls else url.tls,
            context=trust(self.relay_ca),
            mechanisms=self.relay_auth or None,
            lmtp=url.lmtp,
        )
        if transcript:
            options["trace"] = trace_to_stderr
        credentials = self._credentials(url.username)
        try:
            # A file that cannot be read now is worth a word at once.
            credentials()
        except (OSError, ValueError) as error:
            raise Failure(f"no password or token for {url}: {error}") from None
        try:
            # So is a mechanism that is none: each session would fail for it.
            ehlo.SessionOptions(
                client_name="localhost", server_name=url.host, mechanisms=self.relay_auth or None
            )
        except ehlo.LocalProtocolError as error:
            raise Failure(f"--relay-auth: {str(error).removeprefix('mechanisms: ')}") from None
        return Hop(host=url.host, port=url.port, options=options, credentials=credentials)

    def _credentials(self, username: str | None) -> Callable[[], ehlo.Credentials | None]:
        """Reads the file each time: a token lives for an hour, and a password is changed some day."""
        files = (self.relay_password_file, self.relay_token_file)
        if username is None:
            if any(files) or self.relay_auth:
                raise Failure("authentication needs the user's name in the URL of --relay")
            return lambda: None
        if all(files):
            raise Failure("--relay-password-file and --relay-token-file exclude each other")
        if self.relay_token_file is not None:
            return partial(_token, username, self.relay_token_file)
        if self.relay_password_file is not None:
            return partial(_password, username, self.relay_password_file)
        raise Failure("a user in the URL of --relay needs --relay-password-file or --relay-token-file")


def _token(username: str, file: Path) -> ehlo.Credentials:
    return ehlo.Token(username, _first_line(file))


def _password(username: str, file: Path) -> ehlo.Credentials:
    return ehlo.Password(username, _first_line(file))


def _first_line(path: Path) -> str:
    """Raises OSError, or ValueError with a text that repeats nothing of the file."""
    octets = path.read_bytes()
    try:
        line = octets.partition(b"\n")[0].rstrip(b"\r").decode("utf-8")
    except UnicodeDecodeError:
        raise ValueError(f"{path} is not UTF-8") from None
    if not line:
        raise ValueError(f"the first line of {path} is empty")
    return line
