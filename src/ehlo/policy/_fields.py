"""A header block as fields (RFC 5322 sections 2.2 and 3.6): each with its octets as they came."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

EMPTY_LINE: Final = re.compile(rb"\n\r?\n")
"""What ends a header block, seen from the end of its last line."""

# A line that starts with white space goes on with the field before it.
_FIELD_BREAK = re.compile(rb"\n(?![ \t])")
_NAME = re.compile(rb"([!-9;-~]+)[ \t]*:")


class Field(NamedTuple):
    """One field, or a line that is none."""

    name: bytes
    """In lower case; b"" for what is no field."""
    raw: bytes
    """All of its octets, folds and line end included."""

    @property
    def value(self) -> bytes:
        """What stands behind the colon, folds and line end included."""
        return self.raw.partition(b":")[2]


def split_fields(block: bytes) -> list[Field]:
    """The fields of a header block, in order; joined they give the block again."""
    fields = []
    start = 0
    for found in _FIELD_BREAK.finditer(block):
        fields.append(_field(block[start : found.end()]))
        start = found.end()
    if start < len(block):
        fields.append(_field(block[start:]))
    return fields


def _field(raw: bytes) -> Field:
    found = _NAME.match(raw)
    return Field(found[1].lower() if found is not None else b"", raw)
