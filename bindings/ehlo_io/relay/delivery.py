"""One attempt: a message and the next server in, an outcome for each recipient out."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import BinaryIO, Final, TypeAlias

import attrs

import ehlo
from ehlo_io._client import SubmitOptions
from ehlo_io._common import LOGGER, fields, printable
from ehlo_io._message import Message
from ehlo_io.asyncio import Client
from ehlo_io.relay.fitting import Sign, Unfit, fit, is_repeated, octets_of, unfit
from ehlo_io.relay.hop import HopDown, Sessions
from ehlo_io.relay.spool import Entry

_LOST: Final = ehlo.Reply(451, "The connection with the next server was lost", "4.4.2")

Prepare: TypeAlias = Callable[[Client], Awaitable[tuple[Message, SubmitOptions]]]
"""What to submit on a session. Raises Unfit for what its server could never take."""


@attrs.frozen(kw_only=True)
class Attempted:
    """What came of an attempt."""

    outcomes: tuple[ehlo.Outcome, ...]
    """One for each recipient of the envelope, in its order."""
    reply: ehlo.Reply | None = None
    """The next server's last word on the message."""
    relayed: bool = False
    """The next server takes no wishes for reports, so nobody behind it reports on what was accepted."""

    ours: bool = False
    """The replies are our own; the next server did not say them."""
    down: bool = False
    """The next server was not asked, for no session with it could be had."""

    @classmethod
    def refused(cls, envelope: ehlo.Envelope, reply: ehlo.Reply, *, down: bool = False) -> Attempted:
        """Nobody got it, for one reason, and the words are our own."""
        outcomes = tuple(ehlo.Outcome(recipient.path, False, reply) for recipient in envelope.recipients)
        return cls(outcomes=outcomes, reply=reply, ours=True, down=down)

    @classmethod
    def of(cls, result: ehlo.SubmissionResult) -> Attempted:
        relayed = not {"NOTIFY", "RET", "ENVID", "ORCPT"}.isdisjoint(result.dropped)
        return cls(outcomes=result.outcomes, reply=result.reply, relayed=relayed)


async def attempt(
    sessions: Sessions,
    envelope: ehlo.Envelope,
    prepare: Prepare,
    *,
    again: Callable[[], bool] = lambda: True,
) -> Attempted:
    """Submit it. What fails is an outcome, and no exception but those of `prepare`.

    A session that broke though it had served before is no reason to wait: if `again` says that the message
    can be had once more, it is tried on a new one. That may send it twice, as any new attempt may.
    """
    fresh = False
    while True:
        try:
            async with sessions.lease(fresh=fresh) as (client, used):
                attempted = await _submit(client, envelope, prepare)
        except HopDown as down:
            return Attempted.refused(envelope, down.reply, down=True)
        broke = not client.is_ready and all(outcome.temporary for outcome in attempted.outcomes)
        if not (broke and used and again()):
            return attempted
        fresh = True


async def _submit(client: Client, envelope: ehlo.Envelope, prepare: Prepare) -> Attempted:
    try:
        message, options = await prepare(client)
        return Attempted.of(await client.submit(message, **options))
    except ehlo.SubmissionFailed as failed:
        return Attempted.of(failed.result)
    except Unfit as found:
        return Attempted.refused(envelope, found.reply)
    except ehlo.LocalProtocolError as error:
        LOGGER.warning("a message cannot be sent to the next server: %s", printable(str(error)))
        return Attempted.refused(envelope, unfit(error, envelope))
    except (ehlo.SessionError, ehlo.RemoteProtocolError) as error:
        LOGGER.warning("a session with the next server ended: %s", printable(str(error)))
        return Attempted.refused(envelope, _LOST)


async def deliver(
    sessions: Sessions, entry: Entry, envelope: ehlo.Envelope, sign: Sign | None = None
) -> Attempted:
    """Submit a message of the spool to the recipients of `envelope`. Raises OSError when it is unreadable."""
    files: list[BinaryIO] = []

    async def prepare(client: Client) -> tuple[Message, SubmitOptions]:
        message, options = await asyncio.to_thread(fit, entry, envelope, client, sign)
        files.append(message)
        if is_repeated(envelope, client):
            return await asyncio.to_thread(octets_of, message), options
        return message, options

    try:
        return await attempt(sessions, envelope, prepare)
    finally:
        for file in files:
            file.close()


def log_outcomes(name: str, attempted: Attempted) -> None:
    """A line for each recipient."""
    for outcome in attempted.outcomes:
        word = "accepted" if outcome.accepted else "put off" if outcome.temporary else "refused"
        reply = "no reply" if outcome.reply is None else printable(str(outcome.reply))
        LOGGER.info(
            "message %s to <%s> %s: %s",
            name,
            printable(str(outcome.recipient)),
            word,
            reply,
            extra=fields(
                f"delivery {word}",
                message=name,
                recipient=str(outcome.recipient),
                code=None if outcome.reply is None else outcome.reply.code,
            ),
        )
