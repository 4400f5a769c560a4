"""What all connections of one server share: computed once, never for each connection."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import attrs

from ehlo._commands import Verb
from ehlo._errors import LocalProtocolError
from ehlo._limits import Limits
from ehlo.extensions import (
    CHUNKING,
    ENHANCED_STATUS_CODES,
    PIPELINING,
    STANDARD,
    Extension,
    OfferFacts,
    Param,
    by_type,
    parameter_specs,
)
from ehlo.policy import OXSMTP_2008, SubmissionPolicy
from ehlo.sasl import NO_CONTEXT, ServerContext, ServerMechanisms
from ehlo.wire.address import AddressError, check_domain
from ehlo.wire.reply import Reply, checked_text

if TYPE_CHECKING:
    from ehlo.extensions import BurlSources, SessionLimits

_Means: TypeAlias = tuple[bool, frozenset[str], bool, bool, bool]
"""TLS, the types of channel bindings, a client certificate, whether it is known who the client is, and
whether it may use XCLIENT: what an offer depends on."""
_NO_MECHANISMS: Final[ServerMechanisms] = MappingProxyType({})
# [RFC5321-4.5.3.1.4a] never less than this, CRLF included.
_COMMAND_LINE: Final = 512
_VERBS: Final = tuple(verb for verb in Verb if verb.value.isupper())
_TO_THE_TRUSTED: Final = OfferFacts(authenticated=True, xclient=True)
_LMTP_NEEDS: Final = frozenset({PIPELINING.keyword, ENHANCED_STATUS_CODES.keyword})


@attrs.frozen(eq=False)
class Offer:
    """What one EHLO reply enables."""

    mechanisms: tuple[str, ...]
    """[RFC4954-4y] those that are taken on this channel."""
    reply: Reply
    mail: Mapping[str, Param[Any]]
    rcpt: Mapping[str, Param[Any]]
    """The parameters, by upper-case keyword."""
    unproved: Mapping[type[object], Param[Any]]
    """Those of MAIL that count for less while nobody has proved who they are, by type."""


NOTHING_OFFERED: Final = Offer((), Reply(250, ""), {}, {}, {})


def _check_hostname(_: object, __: object, value: str) -> None:
    try:
        check_domain(value)
    except AddressError as error:
        raise LocalProtocolError(f"hostname: {error}") from None


@attrs.frozen(kw_only=True)
class ServerConfig:
    """Raises LocalProtocolError for a host name that cannot stand in a greeting, and for an extension
    without those that it needs."""

    hostname: str = attrs.field(validator=_check_hostname)
    """A domain or an address literal: the greeting, EHLO and 221 carry it."""
    greeting: str = attrs.field(default="ESMTP ready", converter=checked_text)
    """The text behind the host name in the greeting."""
    policy: SubmissionPolicy = OXSMTP_2008
    limits: Limits = attrs.Factory(Limits)
    extensions: tuple[Extension, ...] = STANDARD
    mechanisms: ServerMechanisms = _NO_MECHANISMS
    """By name, in the order of the AUTH line; those in cleartext are left out without TLS."""
    lmtp: bool = False
    """LMTP instead of SMTP (RFC 2033): LHLO, and a reply for each recipient; never on port 25."""
    tls_available: bool = False
    """STARTTLS can be had."""

    verbs: Mapping[bytes, Verb] = attrs.field(init=False, repr=False, eq=False)
    """What is a command here."""
    chunking: bool = attrs.field(init=False, repr=False, eq=False)
    """BDAT is taken."""
    burl: BurlSources | None = attrs.field(init=False, repr=False, eq=False)
    """Where BURL may point to; None: it is not taken."""
    session_limits: SessionLimits | None = attrs.field(init=False, repr=False, eq=False)
    """What LIMITS announces, and is held here; None: nothing is."""
    xclient: frozenset[str] = attrs.field(init=False, repr=False, eq=False)
    """The attributes of XCLIENT that are taken of those who are trusted; none: it is no command."""
    command_limit: int = attrs.field(init=False, repr=False, eq=False)
    """Octets of a command line that is not AUTH, CRLF included."""
    line_limit: int = attrs.field(init=False, repr=False, eq=False)
    """Octets of any line; AUTH with an initial response may be longer [RFC4954-4o]."""
    remembered: dict[bytes, Any] = attrs.field(init=False, repr=False, eq=False, factory=dict)
    """What lines that sessions repeat were found to say under this policy: the intake's own."""
    greeting_reply: Reply = attrs.field(init=False, repr=False, eq=False)
    helo_reply: Reply = attrs.field(init=False, repr=False, eq=False)
    quit_reply: Reply = attrs.field(init=False, repr=False, eq=False)
    _offers: dict[_Means, Offer] = attrs.field(init=False, repr=False, eq=False, factory=dict)

    def __attrs_post_init__(self) -> None:
        extensions = self.extensions
        keywords = {extension.keyword for extension in extensions}
        for extension in extensions:
            # [RFC3030-3a] [RFC6531-3.1d]
            if not keywords.issuperset(extension.needs):
                raise LocalProtocolError(f"{extension.keyword} needs {' and '.join(extension.needs)}")
        if self.lmtp and not keywords.issuperset(_LMTP_NEEDS):
            # [RFC2033-5a]
            raise LocalProtocolError("LMTP needs PIPELINING and ENHANCEDSTATUSCODES")
        sources, attributes = _reading(extensions, "BURL"), _reading(extensions, "XCLIENT")
        absent = {Verb.LHLO} if not self.lmtp else {Verb.EHLO, Verb.HELO}
        absent |= {
            verb for verb, there in ((Verb.BURL, sources), (Verb.XCLIENT, attributes)) if there is None
        }
        mail = sum(extension.mail_octets for extension in extensions)
        rcpt = sum(extension.rcpt_octets for extension in extensions)
        command = max(self.limits.command_line, _COMMAND_LINE + max(mail, rcpt))
        derived = {
            "verbs": {verb.value.encode(): verb for verb in _VERBS if verb not in absent},
            "chunking": CHUNKING.keyword in keywords,
            "burl": sources,
            "session_limits": _reading(extensions, "LIMITS"),
            "xclient": frozenset(attributes or ()),
            "command_limit": command,
            "line_limit": max(command, self.limits.auth_line) if self.mechanisms else command,
            "greeting_reply": Reply(220, f"{self.hostname} {self.greeting}"),
            "helo_reply": Reply(250, self.hostname),
            "quit_reply": Reply(221, f"{self.hostname} closing connection", "2.0.0"),
        }
        for name, value in derived.items():
            object.__setattr__(self, name, value)
        # A mechanism that cannot be made is a fault of the set-up, not of the first session.
        self.offer(NO_CONTEXT)

    def offer(self, context: ServerContext, *, authenticated: bool = False, xclient: bool = False) -> Offer:
        """The same for every connection with the same means."""
        bindings = frozenset(context.channel_bindings)
        means = (context.tls, bindings, context.certified, authenticated, xclient)
        found = self._offers.get(means)
        if found is None:
            cleartext = context.tls or self.policy.allow_cleartext_auth
            made = {name: make(context) for name, make in self.mechanisms.items()}
            names = tuple(
                name for name, one in made.items() if one.usable() and (cleartext or not one.cleartext)
            )
            facts = OfferFacts(
                tls_active=context.tls,
                tls_available=self.tls_available,
                message_size=self.limits.message_size,
                mechanisms=names,
                authenticated=authenticated,
                xclient=xclient,
            )
            found = self._offers[means] = self._offer(facts)
        return found

    def _offer(self, facts: OfferFacts) -> Offer:
        """The lines of the EHLO reply are the host name and one for each extension on offer."""
        mechanisms = facts.mechanisms
        lines = [self.hostname]
        on: list[Extension] = []
        for extension in self.extensions:
            words = extension.offer(facts)
            if words is not None:
                on.append(extension)
                lines.append(" ".join((extension.keyword, *words)))
        if self.policy.legacy_auth_line and mechanisms:
            lines.append(f"AUTH={' '.join(mechanisms)}")
        return Offer(
            mechanisms,
            Reply(250, tuple(lines)),
            parameter_specs(param for extension in on for param in extension.mail),
            parameter_specs(param for extension in on for param in extension.rcpt),
            by_type(param for extension in on for param in extension.mail if param.unproved is not None),
        )


def _reading(extensions: tuple[Extension, ...], keyword: str) -> Any:
    """What a client that is trusted in all reads in the offer of this extension; None: there is none."""
    for extension in extensions:
        if extension.keyword == keyword:
            words = extension.offer(_TO_THE_TRUSTED)
            return None if words is None else extension.parse_offer(words)
    return None
