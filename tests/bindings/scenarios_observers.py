"""Observers of a server are told what happens, and cannot do harm."""

from __future__ import annotations

import pytest
from tests.bindings.faces import Io
from tests.bindings.handlers import PASSWORD, RCPT, SENDER, Sink
from tests.bindings.registry import scenario

import ehlo
from ehlo import flows

MESSAGE = b"Subject: seen\r\n\r\ntext\r\n"


@scenario()
async def observers_are_told_of_a_session(io: Io) -> None:
    told: list[tuple[str | None, flows.Fact]] = []

    def observe(session: ehlo.Session, fact: flows.Fact) -> None:
        told.append((session.peer, fact))

    async with io.serve(Sink(), observers=[observe]) as server:
        async with io.connect(server.address, auth=PASSWORD) as client:
            await client.submit(MESSAGE, sender=SENDER, recipients=[RCPT])
        await io.until(lambda: isinstance(told[-1][1], flows.SessionEnded))
    assert {peer for peer, _ in told} == {"127.0.0.1"}
    facts = [fact for _, fact in told if not isinstance(fact, flows.Answered)]
    assert [type(fact) for fact in facts] == [
        flows.SessionOpened,
        flows.TlsStarted,
        flows.AuthEnded,
        flows.MessageEnded,
        flows.SessionEnded,
    ]
    message, end = facts[-2:]
    assert isinstance(message, flows.MessageEnded)
    assert (message.size, message.accepted) == (len(MESSAGE), 1)
    assert end == flows.SessionEnded(flows.Ending.QUIT)


@scenario()
async def an_observer_that_raises_harms_nobody(io: Io) -> None:
    told: list[flows.Fact] = []

    def fail(session: ehlo.Session, fact: flows.Fact) -> None:
        raise ZeroDivisionError("the observer's own fault")

    def observe(session: ehlo.Session, fact: flows.Fact) -> None:
        told.append(fact)

    sink = Sink()
    async with io.serve(sink, observers=[fail, observe]) as server:
        async with io.connect(server.address, auth=PASSWORD) as client:
            result = await client.submit(MESSAGE, sender=SENDER, recipients=[RCPT])
        await io.until(lambda: isinstance(told[-1], flows.SessionEnded))
    assert result.outcomes[0].accepted
    assert sink.stored == [MESSAGE]
    log = io.logged()
    assert log.count("an observer failed (session with 127.0.0.1)") == len(told)
    assert "ZeroDivisionError" in log


@scenario()
async def observers_see_who_is_turned_away(io: Io) -> None:
    told: list[flows.Fact] = []
    observe = [lambda session, fact: told.append(fact)]
    async with (
        io.serve_open(Sink(), connections=1, observers=observe) as server,
        io.connect_open(server.address),
    ):
        with pytest.raises(ehlo.SessionError):
            await io.connect_open(server.address)
        await io.until(lambda: any(isinstance(fact, flows.SessionRefused) for fact in told))
    assert "Too many connections" in io.logged()


@scenario()
async def what_cannot_be_called_is_no_observer(io: Io) -> None:
    with pytest.raises(TypeError, match="str is no observer"):
        async with io.serve_open(Sink(), observers=["print"]):
            pass
