"""One message on an open session: one flight where PIPELINING is offered, else step by step.

Every recipient gets an outcome of its own. Whatever happens, the session is left ready for the
next message, or closed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import attrs

from ehlo._commands import Command, Data, Mail, Rcpt, Rset, Verb
from ehlo._errors import ConnectionFailed, LocalProtocolError, RemoteProtocolError, SubmissionFailed
from ehlo._events import (
    BodyWanted,
    ClientEvent,
    Deadline,
    Disconnecting,
    Envelope,
    Pause,
    Recipient,
    ReplyReceived,
    Wait,
)
from ehlo._state import State
from ehlo.client import ClientConnection
from ehlo.extensions import NO_PARAMETERS, SIZE, Body, Extension, Parameters, Size
from ehlo.flows._drive import event, expected, guarded, turn
from ehlo.flows.actions import Close, Flow, Poll, ReadBody, Receive, Send
from ehlo.flows.results import Outcome, SubmissionResult
from ehlo.wire.dot import expected_size
from ehlo.wire.reply import Reply

PIECE = 65536
"""Octets asked of the caller's message at a time."""

_DATA: Final = Data()
_ENVELOPE: Final = frozenset({State.MAIL, State.RCPT})


@attrs.frozen(kw_only=True)
class Submission:
    """One message to submit."""

    envelope: Envelope
    content: bytes | None = attrs.field(default=None, repr=False)
    """The octets; None: they come through `ReadBody`."""
    size: int | None = None
    """Octets after newlines are normalised, where known; an estimate will do [RFC1870-6a]. Told of
    `content` where it is needed."""
    eight_bit: bool | None = None
    """Whether octets over 127 are in it; None: not known. Told of `content`."""
    pipelining: bool = True
    """Use PIPELINING where it is offered."""


@attrs.define
class _Answers:
    """What the server said to the envelope."""

    mail: Reply | None = None
    rcpts: list[Reply] = attrs.Factory(list)
    data: Reply | None = None
    body_wanted: bool = False
    recipients: int = 0
    """How many were accepted."""

    def take(self, found: ClientEvent) -> None:
        if isinstance(found, ReplyReceived):
            verb, reply = found.command.verb, found.reply
            if verb is Verb.RCPT:
                self.rcpts.append(reply)
                self.recipients += reply.code < 300
            elif verb is Verb.MAIL:
                self.mail = reply
            else:
                self.data = reply
        elif isinstance(found, BodyWanted):
            self.data = found.reply
            self.body_wanted = True
        else:
            expected(found)
            raise ConnectionFailed("the server answered out of turn")

    @property
    def any_accepted(self) -> bool:
        return self.recipients > 0 and self.mail is not None and self.mail.code < 300


def submit(conn: ClientConnection, submission: Submission) -> Flow[SubmissionResult]:
    """The result when at least one recipient was accepted.

    Raises LocalProtocolError before anything is sent for what the server cannot take;
    SubmissionFailed, with every reply, when no recipient was accepted; ConnectionFailed or
    RemoteProtocolError, and the connection is closed, as it is after what `ReadBody` raised.
    """
    if not submission.envelope.recipients:
        raise LocalProtocolError("there are no recipients")
    if conn.state is not State.READY:
        raise LocalProtocolError("the session is not ready for a message")
    mail, rcpts, dropped = _commands(conn, submission)
    try:
        return (yield from guarded(conn, _submit(conn, submission, mail, rcpts, dropped)))
    except _Unreadable as unreadable:
        error = unreadable.error
    raise error


def _submit(
    conn: ClientConnection,
    submission: Submission,
    mail: Mail,
    rcpts: Sequence[Rcpt],
    dropped: tuple[str, ...],
) -> Flow[SubmissionResult]:
    in_one_flight = submission.pipelining and conn.can_pipeline
    answers = yield from (_pipelined if in_one_flight else _lock_step)(conn, mail, rcpts)
    final: Reply | None = None
    if answers.body_wanted:
        final = yield from _body(conn, submission.content, send=answers.any_accepted)
    elif conn.state in _ENVELOPE:
        # [RFC2920-3.1d] no message will follow: take the sender back.
        conn.send(Rset())
        yield from _whatever_comes(conn)
    if conn.state is State.CLOSED:
        yield Close()
    result = _result(submission.envelope.recipients, answers, final, dropped)
    if final is None or not final.is_success or not answers.any_accepted:
        decisive = final or next((o.reply for o in result.outcomes if o.reply), None)
        raise SubmissionFailed(f"no recipient was accepted: {decisive}", result, reply=decisive)
    return result


# ---- before anything is sent ----


def _commands(conn: ClientConnection, submission: Submission) -> tuple[Mail, list[Rcpt], tuple[str, ...]]:
    envelope = submission.envelope
    given = envelope.parameters
    offered = conn.writable.mail
    values: list[object] = []
    content, size, eight_bit = submission.content, submission.size, submission.eight_bit
    if Size in offered and given.get(Size) is None:
        if size is None and content is not None:
            size = expected_size(content)
        if size is not None:
            _check_size(conn, size)
            values.append(Size(size))
    if eight_bit is None and content is not None:
        eight_bit = not content.isascii()
    if eight_bit is not False and given.get(Body) is None:
        if Body in offered:
            values.append(Body.EIGHT_BIT_MIME)
        elif eight_bit:
            # [RFC6152-3c] nothing is lost silently: the caller converts, or chooses another way.
            raise LocalProtocolError("the message has octets over 127 and the server lacks 8BITMIME")
    if given is not NO_PARAMETERS:
        values.extend(given)
    dropped: dict[str, None] = {}
    mail = Mail(envelope.reverse_path, _offered(conn, values, "mail", dropped))
    rcpts = [
        Rcpt(recipient.path, _offered(conn, recipient.parameters, "rcpt", dropped))
        for recipient in envelope.recipients
    ]
    return mail, rcpts, tuple(dropped)


def _check_size(conn: ClientConnection, size: int) -> None:
    maximum: int | None = conn.capabilities.offer(SIZE)
    if maximum and size > maximum:
        raise LocalProtocolError(f"the message has {size} octets and the server takes {maximum}")


def _offered(
    conn: ClientConnection, values: list[object] | Parameters, command: str, dropped: dict[str, None]
) -> Parameters:
    """The values whose extension the server offers; the keywords of the others go to `dropped`."""
    if values is NO_PARAMETERS or not values:
        return NO_PARAMETERS
    offered = conn.writable.mail if command == "mail" else conn.writable.rcpt
    keep = []
    for value in values:
        if type(value) in offered:
            keep.append(value)
        else:
            dropped[_keyword(conn.extensions, value, command)] = None
    return Parameters(keep)


def _keyword(extensions: Sequence[Extension], value: object, command: str) -> str:
    for extension in extensions:
        for param in extension.mail if command == "mail" else extension.rcpt:
            if isinstance(value, param.type):
                return param.keyword
    raise LocalProtocolError(f"{type(value).__name__} is no parameter of {command.upper()}")


# ---- the envelope ----


def _lock_step(conn: ClientConnection, mail: Mail, rcpts: Sequence[Rcpt]) -> Flow[_Answers]:
    answers = _Answers()
    commands: list[Command] = [mail, *rcpts]
    for command in commands:
        conn.send(command)
        answers.take((yield from event(conn)))
        if conn.state not in _ENVELOPE:
            return answers
    if answers.any_accepted:
        conn.send(_DATA)
        answers.take((yield from event(conn)))
    return answers


def _pipelined(conn: ClientConnection, mail: Mail, rcpts: Sequence[Rcpt]) -> Flow[_Answers]:
    answers = _Answers()
    commands: list[Command] = [mail, *rcpts, _DATA]
    window = conn.limits.pipeline
    for start in range(0, len(commands), window):
        group = commands[start : start + window]
        if group[0] is _DATA and conn.state is not State.RCPT:
            break
        for command in group:
            conn.send(command)
        for _ in group:
            while isinstance(found := conn.next_event(), Pause):
                conn.receive_data((yield turn(conn)))
            answers.take(found)
            if conn.state is State.CLOSED:
                return answers
        if conn.state not in _ENVELOPE:
            break
    return answers


# ---- the body ----


def _body(conn: ClientConnection, content: bytes | None, *, send: bool) -> Flow[Reply | None]:
    """The final reply, None when there was nobody to send to."""
    if not send:
        # [RFC2920-3.1d] 354 although nobody was accepted: a lone dot, whose outcome is no delivery.
        conn.end_body()
        yield from _whatever_comes(conn)
        return None
    try:
        if content is None:
            yield from _stream(conn)
        else:
            for start in range(0, len(content), PIECE):
                if start:
                    yield from _send_block(conn)
                conn.send_body(content[start : start + PIECE])
                early = yield Poll()
                if early is not None:
                    _come_early(conn, early)
        # What is queued last leaves in one write with the end of the data.
        conn.end_body()
        while isinstance(found := conn.next_event(), Pause):
            conn.receive_data((yield turn(conn)))
    except TimeoutError:
        raise
    except OSError as error:
        raise (yield from _last_words(conn, error)) from error
    answer = expected(found)
    if not isinstance(answer, ReplyReceived):
        raise ConnectionFailed("the server answered out of turn")
    return answer.reply


def _whatever_comes(conn: ClientConnection) -> Flow[None]:
    """Wait for a reply that cannot change the result: every recipient was refused before it."""
    try:
        yield from event(conn)
    except (RemoteProtocolError, ConnectionFailed):
        pass
    except OSError:
        yield Close()


class _Unreadable(Exception):
    """The caller's message could not be read; an OSError of it is none of the connection."""

    def __init__(self, error: Exception) -> None:
        self.error = error


def _stream(conn: ClientConnection) -> Flow[None]:
    piece = yield from _read(conn)
    while piece:
        conn.send_body(piece)
        # A short piece waits for the one behind it: it is mostly the last. A whole one is sent while
        # the next is fetched.
        if len(piece) >= PIECE:
            yield from _send_block(conn)
        piece = yield from _read(conn)
        if piece:
            yield from _send_block(conn)


def _read(conn: ClientConnection) -> Flow[bytes]:
    try:
        piece: bytes = yield ReadBody(PIECE)
    except Exception as error:
        # Ending the data here would deliver half of the message.
        yield Close()
        raise _Unreadable(error) from error
    early = yield Poll()
    if early is not None:
        _come_early(conn, early)
    return piece


def _come_early(conn: ClientConnection, early: bytes) -> None:
    """A refusal in the middle is the last word; a success would be none to this message, which has
    not ended yet. Both end the session."""
    conn.receive_data(early)
    found = conn.next_event()
    if isinstance(found, Disconnecting):
        raise ConnectionFailed(f"the server ended the session: {found.reply}", reply=found.reply)
    if not isinstance(found, Pause):
        raise ConnectionFailed("the server closed the connection in the middle of the message")


def _send_block(conn: ClientConnection) -> Flow[None]:
    data = conn.data_to_send()
    if data:
        yield Send(data, conn.deadline, and_receive=True)


def _last_words(conn: ClientConnection, error: OSError) -> Flow[ConnectionFailed]:
    """A server that gives up in the middle says why before it closes: look for it."""
    try:
        while True:
            match conn.next_event():
                case Pause():
                    conn.receive_data((yield Receive(Deadline(Wait.FINAL_REPLY, conn.limits.quit_timeout))))
                case Disconnecting(reply) | ReplyReceived(_, reply):
                    return ConnectionFailed(
                        f"the server ended the session: {reply}",
                        reply=reply,
                        # A success that the connection did not outlive is none to rely on.
                        temporary=not reply.is_permanent,
                    )
                case _:
                    break
    except OSError:
        pass
    return ConnectionFailed(f"the connection broke while the message was sent: {error}")


# ---- the result ----


def _result(
    recipients: Sequence[Recipient], answers: _Answers, final: Reply | None, dropped: tuple[str, ...]
) -> SubmissionResult:
    sender_accepted = answers.mail is not None and answers.mail.is_success
    accepted = final is not None and final.is_success
    decisive = final if final is not None else answers.data
    outcomes = []
    for index, recipient in enumerate(recipients):
        rcpt = answers.rcpts[index] if index < len(answers.rcpts) else None
        if not sender_accepted:
            outcomes.append(Outcome(recipient.path, False, answers.mail))
        elif rcpt is None or not rcpt.is_success:
            outcomes.append(Outcome(recipient.path, False, rcpt))
        else:
            outcomes.append(Outcome(recipient.path, accepted, decisive))
    return SubmissionResult(tuple(outcomes), final, dropped)
