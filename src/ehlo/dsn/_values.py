"""The values of a report (RFC 3464 section 2): what became of some recipients of one message.

They hold what was read, right or wrong; `build` refuses what a report must not say.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime
from enum import Enum
from typing import Final, TypeAlias

import attrs

from ehlo._errors import Error
from ehlo._events import Envelope
from ehlo._value import Value
from ehlo.extensions import EnvId, HoldFor, HoldUntil, Parameters, Ret
from ehlo.extensions._time import render_time
from ehlo.wire.address import AddressError, Mailbox, check_domain
from ehlo.wire.codes import EnhancedCode
from ehlo.wire.reply import Reply

RETURNED_OCTETS: Final = 65536
"""The most that a report returns of a message unless told otherwise: a forged sender gets no more."""

_BREAK: Final = re.compile(rb"\r\n|\r|\n")


class ReportError(Error, ValueError):
    """The octets are not a delivery status notification."""


class Action(Enum):
    """What the reporting MTA did for a recipient [RFC3464-2.3.3a]."""

    FAILED = "failed"
    DELAYED = "delayed"
    DELIVERED = "delivered"
    RELAYED = "relayed"
    """Handed to where nobody reports on delivery."""
    EXPANDED = "expanded"
    """Delivered, and forwarded to several other addresses."""


CLASSES: Final = {
    Action.FAILED: (4, 5),
    Action.DELAYED: (4,),
    Action.DELIVERED: (2,),
    Action.RELAYED: (2,),
    Action.EXPANDED: (2,),
}
"""The classes of status that go with an action [RFC3464-2.3.4a]."""


@attrs.frozen(repr=False, eq=False)
class Typed(Value):
    """A value behind the type that tells how to read it (RFC 3464 section 2.1.2)."""

    type: str = attrs.field(eq=str.lower)
    """`rfc822` or `utf-8` for addresses, `dns` for hosts, `smtp` for replies, or another."""
    value: str

    @classmethod
    def address(cls, mailbox: Mailbox) -> Typed:
        """[RFC3461-6.3d] type rfc822, or utf-8 when it is not ASCII (RFC 6533)."""
        return cls("rfc822" if mailbox.is_ascii else "utf-8", str(mailbox))

    @classmethod
    def host(cls, name: str, peer: str | None = None) -> Typed:
        """[RFC3461-6.3b] type dns for a domain of two labels or an address literal, else
        x-local-hostname. `peer`: the network address, added as a comment [RFC3464-2.2.4a]."""
        try:
            check_domain(name)
            kind = "dns" if "." in name or name.startswith("[") else "x-local-hostname"
        except AddressError:
            kind = "x-local-hostname"
        return cls(kind, name if peer is None else f"{name} ([{peer}])")

    @classmethod
    def reply(cls, reply: Reply) -> Typed:
        """[RFC3461-9.2a] type smtp and the lines of the reply, each with its code."""
        text = reply.render(utf8=True).decode("utf-8", "replace")
        return cls("smtp", text.replace("\r\n", " ").strip())


Extensions: TypeAlias = tuple[tuple[str, str], ...]
"""Names and texts of further fields, in their order."""


@attrs.frozen(repr=False, eq=False, kw_only=True)
class RecipientReport(Value):
    """What became of one recipient (RFC 3464 section 2.3)."""

    final_recipient: Typed
    """The address in the envelope when the reporting MTA took the message."""
    action: Action
    status: EnhancedCode
    original_recipient: Typed | None = None
    """ORCPT; None without one [RFC3461-6.3c]."""
    remote_mta: Typed | None = None
    """The server that gave the diagnostic."""
    diagnostic: Typed | None = None
    """Its reply, or another code."""
    last_attempt: datetime | None = None
    final_log_id: str | None = None
    will_retry_until: datetime | None = None
    """With DELAYED only."""
    extensions: Extensions = ()
    """Fields not known here, and known ones that are repeated or cannot be read."""


@attrs.frozen(repr=False, eq=False)
class Returned(Value):
    """What comes back of the message: all of it (`Ret.FULL`) or its header fields."""

    ret: Ret
    content: bytes = attrs.field(repr=lambda data: f"<{len(data)} octets>")
    """With CRLF."""


@attrs.frozen(repr=False, eq=False, kw_only=True)
class Report(Value):
    """One report on some recipients of one transaction (RFC 3464 section 2.2)."""

    reporting_mta: Typed | None
    """Who tried; None only in a parsed report that does not say."""
    recipients: tuple[RecipientReport, ...]
    envelope_id: str | None = None
    """ENVID, decoded; None without one [RFC3461-6.3a]."""
    dsn_gateway: Typed | None = None
    """Who translated a foreign report."""
    received_from: Typed | None = None
    arrival: datetime | None = None
    extensions: Extensions = ()
    """Fields not known here, and known ones that are repeated or cannot be read."""
    returned: Returned | None = None

    @classmethod
    def of(
        cls,
        envelope: Envelope,
        recipients: Iterable[RecipientReport],
        *,
        reporting_mta: str,
        received_from: Typed | None = None,
        arrival: datetime | None = None,
    ) -> Report:
        """The report on these recipients of a transaction. `reporting_mta`: our host name."""
        envid = envelope.parameters.get(EnvId)
        return cls(
            reporting_mta=Typed.host(reporting_mta),
            recipients=tuple(recipients),
            envelope_id=None if envid is None else envid.value,
            received_from=received_from,
            arrival=arrival,
            extensions=_held(envelope.parameters),
        )

    @property
    def has_failure(self) -> bool:
        return any(recipient.action is Action.FAILED for recipient in self.recipients)

    def returning(
        self,
        original: bytes,
        *,
        ret: Ret | None,
        requires_tls: bool = False,
        max_size: int = RETURNED_OCTETS,
    ) -> Report:
        """The same report with what is to be returned of the message.

        [RFC3461-6.2a] all of it for RET=FULL and a failure, if it is no longer than `max_size`; else its
        header. [RFC8689-5a] `requires_tls`: it came with REQUIRETLS, so never more than the header. A
        header longer than `max_size` is not returned.
        """
        content = with_crlf(original)
        if ret is Ret.FULL and self.has_failure and not requires_tls and len(content) <= max_size:
            return attrs.evolve(self, returned=Returned(Ret.FULL, content))
        header = header_of(content)
        fits = len(header) <= max_size
        return attrs.evolve(self, returned=Returned(Ret.HDRS, header) if fits else None)


def _held(parameters: Parameters) -> Extensions:
    """[RFC4865-5.1b] what was asked for of a message that is released later."""
    hold, until = parameters.get(HoldFor), parameters.get(HoldUntil)
    if hold is not None:
        return (("Future-Release-Request", f"for;{hold.seconds}"),)
    if until is not None:
        return (("Future-Release-Request", f"until;{render_time(until.time)}"),)
    return ()


def with_crlf(octets: bytes) -> bytes:
    """Lines that end in CRLF, whatever ended them."""
    return _BREAK.sub(b"\r\n", octets)


def header_of(message: bytes) -> bytes:
    """[RFC6522-4a] the fields before the first blank line; lines end in CRLF."""
    if message.startswith(b"\r\n"):
        return b""
    end = message.find(b"\r\n\r\n")
    return message if end < 0 else message[: end + 2]
