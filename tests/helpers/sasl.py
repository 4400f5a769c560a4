"""What mechanisms are made of in tests."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from ehlo import SessionOptions, TlsMode
from ehlo.sasl import ClientContext, SecretKind, ServerSettings

NOW = 1_790_000_000
SERVER_NAME = "mail.example"
EVERY_KIND = frozenset(SecretKind)


def client_context(**changes: Any) -> ClientContext:
    given: dict[str, Any] = {"server_name": SERVER_NAME, "random": os.urandom, "clock": lambda: NOW}
    return ClientContext(**(given | changes))


def server_settings(**changes: Any) -> ServerSettings:
    given: dict[str, Any] = {"target": SERVER_NAME, "random": os.urandom, "clock": lambda: NOW}
    return ServerSettings(**(given | changes))


def session_options(**changes: Any) -> SessionOptions:
    given: dict[str, Any] = {
        "client_name": "a.example",
        "server_name": SERVER_NAME,
        "tls": TlsMode.NONE,
        "random": os.urandom,
        "clock": lambda: NOW,
    }
    return SessionOptions(**(given | changes))


def constant(octets: bytes) -> Callable[[int], bytes]:
    """A source of randomness that is none: the beginning of the same octets, as often as it takes."""
    return lambda size: (octets * (size // len(octets) + 1))[:size]


HERE = client_context()
FIRST = client_context(initial_response=True)
