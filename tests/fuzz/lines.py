"""A server connection that is fed line by line, and another reading of base64 than its own."""

from __future__ import annotations

import base64 as reference
from typing import Final

from tests.fuzz.mechanisms import answer
from tests.helpers.driver import DECIDED

from ehlo import AuthNeed, ConnectionClosed, Limits, Pause, ServerConnection

_CODES: Final = frozenset({b"235", b"334", b"421", b"500", b"501", b"504", b"535"})


def pump(conn: ServerConnection) -> bytes:
    """Run the server until it waits for octets; its replies."""
    while True:
        event = conn.next_event()
        if isinstance(event, Pause | ConnectionClosed):
            return conn.data_to_send()
        if isinstance(event, AuthNeed):
            conn.auth_answer(answer(event.need))
        elif isinstance(event, DECIDED):
            conn.accept()


def say(conn: ServerConnection, line: bytes) -> bytes:
    """Send one line; the one reply that it gets, the last line of it."""
    # A line end in it would be two lines: framing is for `targets.server`.
    conn.receive_data(line.replace(b"\r\n", b"\n") + b"\r\n")
    *head, last, end = pump(conn).split(b"\r\n")
    assert not end
    assert not head or line.startswith(b"EHLO")
    assert last[:3] in _CODES or last.startswith(b"250 ")
    return last


def received(text: bytes, before: int = 0) -> bytes | None:
    """What the server makes of a line; `before`: octets of the command in front of it."""
    return decoded(text.replace(b"\r\n", b"\n")) if before + len(text) + 2 <= Limits().auth_line else None


def decoded(text: bytes) -> bytes | None:
    """By another decoder than the engine's."""
    try:
        data = reference.b64decode(text, validate=True)
    except ValueError:
        return None
    return data if reference.b64encode(data) == text else None
