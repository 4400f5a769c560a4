"""The recorded exchanges, and octets to take apart."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from pathlib import Path

import attrs

from ehlo.sasl import NtlmServer
from ehlo.wire import base64


def _octets(text: str) -> bytes:
    return base64.decode(text.encode())


@attrs.frozen
class Recorded:
    client: str
    user: str
    password: str
    outcome: str
    negotiate: bytes = attrs.field(converter=_octets)
    challenge: bytes = attrs.field(converter=_octets)
    authenticate: bytes = attrs.field(converter=_octets)

    @property
    def nonce(self) -> bytes:
        return self.challenge[24:32]


_FILE = Path(__file__).with_name("exchanges.toml")
RECORDED = [Recorded(**entry) for entry in tomllib.loads(_FILE.read_text("utf-8"))["exchange"]]
BY_CLIENT = {exchange.client: exchange for exchange in RECORDED}

NONCE = bytes.fromhex("0123456789abcdef")
NOW = 1_790_000_000


def server(
    nonce: bytes = NONCE,
    now: Callable[[], int] | None = lambda: NOW,
    channel_binding: bytes | None = None,
    require: bool = False,
) -> NtlmServer:
    return NtlmServer(
        target="mail.example",
        nonce=lambda: nonce,
        now=now,
        channel_binding=channel_binding,
        require_channel_binding=require,
    )
