"""What is said of a message before any of it is sent, and what the server cannot take."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import attrs

from ehlo._commands import Mail, Rcpt
from ehlo._errors import LocalProtocolError
from ehlo._events import Envelope
from ehlo.client import ClientConnection
from ehlo.extensions import (
    BINARY_MIME,
    NO_PARAMETERS,
    SIZE,
    Body,
    Extension,
    Param,
    Parameters,
    SendFacts,
    Size,
    SmtpUtf8,
)
from ehlo.wire.address import AddressError
from ehlo.wire.text import expected_size, header_of, is_utf8, may_be_eight_bit

_NOT_MIME: Final = (
    "the message has octets over 127 and is not MIME: give it the field MIME-Version, or let it be converted"
)


@attrs.frozen(kw_only=True)
class Submission:
    """One message to submit."""

    envelope: Envelope
    content: bytes | None = attrs.field(default=None, repr=False)
    """The octets; None: they come through `ReadBody`."""
    size: int | None = None
    """Octets after newlines are normalised, where known; an estimate will do [RFC1870-6a]. Told of
    `content` where it is needed."""
    eight_bit: bool | None = None
    """Whether octets over 127 are in it; None: not known. Told of `content`."""
    binary: bool = False
    """It is no text: each octet arrives as it is, also a CR or LF that stands alone (RFC 3030)."""
    utf8: bool | None = None
    """Whether its header is not ASCII; None: not known. Told of `content`."""
    convert: bool = False
    """Encode what the server does not take as it is: octets over 127 without 8BITMIME or in a message that
    is not MIME, and what is no text without BINARYMIME (RFC 6152 section 3). It becomes another message
    with the same content. One that comes in pieces is then read to its end before it is sent."""
    pipelining: bool = True
    """Use PIPELINING where it is offered."""
    chunking: bool = True
    """Use CHUNKING where it is offered. Some servers offer it and mishandle it."""


def adapted(conn: ClientConnection, submission: Submission) -> Submission:
    """The message in a form that the server takes, where it may be encoded. Raises LocalProtocolError for
    one that cannot be, such as a signed one."""
    content = submission.content
    if not submission.convert or content is None:
        return submission
    if submission.binary and not _takes_binary(conn, submission):
        from ehlo.policy import to_eight_bit  # noqa: PLC0415 (for those who need it)

        content = to_eight_bit(content)
        submission = attrs.evolve(submission, content=content, binary=False, size=None, eight_bit=None)
    if not submission.binary and not content.isascii() and not _takes_eight_bit(conn, submission, content):
        from ehlo.policy import to_seven_bit  # noqa: PLC0415

        submission = attrs.evolve(submission, content=to_seven_bit(content), size=None, eight_bit=None)
    return submission


def may_be_encoded(conn: ClientConnection, submission: Submission, start: bytes) -> bool:
    """Whether `adapted` may encode a message that comes in pieces, and begins so."""
    if submission.binary:
        return not _takes_binary(conn, submission)
    return submission.eight_bit is not False and not _takes_eight_bit(conn, submission, start)


def _takes_eight_bit(conn: ClientConnection, submission: Submission, content: bytes) -> bool:
    """Whether octets over 127 can go as they are. What the caller says of them by `Body` is its own word."""
    given = submission.envelope.parameters
    return Body in conn.writable.mail and (given.get(Body) is not None or may_be_eight_bit(content))


def is_told_by_start(conn: ClientConnection, submission: Submission) -> bool:
    """Whether the start of a message that comes in pieces has to be seen before MAIL."""
    return (
        submission.content is None
        and submission.eight_bit is not False
        and not submission.binary
        and Body in conn.writable.mail
        and submission.envelope.parameters.get(Body) is None
    )


def told_by_start(submission: Submission, start: bytes) -> Submission:
    """[RFC5321-2.4f] what is not MIME must do without 8BITMIME. Raises LocalProtocolError where it cannot."""
    if may_be_eight_bit(start):
        return submission
    if submission.eight_bit or not start.isascii():
        raise LocalProtocolError(_NOT_MIME)
    return attrs.evolve(submission, eight_bit=False)


def commands(conn: ClientConnection, submission: Submission) -> tuple[Mail, list[Rcpt], tuple[str, ...]]:
    """MAIL and each RCPT, and the keywords of what was wanted and is left out."""
    envelope = submission.envelope
    ascii_paths = _has_ascii_paths(envelope)
    values = _values(conn, submission, ascii_paths)
    # Without the extension a domain may do with its form in ASCII.
    as_given = ascii_paths or any(isinstance(value, SmtpUtf8) for value in values)
    dropped: dict[str, None] = {}
    try:
        sender = envelope.reverse_path
        if sender is not None and not as_given:
            sender = sender.with_a_labels()
        mail = Mail(sender, _offered(conn, values, "mail", dropped, null_sender=sender is None))
        rcpts = [
            Rcpt(
                recipient.path if as_given else recipient.path.with_a_labels(),
                _offered(conn, recipient.parameters, "rcpt", dropped, null_sender=sender is None),
            )
            for recipient in envelope.recipients
        ]
    except AddressError as error:
        raise LocalProtocolError(f"the server lacks SMTPUTF8: {error}") from None
    return mail, rcpts, tuple(dropped)


def _has_ascii_paths(envelope: Envelope) -> bool:
    path = envelope.reverse_path
    if path is not None and not (path.local.isascii() and path.domain.isascii()):
        return False
    for recipient in envelope.recipients:
        path = recipient.path
        if not (path.local.isascii() and path.domain.isascii()):
            return False
    return True


def _values(conn: ClientConnection, submission: Submission, ascii_paths: bool) -> list[object]:
    """The parameters of MAIL: what the message needs, and what the caller wants."""
    given = submission.envelope.parameters
    offered = conn.writable.mail
    values: list[object] = []
    content, size, eight_bit = submission.content, submission.size, submission.eight_bit
    if Size in offered and given.get(Size) is None:
        if size is None and content is not None:
            size = len(content) if submission.binary else expected_size(content)
        if size is not None:
            _check_size(conn, size)
            values.append(Size(size))
    if eight_bit is None and content is not None:
        eight_bit = not content.isascii()
    if submission.binary:
        values.append(_binary(conn, submission))
    elif eight_bit is not False and given.get(Body) is None:
        if Body in offered:
            if content is not None and not may_be_eight_bit(content):
                raise LocalProtocolError(_NOT_MIME)
            values.append(Body.EIGHT_BIT_MIME)
        elif eight_bit:
            # [RFC6152-3c] nothing is lost silently: the caller converts, or chooses another way.
            raise LocalProtocolError("the message has octets over 127 and the server lacks 8BITMIME")
    # [RFC6531-3.4b] not where nothing needs it.
    plain = ascii_paths and eight_bit is False and submission.utf8 is None
    if not plain and given.get(SmtpUtf8) is None:
        header = _is_header_utf8(submission, SmtpUtf8 in offered, eight_bit is not False)
        if header or (not ascii_paths and SmtpUtf8 in offered):
            values.append(SmtpUtf8())
    if given is not NO_PARAMETERS:
        values.extend(given)
    return values


def _is_header_utf8(submission: Submission, offered: bool, eight_bit: bool) -> bool:
    """[RFC6531-3.4a] Raises LocalProtocolError for a header that the server would not take."""
    header = submission.utf8
    if header is None:
        content = submission.content
        text = header_of(content) if eight_bit and content is not None else b""
        header = not text.isascii()
        if header and not is_utf8(text):
            raise LocalProtocolError("the header of the message has octets over 127 that are no UTF-8")
    if header and not offered:
        raise LocalProtocolError("the header of the message is not ASCII and the server lacks SMTPUTF8")
    return header


def _takes_binary(conn: ClientConnection, submission: Submission) -> bool:
    return submission.chunking and conn.can_chunk and conn.capabilities.supports(BINARY_MIME)


def _binary(conn: ClientConnection, submission: Submission) -> Body:
    if not _takes_binary(conn, submission):
        # [RFC3030-3b]
        raise LocalProtocolError("the message is no text and the server lacks BINARYMIME and CHUNKING")
    return Body.BINARY_MIME


def _check_size(conn: ClientConnection, size: int) -> None:
    maximum: int | None = conn.capabilities.offer(SIZE)
    if maximum and size > maximum:
        raise LocalProtocolError(f"the message has {size} octets and the server takes {maximum}")


def _offered(
    conn: ClientConnection,
    values: list[object] | Parameters,
    command: str,
    dropped: dict[str, None],
    *,
    null_sender: bool,
) -> Parameters:
    """The values whose extension the server offers; the keywords of the others go to `dropped`."""
    if values is NO_PARAMETERS or not values:
        return NO_PARAMETERS
    offered = conn.writable.mail if command == "mail" else conn.writable.rcpt
    keep = []
    for value in values:
        param = offered.get(type(value))
        if param is None:
            dropped[_keyword(conn.known_extensions, value, command)] = None
        elif param.fits is None or _fits(conn, param, value, null_sender=null_sender):
            keep.append(value)
        else:
            dropped[param.keyword] = None
    return Parameters(keep)


def _fits(conn: ClientConnection, param: Param[Any], value: object, *, null_sender: bool) -> bool:
    assert param.fits is not None, "only then it is asked"
    (extension,) = (x for x in conn.extensions if param in x.mail or param in x.rcpt)
    facts = SendFacts(
        offer=conn.capabilities.offer(extension),
        protected=conn.tls is not None and conn.tls.verified,
        null_sender=null_sender,
    )
    try:
        return param.fits(value, facts)
    except ValueError as error:
        raise LocalProtocolError(str(error)) from None


def _keyword(extensions: Sequence[Extension], value: object, command: str) -> str:
    for extension in extensions:
        for param in extension.mail if command == "mail" else extension.rcpt:
            if isinstance(value, param.type):
                if param.vital(value):
                    # [RFC8689-4.2.1a] [RFC2852-4.1.4.1a] not without it.
                    raise LocalProtocolError(f"the server does not offer {param.keyword}")
                return param.keyword
    raise LocalProtocolError(f"{type(value).__name__} is no parameter of {command.upper()}")
