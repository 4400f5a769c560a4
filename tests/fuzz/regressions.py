"""Inputs that found something once, in `regressions.txt`: a line for each."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Final

import attrs

FILE: Final = Path(__file__).parent / "regressions.txt"


@attrs.frozen
class Regression:
    target: str
    data: bytes
    found: str
    """What it found."""


def written(target: str, data: bytes, found: str) -> str:
    """Its line."""
    return f"{target} {base64.b64encode(data).decode() or '='} {found}"


def read() -> list[Regression]:
    """Raises ValueError for a line that is none."""
    regressions = []
    for line in FILE.read_text("utf-8").splitlines():
        if not line.startswith("#"):
            target, text, found = line.split(" ", 2)
            data = b"" if text == "=" else base64.b64decode(text, validate=True)
            regressions.append(Regression(target, data, found))
    return regressions
