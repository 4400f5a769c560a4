"""The public names of the bindings are the same three times."""

from __future__ import annotations

import importlib
import inspect

import pytest

import ehlo_io
import ehlo_io.relay

BINDINGS = ["asyncio", "trio", "blocking"]


def test_the_package() -> None:
    assert ehlo_io.__all__ == ["client_context", "server_context"]


@pytest.mark.parametrize("name", BINDINGS)
def test_a_binding(name: str) -> None:
    module = importlib.import_module(f"ehlo_io.{name}")
    names = ["GRACE", "Client", "Pool", "Server", "connect", "connect_unix", "serve", "serve_unix"]
    assert module.__all__ == names
    assert {"submit", "submit_many", "still_open", "close", "capabilities", "tls"} <= set(dir(module.Client))
    assert {"submit", "submit_many", "session"} <= set(dir(module.Pool))
    assert {"address", "close", "path", "renew", "serve_forever"} <= set(dir(module.Server))


def test_the_gateway() -> None:
    assert ehlo_io.relay.__all__ == ["Gateway", "Hop", "RelaySettings", "Retry", "Tally"]


@pytest.mark.parametrize(
    ("name", "names"),
    [
        ("dkim", ["Signer"]),
        ("logs", ["JsonFormatter", "SessionLog", "TextFormatter"]),
        ("metrics", ["Metrics", "RelayMetrics", "new_registry", "serve_metrics", "worker_ended"]),
    ],
)
def test_what_stands_beside_a_server(name: str, names: list[str]) -> None:
    module = importlib.import_module(f"ehlo_io.{name}")
    assert module.__all__ == names
    assert all(hasattr(module, known) for known in names)


@pytest.mark.parametrize("face", ["connect", "connect_unix", "serve", "serve_unix"])
def test_the_faces_take_the_same_arguments(face: str) -> None:
    found = {
        str(inspect.signature(getattr(importlib.import_module(f"ehlo_io.{name}"), face)).parameters)
        for name in BINDINGS
    }
    assert len(found) == 1
