"""Where a server is: `submission://USER@HOST:PORT` and its kin, or `smtp:///PATH` for a UNIX socket."""

from __future__ import annotations

from types import MappingProxyType
from typing import Final
from urllib.parse import SplitResult, unquote, urlsplit

import attrs
import click

import ehlo
from ehlo import flows
from ehlo_io.cli.sessions import Where


@attrs.frozen
class Scheme:
    port: int
    tls: ehlo.TlsMode | None
    """None: as the port has it."""
    lmtp: bool = False


# RFC 8314 section 7.3: submissions is the service on 465; smtps is its name of old.
SCHEMES: Final = MappingProxyType(
    {
        "submission": Scheme(flows.SUBMISSION_PORT, None),
        "submissions": Scheme(flows.SUBMISSIONS_PORT, ehlo.TlsMode.IMPLICIT),
        "smtps": Scheme(flows.SUBMISSIONS_PORT, ehlo.TlsMode.IMPLICIT),
        "smtp": Scheme(25, None),
        "lmtp": Scheme(24, None, lmtp=True),
    }
)


@attrs.frozen
class ServerUrl:
    host: str
    port: int
    tls: ehlo.TlsMode
    """What the scheme asks for."""
    username: str | None
    path: str | None = None
    """That of a UNIX socket, in place of host and port."""
    lmtp: bool = False

    @property
    def where(self) -> Where:
        return (self.host, self.port) if self.path is None else self.path

    def __str__(self) -> str:
        if self.path is not None:
            return self.path
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @classmethod
    def parse(cls, text: str) -> ServerUrl:
        """Raises ValueError with a text that never repeats the URL: a password may be in it."""
        try:
            parts = urlsplit(text)
            port = parts.port
        except ValueError:
            raise ValueError("the host or the port of the URL is wrong") from None
        scheme = SCHEMES.get(parts.scheme)
        if scheme is None or not text.lower().startswith(f"{parts.scheme}://"):
            raise ValueError(f"a server is SCHEME://[USER@]HOST[:PORT]; schemes: {', '.join(SCHEMES)}")
        username = _username(parts)
        path = _socket_path(parts, scheme)
        if path is not None:
            return cls("", 0, ehlo.TlsMode.NONE, username, path, scheme.lmtp)
        host = _host(parts)
        if port is None:
            port = scheme.port
        elif not port:
            raise ValueError("port 0 is no port of a server")
        elif scheme.lmtp and port == 25:
            # [RFC2033-5c]
            raise ValueError("port 25 is for SMTP, and LMTP has no place there")
        tls = scheme.tls or flows.tls_mode(None, port)
        return cls(host, port, tls, username, None, scheme.lmtp)


def _socket_path(parts: SplitResult, scheme: Scheme) -> str | None:
    """Where the URL has a path in place of a host: `smtp:///run/mail`, `smtp://user@/run/mail`."""
    if parts.netloc.rpartition("@")[2] or parts.path in ("", "/"):
        return None
    if scheme.tls is ehlo.TlsMode.IMPLICIT:
        raise ValueError("TLS needs the name of a host, and a UNIX socket has none")
    path = unquote(parts.path)
    if parts.query or parts.fragment or not path.isprintable():
        raise ValueError("the path of a UNIX socket is nothing but a path")
    return path


def _host(parts: SplitResult) -> str:
    raw = parts.hostname or ""
    # RFC 6874 section 2: in an address nothing but the mark of its zone is escaped.
    host = raw.replace("%25", "%", 1) if ":" in raw else unquote(raw)
    # RFC 3986 section 2.2: what divides a URL divides no name, and another reader would see another host.
    if not is_host(host) or any(mark in host and mark not in raw for mark in ":/?#[]@"):
        raise ValueError("the URL names no host")
    if parts.path not in ("", "/") or parts.query or parts.fragment:
        raise ValueError("a server's URL ends with its host and port")
    return host


def is_host(text: str) -> bool:
    """Whether a resolver can be asked for it: it would not answer, but raise."""
    try:
        text.encode("idna")
    except UnicodeError:
        return False
    return bool(text) and text.isprintable() and " " not in text


def _username(parts: SplitResult) -> str | None:
    if parts.password is not None:
        # Anybody on the machine can read the arguments of a program.
        raise ValueError("a password has no place in a URL: use --password-file or EHLO_PASSWORD")
    if not parts.username:
        return None
    try:
        return unquote(parts.username, errors="strict")
    except UnicodeDecodeError:
        raise ValueError("the user name in the URL is not UTF-8") from None


def server_url(context: click.Context, parameter: click.Parameter, value: str) -> ServerUrl:
    """The callback of an option or argument that is a server's URL."""
    try:
        return ServerUrl.parse(value)
    except ValueError as error:
        raise click.BadParameter(str(error), context, parameter) from None
