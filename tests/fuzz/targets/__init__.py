"""All targets, by name."""

from __future__ import annotations

from typing import Final

from tests.fuzz.target import Target
from tests.fuzz.targets import client, extensions, flows, message, sasl, server, texts, wire

TARGETS: Final[dict[str, Target]] = {
    target.name: target
    for module in (server, client, flows, wire, extensions, message, sasl, texts)
    for target in module.TARGETS
}
