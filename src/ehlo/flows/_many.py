"""Many messages on one session, the next on its way before the last is answered.

With CHUNKING whole messages follow each other, as many as a window holds. With PIPELINING alone the next
envelope goes out behind the body of the last message: a round trip for each, instead of two.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from copy import copy
from typing import Final, TypeAlias

import attrs

from ehlo._commands import Data, Mail, Rcpt, Rset, Verb
from ehlo._errors import ConnectionFailed, Error, LocalProtocolError
from ehlo._events import ClientEvent, Pause, ReplyReceived
from ehlo._state import State
from ehlo.client import ClientConnection
from ehlo.flows._answers import Answers
from ehlo.flows._chunks import CHUNK, untaken
from ehlo.flows._data import ENVELOPE
from ehlo.flows._drive import expected, guarded, turn
from ehlo.flows._submit import checked, submit
from ehlo.flows._terms import Submission, adapted, commands
from ehlo.flows.actions import Flow
from ehlo.flows.results import SubmissionResult

WINDOW: Final = CHUNK
"""Octets of messages that are on their way at once; a single message may be as long."""

Delivery: TypeAlias = SubmissionResult | Error
"""What became of one of many messages: what `submit` returns or raises."""


def submit_many(conn: ClientConnection, submissions: Iterable[Submission]) -> Flow[list[Delivery]]:
    """What became of each message, in their order; one that fails keeps no other from being sent.

    A lost connection is told of each message whose last reply had not come, and of those that were not
    sent. All messages must have their `content`. Raises LocalProtocolError before anything
    is sent.
    """
    todo = list(submissions)
    if any(submission.content is None for submission in todo):
        raise LocalProtocolError("of many messages each has to be there: submit those that come in pieces")
    if conn.state is not State.READY:
        raise LocalProtocolError("the session is not ready for a message")
    many = _Many(conn, todo)
    try:
        yield from guarded(conn, many.run())
    except Error as error:
        many.lose(error)
    return many.deliveries


@attrs.define
class _Aloft:
    """A message on its way."""

    index: int
    submission: Submission
    mail: Mail
    dropped: tuple[str, ...]
    commands: int
    """How many have no reply yet."""
    answers: Answers = attrs.Factory(Answers)
    error: LocalProtocolError | None = None
    """Why its body was not sent."""
    whole: bool = False
    """All of it was queued, up to its end."""

    @property
    def content(self) -> bytes:
        return self.submission.content or b""


class _Many:
    def __init__(self, conn: ClientConnection, submissions: list[Submission]) -> None:
        self._conn = conn
        self._todo = deque(enumerate(submissions))
        self._aloft: deque[_Aloft] = deque()
        # The last one, whose envelope is answered and whose body is due.
        self._open: _Aloft | None = None
        self._found: dict[int, Delivery] = {}
        self._count = len(submissions)

    @property
    def deliveries(self) -> list[Delivery]:
        return [self._found[index] for index in range(self._count)]

    def run(self) -> Flow[None]:
        while self._todo or self._aloft:
            if not self._todo:
                yield from self._land()
                continue
            index, submission = self._todo[0]
            short = len(submission.content or b"") <= CHUNK
            few = len(submission.envelope.recipients) + 4 <= self._conn.limits.pipeline
            limited = "LIMITS" in self._conn.capabilities
            if limited or not (self._conn.can_pipeline and submission.pipelining and short and few):
                yield from self._land()
                yield from self._alone(index, submission)
            elif self._conn.can_chunk and submission.chunking:
                yield from self._end_open()
                yield from self._make_room(submission)
                self._launch(index, submission)
            else:
                while self._aloft and self._aloft[-1] is not self._open:
                    yield from self._hear()
                yield from self._follow(index, submission)

    def lose(self, error: Error) -> None:
        """The session is over: what is not known by now never will be."""
        for one in self._aloft:
            known = copy(error)
            known.__cause__ = error.__cause__
            known.in_doubt = one.whole
            self._found[one.index] = known
        for index, _ in self._todo:
            self._found[index] = ConnectionFailed("the session ended before the message was sent")

    # ---- one at a time ----

    def _alone(self, index: int, submission: Submission) -> Flow[None]:
        try:
            self._found[index] = yield from submit(self._conn, submission)
        except Error as error:
            self._found[index] = error
        self._todo.popleft()
        if self._conn.state is State.CLOSED:
            raise ConnectionFailed("the session ended before the message was sent")

    # ---- in the air ----

    def _make_room(self, submission: Submission) -> Flow[None]:
        octets = len(submission.content or b"")
        most = self._conn.limits.pipeline - len(submission.envelope.recipients) - 3
        while self._aloft and (
            octets + sum(len(one.content) for one in self._aloft) > WINDOW or self._conn.in_flight > most
        ):
            yield from self._hear()

    def _prepare(self, index: int, submission: Submission, *, extra: int) -> tuple[_Aloft, list[Rcpt]] | None:
        """None when it cannot be sent: the session goes on with the next."""
        self._todo.popleft()
        try:
            if not submission.envelope.recipients:
                raise LocalProtocolError("there are no recipients")
            submission = adapted(self._conn, submission)
            mail, rcpts, dropped = commands(self._conn, submission)
        except LocalProtocolError as error:
            self._found[index] = error
            return None
        return _Aloft(index, submission, mail, dropped, len(rcpts) + 1 + extra), rcpts

    def _launch(self, index: int, submission: Submission) -> None:
        """The whole of a message, behind those that are on their way."""
        conn = self._conn
        prepared = self._prepare(index, submission, extra=1)
        if prepared is None:
            return
        one, rcpts = prepared
        if self._aloft or conn.state is not State.READY:
            # Whatever became of the message before: none of its transaction may be left, or this one's
            # recipients would be added to it.
            conn.send(Rset())
        self._aloft.append(one)
        conn.send(one.mail)
        for rcpt in rcpts:
            conn.send(rcpt)
        try:
            conn.send_chunk(one.content, last=True)
            one.whole = True
        except LocalProtocolError as error:
            # RSET follows, before the next message or at the end.
            one.error = error
            one.commands -= 1

    def _follow(self, index: int, submission: Submission) -> Flow[None]:
        """The envelope behind the body of the message before."""
        conn = self._conn
        prepared = self._prepare(index, submission, extra=2)
        if prepared is None:
            return
        one, rcpts = prepared
        self._send_open(followed=True)
        self._aloft.append(one)
        conn.send(one.mail)
        for rcpt in rcpts:
            conn.send(rcpt)
        conn.send(Data())
        yield from self._settle()
        self._open = one

    def _send_open(self, *, followed: bool = False) -> None:
        """Queue what the last envelope still waits for: its body, or its end; another envelope may follow."""
        conn, one = self._conn, self._open
        self._open = None
        if one is not None and one.answers.body_wanted:
            # [RFC2920-3.1d] 354 although nobody was accepted: a lone dot.
            if one.answers.any_accepted:
                conn.send_body(one.content)
                one.whole = True
            conn.end_body()
        elif one is not None:
            self._aloft.remove(one)
            self._ended(one)
        if conn.state in ENVELOPE or (followed and conn.in_flight):
            # Also behind a body: Dovecot 2.3 crashes on MAIL and RCPT that come before it has answered the
            # end of the data, unless RSET holds them up.
            conn.send(Rset())

    def _end_open(self) -> Flow[None]:
        if self._open is not None:
            self._send_open()
            yield from self._settle()

    def _land(self) -> Flow[None]:
        """Wait until nothing is on its way."""
        self._send_open()
        yield from self._settle()
        if self._aloft:
            raise ConnectionFailed("the server answered out of turn")
        if self._conn.state is not State.READY:
            self._conn.send(Rset())
            yield from self._settle()

    def _settle(self) -> Flow[None]:
        while self._conn.in_flight:
            yield from self._hear()

    def _hear(self) -> Flow[None]:
        """Send what is queued, and take at least one reply."""
        conn = self._conn
        heard = False
        while conn.in_flight:
            before = conn.in_flight
            found = conn.next_event()
            if not isinstance(found, Pause):
                self._take(found, before - conn.in_flight)
                heard = True
            elif heard:
                return
            else:
                conn.receive_data((yield turn(conn)))

    def _take(self, found: ClientEvent, answered: int) -> None:
        """`answered`: 0 for a reply that others to the same command will follow."""
        reply = found.reply if isinstance(found, ReplyReceived) else None
        if not (isinstance(found, ReplyReceived) and found.command.verb is Verb.RSET):
            self._take_of_message(found, answered)
        if self._conn.state is State.CLOSED:
            raise ConnectionFailed(f"the server ended the session: {reply}", reply=reply)

    def _take_of_message(self, found: ClientEvent, answered: int) -> None:
        if not self._aloft:
            expected(found)
            raise ConnectionFailed("the server answered out of turn")
        one = self._aloft[0]
        one.answers.take(found)
        one.commands -= answered
        if not one.commands:
            self._aloft.popleft()
            self._ended(one)

    def _ended(self, one: _Aloft) -> None:
        conn, answers = self._conn, one.answers
        if one.error is not None:
            self._found[one.index] = one.error
            return
        verdict = answers.verdict
        if verdict is not None and untaken(one.mail, answers, verdict):
            # It does not take chunks after all: this message and those behind it go another way.
            conn.can_chunk = False
            self._todo.appendleft((one.index, one.submission))
            return
        try:
            recipients = one.submission.envelope.recipients
            self._found[one.index] = checked(answers.result(recipients, one.dropped, lmtp=conn.lmtp))
        except Error as error:
            self._found[one.index] = error
