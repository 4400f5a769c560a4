"""How a message came, and the Received field that says so (RFC 5321 section 4.4, RFC 3848, RFC 8314).

All facts are given: the core has no clock, no randomness and no name of its own.
"""

from __future__ import annotations

import datetime
import ipaddress
import re
from typing import TYPE_CHECKING, Any, Final

import attrs

from ehlo._errors import LocalProtocolError
from ehlo._value import Value
from ehlo.wire.abnf import ATEXT
from ehlo.wire.address import AddressError, ForwardPath, Mailbox, check_domain, render_path

if TYPE_CHECKING:
    from ehlo._events import TLSInfo

_ATOM = re.compile(rf"[{ATEXT}]{{1,64}}\Z")
_DAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")

# A name of the IANA registry, as TLS 1.3 has them everywhere.
_SUITE = re.compile(r"TLS_[A-Z0-9_]{1,60}\Z")
# What OpenSSL calls the suites of TLS 1.2 that are left: ECDHE-RSA-AES256-GCM-SHA384.
_OPENSSL_SUITE = re.compile(
    r"(ECDHE|DHE)-(RSA|ECDSA)-(?:(AES|CAMELLIA)(128|256)-(GCM-)?(SHA256|SHA384|SHA)|CHACHA20-POLY1305)\Z"
)


def own_domain(_: object, attribute: attrs.Attribute[Any], value: Any) -> None:
    """Validator of a field that holds a name of ours, or None."""
    if value is not None:
        try:
            check_domain(value)
        except AddressError as error:
            raise LocalProtocolError(f"{attribute.name}: {error}") from None


def _atom(_: object, __: object, value: str) -> None:
    if not _ATOM.match(value):
        raise LocalProtocolError("a unique token is an atom of up to 64 octets")


@attrs.frozen(repr=False, eq=False, kw_only=True)
class MessageFacts(Value):
    """What the server knows of one message. Raises LocalProtocolError for names that cannot stand in a field.

    What the client said (`client_name`) may be anything: it is used where it is a domain or a literal
    [RFC5321-4.4g].
    """

    hostname: str = attrs.field(validator=own_domain)
    """The server's own name."""
    timestamp: float
    """When the message came, in seconds since 1970."""
    utc_offset: int = 0
    """Of the local time, in minutes [RFC5321-4.4e]."""
    unique: str = attrs.field(validator=_atom)
    """A token that this host gives to no other message: the `id` in Received and the left half of an
    added Message-ID."""
    domain: str | None = attrs.field(default=None, validator=own_domain)
    """The right half of an added Message-ID; None for `hostname`."""
    client_name: str | None = None
    """The argument of EHLO or HELO."""
    peer: str | None = None
    """The IP address of the client as text."""
    extended: bool = True
    """The client said EHLO."""
    tls: TLSInfo | None = None
    identity: Mailbox | None = None
    """The address of who submits, where it is known: for Sender [RFC4409-8.1a]."""
    authenticated: bool = False
    utf8: bool = False
    """MAIL said SMTPUTF8."""
    lmtp: bool = False
    priority: int | None = None
    """What MT-PRIORITY said, or what was made of it [RFC6710-4.1e]."""
    recipients: tuple[ForwardPath, ...] = ()
    """Those of the envelope: one alone is named in Received, of several none is [RFC5321-4.4c]."""


def protocol(facts: MessageFacts) -> str:
    """The keyword of the WITH clause [RFC3848-1a] [RFC4954-7a] [RFC6531-3.7.3a] [RFC5321-4.4f]."""
    if facts.lmtp:
        name = "UTF8LMTP" if facts.utf8 else "LMTP"
    elif not facts.extended:
        # No keyword says what HELO and TLS are together.
        return "SMTP"
    else:
        name = "UTF8SMTP" if facts.utf8 else "ESMTP"
    return f"{name}{'S' if facts.tls else ''}{'A' if facts.authenticated else ''}"


def date_time(timestamp: float, utc_offset: int = 0) -> str:
    """`Thu, 26 Nov 2026 17:54:15 +0100` (RFC 5322 section 3.3) [RFC5321-4.4e]."""
    zone = datetime.timezone(datetime.timedelta(minutes=utc_offset))
    at = datetime.datetime.fromtimestamp(timestamp, zone)
    hours, minutes = divmod(abs(utc_offset), 60)
    sign = "-" if utc_offset < 0 else "+"
    return (
        f"{_DAYS[at.weekday()]}, {at.day} {_MONTHS[at.month - 1]} {at.year:04} "
        f"{at.hour:02}:{at.minute:02}:{at.second:02} {sign}{hours:02}{minutes:02}"
    )


def cipher_suite(name: str) -> str | None:
    """The registered name of a TLS cipher suite for the `tls` clause (RFC 8314 section 4.3), or None."""
    if _SUITE.match(name):
        return name
    found = _OPENSSL_SUITE.match(name)
    if found is None:
        return None
    exchange, signature, cipher, bits, gcm, digest = found.groups()
    suite = f"{cipher}_{bits}_{'GCM' if gcm else 'CBC'}_{digest}" if cipher else "CHACHA20_POLY1305_SHA256"
    return f"TLS_{exchange}_{signature}_WITH_{suite}"


def received(facts: MessageFacts) -> bytes:
    """The Received field, folded, with its CRLF [RFC5321-4.4a] [RFC5321-4.4b]."""
    lines = [
        f"Received: from {_source(facts)}",
        f"by {facts.hostname} with {protocol(facts)} id {facts.unique}",
    ]
    if (recipient := _only_recipient(facts)) is not None:
        lines.append(f"for {recipient}")
    # [RFC8314-4b] the registered clauses come last.
    if facts.tls is not None and (suite := cipher_suite(facts.tls.cipher)) is not None:
        lines.append(f"tls {suite}")
    if facts.priority is not None:
        lines.append(f"priority {facts.priority}")
    lines[-1] += ";"
    lines.append(date_time(facts.timestamp, facts.utc_offset))
    return "\r\n\t".join(lines).encode("utf-8") + b"\r\n"


def _source(facts: MessageFacts) -> str:
    literal = _literal(facts.peer)
    name = facts.client_name
    try:
        check_domain(name or "", utf8=facts.utf8)
    except AddressError:
        name = literal or "unknown"
    return f"{name} ({literal})" if literal else f"{name}"


def _literal(peer: str | None) -> str | None:
    """The address literal of an IP address [RFC5321-4.1.3a]."""
    try:
        # A scope is of no meaning to others.
        address = ipaddress.ip_address((peer or "").partition("%")[0])
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is None:
            return f"[IPv6:{address}]"
        address = address.ipv4_mapped
    return f"[{address}]"


def _only_recipient(facts: MessageFacts) -> str | None:
    if len(facts.recipients) != 1:
        return None
    (recipient,) = facts.recipients
    if not recipient.domain or not (recipient.is_ascii or facts.utf8):
        return None
    return render_path(recipient, utf8=facts.utf8)
