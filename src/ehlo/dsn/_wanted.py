"""Whom to report on: NOTIFY, the null reverse-path and what became of each (RFC 3461 section 5.2)."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING, Final

import attrs

from ehlo._errors import LocalProtocolError
from ehlo._events import Envelope, Recipient
from ehlo._value import Value
from ehlo.dsn._values import CLASSES, Action, RecipientReport, Typed
from ehlo.extensions import Notify, Orcpt, Parameters
from ehlo.wire.address import ForwardPath
from ehlo.wire.codes import EnhancedCode
from ehlo.wire.reply import Reply

if TYPE_CHECKING:
    from ehlo.flows.results import Outcome

_ASKED_BY: Final = {
    Action.FAILED: Notify.FAILURE,
    Action.DELAYED: Notify.DELAY,
    Action.DELIVERED: Notify.SUCCESS,
    Action.RELAYED: Notify.SUCCESS,
    Action.EXPANDED: Notify.SUCCESS,
}


@attrs.frozen(repr=False, eq=False, kw_only=True)
class Attempt(Value):
    """What the replies of an attempt do not tell."""

    remote_mta: str | None = None
    """The server that replied; None: the replies are our own."""
    when: datetime | None = None
    accepted: Action | None = None
    """What acceptance was: DELIVERED, EXPANDED, or RELAYED to a server without DSN
    (`SubmissionResult.dropped` names NOTIFY then). None: the next server reports on it."""
    retrying: bool = False
    """There will be more attempts: a temporary failure is a delay, not a failure."""
    will_retry_until: datetime | None = None


def is_wanted(envelope: Envelope, recipient: Recipient, action: Action, *, delays: bool = False) -> bool:
    """Whether the sender is to get a report of this action.

    `delays`: also about a delay that NOTIFY says nothing on, as both is allowed [RFC3461-4.3a].
    """
    # [RFC3461-5.2a] or two servers would report to each other for ever.
    if envelope.reverse_path is None:
        return False
    notify = recipient.parameters.get(Notify)
    if notify is None:
        return action is Action.FAILED or (action is Action.DELAYED and delays)
    return _ASKED_BY[action] in notify


def reports_wanted(
    envelope: Envelope, outcomes: Iterable[Outcome], attempt: Attempt | None = None, *, delays: bool = False
) -> tuple[RecipientReport, ...]:
    """The recipients that one report is to be about; none: send no report [RFC3461-5.2.8a].

    `outcomes` may leave recipients out. Raises LocalProtocolError for one that the envelope does not have.
    """
    attempt = Attempt() if attempt is None else attempt
    if attempt.accepted is not None and _ASKED_BY[attempt.accepted] is not Notify.SUCCESS:
        raise LocalProtocolError("acceptance is DELIVERED, RELAYED or EXPANDED")
    waiting: dict[ForwardPath, list[Recipient]] = {}
    for recipient in reversed(envelope.recipients):
        waiting.setdefault(recipient.path, []).append(recipient)
    wanted = []
    for outcome in outcomes:
        known = waiting.get(outcome.recipient)
        if not known:
            raise LocalProtocolError("an outcome for no recipient of the envelope")
        # The same address may be there twice, with wishes of its own each time.
        recipient = known.pop()
        action = _action(outcome, attempt)
        if action is not None and is_wanted(envelope, recipient, action, delays=delays):
            wanted.append(_report(recipient, action, outcome.reply, attempt))
    return tuple(wanted)


def _action(outcome: Outcome, attempt: Attempt) -> Action | None:
    if outcome.accepted:
        return attempt.accepted
    return Action.DELAYED if outcome.temporary and attempt.retrying else Action.FAILED


def _report(recipient: Recipient, action: Action, reply: Reply | None, attempt: Attempt) -> RecipientReport:
    orcpt = recipient.parameters.get(Orcpt)
    # [RFC3464-2.3a] no remote MTA where none was asked.
    remote = attempt.remote_mta if reply is not None else None
    return RecipientReport(
        final_recipient=Typed.address(recipient.path),
        action=action,
        status=_status(action, reply),
        original_recipient=None if orcpt is None else Typed(orcpt.type, orcpt.address),
        remote_mta=None if remote is None else Typed.host(remote),
        diagnostic=None if reply is None else Typed.reply(reply),
        last_attempt=attempt.when,
        will_retry_until=attempt.will_retry_until if action is Action.DELAYED else None,
    )


def _status(action: Action, reply: Reply | None) -> EnhancedCode:
    classes = CLASSES[action]
    if reply is None:
        return EnhancedCode(classes[0], 0, 0)
    if reply.enhanced is not None and reply.enhanced.klass in classes:
        return reply.enhanced
    # [RFC3461-6.3e]
    return EnhancedCode(reply.code // 100 if reply.code // 100 in classes else classes[0], 0, 0)


def report_envelope(envelope: Envelope) -> Envelope:
    """The transaction that carries a report on that one [RFC3461-6.1a].

    [RFC8689-5a] add REQUIRETLS where the message came with it. Raises LocalProtocolError for the null
    reverse-path, to which nothing is reported.
    """
    sender = envelope.reverse_path
    if sender is None:
        raise LocalProtocolError("nothing is reported to the null reverse-path")
    return Envelope(None, recipients=(Recipient(sender, Parameters([Notify.NEVER])),))
