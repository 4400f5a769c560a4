"""Servers whose clients use the commands of extensions."""

from __future__ import annotations

from functools import partial

from tests.bindings.faces import Io
from tests.bindings.handlers import RCPT, SENDER, Sink
from tests.bindings.peers import Peer
from tests.bindings.registry import ASYNC, add, scenario

import ehlo
import ehlo.extensions

ENVELOPE = (f"MAIL FROM:<{SENDER}>", f"RCPT TO:<{RCPT}>")
SAID = "XCLIENT ADDR=192.0.2.7 LOGIN=alice"


class Proxied(Sink):
    """Notes for whom it is asked, and knows one URL."""

    def __init__(self) -> None:
        super().__init__()
        self.clients: list[tuple[str | None, str | None]] = []

    def on_connect(self, session: ehlo.Session) -> None:
        self.clients.append((session.peer, session.identity.authzid if session.identity else None))


class Fetching(Proxied):
    def on_burl(self, session: ehlo.Session, url: str) -> bytes | ehlo.Reply:
        return b"fetched\r\n" if url.endswith("/1") else ehlo.Reply(451, "Later", "4.4.1")


class AsyncFetching(Fetching):
    async def on_burl(self, session: ehlo.Session, url: str) -> bytes | ehlo.Reply:  # type: ignore[override]
        return super().on_burl(session, url)


@scenario()
async def a_proxy_speaks_for_its_client(io: Io) -> None:
    sink = Proxied()

    def play() -> None:
        with Peer.to(server.address) as peer:
            assert "XCLIENT" in peer.ask("EHLO proxy.test")
            assert peer.ask(SAID).startswith("220 ")
            assert "XCLIENT" not in peer.ask("EHLO client.test")
            assert peer.ask(ENVELOPE[0]).startswith("250 ")
            assert peer.ask("QUIT").startswith("221 ")

    async with io.serve(sink, tls=None, xclient_from=["127.0.0.0/8"]) as server:
        await io.thread(play)
    assert sink.clients == [("127.0.0.1", None), ("192.0.2.7", "alice")]


@scenario()
async def a_stranger_speaks_for_nobody(io: Io) -> None:
    sink = Proxied()

    def play(start: str) -> None:
        with Peer.to(server.address) as peer:
            assert "XCLIENT" not in peer.ask("EHLO client.test")
            assert peer.ask(SAID).startswith(start)
            assert peer.ask(ENVELOPE[0]).startswith("530 ")

    for options, start in (({"xclient_from": ["192.0.2.0/24", "unix"]}, "550 5.7.0 "), ({}, "500 5.5.1 ")):
        async with io.serve(sink, tls=None, **options) as server:
            await io.thread(partial(play, start))
    assert sink.clients == [("127.0.0.1", None)] * 2


async def _fetches(io: Io, sink: Fetching) -> None:
    def play() -> None:
        with Peer.to(server.address) as peer:
            peer.ask(SAID)
            peer.ask("EHLO client.test")
            for lines in (["2 LAST", "451 4.4.1 "], ["1", "250 ", "1 LAST", "250 "]):
                for line in ENVELOPE:
                    assert peer.ask(line).startswith("250 ")
                for url, reply in zip(lines[::2], lines[1::2], strict=True):
                    assert peer.ask(f"BURL imap://mail.test/{url}").startswith(reply)

    extensions = (*ehlo.STANDARD, ehlo.extensions.burl(ehlo.BurlSources(servers=("mail.test",))))
    async with io.serve(sink, tls=None, extensions=extensions, xclient_from=["127.0.0.1"]) as server:
        await io.thread(play)
    assert sink.stored == [b"fetched\r\n" * 2]


async def a_message_is_fetched(io: Io) -> None:
    await _fetches(io, Fetching())


async def a_message_is_fetched_by_an_async_hook(io: Io) -> None:
    await _fetches(io, AsyncFetching())


add("a_message_is_fetched", a_message_is_fetched, clauses=("RFC4468-3.2a", "RFC4468-3.2c"))
add("a_message_is_fetched_by_an_async_hook", a_message_is_fetched_by_an_async_hook, bindings=ASYNC)
