"""Servers on a socket that the caller made."""

from __future__ import annotations

import os
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.bindings.faces import Io
from tests.bindings.handlers import PASSWORD, Sink
from tests.bindings.peers import Address, Peer
from tests.bindings.registry import scenario
from tests.bindings.scenarios_submit import ENVELOPE, MESSAGE

import ehlo


def _tcp() -> socket.socket:
    return socket.create_server(("127.0.0.1", 0))


@contextmanager
def _unix() -> Iterator[socket.socket]:
    """A listening socket whose file is there until the end."""
    with tempfile.TemporaryDirectory(prefix="ehlo-") as directory:
        path = str(Path(directory, "socket"))
        with socket.socket(socket.AF_UNIX) as sock:
            sock.bind(path)
            sock.listen()
            yield sock
            assert os.path.lexists(path), "who made the file removes it"


async def _submit(io: Io, address: Address, sink: Sink) -> None:
    async with io.connect_open(address) as client:
        await client.submit(MESSAGE, **ENVELOPE)
    assert sink.stored.pop().endswith(MESSAGE)


@scenario()
async def listening_tcp_socket_of_the_caller(io: Io) -> None:
    sink, sock = Sink(), _tcp()
    address = sock.getsockname()
    async with io.serve_open(sink, sock=sock) as server:
        assert (server.address, server.path) == (address, None)
        for _ in range(2):
            await _submit(io, address, sink)
    # It is the server's, and has gone with it.
    assert sock.fileno() == -1
    with pytest.raises(ehlo.ConnectionFailed):
        await io.connect_open(address)


@scenario()
async def listening_unix_socket_of_the_caller(io: Io) -> None:
    sink = Sink()
    with _unix() as sock:
        path = sock.getsockname()
        async with io.serve_open(sink, sock=sock) as server:
            assert server.path == path
            with pytest.raises(RuntimeError, match="UNIX"):
                _ = server.address
            await _submit(io, path, sink)
        assert sock.fileno() == -1


@scenario()
async def listening_with_tls_on_it(io: Io) -> None:
    sock = _tcp()
    address = sock.getsockname()
    async with io.serve(Sink(), sock=sock), io.connect(address, auth=PASSWORD) as client:
        assert client.tls is not None


@scenario()
async def listening_connections_that_came_before_the_server(io: Io) -> None:
    sock = _tcp()
    with Peer.silent_to(sock.getsockname()) as early:
        async with io.serve_open(Sink(), sock=sock):
            heard = await io.thread(early.reply)
            assert heard.startswith("220 ")
            early.close()


@scenario()
async def listening_others_go_on_when_one_ends(io: Io) -> None:
    """Processes share a socket by copies of its descriptor: so do two servers here."""
    for make in (_shared_tcp, _shared_unix):
        first, second = Sink(), Sink()
        with make() as (one, other, address):
            async with io.serve_open(second, sock=other):
                async with io.serve_open(first, sock=one):
                    for _ in range(4):
                        async with io.connect_open(address) as client:
                            await client.submit(MESSAGE, **ENVELOPE)
                    assert len(first.stored) + len(second.stored) == 4
                second.stored.clear()
                await _submit(io, address, second)


@contextmanager
def _shared_tcp() -> Iterator[tuple[socket.socket, socket.socket, Any]]:
    sock = _tcp()
    yield sock, sock.dup(), sock.getsockname()


@contextmanager
def _shared_unix() -> Iterator[tuple[socket.socket, socket.socket, Any]]:
    with _unix() as sock:
        yield sock, sock.dup(), sock.getsockname()


@scenario()
async def listening_is_what_a_socket_of_the_caller_does(io: Io) -> None:
    with socket.socket() as silent, socket.socket(type=socket.SOCK_DGRAM) as datagrams, _tcp() as closed:
        silent.bind(("127.0.0.1", 0))
        closed.close()
        for sock in (silent, datagrams, closed):
            with pytest.raises(ehlo.LocalProtocolError, match="sock"):
                async with io.serve_open(Sink(), sock=sock):
                    pass
        # They are the caller's still.
        assert -1 not in (silent.fileno(), datagrams.fileno())
