"""The program `ehlo` as a service that runs for long."""

from __future__ import annotations

import pytest
from tests.bindings.peers import Peer
from tests.bindings.programs import each_io, run, serving

OPEN = "--no-require-auth"


# ---- how many may come ----


@each_io
@pytest.mark.parametrize(
    ("option", "code"), [("--max-connections", "421 4.3.2 "), ("--max-per-peer", "421 4.7.0 ")]
)
def test_serve_holds_no_more_than_it_shall(io: str, option: str, code: str) -> None:
    with serving(OPEN, option, 1, "--io", io) as program:
        address = ("127.0.0.1", program.port)
        with Peer.to(address), Peer.silent_to(address) as other:
            assert other.reply().startswith(code)
            assert other.ended()
        assert program.end() == 0
    (line,) = program.err.splitlines()
    assert "a connection was closed: Too many connections" in line
    assert line.endswith("(session with 127.0.0.1)")


@pytest.mark.parametrize("option", ["--max-connections", "--max-per-peer"])
def test_serve_holds_one_at_least(option: str) -> None:
    assert run("serve", OPEN, option, 0).exit_code == 2
