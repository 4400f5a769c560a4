"""MT-PRIORITY (RFC 6710): the priority of a message for relays."""

from __future__ import annotations

import re
from enum import StrEnum

import attrs

from ehlo._value import Value
from ehlo.extensions._base import Extension, Param, need_value

_PRIORITY = re.compile(r"0\Z|-?[1-9]\Z")
_PROFILE = re.compile(r"[A-Za-z0-9._-]{1,20}\Z")


class PriorityProfile(StrEnum):
    """The registered Priority Assignment Policies (RFC 6710, appendices A to C)."""

    MIXER = "MIXER"
    STANAG4406 = "STANAG4406"
    NSEP = "NSEP"


def _in_range(_: object, __: object, value: int) -> None:
    if not -9 <= value <= 9:
        raise ValueError("MT-PRIORITY is -9 to 9")


@attrs.frozen(repr=False, eq=False)
class MtPriority(Value):
    """From -9 to 9; 0 is what messages without it have.

    A server lowers a positive one of a client that has not authenticated [RFC6710-4.1b]; which of the others
    have a right to it is the application's to know.
    """

    value: int = attrs.field(validator=_in_range)


def _lower(priority: MtPriority) -> MtPriority:
    return MtPriority(min(priority.value, 0))


def _parse(value: str | None) -> MtPriority:
    text = need_value(value)
    if not _PRIORITY.match(text):
        raise ValueError("MT-PRIORITY is -9 to 9")
    return MtPriority(int(text))


def _parse_offer(words: tuple[str, ...]) -> str | None:
    """The policy by which priorities are assigned; None: not said, or nonsense."""
    return words[0] if words and _PROFILE.match(words[0]) else None


def mt_priority(profile: str | None = None) -> Extension:
    """The extension of a server with this Priority Assignment Policy. Raises ValueError."""
    if profile is not None and not _PROFILE.match(profile):
        raise ValueError("the profile of MT-PRIORITY has 1 to 20 letters, digits, '-', '_', '.'")
    return Extension(
        keyword="MT-PRIORITY",
        rfc="RFC 6710",
        summary="the priority of the message for relays, from -9 to 9",
        offer=lambda _: () if profile is None else (str(profile),),
        parse_offer=_parse_offer,
        mail=(
            Param(
                "MT-PRIORITY",
                MtPriority,
                _parse,
                lambda value: str(value.value),
                unproved=_lower,
                # [RFC6710-4.1a]
                fault="5.5.2",
            ),
        ),
        mail_octets=15,
    )


MT_PRIORITY = mt_priority()
