"""Uses that both checkers have to refuse: an `ignore` that no error stands behind is an error itself.

Never run.
"""

# What is unknown for these errors is no second error.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false

from __future__ import annotations

from typing import assert_never

import ehlo
import ehlo_io.asyncio
import ehlo_io.blocking
from ehlo import dsn, flows, policy


def names() -> tuple[object, ...]:
    return (
        ehlo.Passwort,  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
        dsn.Repport,  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
        flows.opne,  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
        policy.MessagePolice,  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
        ehlo.TlsMode.STARTLS,  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
    )


def arguments(client: ehlo_io.blocking.Client) -> None:
    ehlo_io.blocking.connect("mail.example", "587")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    ehlo_io.blocking.connect("mail.example", password="secret")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    ehlo_io.blocking.connect("mail.example", auth=("alice", "secret"))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    ehlo_io.blocking.serve(object(), polcy=ehlo.EXCHANGE)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    client.submit("Subject: text\r\n", sender=None, recipients=[])  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    client.submit(b"", sender=None, recipients=[1])  # type: ignore[list-item]  # pyright: ignore[reportArgumentType]
    client.submit_many([(b"", {"sendr": "alice@local.example"})])  # type: ignore[typeddict-unknown-key]  # pyright: ignore[reportArgumentType]
    ehlo.Reply("250", "OK")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    ehlo.ServerConfig("mx.example")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


def absent(result: ehlo.SubmissionResult, parameters: ehlo.Parameters, session: ehlo.Session) -> int:
    print(result.reply.code)  # type: ignore[union-attr]  # pyright: ignore[reportOptionalMemberAccess]
    print(session.identity.authcid)  # type: ignore[union-attr]  # pyright: ignore[reportOptionalMemberAccess]
    return parameters.get(ehlo.Size).octets  # type: ignore[union-attr]  # pyright: ignore[reportOptionalMemberAccess]


def frozen(outcome: ehlo.Outcome, limits: ehlo.Limits) -> None:
    outcome.accepted = True  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]
    limits.recipients = 5  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]


async def not_awaited(client: ehlo_io.asyncio.Client) -> object:
    result = client.submit(b"", sender=None, recipients=["bob@local.example"])
    return result.outcomes  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]


def parse_size(value: str | None) -> str:
    return str(value)


def write_size(size: ehlo.Size) -> str:
    return str(size.octets)


def another_type() -> ehlo.Param[ehlo.Size]:
    return ehlo.Param[ehlo.Size]("SIZE", ehlo.Size, parse_size, write_size)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def forgotten(event: ehlo.ClientEvent) -> None:
    match event:
        case ehlo.GreetingReceived() | ehlo.EhloReceived() | ehlo.ReplyReceived():
            pass
        case ehlo.AuthChallenge() | ehlo.AuthSucceeded() | ehlo.AuthFailed() | ehlo.ConnectionClosed():
            pass
        case ehlo.TlsReady() | ehlo.BodyWanted():
            pass
        case _:
            assert_never(event)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
