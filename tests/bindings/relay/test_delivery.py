"""One attempt: what each recipient hears, what goes along, and what is made fit for the server."""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest
import trustme
from tests.bindings.peers import Peer, greet, take_envelope
from tests.bindings.programs import blocking_context
from tests.bindings.relay.helpers import (
    ALICE,
    BOB,
    CAROL,
    MESSAGE,
    NO_SUCH,
    NOT_NOW,
    START,
    NextServer,
    answers_garbage,
    closes_in_the_middle,
    each_tail,
    hop,
    long_message,
    run,
    says_421,
    scripted,
    serving,
    sessions_with,
    without,
)

import ehlo
from ehlo.extensions import BINARY_MIME, CHUNKING, DSN, EIGHT_BIT_MIME, REQUIRETLS, SMTPUTF8
from ehlo.extensions.limits import session_limits
from ehlo_io import client_context
from ehlo_io.relay.delivery import Attempted, deliver, log_outcomes
from ehlo_io.relay.hop import Sessions
from ehlo_io.relay.spool import Spool

BOTH = ehlo.envelope(ALICE, [BOB, CAROL])
NOT_MIME = "Subject: octets\r\n\r\nb\u00f8b\r\n".encode()
EIGHT = "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nb\u00f8b\r\n".encode()
BINARY = b"Subject: octets\r\nContent-Type: application/octet-stream\r\n\r\n\x00\n\r\xff"


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    spool = Spool(tmp_path / "spool")
    yield spool
    spool.close()


def attempt(
    spool: Spool,
    server: object,
    envelope: ehlo.Envelope = BOTH,
    octets: bytes = MESSAGE,
    *,
    times: int = 1,
    **options: Any,
) -> list[Attempted]:
    async def scenario() -> list[Attempted]:
        spool.add("one", envelope, START, octets)
        entry = spool.load("one")
        async with serving(server, **options) as address, sessions_with(address) as sessions:
            return [await deliver(sessions, entry, entry.envelope) for _ in range(times)]

    return run(scenario())


def words(attempted: Attempted) -> list[str]:
    return [str(outcome.reply) for outcome in attempted.outcomes]


@pytest.mark.clause("RFC5321-4.5.4.1b")
@each_tail
def test_accepted_for_all(spool: Spool, size: int) -> None:
    server = NextServer()
    (attempted,) = attempt(spool, server, octets=long_message(size))
    ((envelope, content),) = server.taken
    assert content == long_message(size)
    assert [str(recipient.path) for recipient in envelope.recipients] == [BOB, CAROL]
    assert all(outcome.accepted for outcome in attempted.outcomes)
    assert not attempted.relayed
    assert not attempted.ours


def test_each_recipient_has_an_outcome(spool: Spool) -> None:
    server = NextServer()
    server.refusals = {CAROL: [NO_SUCH]}
    (attempted,) = attempt(spool, server)
    assert [outcome.accepted for outcome in attempted.outcomes] == [True, False]
    assert words(attempted)[1] == str(NO_SUCH)


@pytest.mark.parametrize("reply", [NOT_NOW, NO_SUCH], ids=str)
def test_refused_for_all(spool: Spool, reply: ehlo.Reply) -> None:
    server = NextServer()
    server.refusals = {"message": [reply]}
    first, second = attempt(spool, server, times=2)
    assert words(first) == [str(reply)] * 2
    assert [outcome.temporary for outcome in first.outcomes] == [reply is NOT_NOW] * 2
    # The session goes on.
    assert all(outcome.accepted for outcome in second.outcomes)
    assert server.connections == 1


# ---- what goes along ----


@pytest.mark.clause("RFC3461-5.2.1a")
def test_wishes_for_reports_go_along(spool: Spool) -> None:
    server = NextServer()
    wishes = ehlo.recipient(BOB, notify="success,delay", orcpt="B+b@local.example")
    sent = ehlo.envelope(ALICE, [wishes], ret="full", envid="3+14")
    (attempted,) = attempt(spool, server, sent)
    ((envelope, _),) = server.taken
    assert envelope.recipients == (wishes,)
    assert envelope.parameters.get(ehlo.Ret) is ehlo.Ret.FULL
    assert envelope.parameters.get(ehlo.EnvId) == ehlo.EnvId("3+14")
    assert not attempted.relayed


@pytest.mark.clause("RFC3461-5.2.2a")
def test_a_server_that_takes_no_wishes(spool: Spool) -> None:
    server = NextServer()
    sent = ehlo.envelope(ALICE, [ehlo.recipient(BOB, notify="success")])
    (attempted,) = attempt(spool, server, sent, extensions=without(DSN))
    assert attempted.relayed
    assert attempted.outcomes[0].accepted


def told_submitter(spool: Spool, given: ehlo.AuthParam | None, *, login: bool) -> ehlo.AuthParam | None:
    """What the next server hears about who submitted."""
    server = NextServer()

    async def scenario() -> None:
        spool.add("one", ehlo.envelope(ALICE, [BOB], parameters=[given] if given else []), START, MESSAGE)
        entry = spool.load("one")
        async with serving(server) as address:
            target = hop(address, allow_cleartext_auth=True)
            if login:
                target = attrs.evolve(target, credentials=lambda: ehlo.Password("alice", "right"))
            async with Sessions(target.connect, now=lambda: START) as sessions:
                await deliver(sessions, entry, entry.envelope)

    run(scenario())
    return server.taken[0][0].parameters.get(ehlo.AuthParam)


BELIEVED = ehlo.AuthParam(ehlo.Mailbox.parse(CAROL), trusted=True)


@pytest.mark.clause("RFC4954-5f")
@pytest.mark.parametrize(
    ("given", "login", "told"),
    [
        (None, False, None),
        (None, True, "<>"),
        (BELIEVED, True, CAROL),
        (BELIEVED, False, CAROL),
        (ehlo.AuthParam(BELIEVED.mailbox), True, "<>"),
        (ehlo.AuthParam(None), True, "<>"),
    ],
    ids=["nobody", "nobody, logged in", "believed", "believed, no login", "not believed", "unknown"],
)
def test_who_submitted(spool: Spool, given: ehlo.AuthParam | None, login: bool, told: str | None) -> None:
    found = told_submitter(spool, given, login=login)
    assert (None if found is None else str(found.mailbox or "<>")) == told


# ---- what the server lacks ----


@pytest.mark.clause("RFC6152-3c", "RFC3030-3b", "RFC5321-2.4f")
@pytest.mark.parametrize(
    ("octets", "parameters", "extensions", "same"),
    [
        pytest.param(EIGHT, [], ehlo.STANDARD, True, id="8-bit"),
        pytest.param(EIGHT, [ehlo.Body.SEVEN_BIT], ehlo.STANDARD, True, id="8-bit, said to be 7-bit"),
        pytest.param(EIGHT, [], without(EIGHT_BIT_MIME, SMTPUTF8), False, id="8-bit to 7-bit"),
        pytest.param(NOT_MIME, [], ehlo.STANDARD, False, id="8-bit and not MIME"),
        pytest.param(NOT_MIME, [ehlo.Body.EIGHT_BIT_MIME], ehlo.STANDARD, True, id="the word of the sender"),
        pytest.param(MESSAGE, [], without(EIGHT_BIT_MIME, SMTPUTF8), True, id="7-bit"),
        pytest.param(BINARY, [ehlo.Body.BINARY_MIME], (*ehlo.STANDARD, BINARY_MIME), True, id="binary"),
        pytest.param(BINARY, [ehlo.Body.BINARY_MIME], ehlo.STANDARD, False, id="binary to 8-bit"),
        pytest.param(
            BINARY,
            [ehlo.Body.BINARY_MIME],
            without(EIGHT_BIT_MIME, SMTPUTF8, CHUNKING),
            False,
            id="binary to 7-bit",
        ),
    ],
)
def test_octets_are_sent_as_they_are_or_encoded(
    spool: Spool,
    octets: bytes,
    parameters: list[object],
    extensions: tuple[ehlo.Extension, ...],
    same: bool,
) -> None:
    server = NextServer()
    attempt(spool, server, ehlo.envelope(ALICE, [BOB], parameters=parameters), octets, extensions=extensions)
    ((_, content),) = server.taken
    assert (content == octets) == same
    if not same:
        assert content.isascii()
        assert b"\r\nContent-Transfer-Encoding: " in content


SIGNED = b"Content-Type: multipart/signed; boundary=x\r\n\r\n--x\r\n\r\nb\xc3\xb8b\r\n--x--\r\n"
UTF8 = "Subject: b\u00f8b\r\n\r\ntext\r\n".encode()


@pytest.mark.parametrize(
    ("octets", "envelope", "options", "reply"),
    [
        pytest.param(
            SIGNED, BOTH, {"extensions": without(EIGHT_BIT_MIME, SMTPUTF8)}, (554, "5.6.3"), id="signed"
        ),
        pytest.param(
            MESSAGE * 100, BOTH, {"limits": ehlo.Limits(message_size=100)}, (552, "5.3.4"), id="too big"
        ),
        pytest.param(
            UTF8,
            ehlo.envelope(ALICE, [BOB], parameters=[ehlo.SmtpUtf8()]),
            {"extensions": without(SMTPUTF8)},
            (553, "5.6.7"),
            id="header in UTF-8",
        ),
        pytest.param(
            MESSAGE,
            ehlo.envelope("\u00e5lice@local.example", [BOB]),
            {"extensions": without(SMTPUTF8)},
            (553, "5.6.7"),
            id="address in UTF-8",
        ),
        pytest.param(
            MESSAGE,
            ehlo.envelope(ALICE, [BOB], parameters=[ehlo.RequireTls()]),
            {"extensions": (*ehlo.STANDARD, REQUIRETLS)},
            (550, "5.7.30"),
            id="TLS required",
        ),
    ],
)
def test_what_the_server_could_never_take(
    spool: Spool, octets: bytes, envelope: ehlo.Envelope, options: dict[str, Any], reply: tuple[int, str]
) -> None:
    server = NextServer()
    first, second = attempt(spool, server, envelope, octets, times=2, **options)
    assert server.taken == []
    assert first == second
    assert first.ours
    for outcome in first.outcomes:
        assert outcome.reply is not None
        assert (outcome.reply.code, str(outcome.reply.enhanced)) == reply
        assert not outcome.temporary
    # It was told before anything was sent.
    assert server.connections == 1


@pytest.mark.clause("RFC6531-3.4b")
def test_utf8_that_was_only_declared(spool: Spool) -> None:
    server = NextServer()
    envelope = ehlo.envelope(ALICE, [BOB], parameters=[ehlo.SmtpUtf8()])
    attempt(spool, server, envelope, extensions=without(SMTPUTF8))
    assert len(server.taken) == 1


def unverified() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


@pytest.mark.clause("RFC8689-4.2.1a")
@pytest.mark.parametrize("verified", [True, False])
def test_required_tls(spool: Spool, tmp_path: Path, authority: trustme.CA, verified: bool) -> None:
    server = NextServer()
    ca = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(ca))
    context = client_context(str(ca)) if verified else unverified()

    async def scenario() -> Attempted:
        spool.add("one", ehlo.envelope(ALICE, [BOB], parameters=[ehlo.RequireTls()]), START, MESSAGE)
        entry = spool.load("one")
        extensions = (*ehlo.STANDARD, REQUIRETLS)
        async with serving(server, tls=blocking_context(authority), extensions=extensions) as (_, port):
            target = hop(("localhost", port), tls=ehlo.TlsMode.STARTTLS, context=context)
            async with Sessions(target.connect, now=lambda: START) as sessions:
                attempted = await deliver(sessions, entry, entry.envelope)
        return attempted

    attempted = run(scenario())
    if verified:
        assert server.taken[0][0].parameters.get(ehlo.RequireTls) is not None
    else:
        assert server.taken == []
        assert words(attempted) == ["550 5.7.30 REQUIRETLS support required"]


# ---- servers that break ----


def dies_after_one(seen: list[bytes]) -> Callable[[Peer], None]:
    """Takes one message on each connection, and closes it when the next one comes."""

    def script(peer: Peer) -> None:
        greet(peer)
        take_envelope(peer)
        seen.append(peer.until(b"\r\n.\r\n"))
        peer.send(b"250 2.0.0 OK\r\n")
        peer.line()

    return script


def test_an_old_session_that_broke_is_no_reason_to_wait(spool: Spool) -> None:
    seen: list[bytes] = []

    async def scenario(address: tuple[str, int]) -> list[Attempted]:
        spool.add("one", BOTH, START, MESSAGE)
        entry = spool.load("one")
        async with sessions_with(address) as sessions:
            return [await deliver(sessions, entry, entry.envelope) for _ in range(3)]

    with scripted(dies_after_one(seen)) as address:
        attempts = run(scenario(address))
    assert all(outcome.accepted for attempted in attempts for outcome in attempted.outcomes)
    assert len(seen) == 3


def is_slow(peer: Peer) -> None:
    greet(peer)
    take_envelope(peer)
    peer.until(b"\r\n.\r\n")
    for octet in b"250 2.0.0 OK\r\n":
        peer.send(bytes([octet]))


def says_nothing(peer: Peer) -> None:
    greet(peer)
    take_envelope(peer)
    peer.rest()


@pytest.mark.parametrize(
    ("script", "code"),
    [
        (closes_in_the_middle, 451),
        (says_421, 421),
        (answers_garbage, 451),
        (is_slow, 250),
        (says_nothing, 451),
    ],
    ids=lambda value: getattr(value, "__name__", value),
)
def test_a_new_session_that_breaks(spool: Spool, script: Callable[[Peer], None], code: int) -> None:
    seen: list[int] = []

    def counted(peer: Peer) -> None:
        seen.append(1)
        script(peer)

    async def scenario(address: tuple[str, int]) -> Attempted:
        spool.add("one", BOTH, START, MESSAGE)
        entry = spool.load("one")
        target = hop(address, limits=ehlo.Limits(final_timeout=0.3))
        async with Sessions(target.connect, now=lambda: START) as sessions:
            return await deliver(sessions, entry, entry.envelope)

    with scripted(counted) as address:
        attempted = run(scenario(address))
    assert [outcome.reply and outcome.reply.code for outcome in attempted.outcomes] == [code] * 2
    assert all(outcome.temporary or outcome.accepted for outcome in attempted.outcomes)
    assert len(seen) == 1


def test_a_message_that_cannot_be_read_is_not_the_servers_fault(spool: Spool) -> None:
    server = NextServer()

    async def scenario() -> None:
        spool.add("one", BOTH, START, MESSAGE)
        entry = spool.load("one")
        spool.remove("one")
        async with serving(server) as address, sessions_with(address) as sessions:
            with pytest.raises(FileNotFoundError):
                await deliver(sessions, entry, entry.envelope)
            spool.add("one", BOTH, START, MESSAGE)
            await asyncio.sleep(0)
            await deliver(sessions, entry, entry.envelope)

    run(scenario())
    assert (len(server.taken), server.connections) == (1, 1)


def test_a_reply_can_do_nothing_to_a_log(caplog: pytest.LogCaptureFixture) -> None:
    bob, carol = (recipient.path for recipient in BOTH.recipients)
    outcomes = (
        ehlo.Outcome(bob, False, ehlo.Reply(550, "no\x1b[2J")),
        ehlo.Outcome(carol, False, None),
    )
    with caplog.at_level(logging.INFO, "ehlo_io"):
        log_outcomes("one", Attempted(outcomes=outcomes))
    assert caplog.messages == [
        f"message one to <{BOB}> refused: 550 no?[2J",
        f"message one to <{CAROL}> put off: no reply",
    ]


@pytest.mark.clause("RFC9422-4.2a")
@each_tail
def test_fewer_recipients_at_once_than_the_message_has(spool: Spool, size: int) -> None:
    server = NextServer()
    limits = session_limits(ehlo.SessionLimits(rcpt_max=1))
    (attempted,) = attempt(spool, server, octets=long_message(size), extensions=(*ehlo.STANDARD, limits))
    assert [len(envelope.recipients) for envelope, _ in server.taken] == [1, 1]
    assert all(content == long_message(size) for _, content in server.taken)
    assert all(outcome.accepted for outcome in attempted.outcomes)
