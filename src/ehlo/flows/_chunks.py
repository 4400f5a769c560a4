"""A message in chunks (RFC 3030): the envelope and the first of them in one flight.

A message of one chunk costs one round trip. Of a longer one the second chunk waits for the reply to the
first: by then it is known that somebody will get the message, and that the server means what it offers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from ehlo._commands import Command, Mail, Rcpt, Rset
from ehlo._errors import ConnectionFailed
from ehlo._events import Pause
from ehlo._state import State
from ehlo.client import ClientConnection
from ehlo.extensions import Body
from ehlo.flows._answers import Answers
from ehlo.flows._data import ENVELOPE, last_words, settle, whatever_comes
from ehlo.flows._drive import event
from ehlo.flows._source import Source
from ehlo.flows.actions import Flow, Poll, Send
from ehlo.wire.reply import Reply

CHUNK: Final = 262144
"""Octets of a chunk: what goes to waste when the first flight finds nobody who wants the message."""

# Not of the message, but of the command: whoever says so does not take BDAT.
_UNKNOWN: Final = frozenset({500, 501, 502, 503, 504})


def chunked(
    conn: ClientConnection, mail: Mail, rcpts: Sequence[Rcpt], source: Source, *, in_one_flight: bool
) -> Flow[Answers | None]:
    """What the server said; None when it does not take BDAT after all: the transaction is taken back,
    and the message can be sent with DATA."""
    first = yield from source.pieces(CHUNK, 0)
    source.begun = True
    answers = Answers()
    try:
        yield from (_flight if in_one_flight else _steps)(conn, mail, rcpts, first, answers, source)
        if answers.any_accepted and answers.refused is None and not source.ended:
            yield from _rest(conn, answers, source, len(first), in_one_flight=in_one_flight)
    except TimeoutError:
        raise
    except OSError as error:
        raise (yield from last_words(conn, error)) from error
    if conn.state is State.CLOSED:
        return answers
    failed = answers.refused or answers.verdict
    if failed is not None and not failed.is_success:
        # [RFC3030-2i]
        conn.send(Rset())
        yield from whatever_comes(conn)
        if conn.state is State.READY and untaken(mail, answers, failed):
            conn.can_chunk = False
            source.put_back(first)
            return None
    return answers


def untaken(mail: Mail, answers: Answers, failed: Reply) -> bool:
    """Whether it was BDAT that was refused, and not the message."""
    binary = mail.parameters.get(Body) is Body.BINARY_MIME
    return not binary and answers.any_accepted and not answers.chunks and failed.code in _UNKNOWN


def _steps(
    conn: ClientConnection,
    mail: Mail,
    rcpts: Sequence[Rcpt],
    first: bytes,
    answers: Answers,
    source: Source,
) -> Flow[None]:
    commands: list[Command] = [mail, *rcpts]
    for command in commands:
        conn.send(command)
        answers.take((yield from event(conn)))
        if conn.state not in ENVELOPE:
            return
    if answers.any_accepted:
        conn.send_chunk(first, last=source.ended)
        yield from settle(conn, answers)


def _flight(
    conn: ClientConnection,
    mail: Mail,
    rcpts: Sequence[Rcpt],
    first: bytes,
    answers: Answers,
    source: Source,
) -> Flow[None]:
    commands: list[Command] = [mail, *rcpts]
    window = conn.limits.pipeline
    for start in range(0, len(commands), window):
        for command in commands[start : start + window]:
            conn.send(command)
        at_end = start + window >= len(commands)
        if at_end and (not start or answers.any_accepted):
            conn.send_chunk(first, last=source.ended)
        yield from settle(conn, answers)
        if conn.state not in ENVELOPE:
            return


def _rest(
    conn: ClientConnection, answers: Answers, source: Source, done: int, *, in_one_flight: bool
) -> Flow[None]:
    last = False
    while not last and answers.refused is None:
        octets = yield from source.pieces(CHUNK, done)
        done += len(octets)
        last = source.ended
        conn.send_chunk(octets, last=last)
        if last or not in_one_flight:
            yield from settle(conn, answers)
        else:
            yield from _send(conn, answers)
    # [RFC3030-2j] one may have failed while others were on their way.
    yield from settle(conn, answers)


def _send(conn: ClientConnection, answers: Answers) -> Flow[None]:
    """Send a chunk, and see whether an earlier one was refused meanwhile."""
    data = conn.data_to_send()
    if data:
        yield Send(data, conn.deadline, and_receive=True)
    early = yield Poll()
    if early is None:
        return
    conn.receive_data(early)
    while not isinstance(found := conn.next_event(), Pause):
        answers.take(found)
        if conn.state is State.CLOSED:
            raise ConnectionFailed("the server ended the session in the middle of the message")
