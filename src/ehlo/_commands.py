"""What a client can send, as values, and how each is written.

`EndOfData` stands for CRLF.CRLF: it gets a reply like a command does.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum
from typing import Any, ClassVar, TypeAlias, assert_never

import attrs

from ehlo._errors import LocalProtocolError
from ehlo.extensions import NO_PARAMETERS, Extension, Param, Parameters, render_parameters
from ehlo.wire import abnf, base64
from ehlo.wire.address import AddressError, ForwardPath, ReversePath, check_domain, render_path
from ehlo.wire.command import render


class Verb(Enum):
    """Commands, and the three steps of a session that get a reply without being one."""

    CONNECT = "connect"
    """The connection itself: answered by the greeting."""
    HANDSHAKE = "handshake"
    """The TLS handshake: SUCCESS when it ended well."""
    END_OF_DATA = "end of data"
    """CRLF.CRLF: answered by the final reply."""
    EHLO = "EHLO"
    HELO = "HELO"
    STARTTLS = "STARTTLS"
    AUTH = "AUTH"
    MAIL = "MAIL"
    RCPT = "RCPT"
    DATA = "DATA"
    RSET = "RSET"
    NOOP = "NOOP"
    VRFY = "VRFY"
    EXPN = "EXPN"
    HELP = "HELP"
    QUIT = "QUIT"


@attrs.frozen
class Ehlo:
    """EHLO with the client's name: a domain or an address literal [RFC5321-2.3.5a]."""

    verb: ClassVar[Verb] = Verb.EHLO
    name: str


@attrs.frozen
class Helo:
    """HELO, for servers that know no EHLO [RFC5321-2.2.1b]."""

    verb: ClassVar[Verb] = Verb.HELO
    name: str


@attrs.frozen
class StartTls:
    verb: ClassVar[Verb] = Verb.STARTTLS


@attrs.frozen
class Auth:
    """AUTH; `initial` is the initial response, b"" an empty one (`=`), None none."""

    verb: ClassVar[Verb] = Verb.AUTH
    mechanism: str
    initial: bytes | None = attrs.field(default=None, repr=lambda _: "***")


@attrs.frozen
class Mail:
    verb: ClassVar[Verb] = Verb.MAIL
    reverse_path: ReversePath
    parameters: Parameters = NO_PARAMETERS


@attrs.frozen
class Rcpt:
    verb: ClassVar[Verb] = Verb.RCPT
    forward_path: ForwardPath
    parameters: Parameters = NO_PARAMETERS


@attrs.frozen
class Data:
    verb: ClassVar[Verb] = Verb.DATA


@attrs.frozen
class EndOfData:
    verb: ClassVar[Verb] = Verb.END_OF_DATA


@attrs.frozen
class Rset:
    verb: ClassVar[Verb] = Verb.RSET


@attrs.frozen
class Noop:
    verb: ClassVar[Verb] = Verb.NOOP


@attrs.frozen
class Vrfy:
    verb: ClassVar[Verb] = Verb.VRFY
    text: str


@attrs.frozen
class Expn:
    verb: ClassVar[Verb] = Verb.EXPN
    text: str


@attrs.frozen
class Help:
    verb: ClassVar[Verb] = Verb.HELP
    topic: str = ""


@attrs.frozen
class Quit:
    verb: ClassVar[Verb] = Verb.QUIT


Command: TypeAlias = (
    Ehlo | Helo | StartTls | Auth | Mail | Rcpt | Data | EndOfData | Rset | Noop | Vrfy | Expn | Help | Quit
)


def render_command(command: Command, extensions: Iterable[Extension]) -> bytes:
    """The octets of a command line, with the parameters that `extensions` define.

    Raises LocalProtocolError for an argument that cannot stand in a command; nothing was sent.
    """
    try:
        return render(*_words(command, extensions))
    except (AddressError, ValueError) as error:
        raise LocalProtocolError(str(error)) from None


def _words(command: Command, extensions: Iterable[Extension]) -> list[str]:
    match command:
        case Ehlo(name) | Helo(name):
            check_domain(name)
            return [command.verb.value, name]
        case Auth(mechanism, initial):
            return ["AUTH", _mechanism(mechanism), *_initial(initial)]
        case Mail(path, parameters):
            params = [param for extension in extensions for param in extension.mail]
            return [f"MAIL FROM:{render_path(path)}", *_parameters(parameters, params)]
        case Rcpt(path, parameters):
            params = [param for extension in extensions for param in extension.rcpt]
            return [f"RCPT TO:{render_path(path)}", *_parameters(parameters, params)]
        case Vrfy(text) | Expn(text):
            return [command.verb.value, text]
        case Help(topic):
            return ["HELP", topic] if topic else ["HELP"]
        case StartTls() | Data() | Rset() | Noop() | Quit():
            return [command.verb.value]
        case EndOfData():
            raise LocalProtocolError("the end of the data is sent by end_body")
        case _:
            assert_never(command)


def _mechanism(name: str) -> str:
    if not abnf.MECHANISM.match(name):
        raise LocalProtocolError("not the name of a SASL mechanism")
    return name.upper()


def _initial(initial: bytes | None) -> list[str]:
    if initial is None:
        return []
    return [(base64.encode(initial) if initial else base64.EMPTY).decode("ascii")]


def _parameters(parameters: Parameters, params: list[Param[Any]]) -> list[str]:
    words = render_parameters(parameters, params)
    # [RFC5321-4.1.1.3b] only what the server's last EHLO reply offers may be sent.
    if len(words) != len(parameters):
        raise LocalProtocolError("the server does not offer the extension of a parameter")
    return words
