"""What the next server lacks, and a message made fit for it: told before anything is sent."""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Callable
from functools import partial
from typing import BinaryIO, Final, TypeAlias, cast

import attrs

import ehlo
from ehlo import flows, policy
from ehlo.extensions import BINARY_MIME, CHUNKING, EIGHT_BIT_MIME, LIMITS, REQUIRETLS, SIZE, SMTPUTF8
from ehlo_io._client import SubmitOptions
from ehlo_io.asyncio import Client
from ehlo_io.relay.spool import Entry

_IN_MEMORY: Final = 1024 * 1024
"""Octets of a message that is read at once, in a thread; a longer one is read as it is sent."""
_PIECE: Final = 256 * 1024

_TOO_BIG: Final = ehlo.Reply(552, "The message is too big for the next server", "5.3.4")
_NO_CONVERSION: Final = ehlo.Reply(
    554, "The next server cannot take the message, and it cannot be converted", "5.6.3"
)
# RFC 6531 section 3.5 has the code.
_NO_UTF8: Final = ehlo.Reply(553, "The next server cannot take addresses or headers in UTF-8", "5.6.7")
# RFC 8689 section 4.2.1 has the code.
_NO_REQUIRED_TLS: Final = ehlo.Reply(550, "REQUIRETLS support required", "5.7.30")


Sign: TypeAlias = Callable[[BinaryIO], bytes]
"""The header fields that go before the message in a file, which it reads to its end; b"" for none. Called in
a thread; raises OSError."""


class Headed:
    """A file from where it stands, with octets before it: as much of a file as is needed to read it once."""

    def __init__(self, head: bytes, file: BinaryIO) -> None:
        self._head = head
        self._file = file
        self._start = file.tell()
        self._read = 0

    def read(self, size: int, /) -> bytes:
        piece = self._head[self._read : self._read + size] or self._file.read(size)
        self._read += len(piece)
        return piece

    def tell(self) -> int:
        return self._read

    def seek(self, offset: int, whence: int = 0, /) -> int:
        """To its end, or to an octet of it counted from its beginning."""
        if whence == os.SEEK_END:
            end = self._file.seek(offset, whence) - self._start
            self._read = len(self._head) + end
        else:
            self._file.seek(self._start + max(0, offset - len(self._head)))
            self._read = offset
        return self._read

    def close(self) -> None:
        self._file.close()


class Unfit(Exception):
    """The next server could never take this message; `reply` says why."""

    def __init__(self, reply: ehlo.Reply) -> None:
        super().__init__(str(reply))
        self.reply = reply


def unfit(error: ehlo.LocalProtocolError, envelope: ehlo.Envelope) -> ehlo.Reply:
    """What the engine found that cannot be sent."""
    paths = (envelope.reverse_path, *(recipient.path for recipient in envelope.recipients))
    ascii_only = all(path is None or path.is_ascii for path in paths)
    utf8 = not ascii_only and not isinstance(error, policy.ConversionError)
    return _NO_UTF8 if utf8 else _NO_CONVERSION


def terms(client: Client, envelope: ehlo.Envelope) -> SubmitOptions:
    """The envelope for the next server. Raises Unfit.

    BODY=8BITMIME is the sender's word and goes on; whoever said 7BIT may have been wrong.
    """
    offered = client.capabilities
    given = envelope.parameters
    tls = client.tls
    if given.get(ehlo.RequireTls) is not None and not (
        offered.supports(REQUIRETLS) and tls is not None and tls.verified
    ):
        raise Unfit(_NO_REQUIRED_TLS)
    if given.get(ehlo.SmtpUtf8) is not None and not offered.supports(SMTPUTF8):
        raise Unfit(_NO_UTF8)
    parameters: list[object] = [
        value for value in given if not isinstance(value, ehlo.AuthParam | ehlo.Body | ehlo.Size)
    ]
    if given.get(ehlo.Body) is ehlo.Body.EIGHT_BIT_MIME and offered.supports(EIGHT_BIT_MIME):
        parameters.append(ehlo.Body.EIGHT_BIT_MIME)
    auth = given.get(ehlo.AuthParam)
    if auth is not None or client.authenticated:
        # [RFC4954-5f]
        parameters.append(ehlo.AuthParam(None if auth is None else auth.submitter))
    return SubmitOptions(
        sender=envelope.reverse_path,
        recipients=envelope.recipients,
        parameters=parameters,
        binary=_is_binary(envelope),
    )


def _is_binary(envelope: ehlo.Envelope) -> bool:
    return envelope.parameters.get(ehlo.Body) is ehlo.Body.BINARY_MIME


def is_repeated(envelope: ehlo.Envelope, client: Client) -> bool:
    """Whether it may take several transactions, for which the message has to be there whole."""
    # [RFC9422-4.2a] [RFC9422-4.3a] so many recipients, or domains of them, and no more.
    return len(envelope.recipients) > 1 and client.capabilities.supports(LIMITS)


def octets_of(file: BinaryIO) -> bytes:
    """All that is left in it. Raises OSError."""
    return b"".join(iter(partial(file.read, _PIECE), b""))


def fit(
    entry: Entry, envelope: ehlo.Envelope, client: Client, sign: Sign | None = None
) -> tuple[BinaryIO, SubmitOptions]:
    """The message and its terms. Reads files; raises OSError or Unfit."""
    file, options = _fitted(entry, envelope, client)
    if sign is None:
        return file, options
    with contextlib.ExitStack() as stack:
        stack.callback(file.close)
        here = file.tell()
        # Nothing that would break the signature is done to it from here on.
        head = sign(file)
        file.seek(here)
        # The caller's to close.
        stack.pop_all()
    return cast("BinaryIO", Headed(head, file)), options


def _fitted(entry: Entry, envelope: ehlo.Envelope, client: Client) -> tuple[BinaryIO, SubmitOptions]:
    offered = client.capabilities
    limit = offered.offer(SIZE)
    if limit and entry.size > limit:
        raise Unfit(_TOO_BIG)
    if not offered.supports(SMTPUTF8):
        envelope = _without_needless_utf8(entry, envelope)
    options = terms(client, envelope)
    eight_bit = offered.supports(EIGHT_BIT_MIME)
    binary = _is_binary(envelope)
    takes_binary = offered.supports(BINARY_MIME) and offered.supports(CHUNKING)
    with contextlib.ExitStack() as stack:
        file = stack.enter_context(entry.open())
        # [RFC5321-2.4f] what is not MIME becomes it, unless its sender spoke for it (RFC 1428).
        as_it_is = eight_bit and (binary or _is_declared(envelope) or flows.may_be_eight_bit(_start(file)))
        file.seek(entry.start)
        if (binary and not takes_binary) or (not as_it_is and not _is_ascii(file)):
            file.seek(entry.start)
            options["binary"] = False
            return io.BytesIO(_converted(file.read(), eight_bit=as_it_is)), options
        file.seek(entry.start)
        if entry.size <= _IN_MEMORY:
            return io.BytesIO(file.read()), options
        # The caller's to close.
        stack.pop_all()
        return file, options


def _converted(message: bytes, *, eight_bit: bool) -> bytes:
    try:
        return policy.to_eight_bit(message) if eight_bit else policy.to_seven_bit(message)
    except policy.ConversionError:
        raise Unfit(_NO_CONVERSION) from None


def _is_declared(envelope: ehlo.Envelope) -> bool:
    return envelope.parameters.get(ehlo.Body) is ehlo.Body.EIGHT_BIT_MIME


def _start(file: BinaryIO) -> bytes:
    return file.read(_PIECE)


def _is_ascii(file: BinaryIO) -> bool:
    while piece := file.read(_PIECE):
        if not piece.isascii():
            return False
    return True


def _without_needless_utf8(entry: Entry, envelope: ehlo.Envelope) -> ehlo.Envelope:
    """[RFC6531-3.4b] a message that only was declared so goes without the parameter."""
    with entry.open() as file:
        start = file.read(_IN_MEMORY)
    header = start.partition(b"\r\n\r\n")[0]
    if not header.isascii():
        return envelope
    kept = (value for value in envelope.parameters if not isinstance(value, ehlo.SmtpUtf8))
    return attrs.evolve(envelope, parameters=ehlo.Parameters(kept))
