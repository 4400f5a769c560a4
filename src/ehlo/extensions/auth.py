"""AUTH (RFC 4954): the mechanism list of EHLO, and AUTH= on MAIL."""

from __future__ import annotations

import attrs

from ehlo._value import Value
from ehlo.extensions._base import (
    Extension,
    OfferFacts,
    Param,
    need_value,
    render_mailbox,
)
from ehlo.wire import xtext
from ehlo.wire.address import Mailbox


@attrs.frozen(repr=False, eq=False)
class AuthParam(Value):
    """Who submitted the message first; None is `<>`: unknown or not vouched for [RFC4954-5a]."""

    mailbox: Mailbox | None
    trusted: bool = False
    """In the server role: the policy believes the client. If not, `mailbox` is for the log only."""

    @property
    def submitter(self) -> Mailbox | None:
        """What to hand on: the mailbox, or None where it is not to be believed [RFC4954-5d]."""
        return self.mailbox if self.trusted else None


def _parse(value: str | None) -> AuthParam:
    text = xtext.decode(need_value(value))
    return AuthParam(None if text == "<>" else Mailbox.parse(text))


def _render(value: AuthParam) -> str:
    return "<>" if value.mailbox is None else render_mailbox(value.mailbox)


def _offer(facts: OfferFacts) -> tuple[str, ...] | None:
    # [RFC4954-3a] no line at all when nothing can be used now.
    return facts.mechanisms or None


def _parse_offer(words: tuple[str, ...]) -> tuple[str, ...]:
    # [RFC4954-8a] names compare in any letter case; a line seen twice counts once [EXCH-ehlo-b].
    return tuple(dict.fromkeys(word.upper() for word in words))


AUTH_PARAM = Param("AUTH", AuthParam, _parse, _render)

AUTH = Extension(
    keyword="AUTH",
    rfc="RFC 4954",
    summary="authentication by SASL mechanisms",
    offer=_offer,
    parse_offer=_parse_offer,
    mail=(AUTH_PARAM,),
    mail_octets=500,
)
