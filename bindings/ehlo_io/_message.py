"""The messages that `submit` takes, as sources of octets that are read piece by piece."""

from __future__ import annotations

import copy
import io
import sys
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable, Iterator
from functools import partial
from typing import IO, TYPE_CHECKING, Any, Protocol, TypeAlias, TypeGuard, cast, runtime_checkable

import attrs

import ehlo
from ehlo.flows import has_bare_newline

if TYPE_CHECKING:
    import email.message

Octets: TypeAlias = bytes | bytearray | memoryview
Message: TypeAlias = "Octets | IO[bytes] | email.message.Message | Iterable[bytes] | AsyncIterable[bytes]"
"""Octets, a binary file, an email message, or pieces of octets."""

_SPOOL = 1024 * 1024


def _is_email(message: object) -> TypeGuard[email.message.Message]:
    # Who has one has imported its module, and nobody else shall pay for it.
    module = sys.modules.get("email.message")
    return module is not None and isinstance(message, module.Message)


@runtime_checkable
class _File(Protocol):
    """A binary file; only `read` is needed."""

    def read(self, size: int, /) -> bytes: ...


class Source(Protocol):
    """Octets to be read once."""

    def read(self, size: int, /) -> bytes | Awaitable[bytes]:
        """The next octets, about `size` of them, b"" at the end."""
        ...


@attrs.frozen
class Prepared:
    """What is known of a message before it is sent."""

    content: bytes | None
    """All of its octets, or"""
    source: Source | None
    """where to read them."""
    size: int | None
    eight_bit: bool | None


def _octets(piece: object) -> bytes:
    if isinstance(piece, (bytes, bytearray, memoryview)):
        return bytes(piece)
    raise ehlo.LocalProtocolError(f"a message is octets, not {type(piece).__name__}")


class _Pieces:
    """An iterable; an empty piece is not its end."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces

    def read(self, size: int, /) -> bytes:
        return next((_octets(piece) for piece in self._pieces if piece), b"")


class _AsyncPieces:
    def __init__(self, pieces: AsyncIterator[bytes]) -> None:
        self._pieces = pieces

    async def read(self, size: int, /) -> bytes:
        async for piece in self._pieces:
            if piece:
                return _octets(piece)
        return b""


class _FileOctets:
    def __init__(self, file: _File) -> None:
        self._file = file

    def read(self, size: int, /) -> bytes:
        return _octets(self._file.read(size))


class _Spool:
    """A file of our own; nobody else closes it."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def read(self, size: int, /) -> bytes:
        return self._file.read(size)

    def __del__(self) -> None:
        self._file.close()


def prepare(message: Message, *, eight_bit_offered: bool, refuse_bare: bool) -> Prepared:
    """Raises LocalProtocolError for what is no message."""
    if isinstance(message, (bytes, bytearray, memoryview)):
        data = bytes(message)
        if refuse_bare and has_bare_newline(data):
            raise ehlo.LocalProtocolError("the message has a bare CR or LF")
        return Prepared(data, None, None, None)
    if _is_email(message):
        return _flatten(message, eight_bit_offered=eight_bit_offered)
    if isinstance(message, io.TextIOBase):
        raise ehlo.LocalProtocolError("a message is octets, not str: open the file in binary mode")
    if isinstance(message, (list, tuple)):
        for piece in message:
            _octets(piece)
    if isinstance(message, str):
        raise ehlo.LocalProtocolError("a message is octets, not text: encode it")
    if isinstance(message, AsyncIterable):
        # Before files: those of async libraries are both.
        return Prepared(None, _AsyncPieces(aiter(message)), None, None)
    if isinstance(message, _File):
        return Prepared(None, _FileOctets(message), _file_size(message), None)
    if isinstance(message, Iterable):
        return Prepared(None, _Pieces(iter(cast("Iterable[bytes]", message))), None, None)
    raise ehlo.LocalProtocolError(f"{type(message).__name__} is no message")


def rewinder(message: Message) -> Callable[[], object] | None:
    """What brings a message back to where it is now, after some of it was read; None where nothing can."""
    if isinstance(message, (bytes, bytearray, memoryview, list, tuple)) or _is_email(message):
        return _nothing_to_do
    if isinstance(message, io.IOBase) and message.seekable():
        return partial(message.seek, message.tell())
    return None


def _nothing_to_do() -> None:
    """It can be read any number of times."""


def _file_size(file: Any) -> int | None:
    """Octets from here to the end: an estimate, for newlines may yet be normalised."""
    try:
        here = file.tell()
        end = file.seek(0, 2)
        file.seek(here)
    except (OSError, AttributeError):
        return None
    return max(0, int(end - here))


def _flatten(message: email.message.Message, *, eight_bit_offered: bool) -> Prepared:
    import email.generator  # noqa: PLC0415 (see _is_email)
    import tempfile  # noqa: PLC0415

    # Python's generator can write the parts in 7 bits where the server takes no more.
    policy = message.policy.clone(linesep="\r\n", cte_type="8bit" if eight_bit_offered else "7bit")
    spool = tempfile.SpooledTemporaryFile(max_size=_SPOOL)  # noqa: SIM115 (read by the caller's flow)
    email.generator.BytesGenerator(spool, policy=policy).flatten(_without_bcc(message))
    size = spool.tell()
    spool.seek(0)
    ascii_only = True
    while ascii_only and (piece := spool.read(_SPOOL)):
        ascii_only = piece.isascii()
    spool.seek(0)
    return Prepared(None, _Spool(spool), size, not ascii_only)


def _without_bcc(message: email.message.Message) -> email.message.Message:
    """[RFC5321-B-a] the blind copies stay blind. The caller's message is left as it is."""
    stripped = copy.copy(message)
    for field in ("Bcc", "Resent-Bcc"):
        del stripped[field]
    return stripped


def addresses_of(message: Message) -> tuple[str, list[str]]:
    """Sender and recipients by the headers of an email message [RFC5321-B-a].

    Raises LocalProtocolError for other kinds of message, and where there is no sender.
    """
    if not _is_email(message):
        raise ehlo.LocalProtocolError("sender and recipients can be left out for an email message only")
    prefix = "Resent-" if "Resent-From" in message else ""
    senders = _addresses(message, prefix + "Sender") or _addresses(message, prefix + "From")
    if not senders:
        raise ehlo.LocalProtocolError("the message names no sender")
    fields = (prefix + name for name in ("To", "Cc", "Bcc"))
    found = [address for field in fields for address in _addresses(message, field)]
    return senders[0], list(dict.fromkeys(found))


def _addresses(message: email.message.Message, field: str) -> list[str]:
    import email.utils  # noqa: PLC0415 (see _is_email)

    values = [str(value) for value in message.get_all(field, [])]
    return [address for _, address in email.utils.getaddresses(values) if address]
