"""From what a caller writes to what flows take. A wrong argument raises LocalProtocolError here,
before a connection is made or an octet sent."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Final, TypeAlias

from ehlo._errors import LocalProtocolError
from ehlo._events import Envelope, Recipient
from ehlo.extensions import (
    EIGHT_BIT_MIME,
    NO_PARAMETERS,
    AuthParam,
    Capabilities,
    EnvId,
    Notify,
    Orcpt,
    Parameters,
    Ret,
)
from ehlo.flows.options import TlsMode
from ehlo.wire.address import (
    AddressError,
    ForwardPath,
    Mailbox,
    ReversePath,
    check_domain,
    parse_forward_path,
    render_path,
)

AnyNotify: TypeAlias = Notify | str | Iterable[str]
AnyRecipient: TypeAlias = str | Mailbox | Recipient

_ADDRESSES: Final = 512

SUBMISSION_PORT = 587
SUBMISSIONS_PORT = 465


def _notify(value: AnyNotify) -> Notify:
    if isinstance(value, Notify):
        return value
    try:
        words = value.split(",") if isinstance(value, str) else list(value)
    except TypeError:
        words = [""]
    wanted = Notify(0)
    for word in words:
        flag = Notify.__members__.get(str(word).strip().upper())
        if flag is None:
            raise LocalProtocolError("notify is never, or any of success, failure, delay")
        wanted |= flag
    if not wanted or (Notify.NEVER in wanted and wanted is not Notify.NEVER):
        raise LocalProtocolError("notify is never, or any of success, failure, delay")
    return wanted


# Parsed and proved once: senders come again with each message, and recipients often.
@lru_cache(maxsize=_ADDRESSES)
def _forward_path(text: str) -> ForwardPath:
    path = parse_forward_path(text, utf8=True)
    render_path(path, utf8=True)
    return path


@lru_cache(maxsize=_ADDRESSES)
def _mailbox(text: str) -> Mailbox:
    path = Mailbox.parse(text, utf8=True)
    render_path(path, utf8=True)
    return path


def _checked(path: Mailbox) -> Mailbox:
    render_path(path, utf8=True)
    return path


def recipient(
    address: str | Mailbox,
    *,
    notify: AnyNotify | None = None,
    orcpt: str | Orcpt | None = None,
    parameters: Iterable[object] = (),
) -> Recipient:
    """A recipient with delivery-report wishes of its own (RFC 3461).

    With `notify` and without `orcpt` the original recipient is the address itself [RFC3461-4.2c].
    `parameters` are further ones of RCPT, such as `Rrvs(...)`.
    """
    if not isinstance(address, (str, Mailbox)):
        raise LocalProtocolError("recipient: an address is text, a Mailbox or a Recipient")
    try:
        path = _forward_path(address) if isinstance(address, str) else _checked(address)
    except AddressError as error:
        raise LocalProtocolError(f"recipient: {error}") from None
    if notify is None and orcpt is None and not parameters:
        return Recipient(path)
    values: list[object] = [*parameters]
    if notify is None and orcpt is None:
        return Recipient(path, _parameters(values))
    if notify is not None:
        values.append(_notify(notify))
        orcpt = orcpt if orcpt is not None else Orcpt.of(path)
    if orcpt is not None:
        values.append(orcpt if isinstance(orcpt, Orcpt) else Orcpt.of(orcpt))
    return Recipient(path, _parameters(values))


def _parameters(values: list[object]) -> Parameters:
    try:
        return Parameters(values) if values else NO_PARAMETERS
    except ValueError as error:
        raise LocalProtocolError(str(error)) from None


def _sender(sender: str | Mailbox | None) -> ReversePath:
    if sender is None or sender == "":
        return None
    try:
        return _mailbox(sender) if isinstance(sender, str) else _checked(sender)
    except AddressError as error:
        raise LocalProtocolError(f"sender: {error}") from None


def _submitter(submitter: str | Mailbox) -> Mailbox | None:
    if not isinstance(submitter, str):
        return submitter
    try:
        # [RFC4954-5f]
        return Mailbox.parse(submitter) if submitter else None
    except AddressError as error:
        raise LocalProtocolError(f"submitter: {error}") from None


def envelope(
    sender: str | Mailbox | None,
    recipients: Iterable[AnyRecipient],
    *,
    notify: AnyNotify | None = None,
    ret: Ret | str | None = None,
    envid: str | EnvId | None = None,
    submitter: str | Mailbox | None = None,
    parameters: Iterable[object] = (),
) -> Envelope:
    """The envelope of a message. A sender of None or "" is the null reverse-path.

    `notify` is for those recipients that are given as plain addresses. `submitter` is for who hands on
    what somebody else submitted: that address, or "" when it is not known (RFC 4954 section 5).
    `parameters` are further ones of MAIL, such as `RequireTls()`. Raises LocalProtocolError.
    """
    if isinstance(recipients, str):
        raise LocalProtocolError("recipients is a list of addresses, not one address")
    values: list[object] = []
    try:
        if ret is not None:
            values.append(ret if isinstance(ret, Ret) else Ret(ret.upper()))
        if envid is not None:
            values.append(envid if isinstance(envid, EnvId) else EnvId(envid))
    except ValueError:
        raise LocalProtocolError("ret is full or hdrs, envid 1 to 100 printable ASCII characters") from None
    if submitter is not None:
        values.append(AuthParam(_submitter(submitter)))
    values.extend(parameters)
    paths = tuple(
        given if isinstance(given, Recipient) else recipient(given, notify=notify) for given in recipients
    )
    return Envelope(_sender(sender), _parameters(values), paths)


def takes_eight_bit(capabilities: Capabilities) -> bool:
    """Whether octets over 127 may be sent to a server that offers this."""
    return capabilities.supports(EIGHT_BIT_MIME)


def tls_mode(tls: TlsMode | str | None, port: int) -> TlsMode:
    """None is TLS from the first octet on port 465 and required STARTTLS on any other."""
    if tls is None:
        return TlsMode.IMPLICIT if port == SUBMISSIONS_PORT else TlsMode.STARTTLS
    try:
        return TlsMode(tls)
    except ValueError:
        raise LocalProtocolError(f"tls is one of {', '.join(mode.value for mode in TlsMode)}") from None


def client_name(hostname: str, address: str) -> str:
    """What a client calls itself: the host name if it is a fully qualified domain, else the literal
    of its own `address` [RFC5321-2.3.4a]."""
    try:
        check_domain(hostname)
    except AddressError:
        hostname = ""
    if "." in hostname:
        return hostname
    return f"[IPv6:{address.partition('%')[0]}]" if ":" in address else f"[{address or '127.0.0.1'}]"
