"""From a message to a `Report`, as real mail systems write it.

The parts are split here, not by the standard library's `email`: that would cost each program tens of
milliseconds of imports for a few header fields, and it rewrites what it does not understand.

Tolerated: LF alone at line ends, other multipart types around the status, no report-type, no closing
boundary, fields in any order and letter case, comments, types left out, Action or Status left out (each
follows from the other), no blank line in front of the first recipient. Everything is linear in the octets.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Iterator
from typing import Any, Final, TypeAlias

import attrs

from ehlo._value import Value
from ehlo.dsn._fields import RECIPIENT_FIELDS, REPORT_FIELDS, Field
from ehlo.dsn._values import CLASSES, Action, RecipientReport, Report, ReportError, Returned, with_crlf
from ehlo.extensions import Ret
from ehlo.wire.abnf import CONTROL
from ehlo.wire.codes import EnhancedCode

_FIELD: Final = re.compile(r"([!-9;-~]+)[ \t]*:(.*)\Z", re.DOTALL)
_PARAMETER: Final = re.compile(r";[ \t]*([^\s=;]+)[ \t]*=[ \t]*(\"(?:[^\"\\]|\\.)*\"|[^;\s]*)", re.DOTALL)
_ESCAPED: Final = re.compile(r"\\(.)", re.DOTALL)

# [RFC6533-4.4a] any mix of the two families.
_STATUS_TYPES: Final = frozenset({"message/delivery-status", "message/global-delivery-status"})
_RETURNED_TYPES: Final = {
    "message/rfc822": Ret.FULL,
    "message/global": Ret.FULL,
    "text/rfc822-headers": Ret.HDRS,
    "message/global-headers": Ret.HDRS,
}
_BY_CLASS: Final = {2: Action.DELIVERED, 4: Action.DELAYED, 5: Action.FAILED}
_ABOUT_RECIPIENTS: Final = frozenset(field.name.lower() for field in RECIPIENT_FIELDS)

Fields: TypeAlias = list[tuple[str, str]]


@attrs.frozen(repr=False, eq=False)
class Entity(Value):
    """A MIME entity, its content decoded."""

    type: str
    """In lower case, without parameters."""
    boundary: str | None
    content: bytes


def parse(message: bytes) -> Report:
    """The report that a message is. Raises ReportError when it is none, or names no recipient.

    Unix line ends are read as CRLF, so what was returned of the message has CRLF.
    """
    outer = _entity(message.replace(b"\r\n", b"\n"))
    if outer.boundary is None or not outer.type.startswith("multipart/"):
        raise ReportError("not a multipart message")
    parts = (_entity(part) for part in _split(outer.content, outer.boundary))
    status = next((part for part in parts if part.type in _STATUS_TYPES), None)
    if status is None:
        raise ReportError("no part of the message is a delivery status")
    report = _report(status.content)
    for part in parts:
        ret = _RETURNED_TYPES.get(part.type)
        if ret is not None:
            return attrs.evolve(report, returned=Returned(ret, with_crlf(part.content)))
    return report


def _entity(octets: bytes) -> Entity:
    """Of octets with LF at line ends."""
    if octets.startswith(b"\n"):
        head, content = b"", octets[1:]
    else:
        head, _, content = octets.partition(b"\n\n")
    found: dict[str, str] = {}
    for name, body in _fields(head.decode("utf-8", "replace").split("\n")):
        found.setdefault(name.lower(), body)
    kind = found.get("content-type", "text/plain")
    boundary = next(
        (_unquoted(value) for name, value in _PARAMETER.findall(kind) if name.lower() == "boundary"), None
    )
    encoding = found.get("content-transfer-encoding", "7bit").lower()
    return Entity(kind.partition(";")[0].strip(" ").lower(), boundary, _decoded(content, encoding))


def _unquoted(value: str) -> str:
    return _ESCAPED.sub(r"\1", value[1:-1]) if value.startswith('"') and len(value) > 1 else value


def _decoded(content: bytes, encoding: str) -> bytes:
    try:
        if encoding == "base64":
            return binascii.a2b_base64(content)
        return binascii.a2b_qp(content) if encoding == "quoted-printable" else content
    except binascii.Error:
        raise ReportError("base64 is broken") from None


def _split(content: bytes, boundary: str) -> Iterator[bytes]:
    """The parts between the delimiters; what is in front of the first and behind the last is left out."""
    delimiter = re.compile(
        rb"(?:\A|\n)--" + re.escape(boundary.encode("utf-8", "replace")) + rb"(--)?[ \t]*(?=\n|\Z)"
    )
    start = None
    for found in delimiter.finditer(content):
        if start is not None:
            yield content[start : found.start()]
        if found[1]:
            return
        start = found.end() + 1
    if start is not None:
        yield content[start:]


def _fields(lines: list[str]) -> Iterator[tuple[str, str]]:
    """The names and unfolded bodies of header fields; a line that is none is left out."""
    folded: list[list[str]] = []
    for line in lines:
        if line[:1] in (" ", "\t"):
            if folded:
                folded[-1].append(line.strip(" \t"))
        else:
            folded.append([line.rstrip(" \t")])
    for parts in folded:
        found = _FIELD.match(" ".join(parts))
        if found is not None:
            yield found[1], CONTROL.sub("?", found[2].replace("\t", " ")).strip(" ")


def _report(status: bytes) -> Report:
    groups = _groups(status.decode("utf-8", "replace"))
    about_message, about_recipients = groups[0], groups[1:]
    # No blank line in front of the first recipient, or nothing about the message.
    split = next((i for i, (name, _) in enumerate(about_message) if name.lower() in _ABOUT_RECIPIENTS), None)
    if split is not None:
        about_recipients.insert(0, about_message[split:])
        about_message = about_message[:split]
    values = _values(about_message, REPORT_FIELDS)
    extensions = list(values.pop("extensions"))
    recipients = []
    for group in about_recipients:
        if any(name.lower() in _ABOUT_RECIPIENTS for name, _ in group):
            recipients.append(_recipient(group))
        else:
            extensions += group
    if not recipients:
        raise ReportError("the delivery status names no recipient")
    values.setdefault("reporting_mta", None)
    return Report(**values, recipients=tuple(recipients), extensions=tuple(extensions))


def _groups(text: str) -> list[Fields]:
    """The fields of each group that is not empty, and of an empty one when there is no other."""
    groups: list[list[str]] = [[]]
    for line in text.replace("\r\n", "\n").split("\n"):
        if line.strip(" \t"):
            groups[-1].append(line)
        elif groups[-1]:
            groups.append([])
    return [list(_fields(lines)) for lines in groups if lines] or [[]]


def _values(fields: Fields, known: tuple[Field, ...]) -> dict[str, Any]:
    """Attributes and their values. What is unknown, repeated or cannot be read is kept as an extension."""
    by_name = {field.name.lower(): field for field in known}
    values: dict[str, Any] = {}
    extensions = []
    for name, text in fields:
        field = by_name.get(name.lower())
        value = None if field is None or field.attribute in values else field.codec.parse(text)
        if field is None or value is None:
            extensions.append((name, text))
        else:
            values[field.attribute] = value
    values["extensions"] = tuple(extensions)
    return values


def _recipient(fields: Fields) -> RecipientReport:
    values = _values(fields, RECIPIENT_FIELDS)
    final = values.setdefault("final_recipient", values.get("original_recipient"))
    if final is None:
        raise ReportError("a group of the delivery status names no recipient")
    action: Action | None = values.get("action")
    status: EnhancedCode | None = values.get("status")
    if action is None:
        if status is None:
            raise ReportError("neither action nor status of a recipient")
        values["action"] = _BY_CLASS[status.klass]
    elif status is None:
        # The last one of its classes: a failure is permanent.
        values["status"] = EnhancedCode(CLASSES[action][-1], 0, 0)
    return RecipientReport(**values)
