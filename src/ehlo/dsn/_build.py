"""From a `Report` to the message that carries it (RFC 3464 section 2, RFC 6522, RFC 6533).

Whatever a report holds came from strangers: each text is made safe where it is written, lines are folded,
and only CRLF ends one.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Final

import attrs

from ehlo._errors import LocalProtocolError
from ehlo._value import Value
from ehlo.dsn._fields import RECIPIENT_FIELDS, REPORT_FIELDS, Field, clean, render_date
from ehlo.dsn._values import (
    CLASSES,
    Action,
    Extensions,
    RecipientReport,
    Report,
    Returned,
    header_of,
    with_crlf,
)
from ehlo.extensions import Ret
from ehlo.wire.address import AddressError, Mailbox, render_path

# RFC 5322 section 2.1.1: lines should have 78 characters and must not have more than 998.
_FOLD_AT: Final = 78
_LONGEST_WORD: Final = 900
_LONGEST_LINE: Final = 998
_NAME: Final = re.compile(r"[!-9;-~]{1,76}\Z")
_MESSAGE_ID: Final = re.compile(r"<[!-;=?-~]{1,250}>\Z")
_BOUNDARY: Final = re.compile(r"[0-9A-Za-z'()+_,./:=?-]{1,50}\Z")
_BREAK: Final = re.compile(r"\r\n|\r|\n")
# Where one word ends and the next begins; a longer run of spaces belongs to the word.
_BETWEEN_WORDS: Final = re.compile(r"(?<=\S) (?=\S)")

_SUBJECTS: Final = {
    Action.FAILED: "Undeliverable mail returned to sender",
    Action.DELAYED: "Delivery of your mail is delayed",
    Action.DELIVERED: "Your mail was delivered",
    Action.RELAYED: "Your mail was relayed",
    Action.EXPANDED: "Your mail was delivered",
}
"""In the order of importance: the subject is that of the first action that a report has."""
_SENTENCES: Final = {
    Action.FAILED: "could not be delivered. No further attempt will be made.",
    Action.DELAYED: "has not been delivered yet. You need not send it again.",
    Action.DELIVERED: "has been delivered.",
    Action.RELAYED: "has been handed to a server that will not tell about its delivery.",
    Action.EXPANDED: "has been delivered, and forwarded to further addresses.",
}
_STANDARD: Final = frozenset(field.name.lower() for field in (*REPORT_FIELDS, *RECIPIENT_FIELDS))


@attrs.frozen(repr=False, eq=False, kw_only=True)
class Header(Value):
    """What the report does not say and its message needs."""

    to: Mailbox
    """The reverse-path of the message that is reported on, and nobody else [RFC3464-2b]."""
    postmaster: Mailbox
    """Who the report is from; only in its header, for its reverse-path is null [RFC3464-2c]."""
    date: datetime
    """With its zone."""
    message_id: str
    """`<...>`, unique and printable ASCII."""
    boundary: str
    """1 to 50 letters, digits or `'()+_,-./:=?`. If the content holds it, another is made from it."""


@attrs.frozen(repr=False, eq=False)
class Part(Value):
    """A body part. Its lines end in CRLF, its content fits its encoding."""

    type: str
    content: bytes
    encoding: str = "7bit"


def build(
    report: Report, header: Header, *, text: str | None = None, eight_bit: bool = False, utf8: bool = False
) -> bytes:
    """The message with the report. Send it with a null reverse-path: see `report_envelope`.

    `text`: for people, in place of our own English words. `eight_bit`: the way back takes 8BITMIME.
    `utf8`: it takes SMTPUTF8, so there may be global-delivery-status (RFC 6533). Without either, every
    octet is ASCII. A message that fits no encoding of the way back, as one with octets over 127 in its
    body, is reduced to its header [RFC6522-3b].
    Raises LocalProtocolError for what no report may say.
    """
    _check(report)
    eight_bit = eight_bit or utf8
    status = _status(report, utf8=utf8)
    kind = "delivery-status" if status.isascii() else "global-delivery-status"
    parts = [
        _explanation(_own_words(report) if text is None else text, eight_bit=eight_bit),
        # [RFC3464-2.1b] [RFC6533-4.1a]
        Part(f"message/{kind}", status, "7bit" if status.isascii() else "8bit"),
    ]
    if report.returned is not None:
        parts.append(_returned(report.returned, eight_bit=eight_bit, utf8=utf8))
    boundary = _absent(header.boundary, parts)
    try:
        to, postmaster = (render_path(path, utf8=utf8) for path in (header.to, header.postmaster))
    except AddressError as error:
        raise LocalProtocolError(f"header of a report: {error}") from None
    if not _MESSAGE_ID.match(header.message_id):
        raise LocalProtocolError("a Message-ID is up to 250 printable ASCII characters in angle brackets")
    action = next(action for action in _SUBJECTS if any(r.action is action for r in report.recipients))
    lines = [
        *_fold("From", f"Mail Delivery System {postmaster}"),
        *_fold("To", to),
        *_fold("Subject", _SUBJECTS[action]),
        *_fold("Date", render_date(header.date)),
        *_fold("Message-ID", header.message_id),
        # RFC 3834 section 5: so that nobody answers it by machine.
        "Auto-Submitted: auto-replied",
        "MIME-Version: 1.0",
        # [RFC6522-3a]
        f"Content-Type: multipart/report; report-type={kind};",
        f' boundary="{boundary}"',
    ]
    if any(part.encoding == "8bit" for part in parts):
        lines.append("Content-Transfer-Encoding: 8bit")
    return b"".join(_multipart(lines, parts, boundary))


def _multipart(header: list[str], parts: Iterable[Part], boundary: str) -> Iterator[bytes]:
    yield "\r\n".join([*header, ""]).encode("utf-8")
    for part in parts:
        yield f"\r\n--{boundary}\r\nContent-Type: {part.type}\r\n".encode("ascii")
        if part.encoding != "7bit":
            yield f"Content-Transfer-Encoding: {part.encoding}\r\n".encode("ascii")
        yield b"\r\n"
        yield part.content
    yield f"\r\n--{boundary}--\r\n".encode("ascii")


def _absent(boundary: str, parts: Iterable[Part]) -> str:
    """The boundary, or one made from it that no line of the parts begins with."""
    if not _BOUNDARY.match(boundary):
        raise LocalProtocolError("a boundary is 1 to 50 letters, digits and some signs")
    taken: set[bytes] = set()
    free = True
    # The second dot: no number is the beginning of another.
    pattern = re.compile(
        rb"^--" + re.escape(boundary.encode("ascii")) + rb"(?:\.([0-9]{1,18})\.)?", re.MULTILINE
    )
    for part in parts:
        for found in pattern.finditer(part.content):
            free = False
            taken.add(found[1] or b"")
    if free:
        return boundary
    number = next(n for n in range(len(taken) + 1) if str(n).encode("ascii") not in taken)
    return f"{boundary}.{number}."


def _check(report: Report) -> None:
    if report.reporting_mta is None:
        raise LocalProtocolError("a report names its reporting MTA")
    if not report.recipients:
        raise LocalProtocolError("a report is about at least one recipient")
    for recipient in report.recipients:
        if recipient.status.klass not in CLASSES[recipient.action]:
            # [RFC3464-2.3.4a]
            raise LocalProtocolError("the status of a recipient contradicts the action")
        if recipient.will_retry_until is not None and recipient.action is not Action.DELAYED:
            # [RFC3464-2.3a]
            raise LocalProtocolError("Will-Retry-Until is for delays")
    groups = [report.extensions, *(recipient.extensions for recipient in report.recipients)]
    for name, _ in (pair for group in groups for pair in group):
        if not _NAME.match(name) or name.lower() in _STANDARD:
            raise LocalProtocolError("an extension field has no name of its own")


def _status(report: Report, *, utf8: bool) -> bytes:
    """[RFC3464-2.1a] the fields about the message, then those about each recipient."""
    groups = [
        _group(report, REPORT_FIELDS, report.extensions, utf8=utf8),
        *(_group(each, RECIPIENT_FIELDS, each.extensions, utf8=utf8) for each in report.recipients),
    ]
    return "\r\n\r\n".join(groups).encode("utf-8") + b"\r\n"


def _group(
    values: Report | RecipientReport, fields: Iterable[Field], extensions: Extensions, *, utf8: bool
) -> str:
    lines: list[str] = []
    for field in fields:
        value = getattr(values, field.attribute)
        if value is not None:
            lines += _fold(field.name, field.codec.render(value, utf8=utf8))
    for name, text in extensions:
        lines += _fold(name, clean(text, utf8=utf8))
    return "\r\n".join(lines)


def _fold(name: str, text: str) -> list[str]:
    """The lines of a field. A line break in `text` is a fold that has to be there."""
    lines = [f"{name}:"]
    bare = True
    for number, part in enumerate(text.split("\n")):
        fresh = number > 0
        for word in _words(part):
            if fresh or not (bare or _octets(lines[-1]) + 1 + _octets(word) <= _FOLD_AT):
                lines.append(f" {word}")
            else:
                lines[-1] = f"{lines[-1]} {word}"
            bare = fresh = False
    lines[0] = lines[0].rstrip(" ")
    return lines


def _octets(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode("utf-8"))


def _words(text: str) -> Iterator[str]:
    """What may stand on a line of its own: words, and pieces of one that is too long for any line."""
    for word in _BETWEEN_WORDS.split(text):
        if _octets(word) <= _LONGEST_WORD:
            yield word
            continue
        # No character has more than four octets.
        room = _LONGEST_WORD // 4
        for start in range(0, len(word), room):
            piece = word[start : start + room].strip(" ")
            if piece:
                yield piece


def _own_words(report: Report) -> str:
    host = "" if report.reporting_mta is None else f" at host {report.reporting_mta.value}"
    lines = [f"This is the mail system{host}.", ""]
    for recipient in report.recipients:
        lines += [f"Your message to <{recipient.final_recipient.value}>", _SENTENCES[recipient.action]]
        if recipient.diagnostic is not None:
            of = "" if recipient.remote_mta is None else f" of {recipient.remote_mta.value}"
            lines.append(f"The answer{of}: {recipient.diagnostic.value}")
        lines.append("")
    # [SEC-INJ-srv-a] no stranger's line break begins a line here.
    return "\r\n".join(clean(line, utf8=True) for line in lines)


def _explanation(text: str, *, eight_bit: bool) -> Part:
    content = _BREAK.sub("\r\n", text).encode("utf-8", "replace")
    if not content.endswith(b"\r\n"):
        content += b"\r\n"
    if _plain(content):
        return Part("text/plain; charset=us-ascii", content)
    if eight_bit and _fits(content):
        return Part("text/plain; charset=utf-8", content, "8bit")
    return Part("text/plain; charset=utf-8", _quoted_printable(content), "quoted-printable")


def _fits(content: bytes) -> bool:
    """Whether 8bit is its encoding: short lines and no NUL (RFC 2045 section 2.8)."""
    return b"\0" not in content and max(map(len, content.split(b"\r\n"))) <= _LONGEST_LINE


def _plain(content: bytes) -> bool:
    return content.isascii() and _fits(content)


def _is_utf8(octets: bytes) -> bool:
    try:
        octets.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _returned(returned: Returned, *, eight_bit: bool, utf8: bool) -> Part:
    content = with_crlf(returned.content)
    header = header_of(content)
    is_global = not header.isascii() and _is_utf8(header)
    if returned.ret is Ret.FULL:
        if _plain(content):
            return Part("message/rfc822", content)
        if is_global and utf8 and _fits(content):
            return Part("message/global", content, "8bit")
        if is_global:
            # [RFC6533-4.5a] RFC 6532 lets this type be encoded, message/rfc822 not.
            return Part("message/global", _base64(content), "base64")
        if eight_bit and header.isascii() and _fits(content):
            return Part("message/rfc822", content, "8bit")
    # [RFC6522-3b] message/rfc822 may not be encoded: its header may.
    if _plain(header):
        return Part("text/rfc822-headers", header)
    if is_global and utf8 and _fits(header):
        return Part("message/global-headers", header, "8bit")
    return Part("text/rfc822-headers", _quoted_printable(header), "quoted-printable")


def _quoted_printable(content: bytes) -> bytes:
    # Without a line end to learn from, binascii breaks lines with LF.
    return with_crlf(binascii.b2a_qp(content))


def _base64(content: bytes) -> bytes:
    """In lines of 76 (RFC 2045 section 6.8)."""
    lines = (binascii.b2a_base64(content[i : i + 57], newline=False) for i in range(0, len(content), 57))
    return b"\r\n".join(lines)
