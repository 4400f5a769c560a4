"""The fields of message/delivery-status, one row each: what `build` writes and `parse` reads.

Text is made safe here, in both directions: a control character never gets into a field or out of one.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from functools import partial
from typing import Any, Final

import attrs

from ehlo._errors import LocalProtocolError
from ehlo._value import Value
from ehlo.dsn._values import Action, Typed
from ehlo.extensions.dsn import embed_unicode, embedded_unicode
from ehlo.wire.abnf import ATEXT, CONTROL
from ehlo.wire.codes import EnhancedCode

_SPACE: Final = re.compile(r"[\r\n\t]+")
_ATOM: Final = re.compile(rf"[{ATEXT}]+\Z")
_MORE_LINES: Final = re.compile(r"([0-9]{3})-")
_ACTION: Final = re.compile(r"[A-Za-z]+")
_STATUS: Final = re.compile(r"([245])\.([0-9]{1,3})\.([0-9]{1,3})(?![0-9.])")

_DAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_DATE: Final = re.compile(
    r"(?:[A-Za-z]+,? *)?([0-9]{1,2}) +([A-Za-z]{3}) +([0-9]{2,4}) +"
    r"([0-9]{1,2}):([0-9]{2})(?::([0-9]{2}))?(?: +([+-][0-9]{4}|[A-Za-z]+))?"
)
# RFC 5322 section 4.3: other names of zones tell nothing.
_ZONES: Final = {"EST": -5, "EDT": -4, "CST": -6, "CDT": -5, "MST": -7, "MDT": -6, "PST": -8, "PDT": -7}


def clean(text: str, *, utf8: bool) -> str:
    """`text` on one line without control characters; what cannot be written becomes `?`."""
    text = CONTROL.sub("?", _SPACE.sub(" ", text)).strip(" ")
    charset = "utf-8" if utf8 else "ascii"
    return text.encode(charset, "replace").decode(charset)


def render_date(date: datetime) -> str:
    """[RFC3464-2.2.4a] with a numeric zone. Raises LocalProtocolError for a date without one."""
    offset = date.utcoffset()
    if offset is None:
        raise LocalProtocolError("a date needs its zone")
    minutes = offset // timedelta(minutes=1)
    date = date.astimezone(timezone(timedelta(minutes=minutes)))
    zone = f"{'-' if minutes < 0 else '+'}{abs(minutes) // 60:02}{abs(minutes) % 60:02}"
    return (
        f"{_DAYS[date.weekday()]}, {date.day} {_MONTHS[date.month - 1]} {date.year:04} "
        f"{date.hour:02}:{date.minute:02}:{date.second:02} {zone}"
    )


def parse_date(text: str) -> datetime | None:
    """The date of RFC 5322, also in its obsolete forms; None for anything else."""
    found = _DATE.match(text)
    if found is None or found[2].title() not in _MONTHS:
        return None
    day, year, hour, minute, second = (int(found[group] or 0) for group in (1, 3, 4, 5, 6))
    if len(found[3]) < 4:
        # RFC 5322 section 4.3.
        year += 2000 if len(found[3]) == 2 and year < 50 else 1900
    try:
        zone = timezone(_offset(found[7] or ""))
        # A leap second has no place in a datetime.
        return datetime(
            year, _MONTHS.index(found[2].title()) + 1, day, hour, minute, min(second, 59), tzinfo=zone
        )
    except ValueError:
        return None


def _offset(zone: str) -> timedelta:
    if zone[:1] not in ("+", "-"):
        return timedelta(hours=_ZONES.get(zone.upper(), 0))
    offset = timedelta(hours=int(zone[1:3]), minutes=int(zone[3:5]))
    return -offset if zone.startswith("-") else offset


def _render_typed(typed: Typed, *, utf8: bool) -> str:
    if not _ATOM.match(typed.type):
        raise LocalProtocolError("the type in front of a value is an atom")
    return f"{typed.type}; {clean(typed.value, utf8=utf8)}"


def _parse_typed(text: str, *, default: str) -> Typed:
    kind, semicolon, value = text.partition(";")
    kind = kind.strip(" ")
    # Some leave the type out, and a semicolon may belong to the text.
    if not semicolon or not _ATOM.match(kind):
        return Typed(default, text)
    return Typed(kind, value.strip(" "))


def _render_address(address: Typed, *, utf8: bool) -> str:
    unicode = address.type.lower() == "utf-8"
    if not unicode and (address.type.lower() != "rfc822" or address.value.isascii()):
        return _render_typed(address, utf8=utf8)
    text = clean(address.value, utf8=True)
    # [RFC6533-3d] as it is where UTF-8 may stand and nothing in it would be read as an escape.
    if not (utf8 or text.isascii()) or _unescaped(text) != text:
        text = embed_unicode(text)
    return f"utf-8; {text}"


def _parse_address(text: str) -> Typed:
    address = _parse_typed(text, default="rfc822")
    value = address.value
    if value.startswith("<") and value.endswith(">"):
        value = value[1:-1]
    return Typed(address.type, _unescaped(value) if address.type.lower() == "utf-8" else value)


def _unescaped(text: str) -> str:
    try:
        return embedded_unicode(text)
    except ValueError:
        # [RFC6533-3f] what is ill-formed stays as it is.
        return text


def _render_diagnostic(diagnostic: Typed, *, utf8: bool) -> str:
    """[RFC3461-9.2a] each line of a reply begins a line; `\\n` stands for a fold."""
    text = _render_typed(diagnostic, utf8=utf8)
    kind, _, value = text.partition("; ")
    found = _MORE_LINES.match(value)
    if found is None:
        return text
    return f"{kind}; " + re.sub(rf"(?<=\S) (?={found[1]}[ -])", "\n", value)


def _render_text(value: str, *, utf8: bool) -> str:
    return clean(value, utf8=utf8)


def _parse_action(text: str) -> Action | None:
    # Sendmail adds a comment: "relayed (to non-DSN-aware mailer)".
    word = _ACTION.match(text)
    try:
        return Action(word[0].lower()) if word else None
    except ValueError:
        return None


def _parse_status(text: str) -> EnhancedCode | None:
    found = _STATUS.match(text)
    return None if found is None else EnhancedCode(*map(int, found.groups()))


@attrs.frozen(repr=False, eq=False)
class Codec(Value):
    """How the body of a field is written and read."""

    render: Callable[..., str]
    """From a value and `utf8`. A `\\n` is a place to fold."""
    parse: Callable[[str], Any]
    """From text without control characters; None when it cannot be read."""


@attrs.frozen(repr=False, eq=False)
class Field(Value):
    """One field and the attribute that holds its value."""

    name: str
    attribute: str
    codec: Codec


_TEXT: Final = Codec(_render_text, str)
_MTA: Final = Codec(_render_typed, partial(_parse_typed, default="dns"))
_ADDRESS: Final = Codec(_render_address, _parse_address)
_DATE_TIME: Final = Codec(lambda value, utf8: render_date(value), parse_date)

REPORT_FIELDS: Final = (
    Field("Original-Envelope-Id", "envelope_id", _TEXT),
    Field("Reporting-MTA", "reporting_mta", _MTA),
    Field("DSN-Gateway", "dsn_gateway", _MTA),
    Field("Received-From-MTA", "received_from", _MTA),
    Field("Arrival-Date", "arrival", _DATE_TIME),
)
RECIPIENT_FIELDS: Final = (
    Field("Original-Recipient", "original_recipient", _ADDRESS),
    Field("Final-Recipient", "final_recipient", _ADDRESS),
    Field("Action", "action", Codec(lambda value, utf8: value.value, _parse_action)),
    Field("Status", "status", Codec(lambda value, utf8: str(value), _parse_status)),
    Field("Remote-MTA", "remote_mta", _MTA),
    Field(
        "Diagnostic-Code",
        "diagnostic",
        Codec(_render_diagnostic, partial(_parse_typed, default="unknown")),
    ),
    Field("Last-Attempt-Date", "last_attempt", _DATE_TIME),
    Field("Final-Log-ID", "final_log_id", _TEXT),
    Field("Will-Retry-Until", "will_retry_until", _DATE_TIME),
)
