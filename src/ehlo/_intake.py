"""From the argument of a command to what the server does about it.

Each function reads the connection and leaves its state to it. It returns an `Ask` (the application
decides), or the Reply that settles the matter at once. Syntax first, then parameters, then policy.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol, TypeAlias

from ehlo import _replies as replies
from ehlo._commands import Verb
from ehlo._events import (
    BodyStarted,
    ExpnReceived,
    HelloReceived,
    HelpReceived,
    MailReceived,
    RcptReceived,
    ServerEvent,
    TLSInfo,
    TlsRequested,
    VrfyReceived,
    XClientReceived,
)
from ehlo._patience import Patience
from ehlo._server_config import Offer, ServerConfig
from ehlo._transaction import Transaction
from ehlo.extensions import (
    NO_PARAMETERS,
    SMTPUTF8,
    AuthParam,
    Param,
    Parameters,
    Size,
    SmtpUtf8,
    UnsupportedParameter,
    parse_parameters,
)
from ehlo.policy import check_mail, check_rcpt, completed
from ehlo.sasl import Identity, proved
from ehlo.wire import address
from ehlo.wire.command import ParameterError
from ehlo.wire.reply import Reply

# Lenient on purpose: hosts call themselves by names with underscores and by bare addresses, and a
# name that cannot be verified is no reason to refuse mail [RFC5321-4.1.4e].
_CLIENT_NAME: Final = re.compile(rb"[A-Za-z0-9._:\[\]-]{1,255}\Z")


class Facts(Protocol):
    """What the functions read of a connection."""

    config: ServerConfig
    tls: TLSInfo | None
    identity: Identity | None
    offered: Offer
    transaction: Transaction
    patience: Patience

    @property
    def on_offer(self) -> Offer: ...


Ask: TypeAlias = tuple[ServerEvent, Reply]
"""The application decides on the event; the reply is what `accept` sends."""

Intake: TypeAlias = Ask | Reply


def _hello(facts: Facts, argument: bytes, *, extended: bool) -> Intake:
    # [RFC5321-4.1.1.1b] further words are tolerated and ignored.
    name = argument.partition(b" ")[0]
    config = facts.config
    if not _CLIENT_NAME.match(name) and (name or not config.policy.hello_without_name):
        return replies.BAD_HELLO
    reply = facts.on_offer.reply if extended else config.helo_reply
    return HelloReceived(name.decode("ascii"), extended), reply


def _ehlo(facts: Facts, argument: bytes) -> Intake:
    return _hello(facts, argument, extended=True)


def _helo(facts: Facts, argument: bytes) -> Intake:
    return _hello(facts, argument, extended=False)


def _starttls(facts: Facts, argument: bytes) -> Intake:
    if facts.tls is not None:
        return replies.TLS_ACTIVE
    if not facts.config.tls_available:
        return replies.NOT_IMPLEMENTED
    if argument:
        return replies.NO_ARGUMENT
    return TlsRequested(), replies.TLS_READY


def _path(argument: bytes, keyword: bytes) -> tuple[str, str]:
    """`(path, parameters)`. Raises AddressError, also for octets that are not UTF-8."""
    if argument[: len(keyword)].upper() != keyword:
        raise address.AddressError("keyword is missing")
    try:
        text = argument[len(keyword) :].decode("utf-8")
    except UnicodeDecodeError:
        raise address.AddressError("not UTF-8") from None
    # [RFC5321-4.1.2a] the space behind the colon that old clients send does no harm.
    return address.split_path(text.lstrip(" "))


def _parameters(text: str, specs: Mapping[str, Param[Any]]) -> Parameters | Reply:
    try:
        return parse_parameters(text, specs)
    except ParameterError as error:
        return replies.bad_parameter(error.enhanced)
    except UnsupportedParameter:
        return replies.UNSUPPORTED_PARAMETER


def _mail(facts: Facts, argument: bytes) -> Intake:
    config = facts.config
    try:
        path, rest = _path(argument, b"FROM:")
        reverse_path = address.parse_reverse_path(path, utf8=True)
    except address.AddressError:
        return replies.BAD_SENDER
    if reverse_path is not None:
        reverse_path = completed(config.policy, reverse_path)
    parameters = _parameters(rest, facts.offered.mail)
    if isinstance(parameters, Reply):
        return parameters
    size = parameters.get(Size)
    maximum = config.limits.message_size
    if size is not None and maximum is not None and size.octets > maximum:
        return replies.TOO_BIG
    refusal = check_mail(config.policy, reverse_path, utf8=parameters.get(SmtpUtf8) is not None)
    if reverse_path is None and config.policy.require_return_path and not proved(facts.identity):
        refusal = replies.NO_RETURN_PATH
    if refusal is not None:
        return refusal
    if not proved(facts.identity):
        parameters, reply = _lowered(facts, parameters)
        return MailReceived(reverse_path, parameters), reply
    return MailReceived(reverse_path, _judged(facts, parameters)), replies.MAIL_OK


def _lowered(facts: Facts, parameters: Parameters) -> tuple[Parameters, Reply]:
    """What they are worth when nobody has proved who they are, and the reply that says so."""
    reply, wary = replies.MAIL_OK, facts.offered.unproved
    for value in parameters if wary else ():
        param = wary.get(type(value))
        if param is not None and param.unproved is not None and (worth := param.unproved(value)) != value:
            parameters = _replaced(parameters, value, worth)
            reply = replies.mail_changed(param.keyword, param.render(worth))
    return parameters, reply


def _judged(facts: Facts, parameters: Parameters) -> Parameters:
    """[RFC4954-5d] [RFC4954-5e] with an AUTH= that says whether it is to be believed."""
    auth = parameters.get(AuthParam)
    if auth is None or not facts.config.policy.trust_submitter:
        return parameters
    return _replaced(parameters, auth, AuthParam(auth.mailbox, trusted=True))


def _replaced(parameters: Parameters, old: object, new: object) -> Parameters:
    return Parameters(new if value is old else value for value in parameters)


def _rcpt(facts: Facts, argument: bytes) -> Intake:
    config = facts.config
    try:
        path, rest = _path(argument, b"TO:")
        forward_path = completed(config.policy, address.parse_forward_path(path, utf8=True))
    except address.AddressError:
        return replies.BAD_RECIPIENT
    parameters = _parameters(rest, facts.offered.rcpt)
    if isinstance(parameters, Reply):
        return parameters
    if facts.transaction.accepted >= config.limits.recipients:
        # [RFC5321-4.5.3.1.10a] 452, and the earlier ones stay valid.
        return replies.TOO_MANY_RECIPIENTS
    refusal = check_rcpt(config.policy, forward_path, utf8=facts.transaction.utf8)
    refusal = refusal or facts.patience.reached(forward_path.domain)
    return (
        refusal or _waived(facts, forward_path) or (RcptReceived(forward_path, parameters), replies.RCPT_OK)
    )


def _waived(facts: Facts, path: address.ForwardPath) -> Reply | None:
    """[RFC4409-6.4a] the refusal of who is not postmaster, where MAIL was let pass for his sake."""
    policy = facts.config.policy
    if not (policy.require_auth and policy.postmaster_without_auth) or proved(facts.identity):
        return None
    ours = not path.domain or path.domain.lower() == facts.config.hostname.lower()
    return None if path.is_postmaster and ours else policy.authentication_required


def _data(facts: Facts, argument: bytes) -> Intake:
    if argument:
        return replies.NO_ARGUMENT
    if facts.transaction.binary:
        # [RFC3030-3c] the dots of DATA are for lines, and there may be none.
        return replies.USE_BDAT
    return BodyStarted(facts.transaction.envelope), replies.DATA_GO


def _rset(_: Facts, argument: bytes) -> Intake:
    return replies.NO_ARGUMENT if argument else replies.RSET_OK


def _noop(_: Facts, __: bytes) -> Intake:
    # [RFC5321-4.1.1.9a] an argument is ignored.
    return replies.NOOP_OK


def _vrfy(facts: Facts, argument: bytes) -> Intake:
    if not argument:
        return replies.SYNTAX_ERROR
    return VrfyReceived(*_name(facts, argument)), replies.VRFY_UNVERIFIED


def _expn(facts: Facts, argument: bytes) -> Intake:
    # [RFC5321-3.5.2b] not listed in EHLO, so not implemented unless the application says otherwise.
    return ExpnReceived(*_name(facts, argument)), replies.NOT_IMPLEMENTED


def _name(facts: Facts, argument: bytes) -> tuple[str, bool]:
    """What is asked about, and whether the reply may be in UTF-8 [RFC6531-3.1e]."""
    text = argument.decode("utf-8", "replace")
    name, _, word = text.rstrip(" ").rpartition(" ")
    if name and word.upper() == SMTPUTF8.keyword and SMTPUTF8.keyword in facts.offered.mail:
        return name.rstrip(" "), True
    return text, False


def _xclient(facts: Facts, argument: bytes) -> Intake:
    from ehlo.extensions import XClient  # noqa: PLC0415 (for those who trust somebody)

    try:
        said = XClient.parse(argument.decode("ascii"))
    except ValueError:
        return replies.bad_parameter("5.5.4")
    if not said.given <= facts.config.xclient:
        return replies.bad_parameter("5.5.4")
    return XClientReceived(said), facts.config.greeting_reply


def _help(_: Facts, argument: bytes) -> Intake:
    return HelpReceived(argument.decode("utf-8", "replace")), replies.HELP_TEXT


def _quit(facts: Facts, argument: bytes) -> Intake:
    if argument:
        return replies.NO_ARGUMENT
    return facts.config.quit_reply


INTAKE: Final[dict[Verb, Callable[[Facts, bytes], Intake]]] = {
    Verb.EHLO: _ehlo,
    Verb.HELO: _helo,
    Verb.LHLO: _ehlo,
    Verb.STARTTLS: _starttls,
    Verb.MAIL: _mail,
    Verb.RCPT: _rcpt,
    Verb.DATA: _data,
    Verb.RSET: _rset,
    Verb.NOOP: _noop,
    Verb.VRFY: _vrfy,
    Verb.EXPN: _expn,
    Verb.HELP: _help,
    Verb.XCLIENT: _xclient,
    Verb.QUIT: _quit,
}
"""Every command but AUTH, which is a dialogue of its own, and those that bring octets of a message."""


# A member of an enum bound to a name costs a third of one looked up in its class.
_MAIL, _RCPT, _DATA = Verb.MAIL, Verb.RCPT, Verb.DATA
# What is remembered of lines is bounded in number and in size, and holds addresses, never secrets.
_PLAIN_LENGTH: Final = 128
_PLAIN_LINES: Final = 512

Plain: TypeAlias = tuple[Verb, MailReceived | RcptReceived | None, Reply]
"""A verb, its event where the line alone tells it, and the default reply."""


def plain_command(config: ServerConfig, line: bytes) -> Plain | None:
    """What a MAIL or RCPT without parameters, or DATA, says when nothing is wrong with it.

    Nearly all commands of a session are one of the three, and sessions repeat themselves: what was
    read once is found in `config.remembered`, by the line with its CRLF. None for all others: they
    take the long way, which gives the same.
    """
    if len(line) > _PLAIN_LENGTH:
        return None
    octets = line + b"\r\n"
    found: Plain | None = config.remembered.get(octets) or _read_plain(config, line)
    if found is not None:
        if len(config.remembered) >= _PLAIN_LINES:
            config.remembered.clear()
        config.remembered[octets] = found
    return found


def _read_plain(config: ServerConfig, line: bytes) -> Plain | None:
    if config.session_limits is not None and line != b"DATA":
        # Such commands are counted where they are read one by one.
        return None
    if line.startswith(b"RCPT TO:<"):
        path = address.simple_path(line, 8)
        if path is not None and check_rcpt(config.policy, path := completed(config.policy, path)) is None:
            return _RCPT, RcptReceived(path, NO_PARAMETERS), replies.RCPT_OK
    elif line.startswith(b"MAIL FROM:<"):
        path = address.simple_path(line, 10)
        if path is not None and check_mail(config.policy, path := completed(config.policy, path)) is None:
            return _MAIL, MailReceived(path, NO_PARAMETERS), replies.MAIL_OK
    elif line == b"DATA":
        return _DATA, None, replies.DATA_GO
    return None


def take_plain(facts: Facts, verb: Verb, event: ServerEvent | None) -> ServerEvent | None:
    """The event of a plain command that is in sequence; None when a limit speaks against it."""
    transaction = facts.transaction
    if verb is _RCPT:
        transaction.rcpt_seen = True
        return None if transaction.accepted >= facts.config.limits.recipients else event
    if verb is _MAIL:
        return None if facts.patience.idled() else event
    return None if transaction.binary else BodyStarted(transaction.envelope)
