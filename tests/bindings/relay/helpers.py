"""A next server in this process, a clock that leaps, and what else the tests of the gateway share."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any, TypeVar

import attrs
import pytest
from tests.bindings.peers import Peer, Scripted, greet, take_envelope

import ehlo
import ehlo_io.asyncio
from ehlo_io.relay.hop import Hop, Sessions

T = TypeVar("T")

ALICE, BOB, CAROL, DAVE = (f"{name}@local.example" for name in ("alice", "bob", "carol", "dave"))
HOSTNAME = "gateway.local.example"
MESSAGE = b"Subject: hand on\r\n\r\n.\r\nline\r\n"
START = 1_800_000_000.0
PATIENCE = 10.0

NOT_NOW = ehlo.Reply(451, "Not now", "4.2.0")
NO_SUCH = ehlo.Reply(550, "No such user", "5.1.1")


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    async def bounded() -> T:
        async with asyncio.timeout(PATIENCE):
            return await coroutine

    return asyncio.run(bounded())


async def until(condition: Callable[[], object]) -> None:
    while not condition():
        await asyncio.sleep(0.005)


class LeapingClock:
    """Its time passes when somebody waits for it, and not otherwise."""

    def __init__(self) -> None:
        self.time = START
        self.waits: list[float] = []
        self._names = 0
        self.stopped = False

    def now(self) -> float:
        return self.time

    def chance(self) -> float:
        return 0.5

    def name(self) -> str:
        self._names += 1
        return f"name-{self._names:03}"

    async def wait(self, event: asyncio.Event, seconds: float | None) -> None:
        if seconds is None or self.stopped:
            await event.wait()
            return
        await asyncio.sleep(0)
        if not event.is_set():
            self.waits.append(seconds)
            self.time += seconds


class NextServer:
    """Remembers what it took, and refuses what a test tells it to, once for each reply in a list."""

    def __init__(self) -> None:
        self.taken: list[tuple[ehlo.Envelope, bytes]] = []
        self.refusals: dict[str, list[ehlo.Reply]] = {}
        """By the address of a recipient, or "message"."""
        self.connections = 0
        self.open = 0
        self.most_open = 0
        self.passwords: list[str] = []

    def on_connect(self, session: ehlo.Session) -> None:
        self.connections += 1

    def on_auth_password(self, session: ehlo.Session, username: str, password: str, authzid: str) -> bool:
        self.passwords.append(password)
        return password == "right"

    def on_rcpt(self, session: ehlo.Session, path: ehlo.ForwardPath, parameters: object) -> ehlo.Reply | None:
        return self._next(str(path))

    async def on_message(
        self, session: ehlo.Session, envelope: ehlo.Envelope, content: bytes
    ) -> ehlo.Reply | None:
        self.open += 1
        self.most_open = max(self.open, self.most_open)
        await asyncio.sleep(0.01)
        self.open -= 1
        refusal = self._next("message")
        if refusal is None:
            self.taken.append((envelope, content))
        return refusal

    def _next(self, what: str) -> ehlo.Reply | None:
        left = self.refusals.get(what)
        return left.pop(0) if left else None


@contextlib.asynccontextmanager
async def serving(handler: object, port: int = 0, **options: Any) -> AsyncIterator[tuple[str, int]]:
    """An open server."""
    plain: dict[str, Any] = {"policy": ehlo.OPEN_TEST, "hostname": "next.local.example"}
    async with ehlo_io.asyncio.serve(handler, "127.0.0.1", port, **(plain | options)) as server:
        yield server.address


@contextlib.contextmanager
def scripted(script: Callable[[Peer], None]) -> Iterator[tuple[str, int]]:
    """A server that says what it is told to."""
    server = Scripted(script)
    try:
        yield server.address
    finally:
        server.close()
        server.check()


def hop(address: tuple[str, int], **options: Any) -> Hop:
    plain: Any = {"tls": ehlo.TlsMode.NONE, "client_name": HOSTNAME} | options
    return Hop(host=address[0], port=address[1], options=plain)


@contextlib.asynccontextmanager
async def sessions_with(address: tuple[str, int], **options: Any) -> AsyncIterator[Sessions]:
    """Closed in the end."""
    plain: dict[str, Any] = {"now": asyncio.get_running_loop().time, "rest": 0.0}
    async with Sessions(hop(address).connect, **(plain | options)) as sessions:
        yield sessions


def without(*gone: ehlo.Extension) -> tuple[ehlo.Extension, ...]:
    """What a server offers that lacks something."""
    return tuple(extension for extension in ehlo.STANDARD if extension not in gone)


@attrs.frozen
class Folder:
    """What lies in a spool."""

    top: Path

    def names(self, folder: str) -> list[str]:
        return sorted(path.name for path in (self.top / folder).iterdir())

    @property
    def everything(self) -> dict[str, list[str]]:
        return {
            folder: names
            for folder in ("messages", "progress", "tmp", "bad")
            if (names := self.names(folder))
        }


each_tail = pytest.mark.parametrize("size", [0, 300_000, 1_500_000], ids=["short", "long", "longer"])


def long_message(size: int) -> bytes:
    return MESSAGE + b"0123456789abcdef\r\n" * (size // 18)


# ---- servers that fail, for `scripted` ----


def closes_in_the_middle(peer: Peer) -> None:
    greet(peer)
    take_envelope(peer)
    peer.until(b"hand on")


def says_421(peer: Peer) -> None:
    greet(peer)
    take_envelope(peer)
    peer.until(b"\r\n.\r\n")
    peer.send(b"421 4.3.2 going away\r\n")


def answers_garbage(peer: Peer) -> None:
    greet(peer)
    take_envelope(peer)
    peer.until(b"\r\n.\r\n")
    peer.send(b"\xff\xfe OK\r\n")
    peer.rest()
