"""DELIVERBY (RFC 2852): BY on MAIL, a time for delivery and what to do when it is not kept."""

from __future__ import annotations

import re
from enum import Enum

import attrs

from ehlo._value import Value
from ehlo.extensions._base import Extension, Param, SendFacts, UnsupportedParameter, need_word

_BY = re.compile(r"([+-]?[0-9]{1,9});([NR])(T?)\Z")
_MINIMUM = re.compile(r"[0-9]{1,9}\Z")


class ByMode(Enum):
    """What happens to a message that is not delivered in time."""

    NOTIFY = "N"
    """The sender is told that it is late, and delivery goes on."""
    RETURN = "R"
    """It is returned."""


@attrs.frozen(repr=False, eq=False)
class DeliverBy(Value):
    """The time that is left for delivery. Raises ValueError.

    [RFC2852-4b] it may have run out with ByMode.NOTIFY, [RFC2852-4c] not with ByMode.RETURN.
    """

    seconds: int
    mode: ByMode
    trace: bool = False
    """Each relay reports that it passed the message on."""

    def __attrs_post_init__(self) -> None:
        if not -(10**9) < self.seconds < 10**9:
            raise ValueError("BY has 1 to 9 digits")
        if self.mode is ByMode.RETURN and self.seconds <= 0:
            raise ValueError("BY with R needs a time above 0")


def _parse(value: str | None) -> DeliverBy:
    found = _BY.match(need_word(value))
    if found is None:
        raise ValueError("BY is seconds;mode")
    return DeliverBy(int(found[1]), ByMode(found[2]), bool(found[3]))


def _render(value: DeliverBy) -> str:
    return f"{value.seconds};{value.mode.value}{'T' if value.trace else ''}"


def _returns(value: DeliverBy) -> bool:
    # [RFC2852-4.1.4.1a]
    return value.mode is ByMode.RETURN


def _is_taken(value: DeliverBy, facts: SendFacts) -> bool:
    # [RFC2852-4.1.4.1a]
    if value.mode is ByMode.RETURN and value.seconds < (facts.offer or 0):
        raise ValueError(f"the server returns no message before {facts.offer} seconds")
    return True


def _parse_offer(words: tuple[str, ...]) -> int | None:
    """The least time that is taken with ByMode.RETURN; None: not said, or nonsense."""
    # [RFC2852-2a] what follows a comma is for extensions of this one.
    minimum = words[0].partition(",")[0] if words else ""
    return int(minimum) if _MINIMUM.match(minimum) else None


def deliver_by(minimum: int | None = None) -> Extension:
    """The extension of a server that returns no message before so many seconds. Raises ValueError."""
    if minimum is not None and not 0 <= minimum < 10**9:
        raise ValueError("the minimum of DELIVERBY has 1 to 9 digits")
    least = minimum or 0

    def parse(value: str | None) -> DeliverBy:
        by = _parse(value)
        # [RFC2852-3a]
        if by.mode is ByMode.RETURN and by.seconds < least:
            raise UnsupportedParameter
        return by

    return Extension(
        keyword="DELIVERBY",
        rfc="RFC 2852",
        summary="a time by which to deliver, and what to do when it has passed",
        offer=lambda _: () if minimum is None else (str(minimum),),
        parse_offer=_parse_offer,
        mail=(Param("BY", DeliverBy, parse, _render, vital=_returns, fits=_is_taken),),
        mail_octets=17,
    )


DELIVERBY = deliver_by()
