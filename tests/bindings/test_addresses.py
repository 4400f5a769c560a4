"""A host with several addresses, of which one does not answer."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import pytest
from tests.bindings.handlers import RCPT, SENDER, Sink

import ehlo
import ehlo_io.asyncio


def test_an_address_that_does_not_answer_keeps_nobody_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first address is of a listener whose queue is full: a connection to it hangs."""
    sink = Sink()

    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        async with ehlo_io.asyncio.serve(sink, "127.0.0.1", 0, policy=ehlo.OPEN_TEST) as server:
            port = server.address[1]
            with socket.socket() as deaf, socket.socket() as first:
                deaf.bind(("127.0.0.2", port))
                deaf.listen(0)
                first.connect(("127.0.0.2", port))
                asked: list[Any] = []

                async def addresses(*arguments: Any, **options: Any) -> Any:
                    asked.append(arguments)
                    return [
                        (socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))
                        for address in ("127.0.0.2", "127.0.0.1")
                    ]

                monkeypatch.setattr(loop, "getaddrinfo", addresses)
                connecting = ehlo_io.asyncio.connect("mail.test", port, tls="none", connect_timeout=5)
                async with connecting as client:
                    await client.submit(b"Subject: x\r\n\r\nx\r\n", sender=SENDER, recipients=[RCPT])
                assert len(asked) == 1

    asyncio.run(scenario())
    assert len(sink.stored) == 1


def test_a_race_is_for_names() -> None:
    from ehlo_io._asyncio_client import _eager  # noqa: PLC0415

    loop = asyncio.new_event_loop()
    try:
        assert _eager(loop, "mail.example")
        assert _eager(loop, "127.0.0.1") == _eager(loop, "::1") == _eager(loop, "fe80::1%lo") == {}
    finally:
        loop.close()
