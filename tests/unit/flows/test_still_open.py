"""What has come between two messages, and what that means."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from tests.unit.flows.test_submit import ready

from ehlo import ClientConnection, State
from ehlo.flows import Close, Poll, still_open


def asked(conn: ClientConnection, *answers: bytes | OSError | None) -> tuple[bool, Sequence[object]]:
    """The flow's result and its actions, where polling gives `answers`."""
    flow = still_open(conn)
    coming = iter(answers)
    actions: list[object] = []
    try:
        action = next(flow)
        while True:
            actions.append(action)
            answer = next(coming) if isinstance(action, Poll) else None
            action = flow.throw(answer) if isinstance(answer, OSError) else flow.send(answer)
    except StopIteration as stop:
        return stop.value, actions


def test_nothing_came() -> None:
    conn = ready()
    assert asked(conn, None) == (True, [Poll()])
    assert conn.is_ready


@pytest.mark.clause("RFC5321-3.8d")
@pytest.mark.parametrize(
    "answers",
    [
        (b"421 4.4.2 idle\r\n",),
        (b"421 4.4", b".2 idle\r\n"),
        (b"",),
        (b"250 for what?\r\n",),
        (b"\xff\xff no reply\r\n",),
        (OSError("reset"),),
    ],
    ids=["421", "in two pieces", "end", "unasked", "no reply", "reset"],
)
def test_the_server_has_left(answers: tuple[bytes | OSError, ...]) -> None:
    conn = ready()
    assert asked(conn, *answers) == (False, [Poll()] * len(answers) + [Close()])
    assert conn.state is State.CLOSED
    # Asked again, nothing is touched any more.
    assert asked(conn) == (False, [Close()])


def test_half_a_line_is_no_word_yet() -> None:
    conn = ready()
    assert asked(conn, b"421 4.4", None) == (True, [Poll(), Poll()])
