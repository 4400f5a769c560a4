"""No secret is shown: by records of transcripts, the log at DEBUG, errors, or any object of a session."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import pytest
from tests.bindings.faces import Io
from tests.bindings.handlers import SENDER, Sink
from tests.bindings.peers import Peer, greet
from tests.bindings.registry import scenario
from tests.bindings.scenarios_submit import ENVELOPE, MESSAGE
from tests.helpers.leaks import Watch

import ehlo
import ehlo_io

SECRET, WRONG, TOKEN = "c0rrect h0rse", "wr0ng-battery", "t0ken.of-access"
GOOD: list[tuple[str, ehlo.Credentials]] = [
    *(
        (f"SCRAM-SHA-{size}{plus}", ehlo.Password(SENDER, SECRET))
        for size in (256, 1)
        for plus in ("-PLUS", "")
    ),
    *((name, ehlo.Password(SENDER, SECRET)) for name in ("PLAIN", "LOGIN", "NTLM", "CRAM-MD5")),
    ("NTLM", ehlo.NtHash(SENDER, ehlo.nt_hash(SECRET))),
    *((name, ehlo.Token(SENDER, TOKEN)) for name in ("OAUTHBEARER", "XOAUTH2")),
    ("EXTERNAL", ehlo.External()),
]
NAMES = list(dict.fromkeys(name for name, _ in GOOD))


class Knowing(Sink):
    """Asks for secrets in threads, looks at each session, and fails for a user called `broken`."""

    @property
    def in_thread(self) -> frozenset[str]:
        return frozenset({"on_auth_secret", "on_auth_password"})

    def __init__(self, watch: Watch) -> None:
        super().__init__()
        ehlo.UserStore.__init__(self, {SENDER: SECRET})
        self.watch = watch

    def on_hello(self, session: ehlo.Session, name: str) -> None:
        self.watch.look(session)

    def on_auth_secret(self, session: object, username: str, kind: Any, domain: str) -> Any:
        self.watch.look(session)
        return super().on_auth_secret(session, username, kind, domain)

    def on_auth_password(self, session: object, username: str, password: str, authzid: str) -> bool:
        self.watch.look(session)
        if username == "broken":
            raise RuntimeError("the directory is down")
        return super().on_auth_password(session, username, password, authzid)

    def on_auth_token(self, session: ehlo.Session, username: str, token: str, host: str, port: int) -> bool:
        self.watch.look(session)
        return token == TOKEN


@contextmanager
def _watched(io: Io) -> Iterator[Watch]:
    """Checks at the end what was seen and logged."""
    secrets = (SECRET, WRONG, TOKEN)
    watch = Watch(*secrets, *map(ehlo.nt_hash, secrets))
    loop = asyncio.get_running_loop() if io.name in ("asyncio", "uvloop") else None
    if loop is not None:
        # It then logs each of its steps, and what they are made of.
        loop.set_debug(True)
        loop.slow_callback_duration = 0.0
    with watch.logs():
        yield watch
    if loop is not None:
        loop.set_debug(False)
        # The step that this is part of has not ended yet.
        loop.slow_callback_duration = 60.0
    assert any(text.startswith("C: AUTH ") for text in watch.texts)
    io.log.clear()
    watch.check()


def _wrong(credentials: ehlo.Credentials) -> ehlo.Credentials:
    match credentials:
        case ehlo.NtHash(username=username):
            return ehlo.NtHash(username, ehlo.nt_hash(WRONG))
        case ehlo.Token(username=username):
            return ehlo.Token(username, WRONG)
        case ehlo.External():
            return ehlo.External("mallory")
        case _:
            return ehlo.Password(SENDER, WRONG)


@scenario("SEC-INJ-both-a", limit=40.0)
async def no_secret_is_shown(io: Io) -> None:
    context = ehlo_io.client_context(io.certificates.authority, certificate=io.certificates.of_client)
    with _watched(io) as watch:
        sink = Knowing(watch)
        how: dict[str, Any] = {"trace": watch.record, "context": context}
        async with io.serve(sink, mechanisms=NAMES, trace=watch.record) as server:
            for name, credentials in GOOD:
                async with io.connect(server.address, auth=credentials, mechanisms=[name], **how) as client:
                    watch.look(client, server, sink)
                    await client.submit(MESSAGE, **ENVELOPE)
                with pytest.raises(ehlo.AuthenticationFailed) as failed:
                    await io.connect(server.address, auth=_wrong(credentials), mechanisms=[name], **how)
                watch.error(failed.value)
            broken = ehlo.Password("broken", SECRET)
            with pytest.raises(ehlo.AuthenticationFailed) as failed:
                await io.connect(server.address, auth=broken, mechanisms=["PLAIN"], **how)
            watch.error(failed.value)
        # The log was looked at, with the traceback of the hook.
        assert any("RuntimeError: the directory is down" in text for text in watch.texts)
        assert {"ServerConnection", "ClientConnection", "PlainServer", "ScramSha256Server"} <= watch.kinds


@scenario("SEC-INJ-both-a", limit=40.0)
async def no_secret_is_shown_of_broken_exchanges(io: Io) -> None:
    """By a server that says what is no challenge; and by credentials that nothing can be made of."""

    def play(peer: Peer, offered: str) -> None:
        greet(peer, f"250-mail.test\r\n250 AUTH {offered}\r\n".encode())
        while (line := peer.line()) and line != b"QUIT":
            peer.send(b"501 cancelled\r\n" if line == b"*" else b"334 !!!\r\n")
        peer.send(b"221 Bye\r\n")

    impossible: list[tuple[str, ehlo.Credentials]] = [
        ("PLAIN", ehlo.Password(SENDER, f"{SECRET}\0")),
        ("XOAUTH2", ehlo.Token(SENDER, f"{TOKEN}\1")),
    ]
    with _watched(io) as watch:
        how: dict[str, Any] = {"allow_cleartext_auth": True, "trace": watch.record}
        for name, credentials in [*GOOD, *impossible]:
            if not name.endswith("-PLUS"):
                async with io.scripted(partial(play, offered=name)) as address:
                    with pytest.raises(ehlo.Error) as failed:
                        await io.connect_open(address, auth=credentials, mechanisms=[name], **how)
                watch.error(failed.value)
