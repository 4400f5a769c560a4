"""Servers: hooks that hang, rights, a pause before the greeting, messages that are mended on the way."""

from __future__ import annotations

import datetime
import re
import threading
from email import message_from_bytes
from email.utils import parsedate_to_datetime
from functools import partial
from typing import Any

import pytest
from tests.bindings.faces import HOSTNAME, Io
from tests.bindings.handlers import PASSWORD, RCPT, SENDER, Sink
from tests.bindings.peers import Peer
from tests.bindings.registry import ASYNC, add, scenario
from tests.bindings.scenarios_server import ENVELOPE_LINES, FAILURE, PLAIN, until_hook
from tests.bindings.scenarios_submit import ENVELOPE, MESSAGE

import ehlo
from ehlo.policy import Fixup

# ---- hooks that hang ----

OPEN = ehlo.SubmissionPolicy(require_auth=False, allow_cleartext_auth=True)
SHORT = ehlo.Limits(hook_timeout=0.2)


class _Hanging(Sink):
    """One hook gives no answer: a plain function, one that is awaited, or one in a thread."""

    def __init__(self, io: Io, hook: str, kind: str) -> None:
        super().__init__()
        self.hangs = True
        self.released = threading.Event()
        self.ended = threading.Event()
        self._io = io
        self._answer = getattr(self, hook, lambda *_: None)
        if kind == "thread":
            self.hung_in = frozenset({hook})
        setattr(self, hook, self._awaited if kind == "awaited" else self._plain)

    hung_in: frozenset[str] = frozenset()

    @property
    def in_thread(self) -> frozenset[str]:
        return super().in_thread | self.hung_in

    def _plain(self, *arguments: Any) -> Any:
        if self.hangs:
            self.released.wait(30)
            self.ended.set()
        return self._answer(*arguments)

    async def _awaited(self, *arguments: Any) -> Any:
        try:
            if self.hangs:
                await self._io.sleep(30)
        finally:
            self.ended.set()
        return self._answer(*arguments)


async def _hook_hangs(io: Io, hook: str, kind: str) -> None:
    sink = _Hanging(io, hook, kind)

    def play() -> None:
        with Peer.silent_to(server.address) as peer:
            reply = until_hook(peer, hook)
            assert reply.startswith(FAILURE[hook]), reply
            sink.hangs = False
            if hook not in ("on_connect", "on_quit"):
                # The session goes on.
                peer.ask("RSET")
                assert peer.ask("EHLO client.test").startswith("250")
                assert peer.ask(PLAIN).startswith("235 ")
                for line in ENVELOPE_LINES:
                    assert peer.ask(line).startswith("250 ")
                assert peer.ask("DATA").startswith("354 ")
                peer.send(b"Hello\r\n.\r\n")
                assert peer.reply().startswith("250 ")
                assert peer.ask("QUIT").startswith("221 ")
            assert peer.ended()
        if kind == "awaited":
            assert sink.ended.is_set()

    async with io.serve_open(sink, policy=OPEN, limits=SHORT) as server:
        try:
            await io.thread(play)
            assert "a hook of the handler failed (session with 127.0.0.1)" in io.logged()
            # The hook that was left behind may end long after its session: nothing comes of it.
            stored = list(sink.stored)
        finally:
            sink.released.set()
        if kind != "awaited":
            await io.until(sink.ended.is_set)
        await io.sleep(0.05)
    if hook != "on_message":
        assert sink.stored == stored
    assert len(stored) == (hook not in ("on_connect", "on_quit"))
    assert io.logged() == ""


for _hook in FAILURE:
    _run = partial(_hook_hangs, hook=_hook)
    _name = f"{_hook}_hangs"
    add(_name, partial(_run, kind="plain"), bindings=("blocking",), clauses=("RFC6409-5.3a",))
    add(f"{_name}_async", partial(_run, kind="awaited"), bindings=ASYNC, clauses=("RFC6409-5.3a",))
    add(f"{_name}_in_thread", partial(_run, kind="thread"), bindings=ASYNC, clauses=("RFC6409-5.3a",))


@scenario()
async def hook_in_time(io: Io) -> None:
    """What takes a while, again and again, is no reason to break anything off."""
    blocking = io.name == "blocking"

    class Slow(Sink):
        def on_rcpt(self, session: ehlo.Session, path: Any, parameters: Any) -> Any:
            self.calls.append("rcpt")
            return threading.Event().wait(0.2) or None if blocking else self._later()

        async def _later(self) -> None:
            await io.sleep(0.2)

    sink = Slow()
    limits = ehlo.Limits(hook_timeout=1.0)
    async with io.serve_open(sink, limits=limits) as server, io.connect_open(server.address) as client:
        recipients = [f"bob{number}@example.net" for number in range(6)]
        result = await client.submit(MESSAGE, sender=SENDER, recipients=recipients)
    assert len(result.accepted) == 6
    assert sink.calls.count("rcpt") == 6


@scenario(bindings=ASYNC)
async def hook_hangs_when_the_client_is_gone(io: Io) -> None:
    sink = _Hanging(io, "on_mail", "awaited")

    def play() -> None:
        peer = Peer.to(server.address)
        peer.ask("EHLO client.test")
        peer.send(f"{ENVELOPE_LINES[0]}\r\n".encode())
        peer.reset()

    async with io.serve_open(sink, limits=SHORT) as server:
        await io.thread(play)
        await io.until(sink.ended.is_set)
        io.logged()


# ---- envelopes ----


@scenario("RFC4409-6.1a", "RFC4409-3.2c")
async def submission_rights(io: Io) -> None:
    class Careful(Sink):
        rights = ehlo.SenderRights({SENDER: ["sales@example.com", "@lists.example.com"]})
        on_sender = rights.on_sender

    sink = Careful()
    own = [SENDER, "sales@example.com", "x@lists.example.com", None]
    async with io.serve(sink) as server, io.connect(server.address, auth=PASSWORD) as client:
        for sender in own:
            await client.submit(MESSAGE, sender=sender, recipients=[RCPT])
        with pytest.raises(ehlo.SubmissionFailed, match=r"550 5\.7\.1 "):
            await client.submit(MESSAGE, sender="boss@example.com", recipients=[RCPT])
        await client.submit(MESSAGE, **ENVELOPE)
    assert [str(envelope.reverse_path) for envelope in sink.envelopes] == [*map(str, own), SENDER]


@scenario("RFC4409-8.7a", "RFC4409-8.8a")
async def paths_are_replaced(io: Io) -> None:
    class Aliases(Sink):
        def on_mail(self, session: Any, path: Any, parameters: Any) -> Any:
            return ehlo.Mailbox("alice", "example.com")

        def on_rcpt(self, session: Any, path: Any, parameters: Any) -> Any:
            return ehlo.Mailbox("carol", "example.org") if path.local == "c" else None

    sink = Aliases()
    async with io.serve_open(sink) as server, io.connect_open(server.address) as client:
        await client.submit(MESSAGE, sender=SENDER, recipients=["c@example.net", RCPT], notify="failure")
    (envelope,) = sink.envelopes
    assert str(envelope.reverse_path) == "alice@example.com"
    assert [str(to.path) for to in envelope.recipients] == ["carol@example.org", RCPT]
    assert [str(to.original or "") for to in envelope.recipients] == ["c@example.net", ""]
    assert envelope.recipients[0].parameters.get(ehlo.Orcpt) == ehlo.Orcpt.of("c@example.net")


@scenario()
async def a_pause_before_the_greeting(io: Io) -> None:
    def early() -> None:
        with Peer.silent_to(server.address) as peer:
            peer.send(b"EHLO client.test\r\n")
            assert peer.reply().startswith("554 ")
            assert peer.reply().startswith("503 ")
            assert peer.ask("QUIT").startswith("221 ")

    sink = Sink()
    async with io.serve_open(sink, limits=ehlo.Limits(greet_pause=0.3)) as server:
        await io.thread(early)
        assert sink.calls == ["quit"]
        async with io.connect_open(server.address) as client:
            await client.submit(MESSAGE, **ENVELOPE)
    assert sink.stored == [MESSAGE]


# ---- messages ----


class _Mended(Sink):
    def __init__(self) -> None:
        super().__init__()
        self.fixups: list[tuple[Fixup, ...]] = []

    def on_message(self, session: ehlo.Session, envelope: ehlo.Envelope, content: bytes) -> None:
        super().on_message(session, envelope, content)
        self.fixups.append(session.fixups)


class _Streamed(_Mended):
    """The same in pieces."""

    def on_body(self, session: ehlo.Session, data: bytes) -> None:
        session.state = (session.state or b"") + data

    def on_message(self, session: ehlo.Session, envelope: ehlo.Envelope, content: bytes) -> None:
        assert content == b""
        super().on_message(session, envelope, session.state)
        session.state = None

    def on_reset(self, session: ehlo.Session) -> None:
        session.state = None


async def _messages_are_mended(io: Io, kind: type[_Mended], tls: str) -> None:
    sink = kind()
    policy = ehlo.MessagePolicy(sender=True, refuse_nul=True)
    now = datetime.datetime.now(datetime.UTC)
    async with (
        io.serve(sink, implicit_tls=tls == "implicit", message_policy=policy) as server,
        io.connect(server.address, auth=PASSWORD, tls=tls) as client,
    ):
        await client.submit(b"From: boss@example.com\r\n\r\nHello\r\n.\r\n", **ENVELOPE)
        with pytest.raises(ehlo.SubmissionFailed, match=r"5\.6\.0 NUL"):
            await client.submit(b"From: a\0b\r\n\r\n", **ENVELOPE)
        await client.submit(b"From: x@example.com\r\nSubject: all of it is a header\r\n", **ENVELOPE)
    stored, last = sink.stored
    assert stored.endswith(b"\r\n\r\nHello\r\n.\r\n")
    mended = message_from_bytes(stored)
    assert mended.keys() == ["Received", "From", "Date", "Message-ID", "Sender"]
    received = re.sub(r"\s+", " ", mended["Received"])
    assert re.fullmatch(
        rf"from client\.test \(\[127\.0\.0\.1\]\) by {re.escape(HOSTNAME)} with ESMTPSA id [0-9a-f]{{24}} "
        rf"for <{re.escape(RCPT)}> tls TLS_[A-Z0-9_]+; .*",
        received,
    ), received
    for text in (mended["Date"], received.partition("; ")[2]):
        assert abs(parsedate_to_datetime(text) - now) < datetime.timedelta(minutes=2)
    assert re.fullmatch(rf"<[0-9a-f]{{24}}@{re.escape(HOSTNAME)}>", mended["Message-ID"])
    assert mended["Sender"] == f"<{SENDER}>"
    assert message_from_bytes(last)["Message-ID"] != mended["Message-ID"]
    assert last.endswith(b"\r\n")
    assert sink.fixups[0] == (Fixup.DATE, Fixup.MESSAGE_ID, Fixup.SENDER, Fixup.RECEIVED)


for _tls in ("starttls", "implicit"):
    for _kind in (_Mended, _Streamed):
        add(
            f"messages_are_mended{_kind.__name__.lower()}_{_tls}",
            partial(_messages_are_mended, kind=_kind, tls=_tls),
            clauses=(
                "RFC3848-1a",
                "RFC8314-4b",
                "RFC8314-4.3a",
                "RFC8314-3.3c",
                "RFC4409-8.1a",
                "RFC6409-8a",
            ),
        )


@scenario("RFC4409-8a")
async def messages_stay_as_they_are(io: Io) -> None:
    sink = _Mended()
    async with io.serve_open(sink) as server, io.connect_open(server.address) as client:
        await client.submit(MESSAGE, **ENVELOPE)
    assert (sink.stored, sink.fixups) == ([MESSAGE], [()])
