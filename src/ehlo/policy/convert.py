"""A message for a next hop that takes less: 8-bit to 7-bit, and binary to either.

RFC 6152 section 3 and RFC 3030 section 3 leave two ways to hand 8-bit or binary content to a server
without 8BITMIME or BINARYMIME: to refuse it, or to encode it by the rules of MIME (RFC 2045) as done here.
A part that is decoded gives the octets that it had before. Header blocks stay octet for octet, but for
Content-Transfer-Encoding and, where they were missing, MIME-Version and Content-Type. What cannot be
encoded, or must not be (RFC 1847: what is signed), raises ConversionError: then refuse the message.

The lines of a message end in CRLF here: mend those of text with bare LF before (`ehlo.Newlines`). A
signature over the whole message, as DKIM's, does not outlive a conversion [RFC6409-8a].
"""

from __future__ import annotations

import re
from binascii import b2a_base64, b2a_qp
from typing import Final

from ehlo._errors import LocalProtocolError
from ehlo.policy._fields import Field, split_fields
from ehlo.policy.needs import MessageNeed, needs_of, needs_of_part
from ehlo.wire.text import has_bare_newline

DEPTH: Final = 32
"""Parts inside parts. Each level is searched for its boundary again, so there must be an end."""

_CTE: Final = b"content-transfer-encoding"
_IDENTITY: Final = frozenset({b"", b"7bit", b"8bit", b"binary"})
_CLOSED: Final = frozenset({b"multipart/signed", b"message/partial", b"message/external-body"})
"""Not to be looked into: signed octets (RFC 1847), and what must be 7bit by itself (RFC 2046 section 5.2)."""

# Comments go, quoted strings stay; both may lack their end, so that none is looked for twice.
_COMMENT = re.compile(rb'("(?:[^"\\]|\\.)*\\?(?:"|\Z))|\((?:[^()\\]|\\.)*\\?(?:\)|(?=\()|\Z)', re.DOTALL)
_TYPE = re.compile(rb"\s*([^\s/;]+)\s*/\s*([^\s;]+)")
_PARAMETER = re.compile(
    rb';\s*([^\s=;"]+)\s*=\s*("(?:[^"\\]|\\.)*\\?(?:"|\Z)|[^\s;"]*)|"(?:[^"\\]|\\.)*\\?(?:"|\Z)', re.DOTALL
)
_ESCAPED = re.compile(rb"\\(.)", re.DOTALL)
_BASE64_LINE = re.compile(rb".{1,76}")
_ASCII: Final = bytes(range(128))


class ConversionError(LocalProtocolError):
    """The message cannot be made fit for the next hop without changing what must stay as it is."""


def to_seven_bit(message: bytes) -> bytes:
    """The message for a server without 8BITMIME [RFC6152-3c] [RFC4409-8.4a].

    What needs no change is returned as it is. Raises ConversionError.
    """
    return _convert(message, MessageNeed.EIGHT_BIT | MessageNeed.SMTPUTF8 | MessageNeed.BINARY)


def to_eight_bit(message: bytes) -> bytes:
    """The message for a server with 8BITMIME but without BINARYMIME: text stays, binary is encoded.

    What needs no change is returned as it is. Raises ConversionError.
    """
    return _convert(message, MessageNeed.BINARY)


def _convert(message: bytes, unfit: MessageNeed) -> bytes:
    if not needs_of(message) & unfit:
        return message
    converter = _Converter(message, unfit)
    converter.entity(0, len(message), 0, is_message=True)
    return b"".join(converter.out)


class _Converter:
    """Walks the parts of a message and gathers the octets of the new one in `out`."""

    def __init__(self, data: bytes, unfit: MessageNeed) -> None:
        self._data = data
        self._unfit = unfit
        self._seven = MessageNeed.EIGHT_BIT in unfit
        self.out: list[bytes] = []

    def entity(
        self, start: int, end: int, depth: int, *, is_message: bool = False, default: bytes = b"text/plain"
    ) -> bool:
        """Convert a header block and its body, between two places; whether anything was encoded."""
        if depth > DEPTH:
            raise ConversionError("parts are nested too deeply")
        data, out = self._data, self.out
        stop, body = self._split(start, end)
        block = data[start:stop]
        if not self._fits(block):
            # [RFC6531-3.2b] there is no encoding of raw octets that every reader of headers undoes.
            raise ConversionError("a header block has octets that the next hop does not take")
        fields = split_fields(block)
        place = len(out)
        out += (b"", data[stop:body])
        encoding, changed = self._body(fields, body, end, depth, default)
        if (changed or encoding is not None) and not all(field.name for field in fields):
            # Some readers take such a line for the start of the body, and with it what would be added.
            raise ConversionError("a header block has a line that is no field")
        if encoding is not None:
            fields = _with_encoding(fields, encoding)
        if changed and is_message:
            fields = _with_mime(fields)
        out[place] = b"".join(field.raw for field in fields)
        return changed

    def _split(self, start: int, end: int) -> tuple[int, int]:
        """Where a header block ends, and where the body begins."""
        if self._data.startswith(b"\r\n", start, end):
            return start, start + 2
        at = self._data.find(b"\r\n\r\n", start, end)
        return (end, end) if at < 0 else (at + 2, at + 4)

    def _fits(self, octets: bytes) -> bool:
        return not needs_of_part(octets) & self._unfit

    def _body(
        self, fields: list[Field], start: int, end: int, depth: int, default: bytes
    ) -> tuple[bytes | None, bool]:
        """Its new Content-Transfer-Encoding, or None to keep the old one, and whether it was encoded."""
        label = _label(fields)
        kind, boundary = _content_type(fields, default)
        main = kind.partition(b"/")[0]
        if kind in _CLOSED or label not in _IDENTITY or (main == b"multipart" and not boundary):
            self._leave(start, end)
            return None, False
        if main == b"multipart":
            inner = b"message/rfc822" if kind == b"multipart/digest" else b"text/plain"
            changed = self._multipart(start, end, boundary, depth, inner)
            return self._relabelled(label), changed
        if kind == b"message/rfc822":
            changed = self.entity(start, end, depth + 1, is_message=True)
            return self._relabelled(label), changed
        content = self._data[start:end]
        if self._fits(content):
            self.out.append(content)
            return self._relabelled(label), False
        if main == b"message" and not kind.startswith(b"message/global"):
            # RFC 2045 section 6.4: no other message type may be encoded, but those of RFC 6532 and 6533.
            raise ConversionError("a part of a message type must not be encoded")
        encoding, encoded = _encode(content, is_text=main == b"text", last=end == len(self._data))
        self.out.append(encoded)
        return encoding, True

    def _leave(self, start: int, end: int) -> None:
        octets = self._data[start:end]
        if not self._fits(octets):
            raise ConversionError(
                "a part that must not be changed has octets that the next hop does not take"
            )
        self.out.append(octets)

    def _relabelled(self, label: bytes) -> bytes | None:
        """What a part is called that is now as narrow as the next hop wants it [RFC3030-3b]."""
        if self._seven:
            return b"7bit" if label in (b"8bit", b"binary") else None
        return b"8bit" if label == b"binary" else None

    def _multipart(self, start: int, end: int, boundary: bytes, depth: int, default: bytes) -> bool:
        data, out = self._data, self.out
        # The CRLF before the first delimiter may be the one that ends the header block.
        delimiter = re.compile(rb"\r\n--" + re.escape(boundary) + rb"(--)?[ \t]*(?=\r\n|\Z)")
        changed = inside = False
        place = start
        for found in delimiter.finditer(data, start - 2, end):
            # Two delimiters may share a CRLF: nothing at all is between them.
            upto = max(place, found.start())
            if not inside:
                out.append(self._beside(place, upto, b""))
            elif self.entity(place, upto, depth + 1, default=default):
                changed = True
            inside = True
            place = found.end() if found[1] else min(found.end() + 2, end)
            out.append(data[upto:place])
            if found[1]:
                out.append(self._beside(place, end, b"\r\n"))
                return changed
        if not inside:
            self._leave(start, end)
        elif self.entity(place, end, depth + 1, default=default):
            changed = True
        return changed

    def _beside(self, start: int, end: int, instead: bytes) -> bytes:
        """What stands before the first or behind the last part, if it fits.

        No encoding reaches it and no reader shows it (RFC 2046 section 5.1.1): else it is left out.
        """
        octets = self._data[start:end]
        return octets if self._fits(octets) else instead


def _encode(content: bytes, *, is_text: bool, last: bool) -> tuple[bytes, bytes]:
    """The name of an encoding and the content in it. `last`: the message ends with it, so CRLF must."""
    foreign = len(content.translate(None, _ASCII))
    # Three octets for one, or four for three; bare CR and LF are no line ends, and those who decode
    # quoted-printable do not agree what else they are.
    if is_text and foreign * 6 <= len(content) and not has_bare_newline(content):
        encoded = b2a_qp(content)
        if b"\r\n" not in content:
            encoded = encoded.replace(b"\n", b"\r\n")
        # A line end that decodes to nothing.
        return b"quoted-printable", encoded + (b"=\r\n" if last and not content.endswith(b"\r\n") else b"")
    lines = _BASE64_LINE.findall(b2a_base64(content, newline=False))
    return b"base64", b"\r\n".join(lines) + (b"\r\n" if last else b"")


def _label(fields: list[Field]) -> bytes:
    """The Content-Transfer-Encoding in lower case, b"" where there is none."""
    for field in fields:
        if field.name == _CTE:
            return _COMMENT.sub(rb"\1", field.value).strip().lower()
    return b""


def _content_type(fields: list[Field], default: bytes) -> tuple[bytes, bytes]:
    """`type/subtype` in lower case, and the boundary or b""."""
    for field in fields:
        if field.name == b"content-type":
            value = _COMMENT.sub(rb"\1", field.value).strip()
            found = _TYPE.match(value)
            if found is None:
                # RFC 2045 section 5.2: what cannot be read is plain text.
                return b"text/plain", b""
            kind = b"/".join(found.groups()).lower()
            for parameter in _PARAMETER.finditer(value, found.end()):
                if (parameter[1] or b"").lower() == b"boundary":
                    return kind, _unquoted(parameter[2])
            return kind, b""
    return default, b""


def _unquoted(value: bytes) -> bytes:
    return _ESCAPED.sub(rb"\1", value[1:].removesuffix(b'"')) if value.startswith(b'"') else value


def _with_encoding(fields: list[Field], encoding: bytes) -> list[Field]:
    """The fields with this Content-Transfer-Encoding in place of the first, or at the end."""
    new = Field(_CTE, b"Content-Transfer-Encoding: " + encoding + b"\r\n")
    places = [place for place, field in enumerate(fields) if field.name == _CTE]
    if not places:
        return [*fields, new]
    if not fields[places[0]].raw.endswith(b"\r\n"):
        new = Field(_CTE, new.raw[:-2])
    return [
        new if place == places[0] else field
        for place, field in enumerate(fields)
        if place == places[0] or field.name != _CTE
    ]


def _with_mime(fields: list[Field]) -> list[Field]:
    """With what a message needs beside encoded content (RFC 1428 section 3: of a charset nobody knows)."""
    names = {field.name for field in fields}
    added = []
    if b"mime-version" not in names:
        added.append(Field(b"mime-version", b"MIME-Version: 1.0\r\n"))
        if b"content-type" not in names:
            added.append(Field(b"content-type", b"Content-Type: text/plain; charset=unknown-8bit\r\n"))
    return [*fields, *added]
