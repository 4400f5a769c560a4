"""One message on an open session: one flight where that is possible, else step by step.

Every recipient gets an outcome of its own. Whatever happens, the session is left ready for the
next message, or closed.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

import attrs

from ehlo._commands import Mail, Rcpt, Rset
from ehlo._errors import LocalProtocolError, SubmissionFailed
from ehlo._state import State
from ehlo.client import ClientConnection
from ehlo.flows._answers import Answers
from ehlo.flows._chunks import chunked
from ehlo.flows._data import ENVELOPE, lock_step, pipelined, send_body, whatever_comes
from ehlo.flows._drive import guarded
from ehlo.flows._source import Source, Unreadable
from ehlo.flows._terms import (
    Submission,
    adapted,
    commands,
    is_told_by_start,
    may_be_encoded,
    told_by_start,
)
from ehlo.flows.actions import Close, Flow
from ehlo.flows.results import SubmissionResult

__all__ = ["Submission", "submit"]


def submit(conn: ClientConnection, submission: Submission) -> Flow[SubmissionResult]:
    """The result when at least one recipient was accepted.

    Raises LocalProtocolError before anything is sent for what the server cannot take;
    SubmissionFailed, with every reply, when no recipient was accepted; ConnectionFailed or
    RemoteProtocolError, and the connection is closed, as it is after what `ReadBody` raised, and after a
    LocalProtocolError for what shows only in the middle of a message that comes in pieces;
    SessionExhausted, and nothing was sent, where another session is needed.
    """
    # Not a generator of its own: each one more is passed through with every action.
    return (_limited if "LIMITS" in conn.capabilities else _transaction)(conn, submission)


def _limited(conn: ClientConnection, submission: Submission) -> Flow[SubmissionResult]:
    from ehlo.flows._within import within  # noqa: PLC0415 (for those who meet it)

    return checked((yield from within(conn, submission, _transaction)))


def _transaction(conn: ClientConnection, submission: Submission) -> Flow[SubmissionResult]:
    if not submission.envelope.recipients:
        raise LocalProtocolError("there are no recipients")
    if not conn.is_ready:
        raise LocalProtocolError("the session is not ready for a message")
    source = Source(submission.content)
    try:
        if submission.convert:
            submission = yield from _adapted(conn, submission, source)
        if is_told_by_start(conn, submission):
            submission = told_by_start(submission, (yield from source.start()))
        mail, rcpts, dropped = commands(conn, submission)
        answers = yield from guarded(conn, _submit(conn, submission, mail, rcpts, source))
    except Unreadable as unreadable:
        error = unreadable.error
    else:
        return checked(answers.result(submission.envelope.recipients, dropped, lmtp=conn.lmtp))
    raise error


def _adapted(conn: ClientConnection, submission: Submission, source: Source) -> Flow[Submission]:
    """`adapted`, also for a message that comes in pieces, which is read to its end if it may have to be
    encoded."""
    if submission.content is None:
        start = (yield from source.start()) if is_told_by_start(conn, submission) else b""
        if not may_be_encoded(conn, submission, start):
            return submission
        content = yield from source.pieces(sys.maxsize, 0)
        submission = attrs.evolve(submission, content=content, size=None, eight_bit=None)
    submission = adapted(conn, submission)
    source.content = submission.content
    return submission


def checked(result: SubmissionResult) -> SubmissionResult:
    """The same. Raises SubmissionFailed where nobody got the message."""
    for outcome in result.outcomes:
        if outcome.accepted:
            return result
    decisive = result.reply or next((o.reply for o in result.outcomes if o.reply), None)
    raise SubmissionFailed(f"no recipient was accepted: {decisive}", result, reply=decisive)


def _submit(
    conn: ClientConnection, submission: Submission, mail: Mail, rcpts: Sequence[Rcpt], source: Source
) -> Flow[Answers]:
    in_one_flight = submission.pipelining and conn.can_pipeline
    answers: Answers | None = None
    if submission.chunking and conn.can_chunk:
        answers = yield from chunked(conn, mail, rcpts, source, in_one_flight=in_one_flight)
    if answers is None:
        answers = yield from (pipelined if in_one_flight else lock_step)(conn, mail, rcpts)
        if answers.body_wanted:
            yield from send_body(conn, source, answers)
    if conn.state in ENVELOPE:
        # [RFC2920-3.1d] no message will follow: take the sender back.
        conn.send(Rset())
        yield from whatever_comes(conn)
    if conn.state is State.CLOSED:
        yield Close()
    return answers
