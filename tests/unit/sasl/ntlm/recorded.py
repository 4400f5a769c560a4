"""The recorded exchanges, and octets to take apart."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from pathlib import Path

import attrs
from tests.helpers.sasl import NOW, constant, server_settings

from ehlo.sasl import NtlmServer, ServerContext
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


def server(
    nonce: bytes = NONCE,
    clock: Callable[[], float] | None = lambda: NOW,
    binding: bytes | None = None,
    require: bool = False,
    v1: bool = False,
) -> NtlmServer:
    """`binding`: the data of a tls-server-end-point."""
    settings = server_settings(
        random=constant(nonce), clock=clock, allow_ntlmv1=v1, require_channel_binding=require
    )
    bindings = {} if binding is None else {"tls-server-end-point": binding}
    return NtlmServer(ServerContext(tls=True, channel_bindings=bindings), settings)
