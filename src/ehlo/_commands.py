"""What a client can send, as values, and how each is written.

`EndOfData` stands for CRLF.CRLF: it gets a reply like a command does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from enum import Enum
from functools import lru_cache
from typing import TYPE_CHECKING, Any, ClassVar, Final, TypeAlias

import attrs

from ehlo._errors import LocalProtocolError
from ehlo._value import Value
from ehlo.extensions import (
    NO_PARAMETERS,
    Extension,
    Param,
    Parameters,
    SmtpUtf8,
    by_type,
    render_parameters,
)
from ehlo.wire import abnf, base64
from ehlo.wire.address import AddressError, ForwardPath, Mailbox, ReversePath, check_domain, render_path
from ehlo.wire.command import render

if TYPE_CHECKING:
    from ehlo.extensions import XClient


class Verb(Enum):
    """Commands, and the steps of a session that get a reply without being one."""

    CONNECT = "connect"
    """The connection itself: answered by the greeting."""
    HANDSHAKE = "handshake"
    """The TLS handshake: SUCCESS when it ended well."""
    END_OF_DATA = "end of data"
    """CRLF.CRLF, or the last chunk: answered by the final reply."""
    NONE = "no command"
    """A line that is none, or a chunk that nobody takes: refused, and the session stays where it is."""
    EHLO = "EHLO"
    HELO = "HELO"
    LHLO = "LHLO"
    """What EHLO is in LMTP (RFC 2033)."""
    STARTTLS = "STARTTLS"
    AUTH = "AUTH"
    MAIL = "MAIL"
    RCPT = "RCPT"
    DATA = "DATA"
    BDAT = "BDAT"
    """A chunk that is not the last."""
    BURL = "BURL"
    """Content for the server to fetch (RFC 4468), and not the last of the message."""
    XCLIENT = "XCLIENT"
    """For whom the client speaks (Postfix)."""
    RSET = "RSET"
    NOOP = "NOOP"
    VRFY = "VRFY"
    EXPN = "EXPN"
    HELP = "HELP"
    QUIT = "QUIT"

    # Members are singletons; Enum's own hash is Python code, and tables by verb are everywhere.
    __hash__ = object.__hash__


@attrs.frozen(repr=False, eq=False)
class Ehlo(Value):
    """EHLO with the client's name: a domain or an address literal [RFC5321-2.3.5a]."""

    verb: ClassVar[Verb] = Verb.EHLO
    name: str


@attrs.frozen(repr=False, eq=False)
class Helo(Value):
    """HELO, for servers that know no EHLO [RFC5321-2.2.1b]."""

    verb: ClassVar[Verb] = Verb.HELO
    name: str


@attrs.frozen(repr=False, eq=False)
class Lhlo(Value):
    """LHLO: the EHLO of LMTP [RFC2033-4.1a]."""

    verb: ClassVar[Verb] = Verb.LHLO
    name: str


@attrs.frozen(repr=False, eq=False)
class StartTls(Value):
    verb: ClassVar[Verb] = Verb.STARTTLS


@attrs.frozen(repr=False, eq=False)
class Auth(Value):
    """AUTH; `initial` is the initial response, b"" an empty one (`=`), None none."""

    verb: ClassVar[Verb] = Verb.AUTH
    mechanism: str
    initial: bytes | None = attrs.field(default=None, repr=lambda _: "***")


@attrs.frozen(repr=False, eq=False)
class Mail(Value):
    verb: ClassVar[Verb] = Verb.MAIL
    reverse_path: ReversePath
    parameters: Parameters = NO_PARAMETERS


@attrs.frozen(repr=False, eq=False)
class Rcpt(Value):
    verb: ClassVar[Verb] = Verb.RCPT
    forward_path: ForwardPath
    parameters: Parameters = NO_PARAMETERS


@attrs.frozen(repr=False, eq=False)
class Data(Value):
    verb: ClassVar[Verb] = Verb.DATA


@attrs.frozen(repr=False, eq=False)
class Bdat(Value):
    """A chunk of so many octets, which follow the command. `send_chunk` sends both."""

    size: int
    last: bool = False

    @property
    def verb(self) -> Verb:
        """The last chunk ends the data and gets the final reply."""
        return Verb.END_OF_DATA if self.last else Verb.BDAT


@attrs.frozen(repr=False, eq=False)
class Burl(Value):
    """The next piece of the message is what the server finds at this URL [RFC4468-3.2a]."""

    url: str = attrs.field(repr=lambda _: "***")
    """Whoever knows it may read the content."""
    last: bool = False

    @property
    def verb(self) -> Verb:
        """As of `Bdat`: the last piece ends the data."""
        return Verb.END_OF_DATA if self.last else Verb.BURL


@attrs.frozen(repr=False, eq=False)
class XClientCommand(Value):
    """XCLIENT (Postfix): for whom the client speaks from here on. EHLO comes next."""

    verb: ClassVar[Verb] = Verb.XCLIENT
    attributes: XClient


@attrs.frozen(repr=False, eq=False)
class EndOfData(Value):
    verb: ClassVar[Verb] = Verb.END_OF_DATA


@attrs.frozen(repr=False, eq=False)
class Rset(Value):
    verb: ClassVar[Verb] = Verb.RSET


@attrs.frozen(repr=False, eq=False)
class Noop(Value):
    verb: ClassVar[Verb] = Verb.NOOP


@attrs.frozen(repr=False, eq=False)
class Vrfy(Value):
    """VRFY; with `utf8` the reply may have text that is not ASCII [RFC6531-3.1e]."""

    verb: ClassVar[Verb] = Verb.VRFY
    text: str
    utf8: bool = False


@attrs.frozen(repr=False, eq=False)
class Expn(Value):
    """EXPN; `utf8` as in `Vrfy`."""

    verb: ClassVar[Verb] = Verb.EXPN
    text: str
    utf8: bool = False


@attrs.frozen(repr=False, eq=False)
class Help(Value):
    verb: ClassVar[Verb] = Verb.HELP
    topic: str = ""


@attrs.frozen(repr=False, eq=False)
class Quit(Value):
    verb: ClassVar[Verb] = Verb.QUIT


Command: TypeAlias = (
    Ehlo
    | Helo
    | Lhlo
    | StartTls
    | Auth
    | Mail
    | Rcpt
    | Data
    | Bdat
    | Burl
    | XClientCommand
    | EndOfData
    | Rset
    | Noop
    | Vrfy
    | Expn
    | Help
    | Quit
)


@attrs.frozen(repr=False, eq=False)
class Writable(Value):
    """The parameters that may be written, by the type of their value: those of the extensions in the
    server's last EHLO reply."""

    mail: Mapping[type[object], Param[Any]] = attrs.Factory(dict)
    rcpt: Mapping[type[object], Param[Any]] = attrs.Factory(dict)

    @classmethod
    def of(cls, extensions: Iterable[Extension]) -> Writable:
        extensions = tuple(extensions)
        return cls(
            by_type(param for extension in extensions for param in extension.mail),
            by_type(param for extension in extensions for param in extension.rcpt),
        )


def render_command(command: Command, writable: Writable) -> bytes:
    """The octets of a command line.

    Raises LocalProtocolError for an argument that cannot stand in a command; nothing was sent.
    """
    try:
        return _WRITERS[command.verb](command, writable)
    except (AddressError, ValueError) as error:
        raise LocalProtocolError(str(error)) from None


@lru_cache(maxsize=512)
def _path_line(start: str, local: str, domain: str) -> bytes:
    """A line up to its path: a sender comes again with the next message, and need be proved but once."""
    return render(f"{start}{render_path(Mailbox(local, domain), utf8=True)}")


def _write_mail(command: Mail, writable: Writable) -> bytes:
    path = command.reverse_path
    line = b"MAIL FROM:<>\r\n" if path is None else _path_line("MAIL FROM:", path.local, path.domain)
    parameters = command.parameters
    # By identity: most commands have none, and to ask for their number is a call.
    return line if parameters is NO_PARAMETERS else _with_parameters(line, parameters, writable.mail)


def _write_rcpt(command: Rcpt, writable: Writable) -> bytes:
    path = command.forward_path
    line = _path_line("RCPT TO:", path.local, path.domain)
    parameters = command.parameters
    return line if parameters is NO_PARAMETERS else _with_parameters(line, parameters, writable.rcpt)


def _with_parameters(line: bytes, parameters: Parameters, params: Mapping[type[object], Param[Any]]) -> bytes:
    words = render_parameters(parameters, params)
    # [RFC5321-4.1.1.3b] only what the server's last EHLO reply offers may be sent.
    if len(words) != len(parameters):
        raise LocalProtocolError("the server does not offer the extension of a parameter")
    return line[:-2] + b" " + render(*words) if words else line


def _write_hello(command: Ehlo | Helo | Lhlo, _: Writable) -> bytes:
    check_domain(command.name)
    return render(command.verb.value, command.name)


def _write_auth(command: Auth, _: Writable) -> bytes:
    if not abnf.MECHANISM.match(command.mechanism):
        raise LocalProtocolError("not the name of a SASL mechanism")
    words = ["AUTH", command.mechanism.upper()]
    if command.initial is not None:
        words.append((base64.encode(command.initial) if command.initial else base64.EMPTY).decode("ascii"))
    return render(*words)


def _write_text(command: Vrfy | Expn, writable: Writable) -> bytes:
    words = [command.verb.value, command.text]
    if command.utf8:
        if SmtpUtf8 not in writable.mail:
            raise LocalProtocolError("the server does not offer SMTPUTF8")
        words.append("SMTPUTF8")
    return render(*words)


def _write_help(command: Help, _: Writable) -> bytes:
    return render("HELP", command.topic) if command.topic else b"HELP\r\n"


def _write_data(command: EndOfData | Bdat | Burl, _: Writable) -> bytes:
    if not isinstance(command, Burl):
        raise LocalProtocolError("message octets are sent by send_body and end_body, or by send_chunk")
    if not abnf.ABSOLUTE_URI.match(command.url):
        raise LocalProtocolError("not a URL")
    return render("BURL", command.url, *(["LAST"] if command.last else []))


def _write_xclient(command: XClientCommand, _: Writable) -> bytes:
    return render("XCLIENT", command.attributes.render())


def _fixed(verb: Verb) -> Callable[[Any, Writable], bytes]:
    line = render(verb.value)
    return lambda _, __: line


# By verb and not by type, so that a subclass is written as what it is.
_WRITERS: Final[dict[Verb, Callable[[Any, Writable], bytes]]] = {
    Verb.EHLO: _write_hello,
    Verb.HELO: _write_hello,
    Verb.LHLO: _write_hello,
    Verb.AUTH: _write_auth,
    Verb.MAIL: _write_mail,
    Verb.RCPT: _write_rcpt,
    Verb.VRFY: _write_text,
    Verb.EXPN: _write_text,
    Verb.HELP: _write_help,
    Verb.BDAT: _write_data,
    Verb.BURL: _write_data,
    Verb.END_OF_DATA: _write_data,
    Verb.XCLIENT: _write_xclient,
    **{verb: _fixed(verb) for verb in (Verb.STARTTLS, Verb.DATA, Verb.RSET, Verb.NOOP, Verb.QUIT)},
}
