"""xtext (RFC 3461 section 4): printable ASCII in parameter values."""

from __future__ import annotations

from typing import Final

from ehlo.wire.abnf import Pattern

_PLAIN: Final = Pattern(r"[!-*,-<>-~]*\Z")
_XTEXT: Final = Pattern(r"(?:[!-*,-<>-~]|\+[0-9A-F]{2})*\Z")
_HEX: Final = Pattern(r"\+([0-9A-F]{2})")


def encode(text: str) -> str:
    """`text` as xtext. Raises ValueError for what is not ASCII [RFC3461-4.2d]."""
    if _PLAIN.match(text):
        return text
    if not text.isascii():
        raise ValueError("xtext holds ASCII only")
    return "".join(c if _PLAIN.match(c) else f"+{ord(c):02X}" for c in text)


def decode(text: str) -> str:
    """What the xtext stands for. Raises ValueError [RFC3461-4b]: `+` needs two upper-case digits."""
    if not _XTEXT.match(text):
        raise ValueError("not xtext")
    if "+" not in text:
        return text
    decoded = _HEX.sub(lambda found: chr(int(found[1], 16)), text)
    if not decoded.isascii():
        raise ValueError("xtext stands for an octet over 127")
    return decoded
