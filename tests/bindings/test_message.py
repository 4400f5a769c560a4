"""What `submit` takes as a message."""

from __future__ import annotations

import asyncio
import email
import email.policy
import gc
import io
import tempfile
from collections.abc import AsyncIterator
from email.message import EmailMessage
from typing import Any

import pytest

import ehlo
from ehlo_io._message import Prepared, addresses_of, prepare


def _prepare(message: Any, *, eight_bit: bool = True, refuse: bool = False) -> Prepared:
    return prepare(message, eight_bit_offered=eight_bit, refuse_bare=refuse)


def _read(prepared: Prepared, size: int = 7) -> bytes:
    if prepared.content is not None:
        return prepared.content
    pieces = []
    assert prepared.source is not None
    while piece := prepared.source.read(size):
        assert isinstance(piece, bytes)
        pieces.append(piece)
    assert prepared.source.read(size) == b"", "an end is an end"
    return b"".join(pieces)


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_octets(kind: type[Any]) -> None:
    text = "Grüße\r\nbye".encode()
    prepared = _prepare(kind(text))
    # What there is to know of them is told where it is needed.
    assert prepared == Prepared(text, None, None, None)
    assert type(prepared.content) is bytes


def test_changing_the_callers_buffer_changes_nothing() -> None:
    buffer = bytearray(b"before")
    prepared = _prepare(buffer)
    buffer[:] = b"after!"
    assert _read(prepared) == b"before"


@pytest.mark.parametrize("bare", [b"a\nb", b"a\rb", b"\n", b"a\r"])
def test_bare_newlines_are_refused_early(bare: bytes) -> None:
    with pytest.raises(ehlo.LocalProtocolError, match="bare"):
        _prepare(bare, refuse=True)
    assert _read(_prepare(bare)) == bare


def test_files() -> None:
    file = io.BytesIO(b"0123456789")
    file.seek(4)
    prepared = _prepare(file)
    assert (prepared.size, prepared.eight_bit) == (6, None)
    assert _read(prepared, 4) == b"456789"
    with tempfile.TemporaryFile() as real:
        real.write(b"x" * 100)
        real.seek(0)
        assert _prepare(real).size == 100


def test_files_without_a_size() -> None:
    class Pipe:
        def __init__(self) -> None:
            self.left = b"abc"

        def read(self, size: int) -> bytes:
            piece, self.left = self.left[:1], self.left[1:]
            return piece

    class Unseekable(Pipe):
        def tell(self) -> int:
            raise OSError("not seekable")

    for kind in (Pipe, Unseekable):
        prepared = _prepare(kind())
        assert prepared.size is None
        assert _read(prepared) == b"abc"


def test_pieces() -> None:
    prepared = _prepare([b"a", b"", bytearray(b"b"), memoryview(b"c"), b""])
    assert (prepared.size, prepared.eight_bit) == (None, None)
    assert _read(prepared) == b"abc"
    assert _read(_prepare([])) == b""


@pytest.mark.parametrize("wrong", [["text"], [5], [b"", [b"x"]]])
def test_pieces_that_are_no_octets(wrong: list[Any]) -> None:
    with pytest.raises(ehlo.LocalProtocolError, match="octets"):
        _prepare(wrong)
    source = _prepare(iter(wrong)).source
    assert source is not None
    with pytest.raises(ehlo.LocalProtocolError, match="octets"):
        # The first piece that is not empty.
        source.read(10)


def test_text_files_are_refused() -> None:
    with pytest.raises(ehlo.LocalProtocolError, match="octets, not str"):
        _prepare(io.StringIO("text"))


def test_async_pieces_and_files() -> None:
    async def pieces() -> AsyncIterator[Any]:
        for piece in (b"a", b"", bytearray(b"b")):
            yield piece

    class AsyncFile:
        """As aiofiles and trio have them: a file and an iterable."""

        async def read(self, size: int) -> bytes:
            raise AssertionError("its lines will do")

        async def tell(self) -> int:
            raise AssertionError("its size is not asked")

        def __aiter__(self) -> AsyncIterator[Any]:
            return pieces()

    async def wrong() -> AsyncIterator[Any]:
        yield "text"

    async def read(message: Any) -> bytes:
        source: Any = _prepare(message).source
        found = b""
        while piece := await source.read(10):
            found += piece
        return found

    assert asyncio.run(read(pieces())) == b"ab"
    assert asyncio.run(read(AsyncFile())) == b"ab"
    with pytest.raises(ehlo.LocalProtocolError, match="octets"):
        asyncio.run(read(wrong()))


@pytest.mark.parametrize("wrong", ["text", 5, None, 1.5, object()])
def test_no_messages(wrong: Any) -> None:
    with pytest.raises(ehlo.LocalProtocolError):
        _prepare(wrong)


def _email(**headers: str) -> EmailMessage:
    message = EmailMessage()
    for name, value in headers.items():
        message[name.replace("_", "-")] = value
    message.set_content("Größe\n", cte="8bit")
    return message


def test_email_in_eight_bits_and_in_seven() -> None:
    message = _email(From="a@example.com", Subject="Größe")
    prepared = _prepare(message)
    octets = _read(prepared)
    assert (prepared.size, prepared.eight_bit) == (len(octets), True)
    assert "Größe\r\n".encode() in octets
    assert b"\n" not in octets.replace(b"\r\n", b"")
    prepared = _prepare(message, eight_bit=False)
    octets = _read(prepared)
    assert (prepared.size, prepared.eight_bit) == (len(octets), False)
    assert octets.isascii()
    parsed = email.message_from_bytes(octets, policy=email.policy.default)
    assert parsed.get_content() == "Größe\n"


def test_parsed_message() -> None:
    parsed = email.message_from_bytes(b"From: a@example.com\nBcc: b@example.com\n\nBody\n")
    assert _read(_prepare(parsed)) == b"From: a@example.com\r\n\r\nBody\r\n"


def test_blind_copies_stay_blind_and_with_the_caller() -> None:
    message = _email(From="a@example.com", Bcc="b@example.com", Resent_Bcc="c@example.com")
    octets = _read(_prepare(message))
    assert b"bcc" not in octets.lower()
    assert message["Bcc"] == "b@example.com"
    assert message["Resent-Bcc"] == "c@example.com"


def test_a_long_email_leaves_no_file_open() -> None:
    """It is kept on the disk, whether it is read to its end or not."""
    message = EmailMessage()
    message.set_content("x" * 70 + "\n")
    message.add_attachment(b"y" * 2_000_000, maintype="application", subtype="octet-stream")
    prepared = _prepare(message)
    assert prepared.size is not None
    assert prepared.size > 2_000_000
    assert prepared.source is not None
    assert len(prepared.source.read(10)) == 10  # type: ignore[arg-type]
    del prepared
    # A file that nobody closed warns here.
    gc.collect()


def test_addresses() -> None:
    message = _email(
        From="Ann <ann@example.com>",
        To='"Lee, Bob" <bob@example.com>, carl@example.com',
        Cc="bob@example.com, Team: dora@example.com, eve@example.com;",
        Bcc="=?utf-8?q?M=C3=BCller=2C?= <fred@example.com>",
    )
    names = ["bob", "carl", "dora", "eve", "fred"]
    assert addresses_of(message) == ("ann@example.com", [f"{name}@example.com" for name in names])
    message["Sender"] = "secretary@example.com"
    assert addresses_of(message)[0] == "secretary@example.com"


def test_addresses_of_a_resent_message() -> None:
    message = _email(
        From="ann@example.com",
        To="bob@example.com",
        Resent_From="carl@example.com",
        Resent_To="dora@example.com",
        Resent_Bcc="eve@example.com",
    )
    assert addresses_of(message) == ("carl@example.com", ["dora@example.com", "eve@example.com"])


@pytest.mark.parametrize("wrong", [b"From: a@example.com\r\n\r\n", [b""], _email(To="b@example.com")])
def test_messages_without_addresses(wrong: Any) -> None:
    with pytest.raises(ehlo.LocalProtocolError):
        addresses_of(wrong)
