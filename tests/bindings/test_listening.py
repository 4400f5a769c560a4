"""Sockets that servers are given."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from typing import Any

import pytest
from tests.bindings.handlers import Sink
from tests.bindings.peers import Peer

import ehlo
import ehlo_io.asyncio
import ehlo_io.blocking
import ehlo_io.trio
from ehlo_io._listening import GivenSocket, listening, tcp_socket, unix_name


@pytest.mark.parametrize("module", [ehlo_io.asyncio, ehlo_io.trio, ehlo_io.blocking])
def test_what_does_not_listen_is_told_at_once(module: Any) -> None:
    with socket.socket() as sock, pytest.raises(ehlo.LocalProtocolError, match="sock is a stream socket"):
        module.serve(Sink(), sock=sock)


def test_none_is_none() -> None:
    assert listening(None) is None


def test_names() -> None:
    with tcp_socket("127.0.0.1", 0) as sock:
        assert unix_name(sock) is None
        given = GivenSocket(sock)
        assert (given.path, given.listen()) == (None, sock)
        given.remove()
        assert sock.fileno() != -1
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind("\0ehlo-test-names")
        assert unix_name(sock) == "@ehlo-test-names"


def test_tcp_sockets_of_both_families() -> None:
    with tcp_socket("127.0.0.1", 0) as four, tcp_socket("::1", 0) as six:
        assert (four.family, six.family) == (socket.AF_INET, socket.AF_INET6)
        assert GivenSocket(six).path is None


def test_asyncio_leaves_some_to_others() -> None:
    """All connections are there before the two servers, which take turns."""

    async def scenario() -> None:
        first, second = Sink(), Sink()
        sock = tcp_socket("127.0.0.1", 0)
        other = sock.dup()
        with contextlib.ExitStack() as stack:
            for _ in range(20):
                stack.enter_context(Peer.silent_to(sock.getsockname()))
            async with (
                ehlo_io.asyncio.serve(first, sock=sock, policy=ehlo.OPEN_TEST),
                ehlo_io.asyncio.serve(second, sock=other, policy=ehlo.OPEN_TEST),
                asyncio.timeout(5),
            ):
                while len(first.calls) + len(second.calls) < 20:
                    await asyncio.sleep(0)
                assert min(len(first.calls), len(second.calls)) >= 5
                stack.close()

    asyncio.run(scenario())
