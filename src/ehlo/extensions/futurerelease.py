"""FUTURERELEASE (RFC 4865): HOLDFOR and HOLDUNTIL on MAIL. For submission only [RFC4865-4.2a]."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Final

import attrs

from ehlo._value import Value
from ehlo.extensions._base import Extension, Param, Parameters, SendFacts, always, need_value
from ehlo.extensions._time import in_utc, parse_time, render_time
from ehlo.extensions.deliverby import DeliverBy

_INTERVAL = re.compile(r"[1-9][0-9]{0,8}\Z")
LONGEST: Final = 10**9 - 1
LATEST: Final = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)


def _in_range(_: object, __: object, value: int) -> None:
    if not 1 <= value <= LONGEST:
        raise ValueError("HOLDFOR has 1 to 9 digits and is not 0")


@attrs.frozen(repr=False, eq=False)
class HoldFor(Value):
    """Release the message after so many seconds."""

    seconds: int = attrs.field(validator=_in_range)


@attrs.frozen(repr=False, eq=False)
class HoldUntil(Value):
    """Release the message at this time, kept in UTC.

    Whether it has passed is the application's to see: the engine has no clock.
    """

    time: datetime = attrs.field(converter=in_utc)


@attrs.frozen(repr=False, eq=False)
class HoldLimits(Value):
    """How long a server holds messages; None: not said, or nonsense."""

    seconds: int | None = None
    until: datetime | None = None


def _parse_for(value: str | None) -> HoldFor:
    text = need_value(value)
    if not _INTERVAL.match(text):
        raise ValueError("HOLDFOR has 1 to 9 digits and is not 0")
    return HoldFor(int(text))


def _parse_until(value: str | None) -> HoldUntil:
    time = parse_time(need_value(value))
    if time.utcoffset():
        # [RFC4865-3b] it is written in UTC.
        raise ValueError("HOLDUNTIL is in UTC")
    return HoldUntil(time)


def _check_for(parameters: Parameters) -> None:
    if parameters.get(HoldUntil) is not None:
        # [RFC4865-4.1a]
        raise ValueError("HOLDFOR and HOLDUNTIL exclude each other")
    hold, by = parameters.get(HoldFor), parameters.get(DeliverBy)
    if hold is not None and by is not None and hold.seconds > by.seconds:
        # [RFC4865-5.2a]
        raise ValueError("the message is to be delivered before it is released")


def _time_or_none(text: str) -> datetime | None:
    try:
        return in_utc(parse_time(text))
    except ValueError:
        return None


def _parse_offer(words: tuple[str, ...]) -> HoldLimits:
    seconds, until = (*words, "", "")[:2]
    return HoldLimits(int(seconds) if _INTERVAL.match(seconds) else None, _time_or_none(until))


def _is_held(value: HoldFor | HoldUntil, facts: SendFacts) -> bool:
    if facts.null_sender:
        # [RFC4865-5.1a]
        raise ValueError("a report is not held")
    # [RFC4865-4.1a]
    limits: HoldLimits = facts.offer
    if isinstance(value, HoldFor):
        too_long = limits.seconds is not None and value.seconds > limits.seconds
    else:
        too_long = limits.until is not None and value.time > limits.until
    if too_long:
        raise ValueError("the server does not hold messages so long")
    return True


def future_release(longest: int, latest: datetime) -> Extension:
    """The extension of a server that holds for so many seconds, and until then. Raises ValueError."""
    words = (str(HoldFor(longest).seconds), render_time(latest.replace(microsecond=0)))

    def parse_for(value: str | None) -> HoldFor:
        hold = _parse_for(value)
        # [RFC4865-4.2c]
        if hold.seconds > longest:
            raise ValueError("HOLDFOR is above the maximum")
        return hold

    def parse_until(value: str | None) -> HoldUntil:
        hold = _parse_until(value)
        if hold.time > latest:
            raise ValueError("HOLDUNTIL is above the maximum")
        return hold

    return Extension(
        keyword="FUTURERELEASE",
        rfc="RFC 4865",
        summary="the server holds the message and releases it later",
        offer=lambda _: words,
        parse_offer=_parse_offer,
        mail=(
            # Without it the message would be released at once.
            Param(
                "HOLDFOR",
                HoldFor,
                parse_for,
                lambda value: str(value.seconds),
                _check_for,
                vital=always,
                fits=_is_held,
            ),
            Param(
                "HOLDUNTIL",
                HoldUntil,
                parse_until,
                lambda value: render_time(value.time),
                vital=always,
                fits=_is_held,
            ),
        ),
        mail_octets=34,
    )


FUTURERELEASE = future_release(LONGEST, LATEST)
"""As far as the grammar goes; a server wants less."""
