"""RRVS (RFC 7293): deliver only if the mailbox has had its owner since a given time."""

from __future__ import annotations

from datetime import datetime
from enum import Enum

import attrs

from ehlo._value import Value
from ehlo.extensions._base import Extension, Param, need_value, need_word
from ehlo.extensions._time import in_utc, parse_time, render_time


class RrvsAction(Enum):
    """What a relay does when the next hop does not offer RRVS."""

    CONTINUE = "C"
    REJECT = "R"


@attrs.frozen(repr=False, eq=False)
class Rrvs(Value):
    """The recipient's mailbox must have had its owner since then. The time is kept in UTC."""

    since: datetime = attrs.field(converter=in_utc)
    action: RrvsAction | None = None
    """None: the sender did not say."""


def _parse(value: str | None) -> Rrvs:
    time, semicolon, action = need_value(value).partition(";")
    return Rrvs(parse_time(time), RrvsAction(need_word(action)) if semicolon else None)


def _render(value: Rrvs) -> str:
    time = render_time(value.since)
    return time if value.action is None else f"{time};{value.action.value}"


def _rejects(value: Rrvs) -> bool:
    return value.action is not RrvsAction.CONTINUE


RRVS = Extension(
    keyword="RRVS",
    rfc="RFC 7293",
    summary="deliver only if the mailbox has had its owner since a given time",
    rcpt=(Param("RRVS", Rrvs, _parse, _render, vital=_rejects),),
    rcpt_octets=33,
)
