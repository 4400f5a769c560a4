"""Connections that the caller makes."""

from __future__ import annotations

import socket
import tempfile
from collections.abc import Generator
from typing import Any

import pytest
from tests.bindings.faces import Io
from tests.bindings.handlers import PASSWORD, RCPT, SENDER, Sink
from tests.bindings.registry import ASYNC, scenario

import ehlo

MESSAGE = b"Subject: test\r\n\r\nHello\r\n"
ENVELOPE: dict[str, Any] = {"sender": SENDER, "recipients": [RCPT]}


@scenario()
async def a_caller_makes_the_connection(io: Io) -> None:
    sink = Sink()
    asked: list[tuple[str, int]] = []
    async with io.serve(sink) as server:

        def dial(host: str, port: int) -> socket.socket:
            asked.append((host, port))
            return socket.create_connection(server.address)

        # TLS verifies the name that was asked for, whoever made the connection.
        async with io.connect(("mail.test", 587), dial=dial, server_name=None, auth=PASSWORD) as client:
            assert client.tls is not None
            await client.submit(MESSAGE, **ENVELOPE)
    assert asked == [("mail.test", 587)]
    assert sink.stored == [MESSAGE]


@scenario(bindings=ASYNC)
async def and_may_be_awaited_for_it(io: Io) -> None:
    sink = Sink()
    async with io.serve_open(sink) as server:

        async def dial(host: str, port: int) -> socket.socket:
            await io.sleep(0)
            return socket.create_connection(server.address)

        async with io.connect_open(("mail.test", 25), dial=dial) as client:
            await client.submit(MESSAGE, **ENVELOPE)
    assert sink.stored == [MESSAGE]


@scenario(bindings=("blocking",))
async def a_thread_awaits_nothing(io: Io) -> None:
    class Later:
        def __await__(self) -> Generator[None, None, socket.socket]:
            raise AssertionError("nobody awaits it")

    def dial(host: str, port: int) -> Later:
        return Later()

    with pytest.raises(ehlo.LocalProtocolError, match="async"):
        await io.connect_open(("mail.test", 25), dial=dial)


@scenario()
async def what_is_no_socket_is_refused(io: Io) -> None:
    """Without a socket the binding does not connect by itself, past a proxy, say."""
    async with io.serve_open(Sink()) as server:
        for given in (None, ("reader", "writer")):
            with pytest.raises(ehlo.LocalProtocolError, match=f"socket, not {type(given).__name__}"):
                await io.connect_open(server.address, dial=lambda *_, given=given: given)


@scenario(bindings=ASYNC)
async def nor_is_what_is_awaited_taken_for_one(io: Io) -> None:
    async def dial(host: str, port: int) -> None:
        await io.sleep(0)

    async with io.serve_open(Sink()) as server:
        with pytest.raises(ehlo.LocalProtocolError, match="socket, not NoneType"):
            await io.connect_open(server.address, dial=dial)


@scenario()
async def a_way_that_fails_is_no_connection(io: Io) -> None:
    def dial(host: str, port: int) -> socket.socket:
        raise ConnectionRefusedError("the proxy says no")

    with pytest.raises(ehlo.ConnectionFailed, match=r"mail\.test port 25: the proxy says no"):
        await io.connect_open(("mail.test", 25), dial=dial)


@scenario()
async def a_path_can_be_dialled_too(io: Io) -> None:
    sink = Sink()
    with tempfile.TemporaryDirectory() as folder:
        async with io.serve_unix(sink, f"{folder}/smtp") as server:

            def dial(path: str, port: int) -> socket.socket:
                assert port == 0
                sock = socket.socket(socket.AF_UNIX)
                sock.connect(path)
                return sock

            assert server.path is not None
            async with io.connect_open(server.path, dial=dial, server_name=None) as client:
                await client.submit(MESSAGE, **ENVELOPE)
    assert sink.stored == [MESSAGE]


@scenario()
async def a_way_that_gives_no_connection_is_not_passed_by(io: Io) -> None:
    """Whoever forgets to return it wants a proxy all the same."""
    sink = Sink()
    datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    async with io.serve_open(sink) as server:
        for given in (None, "mail.test", datagrams):
            with pytest.raises(ehlo.LocalProtocolError, match="stream socket"):
                await io.connect_open(server.address, dial=lambda host, port, given=given: given)
    datagrams.close()
    assert "connect" not in sink.calls
