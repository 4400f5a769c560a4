"""What became of a submission."""

from __future__ import annotations

import attrs

from ehlo._value import Value
from ehlo.wire.address import ForwardPath
from ehlo.wire.reply import Reply


@attrs.frozen(repr=False, eq=False)
class Outcome(Value):
    """What became of one recipient."""

    recipient: ForwardPath
    accepted: bool
    """The server took the responsibility for this recipient."""
    reply: Reply | None
    """The reply that decided; None when the server was never asked."""

    @property
    def temporary(self) -> bool:
        """Not accepted, and the same attempt may succeed later.

        So may one that was never made, for the session ended before it.
        [RFC5321-4.5.3.1.10b] 552 to RCPT once meant too many recipients, so it counts as temporary
        unless its enhanced code speaks of size or a full mailbox.
        """
        if self.accepted or self.reply is None:
            return not self.accepted
        many = self.reply.code == 552 and str(self.reply.enhanced) in ("None", "5.5.3")
        return self.reply.is_transient or many


@attrs.frozen(repr=False, eq=False)
class SubmissionResult(Value):
    """One outcome for each recipient, in the caller's order."""

    outcomes: tuple[Outcome, ...]
    reply: Reply | None = None
    """The server's last word on the message; its text often names the queue entry."""
    dropped: tuple[str, ...] = ()
    """Keywords of parameters that were wanted and not sent, for the server does not offer their
    extension [RFC3461-5.2.2a]."""

    @property
    def accepted(self) -> tuple[Outcome, ...]:
        return tuple(outcome for outcome in self.outcomes if outcome.accepted)

    @property
    def refused(self) -> tuple[Outcome, ...]:
        return tuple(outcome for outcome in self.outcomes if not outcome.accepted)

    @property
    def temporary(self) -> bool:
        """At least one refused recipient may be tried again."""
        return any(outcome.temporary for outcome in self.outcomes)
