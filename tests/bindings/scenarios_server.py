"""Servers: handlers that fail, clients that misbehave, and the end of a server."""

from __future__ import annotations

import contextlib
import importlib
import threading
import time
import tracemalloc
from collections.abc import AsyncIterator, Callable
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from tests.bindings.faces import Io, Running
from tests.bindings.handlers import PASSWORD, RCPT, SENDER, Sink
from tests.bindings.peers import Peer
from tests.bindings.registry import ASYNC, add, scenario
from tests.bindings.scenarios_submit import ENVELOPE, MESSAGE

import ehlo

SECRET = "do not tell 4711"
PLAIN = "AUTH PLAIN AHVzZXJAZXhhbXBsZS5jb20Ac2VjcmV0"
ENVELOPE_LINES = (f"MAIL FROM:<{SENDER}>", f"RCPT TO:<{RCPT}>")


async def _still_serves(io: Io, server: Running, sink: Sink) -> None:
    before = len(sink.stored)
    async with io.connect_open(server.address) as client:
        await client.submit(MESSAGE, **ENVELOPE)
    assert len(sink.stored) == before + 1


def _message(peer: Peer) -> str:
    peer.send(MESSAGE.replace(b"\r\n.", b"\r\n..") + b".\r\n")
    return peer.reply()


# ---- handlers ----

FAILURE: dict[str, str] = {
    "on_connect": "421 4.3.2 ",
    "on_hello": "451 ",
    "on_auth_password": "454 4.7.0 ",
    "on_mail": "451 4.3.0 ",
    "on_rcpt": "451 4.3.0 ",
    "on_data": "451 4.3.0 ",
    "on_body": "451 4.3.0 ",
    "on_message": "451 4.3.0 ",
    "on_vrfy": "451 4.3.0 ",
    "on_reset": "250 2.0.0 ",
    "on_quit": "221 2.0.0 ",
}
"""What the client hears when a hook fails."""


def until_hook(peer: Peer, hook: str) -> str:
    """Go on to the reply to the command that asks this hook."""
    if hook == "on_connect":
        return peer.reply()
    assert peer.reply().startswith("220 ")
    if hook == "on_hello":
        return peer.ask("EHLO client.test")
    peer.ask("EHLO client.test")
    if hook == "on_auth_password":
        return peer.ask(PLAIN)
    if hook == "on_vrfy":
        return peer.ask("VRFY someone")
    if hook == "on_quit":
        return peer.ask("QUIT")
    if hook == "on_mail":
        return peer.ask(ENVELOPE_LINES[0])
    assert peer.ask(ENVELOPE_LINES[0]).startswith("250 ")
    if hook == "on_reset":
        return peer.ask("RSET")
    if hook == "on_rcpt":
        return peer.ask(ENVELOPE_LINES[1])
    assert peer.ask(ENVELOPE_LINES[1]).startswith("250 ")
    if hook == "on_data":
        return peer.ask("DATA")
    assert peer.ask("DATA").startswith("354 ")
    return _message(peer)


def _handler(hook: str, answer: Callable[[Io], Any], io: Io, *, asynchronous: bool) -> Sink:
    """A sink whose hook does something else for as long as `broken` is set."""

    class Broken(Sink):
        broken = True

    def call(self: Broken, *arguments: Any) -> Any:
        return answer(io) if self.broken else getattr(Sink, hook, lambda *_: None)(self, *arguments)

    async def later(self: Broken, *arguments: Any) -> Any:
        return call(self, *arguments)

    def call_async(self: Broken, *arguments: Any) -> Any:
        return later(self, *arguments) if self.broken else call(self, *arguments)

    setattr(Broken, hook, call_async if asynchronous else call)
    return Broken()


async def _hook_fails(
    io: Io, hook: str, answer: Callable[[Io], Any], expected: str, logged: str, *, asynchronous: bool = False
) -> None:
    sink = _handler(hook, answer, io, asynchronous=asynchronous)

    def play() -> None:
        with Peer.silent_to(server.address) as peer:
            reply = until_hook(peer, hook)
            assert reply.startswith(expected), reply
            assert SECRET not in reply
            sink.broken = False  # type: ignore[attr-defined]
            if hook not in ("on_connect", "on_quit"):
                # The session goes on.
                peer.ask("EHLO client.test")
                peer.ask("RSET")
                assert peer.ask(PLAIN).startswith("235 ")
                assert peer.ask(ENVELOPE_LINES[0]).startswith("250 ")
                assert peer.ask(ENVELOPE_LINES[1]).startswith("250 ")
                assert peer.ask("DATA").startswith("354 ")
                assert _message(peer).startswith("250 ")
                assert peer.ask("QUIT").startswith("221 ")
            assert peer.ended()

    policy = ehlo.SubmissionPolicy(require_auth=False, allow_cleartext_auth=True)
    async with io.serve_open(sink, policy=policy) as server:
        await io.thread(play)
        assert all(record.name == "ehlo_io" for record in io.log)
        text = io.logged()
        assert logged in text
        assert ("session with 127.0.0.1" in text) is bool(logged)


def _raise(_: Io) -> None:
    raise RuntimeError(SECRET)


for _hook, _expected in FAILURE.items():
    _run = partial(_hook_fails, hook=_hook, answer=_raise, expected=_expected, logged=SECRET)
    add(f"{_hook}_raises", _run)
    add(f"{_hook}_raises_async", partial(_run, asynchronous=True), bindings=ASYNC)
    add(
        f"{_hook}_is_async",
        partial(
            _hook_fails,
            hook=_hook,
            answer=lambda _: None,
            expected=_expected,
            logged="async function",
            asynchronous=True,
        ),
        bindings=("blocking",),
    )


def _constant(answer: Any, _: Io) -> Any:
    return answer


_NONSENSE: dict[str, tuple[str, Any, str]] = {
    "text": ("on_mail", "250 OK", "451 4.3.0 "),
    "a_number": ("on_message", 250, "451 4.3.0 "),
    "the_wrong_class": ("on_rcpt", ehlo.Reply(354, "Go on"), "451 4.3.0 "),
    "true": ("on_hello", True, "451 "),
    "text_for_a_password": ("on_auth_password", "yes", "535 5.7.8 "),
}
for _name, (_hook, _answer, _expected) in _NONSENSE.items():
    add(
        f"handler_answers_{_name}",
        partial(
            _hook_fails,
            hook=_hook,
            answer=partial(_constant, _answer),
            expected=_expected,
            logged="" if "535" in _expected else "Traceback",
        ),
    )


@scenario()
async def replies_of_the_handler(io: Io) -> None:
    class Own(Sink):
        def on_hello(self, session: ehlo.Session, name: str) -> ehlo.Reply | None:  # type: ignore[override]
            return ehlo.Reply(550, "Not you") if name == "bad.test" else None

        def on_message(self, session: Any, envelope: Any, content: bytes) -> ehlo.Reply:  # type: ignore[override]
            super().on_message(session, envelope, content)
            return ehlo.Reply(250, f"queued as {len(self.stored)}", "2.6.0")

    sink = Own()
    async with io.serve_open(sink) as server:
        with pytest.raises(ehlo.ServiceRefused):
            await io.connect_open(server.address, client_name="bad.test")
        async with io.connect_open(server.address) as client:
            result = await client.submit(MESSAGE, **ENVELOPE)
    assert result.reply is not None
    assert result.reply.text == "queued as 1"


# ---- clients ----


@contextlib.asynccontextmanager
async def _short_linger() -> AsyncIterator[None]:
    """For clients that hang on to their connections to the end."""
    with mock.patch.object(importlib.import_module("ehlo.flows._serve"), "_LINGER", 0.3):
        yield


@scenario()
async def half_closing_client(io: Io) -> None:
    sink = Sink()
    session = (
        b"EHLO client.test\r\n" + "".join(f"{line}\r\n" for line in ENVELOPE_LINES).encode() + b"DATA\r\n"
    )

    def play() -> None:
        with Peer.to(server.address) as peer:
            peer.send(session + b"Hello\r\n.\r\nNOOP\r\nRSET\r\nNOO")
            peer.finish_sending()
            codes = [line[:4] for line in peer.rest().decode().splitlines() if line[3] == " "]
            assert codes == ["250 ", "250 ", "250 ", "354 ", "250 ", "250 ", "250 "]

    async with io.serve_open(sink) as server:
        await io.thread(play)
    assert sink.stored == [b"Hello\r\n"]


@scenario()
async def reset_in_each_state(io: Io) -> None:
    sink = Sink()

    def play() -> None:
        Peer.silent_to(server.address).reset()
        steps = ("EHLO client.test", *ENVELOPE_LINES, "DATA", "half a message")
        for count in range(len(steps) + 1):
            peer = Peer.to(server.address)
            for step in steps[:count]:
                if step == steps[-1]:
                    peer.send(step.encode())
                else:
                    peer.ask(step)
            peer.reset()
        for _ in range(30):
            # Many at once: some are gone before they are accepted.
            Peer.silent_to(server.address).reset()

    async with io.serve_open(sink) as server:
        await io.thread(play)
        await io.until(lambda: sink.calls.count("reset") == 4)
        await _still_serves(io, server, sink)
    assert sink.stored == [MESSAGE]


@scenario()
async def cut_off_message_is_not_stored(io: Io) -> None:
    sink = Sink()

    def play() -> None:
        with Peer.to(server.address) as peer:
            for line in ("EHLO client.test", *ENVELOPE_LINES, "DATA"):
                peer.ask(line)
            peer.send(b"Hello\r\n.\r")

    async with io.serve_open(sink) as server:
        await io.thread(play)
        await io.until(lambda: "reset" in sink.calls)
    assert sink.stored == []


@scenario()
async def idle_timeout(io: Io) -> None:
    def silent() -> None:
        with Peer.to(server.address) as peer:
            started = time.monotonic()
            assert peer.rest().startswith(b"421 4.4.2 ")
            assert 0.2 < time.monotonic() - started < 3

    def dripping() -> None:
        with Peer.to(server.address) as peer:
            peer.sock.settimeout(0.05)
            started = time.monotonic()
            while time.monotonic() - started < 5:
                with contextlib.suppress(TimeoutError):
                    peer.send(b"N")
                    assert peer.rest().startswith(b"421 4.4.2 ")
                    break
            assert 0.2 < time.monotonic() - started < 3

    def working() -> None:
        with Peer.to(server.address) as peer:
            for _ in range(6):
                time.sleep(0.1)
                assert peer.ask("NOOP").startswith("250 ")

    async with io.serve_open(Sink(), limits=ehlo.Limits(idle_timeout=0.3)) as server:
        for play in (silent, dripping, working):
            await io.thread(play)


@scenario(limit=30)
async def client_that_never_reads(io: Io) -> None:
    """The server holds the client back, serves the others, and gives it up in the end."""
    sink = Sink()

    def flood() -> None:
        with Peer.to(server.address, small_window=True) as peer:
            with contextlib.suppress(ConnectionError):
                while not done.is_set():
                    with contextlib.suppress(TimeoutError):
                        peer.sock.settimeout(0.2)
                        peer.send(b"VRFY somebody-with-a-name\r\n" * 1000)
            done.wait(25)

    done = threading.Event()
    limits = ehlo.Limits(idle_commands=10_000_000, block_timeout=1.5, idle_timeout=1.5)
    async with io.serve_open(sink, limits=limits) as server, _short_linger():
        tracemalloc.start()
        threads = [threading.Thread(target=flood)]
        for thread in threads:
            thread.start()
        try:
            await io.until(lambda: _open_connections(server) == 1)
            await _still_serves(io, server, sink)
            await io.until(lambda: _open_connections(server) == 0, 15)
            assert tracemalloc.get_traced_memory()[1] < 12_000_000
        finally:
            tracemalloc.stop()
            done.set()
            for thread in threads:
                thread.join()


def _open_connections(server: Running) -> int:
    """How many connections the system still has at the server's port, on the server's side."""
    port = f":{server.address[1]:04X}"
    lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    # 01 is established, 08 the peer's end was seen; the rest is on its way out.
    return sum(line[1].endswith(port) and line[3] in ("01", "08") and line[9] != "0" for line in lines)


@scenario()
async def noop_flood(io: Io) -> None:
    sink = Sink()

    def flood() -> None:
        with Peer.to(server.address) as peer, contextlib.suppress(ConnectionError):
            peer.send(b"NOOP\r\n" * 20_000)
            peer.finish_sending()
            found = peer.rest()
            assert found.count(b"250 ") == 1000
            assert found.splitlines()[-1].startswith(b"421 4.7.0 ")

    async with io.serve_open(sink) as server:
        await io.together(io.thread(flood), io.thread(flood))
        await _still_serves(io, server, sink)


@scenario()
async def last_reply_is_not_lost(io: Io) -> None:
    """A server that closes with octets unread resets, which would take its 421 from the client."""

    def play() -> None:
        with Peer.to(server.address) as peer:
            peer.send(b"junk\r\n" * 21)
            for _ in range(50):
                # No error: for a while the server reads what it does not look at any more.
                peer.send(b"x" * 60_000)
                time.sleep(0.002)
            assert b"421 4.7.0 " in peer.rest()

    async with io.serve_open(Sink()) as server:
        await io.thread(play)


# ---- the end of a server ----


async def _stopped(io: Io, *, stage: str) -> None:
    sink = Sink()
    greeted = threading.Event()

    def play() -> bytes:
        with Peer.to(server.address) as peer:
            lines = ["EHLO client.test", *ENVELOPE_LINES, "DATA"]
            stages = {"idle": 0, "hello": 1, "mail": 2, "rcpt": 3, "body": 4, "flood": 4}
            for line in lines[: stages[stage]]:
                peer.ask(line)
            if stage == "body":
                peer.send(b"half a message")
            greeted.set()
            if stage == "flood":
                with contextlib.suppress(ConnectionError):
                    for _ in range(20_000):
                        peer.send(b"x" * 998 + b"\r\n")
                time.sleep(0.1)
            return peer.rest()

    async def stop() -> bytes:
        await io.until(greeted.is_set)
        started = time.monotonic()
        await server.close()
        assert time.monotonic() - started < 4
        with pytest.raises(ehlo.ConnectionFailed):
            await io.connect_open(address)
        return b""

    async with io.serve_open(sink) as server:
        address = server.address
        last, _ = await io.together(io.thread(play), stop())
    assert last.startswith(b"421 4.3.2 ")
    assert sink.calls.count("reset") == (stage in ("mail", "rcpt", "body", "flood"))
    assert sink.stored == []


for _stage in ("idle", "hello", "mail", "rcpt", "body", "flood"):
    add(f"stopped_at_{_stage}", partial(_stopped, stage=_stage))


class _Working(Sink):
    """Its hook works until it is released."""

    def __init__(self) -> None:
        super().__init__()
        self.entered = threading.Event()
        self.release = threading.Event()


class _WorkingBlocking(_Working):
    def on_message(self, session: Any, envelope: Any, content: bytes) -> None:
        self.entered.set()
        self.release.wait(10)
        super().on_message(session, envelope, content)


class _WorkingAsync(_Working):
    def __init__(self, io: Io) -> None:
        super().__init__()
        self._io = io

    async def on_message(self, session: Any, envelope: Any, content: bytes) -> None:  # type: ignore[override]
        self.entered.set()
        await self._io.until(self.release.is_set)
        super().on_message(session, envelope, content)


def _working(io: Io) -> _Working:
    return _WorkingBlocking() if io.name == "blocking" else _WorkingAsync(io)


def _submit(address: tuple[str, int], behind: bytes = b"") -> bytes:
    with Peer.to(address) as peer:
        for line in ("EHLO client.test", *ENVELOPE_LINES, "DATA"):
            peer.ask(line)
        with contextlib.suppress(ConnectionError):
            peer.send(b"Hello\r\n.\r\n" + behind)
        return peer.rest()


@scenario()
async def stopped_while_a_hook_works(io: Io) -> None:
    """The hook gets to its end, and its answer to the client."""
    for behind in (b"", b"NOOP\r\n" * 100_000):
        sink = _working(io)

        async def stop(sink: _Working = sink) -> bytes:
            await io.until(sink.entered.is_set)
            if io.name == "blocking":
                threading.Timer(0.1, sink.release.set).start()
                await server.close()
                return b""
            started = time.monotonic()
            await io.together(server.close(), release(sink))
            # The client hears it and goes; nobody has to be waited for.
            assert time.monotonic() - started < 1.8
            return b""

        async def release(sink: _Working) -> None:
            await io.sleep(0.1)
            sink.release.set()

        limits = ehlo.Limits(idle_commands=1_000_000)
        async with io.serve_open(sink, limits=limits) as server:
            last, _ = await io.together(io.thread(partial(_submit, server.address, behind)), stop())
        lines = last.splitlines()
        assert lines[0].startswith(b"250 2.0.0 ")
        assert lines[-1].startswith(b"421 4.3.2 ")
        assert sink.stored == [b"Hello\r\n"]


@scenario()
async def stopped_while_a_hook_hangs(io: Io) -> None:
    """A hook that does not end is not waited for without end."""
    sink = _working(io)

    async def stop() -> None:
        await io.until(sink.entered.is_set)
        started = time.monotonic()
        await server.close()
        assert time.monotonic() - started < 3

    def play() -> None:
        with contextlib.suppress(ConnectionError):
            _submit(server.address)

    with mock.patch(io.module.__name__.replace("io.", "io._") + "_server.GRACE", 0.2):
        async with io.serve_open(sink) as server:
            thread = threading.Thread(target=play)
            thread.start()
            await stop()
    # A thread that hangs cannot be ended; a task can.
    sink.release.set()
    await io.until(lambda: not thread.is_alive())
    if io.name == "blocking":
        await io.until(lambda: sink.stored)
    else:
        assert sink.stored == []


@scenario()
async def stopped_in_a_silent_handshake(io: Io) -> None:
    connected = threading.Event()

    def play() -> bool:
        with Peer.to(server.address) as peer:
            peer.ask("EHLO client.test")
            peer.ask("STARTTLS")
            connected.set()
            return peer.ended()

    async def stop() -> bool:
        await io.until(connected.is_set)
        started = time.monotonic()
        await server.close()
        return time.monotonic() - started < 3

    async with io.serve(Sink()) as server:
        assert await io.together(io.thread(play), stop()) == [True, True]


@scenario()
async def stopped_while_clients_come(io: Io) -> None:
    """Connections between the system and the server do not outlive it."""
    ends = threading.Event()

    def come() -> None:
        with contextlib.suppress(ConnectionError):
            for _ in range(2000):
                peer = Peer.silent_to(address)
                peers.append(peer)
                if ends.is_set():
                    return

    peers: list[Peer] = []
    async with _short_linger(), io.serve_open(Sink()) as server:
        address = server.address
        thread = threading.Thread(target=come)
        thread.start()
        await io.until(lambda: len(peers) > 50)
        started = time.monotonic()
    assert time.monotonic() - started < 4
    ends.set()
    await io.until(lambda: not thread.is_alive())
    await io.thread(partial(_all_end, peers))


def _all_end(peers: list[Peer]) -> None:
    for peer in peers:
        with contextlib.suppress(ConnectionError):
            peer.rest()
        peer.close()


@scenario()
async def exception_in_the_block_comes_out_as_itself(io: Io) -> None:
    sink = Sink()
    with pytest.raises(KeyError, match="mine"):
        async with io.serve_open(sink) as server, io.connect_open(server.address):
            raise KeyError("mine")
    assert sink.calls[-1] == "quit"


@scenario(bindings=ASYNC)
async def cancelled_server_says_goodbye(io: Io) -> None:
    sink = Sink()
    greeted = threading.Event()
    found: list[bytes] = []

    async def serve() -> None:
        async with io.serve_open(sink) as server:
            addresses.append(server.address)
            await server.serve_forever()  # type: ignore[attr-defined]

    def play() -> None:
        with Peer.to(addresses[0]) as peer:
            peer.ask("EHLO client.test")
            peer.ask(ENVELOPE_LINES[0])
            greeted.set()
            found.append(peer.rest())

    def ready() -> bool:
        if addresses and not threads:
            threads.append(threading.Thread(target=play))
            threads[0].start()
        return greeted.is_set()

    addresses: list[tuple[str, int]] = []
    threads: list[threading.Thread] = []
    await io.cancel_when(ready, serve())
    await io.until(lambda: not threads[0].is_alive())
    assert found[0].startswith(b"421 4.3.2 ")
    assert "reset" in sink.calls


@scenario("RFC4409-3.2a")
async def auth_is_asked_of_the_handler(io: Io) -> None:
    """PASSWORD is right, and its hooks see the session."""
    seen: list[str | None] = []

    class Looking(Sink):
        def on_auth_password(self, session: Any, username: str, password: str, authzid: str) -> bool:
            seen.append(session.peer)
            seen.append(session.client_name)
            return super().on_auth_password(session, username, password, authzid)

    async with (
        io.serve(Looking()) as server,
        io.connect(server.address, auth=PASSWORD, mechanisms=["PLAIN"]),
    ):
        pass
    assert seen == ["127.0.0.1", "client.test"]
