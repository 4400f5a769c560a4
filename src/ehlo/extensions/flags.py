"""The extensions that MAIL asks for by a bare word."""

from __future__ import annotations

import attrs

from ehlo._value import Value
from ehlo.extensions._base import Extension, OfferFacts, SendFacts, no_value


@attrs.frozen(repr=False, eq=False)
class SmtpUtf8(Value):
    """The envelope or the header holds UTF-8 [RFC6531-3.4a]."""


@attrs.frozen(repr=False, eq=False)
class RequireTls(Value):
    """No hop may carry the message without TLS, or else it is returned [RFC8689-4.2.1a]."""


def _no_words(_: tuple[str, ...]) -> tuple[str, ...]:
    # [RFC6531-3.1a] words that a server adds are ignored.
    return ()


def _offer_require_tls(facts: OfferFacts) -> tuple[str, ...] | None:
    # [RFC8689-2a]
    return () if facts.tls_active else None


def _is_protected(_: RequireTls, facts: SendFacts) -> bool:
    if not facts.protected:
        # [RFC8689-2c]
        raise ValueError("REQUIRETLS is for TLS with a verified certificate")
    return True


SMTPUTF8_PARAM = no_value("SMTPUTF8", SmtpUtf8())
"""Of MAIL; VRFY and EXPN take the same word [RFC6531-3.1e]."""
REQUIRETLS_PARAM = no_value("REQUIRETLS", RequireTls(), _is_protected)

SMTPUTF8 = Extension(
    keyword="SMTPUTF8",
    rfc="RFC 6531",
    summary="addresses and header fields in UTF-8",
    parse_offer=_no_words,
    mail=(SMTPUTF8_PARAM,),
    mail_octets=10,
    # [RFC6531-3.1d]
    needs=("8BITMIME",),
)
REQUIRETLS = Extension(
    keyword="REQUIRETLS",
    rfc="RFC 8689",
    summary="TLS on every hop, or the message is returned",
    offer=_offer_require_tls,
    parse_offer=_no_words,
    mail=(REQUIRETLS_PARAM,),
    mail_octets=11,
)
