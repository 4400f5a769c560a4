"""NO-SOLICITING (RFC 3865): SOLICIT on MAIL names the classes of a solicitation."""

from __future__ import annotations

import re

import attrs

from ehlo._value import Value
from ehlo.extensions._base import Extension, Param, need_value

LENGTH = 1000
_CLASS = re.compile(r"[A-Za-z][A-Za-z0-9.:_-]*\Z")


def _are_classes(_: object, __: object, value: tuple[str, ...]) -> None:
    if not value or not all(map(_CLASS.match, value)) or len(",".join(value)) > LENGTH:
        raise ValueError("not a list of solicitation classes in 1000 characters")


@attrs.frozen(repr=False, eq=False)
class Solicit(Value):
    """The message is a solicitation of these classes, such as `org.example:ADV` [RFC3865-2.2a]."""

    classes: tuple[str, ...] = attrs.field(validator=_are_classes)


def _parse(value: str | None) -> Solicit:
    return Solicit(tuple(need_value(value).split(",")))


def _parse_offer(words: tuple[str, ...]) -> tuple[str, ...]:
    """The classes that the server does not want; none: it says so of no class in particular."""
    return tuple(word for word in ",".join(words).split(",") if _CLASS.match(word))


def no_soliciting(*classes: str) -> Extension:
    """The extension of a server that does not want these classes. Raises ValueError."""
    words = (",".join(Solicit(classes).classes),) if classes else ()
    return Extension(
        keyword="NO-SOLICITING",
        rfc="RFC 3865",
        summary="the classes of a solicitation, and those that the server does not want",
        offer=lambda _: words,
        parse_offer=_parse_offer,
        mail=(Param("SOLICIT", Solicit, _parse, lambda value: ",".join(value.classes)),),
        mail_octets=len(" SOLICIT=") + LENGTH,
    )


NO_SOLICITING = no_soliciting()
