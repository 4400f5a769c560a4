"""The date-time of RFC 3339 section 5.6, as parameters carry it."""

from __future__ import annotations

import re
from datetime import UTC, datetime

# A second of 60 is left out: no datetime stands for it.
_DATE_TIME = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-5][0-9](\.[0-9]{1,6})?([Zz]|[+-][0-9]{2}:[0-9]{2})\Z"
)


def parse_time(text: str) -> datetime:
    """In the offset that was written. Raises ValueError."""
    if not _DATE_TIME.match(text):
        raise ValueError("not a date and time of RFC 3339")
    return datetime.fromisoformat(text.upper())


def render_time(time: datetime) -> str:
    """In UTC."""
    return in_utc(time).replace(tzinfo=None).isoformat() + "Z"


def in_utc(time: datetime) -> datetime:
    """Raises ValueError when the offset is unknown, or leads out of the years 1 to 9999."""
    if time.tzinfo is None:
        raise ValueError("the time has no offset from UTC")
    try:
        return time.astimezone(UTC)
    except OverflowError:
        raise ValueError("the time is out of range") from None
