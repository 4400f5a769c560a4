from __future__ import annotations

import pytest

from ehlo.wire.chunk import Chunk, parse_chunk, render_chunk


@pytest.mark.clause("RFC3030-2b")
@pytest.mark.parametrize(
    ("argument", "chunk"),
    [
        (b"0", Chunk(0)),
        (b"86", Chunk(86)),
        (b"086", Chunk(86)),
        (b"0 LAST", Chunk(0, last=True)),
        (b"86 last", Chunk(86, last=True)),
        (b"86   Last  ", Chunk(86, last=True)),
        (b"86  ", Chunk(86)),
        (b"9" * 20, Chunk(10**20 - 1)),
        (b"86 FIRST", Chunk(86, valid=False)),
        (b"86 LASTX", Chunk(86, valid=False)),
        (b"86 LAST LAST", Chunk(86, valid=False)),
        (b"86 LAST\t", Chunk(86, valid=False)),
    ],
)
def test_what_follows_is_known(argument: bytes, chunk: Chunk) -> None:
    assert parse_chunk(argument) == chunk


@pytest.mark.parametrize(
    "argument",
    [
        b"", b" ", b"LAST", b"-1", b"+1", b"1.0", b"0x10", b"1_0", b"86LAST", b"86\tLAST", b" 86",
        b"9" * 21, b"\xd9\xa1", b"\xb2",
    ],
)  # fmt: skip
def test_nobody_can_tell_what_follows(argument: bytes) -> None:
    assert parse_chunk(argument) is None


@pytest.mark.clause("RFC3030-2b")
@pytest.mark.parametrize(
    ("chunk", "line"),
    [
        (Chunk(0), b"BDAT 0\r\n"),
        (Chunk(86), b"BDAT 86\r\n"),
        (Chunk(86, last=True), b"BDAT 86 LAST\r\n"),
        (Chunk(2**40, last=True), b"BDAT 1099511627776 LAST\r\n"),
    ],
)
def test_what_is_written_can_be_read(chunk: Chunk, line: bytes) -> None:
    assert render_chunk(chunk) == line
    assert parse_chunk(line.removeprefix(b"BDAT ").removesuffix(b"\r\n")) == chunk
