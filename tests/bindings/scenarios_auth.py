"""Authentication: every mechanism over real TLS, secrets that are asked for, hooks in threads."""

from __future__ import annotations

import threading
from functools import partial
from typing import Any

import pytest
from tests.bindings.faces import Io
from tests.bindings.handlers import PASSWORD, SENDER, Sink
from tests.bindings.peers import GREETING, Peer, greet
from tests.bindings.registry import ASYNC, add, scenario
from tests.bindings.scenarios_submit import ENVELOPE, MESSAGE

import ehlo
import ehlo_io

TOKEN = "good.token-1"
SECRETS = [
    *(("SCRAM-SHA-256-PLUS", PASSWORD), ("SCRAM-SHA-1-PLUS", PASSWORD)),
    *(("SCRAM-SHA-256", PASSWORD), ("SCRAM-SHA-1", PASSWORD)),
    *(("PLAIN", PASSWORD), ("LOGIN", PASSWORD), ("NTLM", PASSWORD), ("CRAM-MD5", PASSWORD)),
    ("NTLM", ehlo.NtHash(SENDER, ehlo.nt_hash("secret"))),
    *(("OAUTHBEARER", ehlo.Token(SENDER, TOKEN)), ("XOAUTH2", ehlo.Token(SENDER, TOKEN))),
    ("EXTERNAL", ehlo.External()),
]
NAMES = list(dict.fromkeys(name for name, _ in SECRETS))


class Everybody(Sink):
    """Knows tokens and certificates, too."""

    def on_auth_token(self, session: ehlo.Session, username: str, token: str, host: str, port: int) -> bool:
        return token == TOKEN


async def _every_mechanism(io: Io, implicit: bool) -> None:
    sink = Everybody()
    tls = "implicit" if implicit else "starttls"
    context = ehlo_io.client_context(io.certificates.authority, certificate=io.certificates.of_client)
    async with io.serve(sink, mechanisms=NAMES, implicit_tls=implicit) as server:
        for name, secret in SECRETS:
            how = {"auth": secret, "mechanisms": [name], "tls": tls, "context": context}
            async with io.connect(server.address, **how) as client:
                await client.submit(MESSAGE, **ENVELOPE)
        await io.until(lambda: len(sink.stored) == len(SECRETS))
    assert sink.mechanisms == [name for name, _ in SECRETS]


for _implicit in (False, True):
    _name = f"every_mechanism_{'implicit' if _implicit else 'starttls'}"
    add(
        _name,
        partial(_every_mechanism, implicit=_implicit),
        limit=30.0,
        clauses=("RFC8314-3.3c", "RFC8314-5.5a"),
    )


@scenario()
async def the_best_mechanism_binds_to_the_channel(io: Io) -> None:
    sink = Sink()
    async with io.serve(sink) as server, io.connect(server.address, auth=PASSWORD) as client:
        await client.submit(MESSAGE, **ENVELOPE)
    assert sink.mechanisms == ["SCRAM-SHA-256-PLUS"]


@scenario()
async def somebody_in_the_middle(io: Io) -> None:
    """Each side has TLS with him and both verify: only what binds to the channel notices."""
    sink = Sink()
    context = ehlo_io.client_context(io.certificates.authority)
    async with io.serve(sink) as server:
        async with io.serve(sink, certificate=io.certificates.other_pem) as confused:
            with pytest.raises(ehlo.AuthenticationFailed) as failed:
                await io.connect(
                    confused.address, auth=PASSWORD, mechanisms=["SCRAM-SHA-256-PLUS"], context=context
                )
            assert failed.value.cause is ehlo.AuthCause.CREDENTIALS
        with pytest.raises(ehlo.LocalProtocolError, match="certificate"):
            async with io.serve(sink, certificate=__file__):
                pass
        async with io.connect(server.address, auth=PASSWORD, mechanisms=["SCRAM-SHA-256-PLUS"]) as client:
            await client.submit(MESSAGE, **ENVELOPE)


@scenario()
async def a_certificate_of_a_stranger(io: Io) -> None:
    sink = Everybody()
    context = ehlo_io.client_context(io.certificates.authority, certificate=io.certificates.other_pem)
    async with io.serve(sink, mechanisms=["EXTERNAL", "PLAIN"]) as server:
        with pytest.raises(ehlo.SessionError):
            # TLS 1.3 tells a client that its certificate was refused after its handshake.
            await io.connect(server.address, auth=ehlo.External(), mechanisms=["EXTERNAL"], context=context)
        with pytest.raises(ehlo.AuthenticationFailed) as failed:
            await io.connect(server.address, auth=ehlo.External())
        assert failed.value.cause is ehlo.AuthCause.NO_MECHANISM
    io.log.clear()


@scenario()
async def a_token_that_is_asked_for(io: Io) -> None:
    sink = Everybody()
    asked: list[int] = []

    def get_token() -> str:
        asked.append(1)
        return TOKEN

    async with io.serve(sink) as server:
        async with io.connect(server.address, auth=ehlo.Token(SENDER, get_token)) as client:
            await client.submit(MESSAGE, **ENVELOPE)
        with pytest.raises(ehlo.AuthenticationFailed) as failed:
            await io.connect(server.address, auth=ehlo.Token(SENDER, lambda: "bad"))
    assert asked == [1]
    assert sink.mechanisms == ["OAUTHBEARER"]
    assert failed.value.detail == {"status": "invalid_token"}


@scenario(bindings=ASYNC)
async def a_token_that_is_awaited(io: Io) -> None:
    sink = Everybody()

    async def get_token() -> str:
        await io.sleep(0.01)
        return TOKEN

    async with (
        io.serve(sink) as server,
        io.connect(server.address, auth=ehlo.Token(SENDER, get_token)) as client,
    ):
        await client.submit(MESSAGE, **ENVELOPE)
    assert sink.mechanisms == ["OAUTHBEARER"]


@scenario(bindings=("blocking",))
async def an_async_token_needs_an_async_client(io: Io) -> None:
    async def get_token() -> str:
        raise AssertionError("never called")

    async with io.serve(Everybody()) as server:
        with pytest.raises(ehlo.AuthenticationFailed) as failed:
            await io.connect(server.address, auth=ehlo.Token(SENDER, get_token))
        assert isinstance(failed.value.__cause__, TypeError)


@scenario()
async def a_token_that_cannot_be_had(io: Io) -> None:
    def get_token() -> str:
        raise TimeoutError("s3cret")

    sink = Everybody()
    async with io.serve(sink) as server:
        with pytest.raises(ehlo.AuthenticationFailed) as failed:
            await io.connect(server.address, auth=ehlo.Token(SENDER, get_token))
        assert isinstance(failed.value.__cause__, TimeoutError)
        await io.until(lambda: "quit" in sink.calls)


class Threaded(Sink):
    """Blocks in its hooks, each in a thread of its own."""

    in_thread = ("on_auth_password", "on_message", "on_mail")  # type: ignore[assignment]

    def __init__(self) -> None:
        super().__init__()
        self.threads: list[threading.Thread] = []
        self.both = threading.Barrier(2, timeout=5)

    def on_auth_password(self, session: object, username: str, password: str, authzid: str) -> bool:
        self.threads.append(threading.current_thread())
        return super().on_auth_password(session, username, password, authzid)

    def on_mail(self, session: ehlo.Session, path: Any, parameters: Any) -> None:
        # Two clients at once, or nobody goes on.
        self.both.wait()
        super().on_mail(session, path, parameters)

    def on_message(self, session: ehlo.Session, envelope: ehlo.Envelope, content: bytes) -> None:
        self.threads.append(threading.current_thread())
        if content.startswith(b"Subject: bad"):
            raise RuntimeError("the disk is full of s3crets")
        super().on_message(session, envelope, content)


@scenario()
async def hooks_that_block(io: Io) -> None:
    sink = Threaded()
    here = threading.current_thread()

    async def one(message: bytes) -> int:
        async with io.connect(server.address, auth=PASSWORD, mechanisms=["PLAIN"]) as client:
            try:
                await client.submit(message, **ENVELOPE)
            except ehlo.SubmissionFailed as error:
                return error.reply.code if error.reply is not None else 0
        return 250

    async with io.serve(sink) as server:
        assert sorted(await io.together(one(MESSAGE), one(b"Subject: bad\r\n\r\n"))) == [250, 451]
    assert here not in sink.threads
    assert len(sink.threads) == 4
    assert "the disk is full" in io.logged()


@scenario()
async def what_may_be_an_attack_is_told(io: Io) -> None:
    def play(peer: Peer) -> None:
        greet(peer, b"250-mail.test\r\n250 PIPELINING\r\n")
        assert peer.line() == b"QUIT"
        peer.send(b"221 Bye\r\n")

    known = ehlo.HostFacts(True, frozenset({"PLAIN"}))
    async with (
        io.scripted(play) as address,
        io.connect(address, tls="opportunistic", known=known) as client,
    ):
        assert client.notices == (ehlo.Notice.STARTTLS_GONE,)
        assert client.facts == ehlo.HostFacts()
    (record,) = io.log
    assert record.levelname == "WARNING"
    assert "STARTTLS" in io.logged()
    async with io.serve(Sink()) as server, io.connect(server.address, auth=PASSWORD) as client:
        assert client.facts.starttls
        assert "SCRAM-SHA-256-PLUS" in client.facts.mechanisms
        assert client.notices == ()
    assert GREETING


@scenario()
async def asking_anew_after_authentication(io: Io) -> None:
    def play(peer: Peer) -> None:
        greet(peer, b"250-mail.test\r\n250 AUTH PLAIN\r\n")
        assert peer.line().startswith(b"AUTH PLAIN ")
        peer.send(b"235 Welcome\r\n")
        assert peer.line().startswith(b"EHLO ")
        peer.send(b"250-mail.test\r\n250 DSN\r\n")
        assert peer.line() == b"QUIT"
        peer.send(b"221 Bye\r\n")

    how = {"tls": "none", "allow_cleartext_auth": True, "auth": PASSWORD, "ehlo_after_auth": True}
    async with io.scripted(play) as address, io.connect(address, **how) as client:
        assert "DSN" in client.capabilities
