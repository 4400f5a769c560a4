"""The argument of BDAT (RFC 3030 section 2)."""

from __future__ import annotations

from typing import Final

import attrs

from ehlo._value import Value

_DIGITS: Final = 20


@attrs.frozen(repr=False, eq=False)
class Chunk(Value):
    """So many octets follow the line."""

    size: int
    last: bool = False
    valid: bool = True
    """Nothing stood behind the size but LAST [RFC3030-2b]; if not, the octets follow all the same."""


def parse_chunk(argument: bytes) -> Chunk | None:
    """None when nobody can tell how many octets follow: what cannot be read to its end would run as
    commands."""
    size, _, rest = argument.partition(b" ")
    if not size.isdigit() or len(size) > _DIGITS:
        return None
    word = rest.strip(b" ").upper()
    return Chunk(int(size), word == b"LAST", word in (b"", b"LAST"))


def render_chunk(chunk: Chunk) -> bytes:
    """The command line."""
    return b"BDAT %d LAST\r\n" % chunk.size if chunk.last else b"BDAT %d\r\n" % chunk.size
