"""docs/relay.md names options that there are; tests/interop runs its configuration of HAProxy."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import re
import threading
from pathlib import Path
from typing import Any

import pytest
from tests.interop.processes import PATIENCE, free_port

import ehlo
import ehlo_io.asyncio
from ehlo_io import blocking
from ehlo_io.cli.serve import serve
from ehlo_io.relay import Hop, Retry

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "relay.md").read_text("utf-8")


def test_each_option_is_one() -> None:
    known = {name for parameter in serve.params for name in parameter.opts}
    named = set(re.findall(r"--[a-z][a-z-]+", PAGE)) - {"--server"}
    assert named <= known
    assert {name for name in known if name.startswith("--relay")} <= named


async def client_of(port: int) -> ehlo_io.asyncio.Client:
    """Alice's, as soon as there is a server."""
    async with asyncio.timeout(PATIENCE):
        while True:
            with contextlib.suppress(ehlo.ConnectionFailed):
                alice = ehlo.Password("alice", "secret")
                return await ehlo_io.asyncio.connect("127.0.0.1", port, tls="none", auth=alice)
            await asyncio.sleep(0.01)


def test_the_program_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (source,) = re.findall(r"<!-- run: gateway -->\n```python\n(.*?)```", PAGE, re.DOTALL)
    port, taken = free_port(), threading.Event()
    names: dict[str, Any] = {}
    exec(compile(source.replace(" 5870,", f" {port},"), "relay.md", "exec"), names)  # noqa: S102
    monkeypatch.chdir(tmp_path)

    class NextServer(ehlo.UserStore):
        def on_message(self, session: ehlo.Session, envelope: ehlo.Envelope, content: bytes) -> None:
            assert session.identity is not None
            taken.set()

    async def connect(hop: Hop) -> ehlo_io.asyncio.Client:
        credentials = hop.credentials()
        return await ehlo_io.asyncio.connect("127.0.0.1", next_port, tls="none", auth=credentials)

    async def scenario() -> None:
        task = asyncio.create_task(names["main"]())
        async with await client_of(port) as client:
            await client.submit(b"x\r\n", sender="alice@local.example", recipients=["bob@local.example"])
        assert await asyncio.to_thread(taken.wait, PATIENCE)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    (tmp_path / "password").write_text("right\n")
    handler = NextServer({"gateway": "right"})
    with blocking.serve(handler, "127.0.0.1", 0, hostname="postfix.example") as server:
        next_port = server.address[1]
        monkeypatch.setattr(Hop, "connect", connect)
        asyncio.run(scenario())
    assert caplog.records == []


def test_the_times_are_those_of_the_program() -> None:
    plain = Retry()
    assert "after one minute" in PAGE
    assert "up to 30 minutes" in PAGE
    assert "After 4 hours" in PAGE
    assert "after 5 days" in PAGE
    assert (plain.first, plain.most, plain.warn_after, plain.give_up_after) == (60, 1800, 14400, 432000)
    defaults = {parameter.name: parameter.default for parameter in serve.params}
    assert (defaults["relay_retry"], defaults["relay_warn"], defaults["relay_give_up"]) == ("1m", "4h", "5d")


def test_the_program_that_tries_it_is_there() -> None:
    (module,) = set(re.findall(r"python -m (\S+?)`", PAGE))
    assert callable(importlib.import_module(module).main)
