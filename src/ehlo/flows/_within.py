"""A message within the limits that the server announces (RFC 9422): in several transactions if need be."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import attrs

from ehlo._errors import (
    ConnectionFailed,
    LocalProtocolError,
    RemoteProtocolError,
    SessionExhausted,
    SubmissionFailed,
)
from ehlo._events import Recipient
from ehlo.client import ClientConnection
from ehlo.extensions import LIMITS, SessionLimits
from ehlo.flows._terms import Submission
from ehlo.flows.actions import Flow
from ehlo.flows.results import Outcome, SubmissionResult
from ehlo.wire.reply import Reply

Submit = Callable[[ClientConnection, Submission], Flow[SubmissionResult]]


def within(conn: ClientConnection, submission: Submission, submit: Submit) -> Flow[SubmissionResult]:
    """The outcomes of all transactions. Where one has delivered, the rest of the recipients of a session
    that ended or is exhausted may be tried again.

    Raises what `submit` raises, SessionExhausted, and LocalProtocolError for a message that would have to
    be sent twice and comes in pieces.
    """
    limits: SessionLimits = conn.capabilities.offer(LIMITS) or SessionLimits()
    recipients = submission.envelope.recipients
    groups = list(_groups(recipients, limits))
    if len(groups) > 1 and submission.content is None:
        raise LocalProtocolError(
            f"the server takes {len(groups[0])} of these {len(recipients)} recipients at once: a message that"
            " comes in pieces cannot be sent again to the others"
        )
    found: dict[int, Outcome] = {}
    replies: list[Reply | None] = []
    dropped: dict[str, None] = {}
    for group in groups:
        part = attrs.evolve(
            submission,
            envelope=attrs.evolve(submission.envelope, recipients=tuple(recipients[i] for i in group)),
        )
        try:
            _admit(conn, part, limits)
            result = yield from submit(conn, part)
        except SubmissionFailed as error:
            result = error.result
        except (ConnectionFailed, RemoteProtocolError, SessionExhausted):
            if not any(outcome.accepted for outcome in found.values()):
                raise
            break
        found |= zip(group, result.outcomes, strict=True)
        replies.append(result.reply)
        dropped |= dict.fromkeys(result.dropped)
    outcomes = [
        found.get(i) or Outcome(recipient.path, False, None) for i, recipient in enumerate(recipients)
    ]
    good = (reply for reply in replies if reply is not None and reply.is_success)
    return SubmissionResult(tuple(outcomes), next(good, replies[-1]), tuple(dropped))


def _groups(recipients: Sequence[Recipient], limits: SessionLimits) -> Iterator[list[int]]:
    """Recipients by their place: as many as go into one transaction, and domains as go into one session."""
    group: list[int] = []
    domains: set[str] = set()
    for place, recipient in enumerate(recipients):
        domain = recipient.path.domain.lower()
        full = limits.rcpt_max is not None and len(group) >= limits.rcpt_max
        most = limits.rcpt_domain_max
        wide = most is not None and domain not in domains and len(domains) >= most
        if group and (full or wide):
            yield group
            group, domains = [], set()
        group.append(place)
        domains.add(domain)
    yield group


def _admit(conn: ClientConnection, part: Submission, limits: SessionLimits) -> None:
    """[RFC9422-4.1a] [RFC9422-4.3a]"""
    if limits.mail_max is not None and conn.mails >= limits.mail_max:
        raise SessionExhausted(f"the server takes {limits.mail_max} messages in a session")
    if limits.rcpt_domain_max is not None:
        new = {recipient.path.domain.lower() for recipient in part.envelope.recipients}
        if len(conn.rcpt_domains | new) > max(limits.rcpt_domain_max, 1):
            raise SessionExhausted(f"the server takes {limits.rcpt_domain_max} domains in a session")
        conn.rcpt_domains |= new
