"""The extensions whose grammar is a word or a number."""

from __future__ import annotations

import re
from enum import Enum

import attrs

from ehlo._value import Value
from ehlo.extensions._base import Extension, OfferFacts, Param, need_value, need_word

_DIGITS = re.compile(r"[0-9]{1,20}\Z")


def _in_range(_: object, __: object, value: int) -> None:
    if not 0 <= value < 10**20:
        raise ValueError("SIZE has 1 to 20 digits")


@attrs.frozen(repr=False, eq=False)
class Size(Value):
    """The octets that the sender expects the message to have, dots unstuffed [RFC1870-5a]."""

    octets: int = attrs.field(validator=_in_range)


def _parse_size(value: str | None) -> Size:
    text = need_value(value)
    if not _DIGITS.match(text):
        raise ValueError("SIZE has 1 to 20 digits")
    return Size(int(text))


def _offer_size(facts: OfferFacts) -> tuple[str, ...]:
    # [RFC1870-3a] 0 says that there is no fixed maximum.
    return (str(facts.message_size or 0),)


def _parse_size_offer(words: tuple[str, ...]) -> int | None:
    """The announced maximum; 0: none fixed; None: not said, or nonsense."""
    return int(words[0]) if words and _DIGITS.match(words[0]) else None


class Body(Enum):
    """What the octets of the message may be."""

    SEVEN_BIT = "7BIT"
    EIGHT_BIT_MIME = "8BITMIME"
    BINARY_MIME = "BINARYMIME"
    """Any octets in any order, without lines; in chunks only [RFC3030-3c]."""


def _parse_body(value: str | None) -> Body:
    return Body(need_word(value))


def _not_binary(value: Body) -> Body:
    # [RFC3030-3b] the value belongs to another extension than the parameter.
    if value is Body.BINARY_MIME:
        raise ValueError("BODY=BINARYMIME needs the extension BINARYMIME")
    return value


def _offer_starttls(facts: OfferFacts) -> tuple[str, ...] | None:
    # [RFC3207-4.2a] never under TLS, however it began.
    return () if facts.tls_available and not facts.tls_active else None


SIZE_PARAM = Param("SIZE", Size, _parse_size, lambda value: str(value.octets))
BODY_PARAM = Param(
    "BODY", Body, lambda value: _not_binary(_parse_body(value)), lambda value: _not_binary(value).value
)
BINARY_PARAM = Param("BODY", Body, _parse_body, lambda value: value.value)
"""Stands in the place of the other where both extensions are on."""

SIZE = Extension(
    keyword="SIZE",
    rfc="RFC 1870",
    summary="the largest message taken, and a message's size told before it is sent",
    offer=_offer_size,
    parse_offer=_parse_size_offer,
    mail=(SIZE_PARAM,),
    mail_octets=26,
)
EIGHT_BIT_MIME = Extension(
    keyword="8BITMIME",
    rfc="RFC 6152",
    summary="octets over 127 in a MIME message",
    mail=(BODY_PARAM,),
    mail_octets=17,
)
CHUNKING = Extension(keyword="CHUNKING", rfc="RFC 3030", summary="the message in counted chunks, as it is")
BINARY_MIME = Extension(
    keyword="BINARYMIME",
    rfc="RFC 3030",
    summary="a message that need not be text",
    mail=(BINARY_PARAM,),
    needs=("CHUNKING", "8BITMIME"),
)
PIPELINING = Extension(
    keyword="PIPELINING", rfc="RFC 2920", summary="several commands in flight before their replies"
)
ENHANCED_STATUS_CODES = Extension(
    keyword="ENHANCEDSTATUSCODES", rfc="RFC 2034", summary="replies carry an enhanced status code"
)
STARTTLS = Extension(
    keyword="STARTTLS", rfc="RFC 3207", summary="TLS on the same connection", offer=_offer_starttls
)
