"""Servers that hold only so many connections."""

from __future__ import annotations

import contextlib
import os
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

from tests.bindings.faces import Io
from tests.bindings.handlers import Sink
from tests.bindings.peers import Address, Peer
from tests.bindings.registry import add, scenario

FULL = "421 4.3.2 "
TOO_MANY = "421 4.7.0 "


async def _come(io: Io, address: Address, header: bytes = b"") -> tuple[Peer, str]:
    """Another client, and what it hears first."""

    def connect() -> tuple[Peer, str]:
        peer = Peer.silent_to(address)
        if header:
            peer.send(header)
        return peer, peer.reply()

    return await io.thread(connect)


async def _turned_away(io: Io, address: Address, reply: str, header: bytes = b"") -> None:
    peer, heard = await _come(io, address, header)
    with peer:
        assert heard.startswith(reply), heard
        assert await io.thread(peer.ended)
    assert "Too many connections" in io.logged()


async def _welcome(io: Io, address: Address, header: bytes = b"") -> Peer:
    peer, heard = await _come(io, address, header)
    assert heard.startswith("220 "), heard
    return peer


async def _room_again(io: Io, address: Address) -> None:
    """Somebody has left: before long there is a place for another one."""
    while True:
        peer, heard = await _come(io, address)
        with peer:
            if heard.startswith("220 "):
                break
        await io.sleep(0.01)
    io.log.clear()


async def _limited(io: Io, options: dict[str, Any], reply: str) -> None:
    sink = Sink()
    async with io.serve_open(sink, **options) as server:
        with contextlib.ExitStack() as peers:
            first, second = [peers.enter_context(await _welcome(io, server.address)) for _ in range(2)]
            await _turned_away(io, server.address, reply)
            assert (await io.thread(partial(first.ask, "QUIT"))).startswith("221 ")
            await _room_again(io, server.address)
            await io.thread(second.reset)
        await _room_again(io, server.address)
    # Nobody asked the handler about whom there is no room for.
    assert sink.calls.count("connect") == 4


add("crowd_of_a_server", partial(_limited, options={"connections": 2}, reply=FULL))
add("crowd_of_one_address", partial(_limited, options={"connections_per_peer": 2}, reply=TOO_MANY))


@scenario()
async def crowd_on_a_unix_socket_is_no_peer(io: Io) -> None:
    with tempfile.TemporaryDirectory(prefix="ehlo-") as directory, contextlib.ExitStack() as peers:
        path = os.fspath(Path(directory, "socket"))
        async with io.serve_unix(Sink(), path, connections=2, connections_per_peer=1):
            for _ in range(2):
                peers.enter_context(await _welcome(io, path))
            await _turned_away(io, path, FULL)
            peers.close()


@scenario()
async def crowd_behind_a_proxy_is_its_clients(io: Io) -> None:
    one, other = (f"PROXY TCP4 198.51.100.{n} 203.0.113.9 4711 587\r\n".encode() for n in (7, 8))
    async with io.serve_open(Sink(), proxied_from=["127.0.0.0/8"], connections_per_peer=1) as server:
        with contextlib.ExitStack() as peers:
            for header in (one, other):
                peers.enter_context(await _welcome(io, server.address, header))
            await _turned_away(io, server.address, TOO_MANY, one)


@scenario()
async def crowd_before_implicit_tls(io: Io) -> None:
    options = {"tls": io.certificates.server, "implicit_tls": True, "connections": 1}
    async with io.serve(Sink(), **options) as server, io.connect(server.address, tls="implicit"):
        await _turned_away(io, server.address, "")
