"""LIMITS (RFC 9422): what a server takes in one session and one transaction."""

from __future__ import annotations

import re
from typing import Final

import attrs

from ehlo._value import Value
from ehlo.extensions._base import Extension

_LIMIT = re.compile(r"([A-Za-z0-9_-]+)(?:=([!-:<-~]+))?\Z")
_NUMBER = re.compile(r"[1-9][0-9]{0,5}\Z")


def _in_range(_: object, __: object, value: int | None) -> None:
    if value is not None and not 1 <= value < 10**6:
        raise ValueError("a limit has 1 to 6 digits and is not 0")


def _named(_: object, __: object, value: tuple[tuple[str, str | None], ...]) -> None:
    for name, text in value:
        found = _LIMIT.match(name if text is None else f"{name}={text}")
        if found is None or found.groups() != (name, text) or name.upper() in _FIELDS:
            raise ValueError("not a limit, or one that has a field of its own")


@attrs.frozen(repr=False, eq=False, kw_only=True)
class SessionLimits(Value):
    """What is None has no limit [RFC9422-3.6a]."""

    mail_max: int | None = attrs.field(default=None, validator=_in_range)
    """MAIL commands in a session [RFC9422-4.1a]."""
    rcpt_max: int | None = attrs.field(default=None, validator=_in_range)
    """RCPT commands in a transaction, refused ones counted [RFC9422-4.2a]."""
    rcpt_domain_max: int | None = attrs.field(default=None, validator=_in_range)
    """Domains of recipients in a session [RFC9422-4.3a]."""
    others: tuple[tuple[str, str | None], ...] = attrs.field(default=(), validator=_named)
    """Limits that are registered elsewhere, as they were written."""


_FIELDS: Final = {"MAILMAX": "mail_max", "RCPTMAX": "rcpt_max", "RCPTDOMAINMAX": "rcpt_domain_max"}


def _words(limits: SessionLimits) -> tuple[str, ...]:
    known = ((name, getattr(limits, field)) for name, field in _FIELDS.items())
    return (
        *(f"{name}={number}" for name, number in known if number is not None),
        *(name if text is None else f"{name}={text}" for name, text in limits.others),
    )


def _parse_offer(words: tuple[str, ...]) -> SessionLimits:
    found = [_LIMIT.match(word) for word in words]
    numbers: dict[str, int] = {}
    others: list[tuple[str, str | None]] = []
    for match in found:
        if match is None:
            # [RFC9422-3.7a] what else it says cannot be relied on.
            return SessionLimits()
        name, text = match.groups()
        field = _FIELDS.get(name.upper())
        if field is None:
            others.append((name, text))
        elif text is not None and _NUMBER.match(text):
            # [RFC9422-3.7b] a bad number is as if it were not there; of two the smaller one is safe.
            numbers[field] = min(int(text), numbers.get(field, int(text)))
    return SessionLimits(**numbers, others=tuple(others))


def session_limits(limits: SessionLimits) -> Extension:
    """The extension of a server with these limits; without any it is not offered."""
    words = _words(limits)
    return Extension(
        keyword="LIMITS",
        rfc="RFC 9422",
        summary="how many messages, recipients and domains a session may have",
        offer=lambda _: words or None,
        parse_offer=_parse_offer,
    )


LIMITS = session_limits(SessionLimits())
"""For clients: a server that has limits to tell makes its own."""
