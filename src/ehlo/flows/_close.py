"""The end of a client session."""

from __future__ import annotations

from ehlo._commands import Quit
from ehlo._errors import RemoteProtocolError, SessionError
from ehlo._state import State
from ehlo.client import ClientConnection
from ehlo.flows._drive import event
from ehlo.flows.actions import Close, Flow

_CAN_QUIT = frozenset({State.REFUSED, State.HELLO, State.READY, State.MAIL, State.RCPT})


def close(conn: ClientConnection) -> Flow[None]:
    """QUIT, wait for 221, close. What becomes of QUIT changes nothing [RFC5321-4.1.1.10b]."""
    if conn.state in _CAN_QUIT and not conn.in_flight:
        try:
            conn.send(Quit())
            yield from event(conn)
        except (OSError, RemoteProtocolError, SessionError):
            pass
    yield Close()
