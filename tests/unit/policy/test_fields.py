from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ehlo.policy._fields import split_fields

BLOCKS = st.lists(
    st.sampled_from([b"From", b"x-Y", b":", b" ", b"\t", b"\r\n", b"\n", b"\r", b"a@b", b"\xfc", b"\0"]),
    max_size=30,
).map(b"".join)


@pytest.mark.parametrize(
    ("block", "fields"),
    [
        (b"", []),
        (b"From: a\r\nTO:b\r\n", [(b"from", b" a\r\n"), (b"to", b"b\r\n")]),
        (b"Subject: a\r\n b\r\n\tc\r\nX:\r\n", [(b"subject", b" a\r\n b\r\n\tc\r\n"), (b"x", b"\r\n")]),
        (b"Subject: a\n b\nX: c", [(b"subject", b" a\n b\n"), (b"x", b" c")]),
        (b"Subject \t: a:b\r\n", [(b"subject", b" a:b\r\n")]),
        (b"From a@b Mon\r\nX: y\r\n", [(b"", b""), (b"x", b" y\r\n")]),
        (b" folded: at once\r\n", [(b"", b" at once\r\n")]),
        (b": nameless\r\n", [(b"", b" nameless\r\n")]),
        (b"two words: x\r\n", [(b"", b" x\r\n")]),
        (b"\xfc: x\r\n", [(b"", b" x\r\n")]),
    ],
)
def test_fields(block: bytes, fields: list[tuple[bytes, bytes]]) -> None:
    assert [(field.name, field.value) for field in split_fields(block)] == fields


@given(BLOCKS)
def test_fields_joined_are_the_block(block: bytes) -> None:
    fields = split_fields(block)
    assert b"".join(field.raw for field in fields) == block
    assert all(not field.raw.startswith((b" ", b"\t")) for field in fields[1:])
