"""What the sender is told: which outcomes, by which report (RFC 3464), in which envelope."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import BinaryIO, Final

import attrs

import ehlo
from ehlo import dsn
from ehlo_io.relay.delivery import Attempted
from ehlo_io.relay.queue import Clock, Retry
from ehlo_io.relay.spool import Entry, Progress

# One more than a report returns: the builder then sees that there is more.
ORIGINAL: Final = 65536 + 1
"""Octets of a message that a report needs."""


@attrs.frozen(kw_only=True)
class Verdict:
    """What an attempt means for a message."""

    left: tuple[int, ...]
    """Which recipients are to be tried again."""
    fates: tuple[dsn.RecipientReport, ...]
    """What its sender is to be told, if anything."""
    warned: bool
    """Its sender need not be told of a delay, or not any more."""


def judge(
    entry: Entry, progress: Progress, attempted: Attempted, *, retry: Retry, now: float, hop: str
) -> Verdict:
    """4yz is tried again until the time is over, 5yz is final, each recipient for itself
    [RFC5321-4.2.1a]."""
    over = now >= entry.arrival + retry.give_up_after
    warn = not progress.warned and now >= entry.arrival + retry.warn_after
    tried = dict(zip(progress.left, attempted.outcomes, strict=True))
    left = tuple(index for index, outcome in tried.items() if outcome.temporary and not over)
    done = tuple(index for index in tried if index not in left)
    fates = fates_of(
        entry.part(done), attrs.evolve(attempted, outcomes=tuple(tried[i] for i in done)), now, hop
    )
    if warn and left:
        until = datetime.fromtimestamp(entry.arrival + retry.give_up_after, UTC)
        delay = attrs.evolve(_told(attempted, now, hop), retrying=True, will_retry_until=until)
        fates += dsn.reports_wanted(entry.part(left), [tried[i] for i in left], delay, delays=True)
    return Verdict(left=left, fates=fates, warned=progress.warned or warn)


def fates_of(
    envelope: ehlo.Envelope, attempted: Attempted, now: float, hop: str
) -> tuple[dsn.RecipientReport, ...]:
    """What the sender is to be told when nothing is tried again."""
    told = _told(attempted, now, hop)
    if attempted.relayed:
        told = attrs.evolve(told, accepted=dsn.Action.RELAYED)
    return dsn.reports_wanted(envelope, attempted.outcomes, told)


def _told(attempted: Attempted, now: float, hop: str) -> dsn.Attempt:
    # [RFC3464-2.3a] no remote MTA where the words are our own.
    return dsn.Attempt(remote_mta=None if attempted.ours else hop, when=datetime.fromtimestamp(now, UTC))


class Reporter:
    """Writes reports in the name of this server."""

    def __init__(self, hostname: str, clock: Clock) -> None:
        self._hostname = hostname
        self._clock = clock

    def report(
        self,
        envelope: ehlo.Envelope,
        fates: tuple[dsn.RecipientReport, ...],
        arrival: float,
        original: Callable[[], BinaryIO],
    ) -> tuple[ehlo.Envelope, bytes]:
        """The report on a message, and the envelope to send it with. Reads the file; raises OSError."""
        required = envelope.parameters.get(ehlo.RequireTls)
        carrier = dsn.report_envelope(envelope)
        if required is not None:
            # [RFC8689-5a]
            carrier = attrs.evolve(carrier, parameters=ehlo.Parameters([required]))
        report = dsn.Report.of(
            envelope,
            fates,
            reporting_mta=self._hostname,
            arrival=datetime.fromtimestamp(arrival, UTC),
        )
        with original() as file:
            content = file.read(ORIGINAL)
        ret = envelope.parameters.get(ehlo.Ret)
        report = report.returning(content, ret=ret, requires_tls=required is not None)
        name = self._clock.name()
        sender = carrier.recipients[0].path
        header = dsn.Header(
            to=sender,
            postmaster=ehlo.Mailbox("postmaster", self._hostname),
            date=datetime.fromtimestamp(self._clock.now(), UTC),
            message_id=f"<{name}@{self._hostname}>",
            boundary=f"report-{name}",
        )
        return carrier, dsn.build(report, header, utf8=not sender.is_ascii)
