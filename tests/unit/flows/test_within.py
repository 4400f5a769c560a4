"""LIMITS (RFC 9422): what a client does with them by itself."""

from __future__ import annotations

import pytest
from tests.unit.flows.test_submit import ready

from ehlo import (
    ClientConnection,
    LocalProtocolError,
    SessionExhausted,
    State,
    Submission,
    SubmissionFailed,
    SubmissionResult,
    envelope,
)
from ehlo.flows import submit, submit_many
from ehlo.testing import ScriptedServer, run

CHUNK = "C: BDAT 3 LAST\nC: x\n"


def part(*names: str, said: str = "250 ok", end: str = "250 2.0.0 queued") -> str:
    rcpts = "".join(f"C: RCPT TO:<{name}>\nS: {said}\n" for name in names)
    rest = f"{CHUNK}S: {end}\n" if said.startswith("250") else f"{CHUNK}S: 503 no\nC: RSET\nS: 250 ok\n"
    return "C: MAIL FROM:<a@x.org>\nS: 250 ok\n" + rcpts + rest


def limited(limits: str) -> ClientConnection:
    return ready("PIPELINING", "CHUNKING", f"LIMITS {limits}")


def submitted(
    conn: ClientConnection, script: str, *names: str, content: bytes | None = b"x\r\n"
) -> SubmissionResult:
    server = ScriptedServer(script)
    try:
        return run(submit(conn, Submission(envelope=envelope("a@x.org", names), content=content)), server)
    finally:
        server.check_done()


NAMES = ("a@x.org", "b@x.org", "c@x.org", "d@x.org", "e@x.org")


@pytest.mark.clause("RFC9422-4.2a")
def test_more_recipients_than_a_transaction_takes() -> None:
    conn = limited("RCPTMAX=2")
    script = part(*NAMES[:2]) + part(*NAMES[2:4], said="550 no") + part(NAMES[4], end="250 2.0.0 last")
    result = submitted(conn, script, *NAMES)
    assert [str(outcome.recipient) for outcome in result.outcomes] == list(NAMES)
    assert [outcome.accepted for outcome in result.outcomes] == [True, True, False, False, True]
    assert str(result.reply) == "250 2.0.0 queued"
    assert conn.state is State.READY


@pytest.mark.clause("RFC9422-4.2a")
def test_as_many_as_it_takes() -> None:
    assert submitted(limited("RCPTMAX=5"), part(*NAMES), *NAMES).refused == ()


def test_a_message_that_cannot_be_sent_again() -> None:
    conn = limited("RCPTMAX=2")
    with pytest.raises(LocalProtocolError, match="2 of these 5"):
        submitted(conn, "", *NAMES, content=None)
    assert conn.state is State.READY


def test_nobody_in_any_transaction() -> None:
    conn = limited("RCPTMAX=4")
    with pytest.raises(SubmissionFailed) as failed:
        submitted(conn, part(*NAMES[:4], said="550 no") + part(NAMES[4], said="550 nor you"), *NAMES)
    assert [str(outcome.reply) for outcome in failed.value.result.outcomes] == ["550 no"] * 4 + [
        "550 nor you"
    ]


@pytest.mark.parametrize("end", ["S: <close>\n", "S: 421 4.3.2 going\n", "S: 25O ok\n"])
def test_a_session_that_ends_between_transactions(end: str) -> None:
    rcpts = "".join(f"C: RCPT TO:<{name}>\n" for name in NAMES[3:])
    script = part(*NAMES[:3]) + "C: MAIL FROM:<a@x.org>\n" + rcpts + CHUNK + end
    result = submitted(limited("RCPTMAX=3"), script, *NAMES)
    assert [outcome.accepted for outcome in result.outcomes] == [True] * 3 + [False] * 2
    assert [outcome.temporary for outcome in result.outcomes] == [False] * 3 + [True] * 2


@pytest.mark.clause("RFC9422-4.1a")
def test_no_more_messages_than_a_session_takes() -> None:
    conn = limited("MAILMAX=2")
    for _ in range(2):
        submitted(conn, part("b@x.org"), "b@x.org")
    with pytest.raises(SessionExhausted, match="2 messages") as exhausted:
        submitted(conn, "", "b@x.org")
    assert exhausted.value.temporary
    assert conn.state is State.READY


@pytest.mark.clause("RFC9422-4.1a")
def test_exhausted_in_the_middle() -> None:
    result = submitted(limited("MAILMAX=1 RCPTMAX=3"), part(*NAMES[:3]), *NAMES)
    assert [outcome.accepted for outcome in result.outcomes] == [True] * 3 + [False] * 2
    assert result.temporary


@pytest.mark.clause("RFC9422-4.3a")
def test_no_more_domains_than_a_session_takes() -> None:
    conn = limited("RCPTDOMAINMAX=2")
    names = ("a@one.org", "b@two.org", "c@ONE.org", "d@three.org")
    result = submitted(conn, part(*names[:3]), *names)
    assert [outcome.accepted for outcome in result.outcomes] == [True, True, True, False]
    submitted(conn, part("x@two.org"), "x@two.org")
    with pytest.raises(SessionExhausted, match="2 domains"):
        submitted(conn, "", "x@four.org")


@pytest.mark.clause("RFC9422-3.7a", "RFC9422-3.7b", "RFC9422-3.6a")
@pytest.mark.parametrize(
    "limits", ["RCPTMAX=0", "RCPTMAX=x", "RCPTMAX", "?=1 RCPTMAX=1", "", "MAILMAX=1234567"]
)
def test_nonsense_is_no_limit(limits: str) -> None:
    conn = limited(limits)
    for _ in range(3):
        submitted(conn, part(*NAMES), *NAMES)


def test_many_messages_obey_them() -> None:
    conn = limited("MAILMAX=2")
    submissions = [Submission(envelope=envelope("a@x.org", ["b@x.org"]), content=b"x\r\n")] * 3
    found = run(submit_many(conn, submissions), ScriptedServer(part("b@x.org") * 2))
    assert [type(one) for one in found] == [SubmissionResult, SubmissionResult, SessionExhausted]
