"""`python -m benchmarks.servers NAME [--tls CERTIFICATE KEY] [--stream]`

Says `port N` on its first line and runs until its input ends.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import ssl
import sys
import threading
from collections.abc import Callable, Coroutine
from typing import Any

from benchmarks.peers import load
from benchmarks.processes import HOST
from benchmarks.servers import null, ours, proxy

_BIG = 1 << 30


def _ready(port: int) -> None:
    print(f"port {port}", flush=True)


def _run(main: Coroutine[Any, Any, None], *, uvloop: bool = False) -> None:
    if uvloop:
        with asyncio.Runner(loop_factory=load("uvloop").new_event_loop) as runner:
            runner.run(main)
    else:
        asyncio.run(main)


def _trio(main: Callable[[], Coroutine[Any, Any, None]]) -> None:
    import trio  # noqa: PLC0415 (the others shall not pay for it)

    trio.run(main)


async def _aiosmtpd(tls: ssl.SSLContext | None) -> None:
    smtp = load("aiosmtpd.smtp").SMTP

    class Handler:
        async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
            return "250 Ok"

    loop = asyncio.get_running_loop()
    handler = Handler()
    server = await loop.create_server(
        lambda: smtp(handler, data_size_limit=_BIG, loop=loop), HOST, 0, backlog=1024, ssl=tls
    )
    _ready(server.sockets[0].getsockname()[1])
    await server.serve_forever()


def _end_with_input() -> None:
    """A benchmark that dies leaves no server behind."""
    sys.stdin.read()
    os._exit(0)


def _serve(name: str, setup: ours.Setup, tls: ssl.SSLContext | None) -> None:
    match name:
        case "ehlo-asyncio":
            _run(ours.serve_asyncio(setup, _ready))
        case "ehlo-uvloop":
            _run(ours.serve_asyncio(setup, _ready), uvloop=True)
        case "ehlo-trio":
            _trio(lambda: ours.serve_trio(setup, _ready))
        case "ehlo-blocking":
            ours.serve_blocking(setup, _ready)
        case "aiosmtpd":
            _run(_aiosmtpd(tls))
        case "aiosmtpd-uvloop":
            _run(_aiosmtpd(tls), uvloop=True)
        case "null-asyncio":
            _run(null.serve_asyncio(null.NullSession, _ready, buffered=True, tls=tls))
        case "null-collecting":
            _run(null.serve_asyncio(null.CollectingSession, _ready, buffered=True))
        case "null-uvloop":
            _run(null.serve_asyncio(null.NullSession, _ready, buffered=False, tls=tls), uvloop=True)
        case "null-trio":
            _trio(lambda: null.serve_trio(null.NullSession, _ready))
        case "null-threads":
            null.serve_threads(null.NullSession, _ready)
        case "sink":
            _run(null.serve_asyncio(null.SinkSession, _ready, buffered=True))
        case _:
            raise SystemExit(f"there is no server {name}")


def main() -> None:
    parser = argparse.ArgumentParser(prog="benchmarks.servers")
    parser.add_argument("name")
    parser.add_argument("--tls", nargs=2, metavar=("CERTIFICATE", "KEY"))
    parser.add_argument("--called", action="store_true", help="hooks are plain functions")
    parser.add_argument("--stream", action="store_true", help="bodies are not kept")
    parser.add_argument("--delay", type=float, default=0.0, help="of the proxy, in seconds")
    parser.add_argument("--to", type=int, help="port that the proxy connects to")
    options = parser.parse_args()
    tls = None
    if options.tls:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(*options.tls)
    plain = options.called or options.name == "ehlo-blocking"
    handler = ours.Streamed() if options.stream else ours.Called() if plain else ours.Awaited()
    threading.Thread(target=_end_with_input, daemon=True).start()
    if options.name == "proxy":
        _run(proxy.serve(options.delay, options.to, _ready))
    _serve(options.name, ours.Setup(handler=handler, tls=tls), tls)


if __name__ == "__main__":
    main()
