"""Messages that an LMTP server passes on: each recipient hears what the next server says of that one."""

from __future__ import annotations

import pytest
from tests.bindings.programs import BOB as HERE
from tests.bindings.programs import SENDER
from tests.bindings.programs import serving as program_serving
from tests.bindings.relay.helpers import (
    ALICE,
    BOB,
    CAROL,
    MESSAGE,
    NO_SUCH,
    NOT_NOW,
    NextServer,
    hop,
    run,
    serving,
    without,
)
from tests.bindings.relay.test_through import passing
from tests.interop.processes import free_port

import ehlo
from ehlo import dsn
from ehlo.extensions import DSN
from ehlo_io import blocking


class Each(NextServer):
    """Says of each recipient of a message what it is told to."""

    def __init__(self, *each: ehlo.Reply) -> None:
        super().__init__()
        self.each = each

    async def on_message(  # type: ignore[override]
        self, session: ehlo.Session, envelope: ehlo.Envelope, content: bytes
    ) -> list[ehlo.Reply]:
        self.taken.append((envelope, content))
        return list(self.each)


def _outcomes(result: ehlo.SubmissionResult) -> list[str]:
    return [str(outcome.reply) for outcome in result.outcomes]


TAKEN = ehlo.Reply(250, "Delivered", "2.1.5")


@pytest.mark.clause("RFC2033-4.2b")
@pytest.mark.parametrize(
    "each",
    [(TAKEN, NO_SUCH), (NOT_NOW, TAKEN), (TAKEN, TAKEN)],
    ids=["one refused", "one put off", "all accepted"],
)
def test_each_recipient_hears_what_an_lmtp_server_says_of_it(each: tuple[ehlo.Reply, ehlo.Reply]) -> None:
    async def scenario() -> None:
        server = Each(*each)
        async with (
            serving(server, lmtp=True) as target,
            passing(target, lmtp=True, hop=hop(target, lmtp=True)) as client,
        ):
            result = await client.submit(MESSAGE, sender=ALICE, recipients=[BOB, CAROL])
        assert _outcomes(result) == [str(reply) for reply in each]
        # Nobody has to hear of it by a report.
        assert len(server.taken) == 1

    run(scenario())


@pytest.mark.clause("RFC2033-4.2b")
def test_each_recipient_hears_what_an_smtp_server_says_of_it() -> None:
    async def scenario() -> None:
        server = NextServer()
        server.refusals = {CAROL: [NO_SUCH]}
        async with serving(server) as target, passing(target, lmtp=True) as client:
            result = await client.submit(MESSAGE, sender=ALICE, recipients=[BOB, CAROL])
            assert [outcome.accepted for outcome in result.outcomes] == [True, False]
            assert _outcomes(result)[1] == str(NO_SUCH)
            server.refusals = {BOB: [NO_SUCH], CAROL: [ehlo.Reply(421, "Going", "4.3.2")]}
            with pytest.raises(ehlo.SubmissionFailed) as failed:
                await client.submit(MESSAGE, sender=ALICE, recipients=[BOB, CAROL])
            # 421 would end our own session with the client, too.
            assert all(
                outcome.reply.code in (451, 550) for outcome in failed.value.result.outcomes if outcome.reply
            )
            assert client.is_ready
        assert len(server.taken) == 1

    run(scenario())


def test_a_next_server_that_is_down_is_told_to_each() -> None:
    async def scenario() -> None:
        target = ("127.0.0.1", free_port())
        async with passing(target, lmtp=True) as client:
            with pytest.raises(ehlo.SubmissionFailed) as failed:
                await client.submit(MESSAGE, sender=ALICE, recipients=[BOB, CAROL])
        assert [reply[:9] for reply in _outcomes(failed.value.result)] == ["451 4.4.1"] * 2

    run(scenario())


def test_success_is_reported_to_who_asked_for_it() -> None:
    async def scenario() -> None:
        server = NextServer()
        server.refusals = {CAROL: [NO_SUCH]}
        async with (
            serving(server, extensions=without(DSN)) as target,
            passing(target, lmtp=True) as client,
        ):
            await client.submit(MESSAGE, sender=ALICE, recipients=[BOB, CAROL], notify="success,failure")
        report = dsn.parse(server.taken[-1][1])
        assert [fate.final_recipient.value for fate in report.recipients] == [BOB]

    run(scenario())


def test_serve_passes_on_to_an_lmtp_server() -> None:
    class Taker:
        def on_message(self, session: ehlo.Session, envelope: object, content: object) -> list[ehlo.Reply]:
            return [TAKEN, NO_SUCH]

    options = {"policy": ehlo.OPEN_TEST, "hostname": "next.example", "lmtp": True}
    with blocking.serve(Taker(), "127.0.0.1", 0, **options) as server:  # type: ignore[arg-type]
        relay = ("--relay", f"lmtp://127.0.0.1:{server.address[1]}", "--relay-mode", "through")
        with program_serving("--no-require-auth", "--lmtp", *relay, "--relay-tls", "none") as program:
            with program.connect(lmtp=True) as client:
                result = client.submit(MESSAGE, sender=SENDER, recipients=[HERE, "carol@local.example"])
            assert program.end() == 0
    assert _outcomes(result) == [str(TAKEN), str(NO_SUCH)]
