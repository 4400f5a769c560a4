"""A message the old way: the envelope, DATA, and the body behind 354."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from ehlo._commands import Bdat, Command, Data, Mail, Rcpt
from ehlo._errors import ConnectionFailed, RemoteProtocolError
from ehlo._events import Deadline, Disconnecting, Pause, ReplyReceived, Wait
from ehlo._state import State
from ehlo.client import ClientConnection
from ehlo.flows._answers import Answers
from ehlo.flows._drive import event, turn
from ehlo.flows._source import PIECE, Source
from ehlo.flows.actions import Close, Flow, Poll, Receive, Send

_DATA: Final = Data()
ENVELOPE: Final = frozenset({State.MAIL, State.RCPT})


def lock_step(conn: ClientConnection, mail: Mail, rcpts: Sequence[Rcpt]) -> Flow[Answers]:
    answers = Answers()
    commands: list[Command] = [mail, *rcpts]
    for command in commands:
        conn.send(command)
        answers.take((yield from event(conn)))
        if conn.state not in ENVELOPE:
            return answers
    if answers.any_accepted:
        conn.send(_DATA)
        answers.take((yield from event(conn)))
    return answers


def pipelined(conn: ClientConnection, mail: Mail, rcpts: Sequence[Rcpt]) -> Flow[Answers]:
    answers = Answers()
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
        if conn.state not in ENVELOPE:
            break
    return answers


def send_body(conn: ClientConnection, source: Source, answers: Answers) -> Flow[None]:
    """The message, if anybody is to get it, and what became of it."""
    if not answers.any_accepted:
        # [RFC2920-3.1d] 354 although nobody was accepted: a lone dot, whose outcome is no delivery.
        conn.end_body()
        yield from whatever_comes(conn)
        return
    source.begun = True
    try:
        content = source.content
        if content is None:
            yield from _stream(conn, source)
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
        if conn.lmtp:
            yield from settle(conn, answers)
        else:
            # One reply, and no generator more to pass through.
            while isinstance(found := conn.next_event(), Pause):
                conn.receive_data((yield turn(conn)))
            answers.take(found)
    except TimeoutError:
        raise
    except OSError as error:
        raise (yield from last_words(conn, error)) from error


def settle(conn: ClientConnection, answers: Answers) -> Flow[None]:
    """Send what is queued and wait for all replies."""
    try:
        while conn.in_flight and conn.state is not State.CLOSED:
            while isinstance(found := conn.next_event(), Pause):
                conn.receive_data((yield turn(conn)))
            answers.take(found)
    except (OSError, ConnectionFailed):
        # [RFC2033-5d] what some recipients were told stands, whatever keeps the others from being told.
        if not answers.finals:
            raise
        conn.close()


def whatever_comes(conn: ClientConnection) -> Flow[None]:
    """Wait for a reply that cannot change the result: every recipient was refused before it."""
    try:
        yield from event(conn)
    except (RemoteProtocolError, ConnectionFailed):
        pass
    except OSError:
        yield Close()


def _stream(conn: ClientConnection, source: Source) -> Flow[None]:
    piece = yield from _read(conn, source)
    while piece:
        conn.send_body(piece)
        # A short piece waits for the one behind it: it is mostly the last. A whole one is sent while
        # the next is fetched.
        if len(piece) >= PIECE:
            yield from _send_block(conn)
        piece = yield from _read(conn, source)
        if piece:
            yield from _send_block(conn)


def _read(conn: ClientConnection, source: Source) -> Flow[bytes]:
    piece = yield from source.piece()
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


def last_words(conn: ClientConnection, error: OSError) -> Flow[ConnectionFailed]:
    """A server that gives up in the middle says why before it closes: look for it."""
    try:
        while True:
            match conn.next_event():
                case Pause():
                    conn.receive_data((yield Receive(Deadline(Wait.FINAL_REPLY, conn.limits.quit_timeout))))
                case ReplyReceived(Bdat(), reply) if reply.is_success:
                    continue
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
