"""The addresses in a field like To, and where each ends (RFC 5322 section 3.4).

Nothing is refused here: what is no address is passed over. A step for each token, so linear.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

from ehlo.wire.address import Mailbox

ADDRESS_FIELDS: Final = frozenset(
    {b"from", b"sender", b"reply-to", b"to", b"cc", b"bcc", b"resent-from", b"resent-sender"}
    | {b"resent-reply-to", b"resent-to", b"resent-cc", b"resent-bcc"}
)

# A quoted string or literal without its end goes to the end of the field, and is nothing.
_TOKEN = re.compile(
    rb'"(?:[^"\\]|\\.)*"|\[(?:[^]\\]|\\.)*\]|(?P<broken>["[].*)|[<>,;:@.()\\]|[^\s"[<>,;:@.()\\]+', re.DOTALL
)
_IN_COMMENT = re.compile(rb"\\.|[()]", re.DOTALL)
# No word of an address, wherever it stands.
_NOTHING: Final = b"\\"
_UNQUOTE = re.compile(rb"\\(.)", re.DOTALL)


class Address(NamedTuple):
    """An addr-spec."""

    end: int
    """Where its last octet ends."""
    local: bytes
    """As it is written, quotes included."""
    domain: bytes | None
    """None where there is no `@`."""

    @property
    def is_qualified(self) -> bool:
        """A domain of two labels, or a literal [RFC4409-4.2b]."""
        return self.domain is not None and (self.domain.startswith(b"[") or b"." in self.domain)

    def is_of(self, mailbox: Mailbox) -> bool:
        local = self.local
        if local.startswith(b'"'):
            local = _UNQUOTE.sub(rb"\1", local[1:].removesuffix(b'"'))
        return Mailbox(_text(local), _text(self.domain or b"")) == mailbox


def _text(octets: bytes) -> str:
    return octets.decode("utf-8", "surrogateescape")


def addresses(value: bytes) -> list[Address]:
    """The addresses in the value of a field, in order."""
    return _Reading(value).found


def well_formed(value: bytes) -> bool:
    """Whether nothing in the value but addresses, groups and comments was seen [RFC4409-5.1b].

    Names before angle brackets may be anything, as those that people write are, and a local part may stand
    alone: whether it is completed or refused is another question.
    """
    return not _Reading(value).faulty


class _Reading:
    """What was found in the value of a field, and whether something was passed over that is no address."""

    def __init__(self, value: bytes) -> None:
        self.found: list[Address] = []
        self.faulty = False
        words: list[tuple[int, bytes]] = []
        in_angle = behind = False
        for end, token in _tokens(value):
            if token == b"<":
                self.faulty |= in_angle or behind
                words, in_angle = [], True
            elif token == b">":
                self.faulty |= not in_angle
                self._take(words)
                self.faulty |= not words
                # What follows, up to the comma, is no address.
                words, in_angle, behind = [], False, True
            elif token == b":" or (in_angle and token == b","):
                # What stood there was the name of a group, or a route.
                self.faulty |= behind
                words, behind = [], False
            elif token in (b",", b";"):
                self.faulty |= in_angle
                self._take([(end, _NOTHING)] if behind and words else words)
                words, in_angle, behind = [], False, False
            else:
                words.append((end, token))
        self.faulty |= in_angle
        self._take([(0, _NOTHING)] if behind and words else words)

    def _take(self, words: list[tuple[int, bytes]]) -> None:
        address = _address(words)
        self.found += address
        self.faulty |= bool(words) and (not address or address[0].domain == b"")


def _tokens(value: bytes) -> Iterator[tuple[int, bytes]]:
    """Each token that is not in a comment, and where it ends."""
    depth = place = 0
    while found := (_IN_COMMENT if depth else _TOKEN).search(value, place):
        token, place = found[0], found.end()
        if token == b"(":
            depth += 1
        elif token == b")":
            depth = max(0, depth - 1)
        elif not depth:
            yield place, _NOTHING if found.lastgroup == "broken" else token


def _address(words: list[tuple[int, bytes]]) -> list[Address]:
    """The one address that the words spell, or none."""
    texts = [text for _, text in words]
    at = len(texts) - 1 - texts[::-1].index(b"@") if b"@" in texts else len(texts)
    local, domain = texts[:at], texts[at + 1 :]
    is_literal = len(domain) == 1 and domain[0].startswith(b"[")
    if not local or not _dotted(local, b"[") or not (is_literal or _dotted(domain, b'["')):
        return []
    return [Address(words[-1][0], b"".join(local), b"".join(domain) if at < len(texts) else None)]


def _dotted(texts: list[bytes], without: bytes) -> bool:
    """Words with dots between them; two side by side are a name without an address."""
    return all(
        text != _NOTHING and text[0] not in without and (text == b".") == bool(place % 2)
        for place, text in enumerate(texts)
    )


def qualified(value: bytes, domain: bytes) -> bytes:
    """The value with `@domain` behind bare local parts, and `.domain` behind domains of one label.

    Domains of several labels are whole, or a risk to complete [RFC4409-4.2c].
    """
    parts: list[bytes] = []
    start = 0
    for address in addresses(value):
        if not address.is_qualified and address.domain != b"":
            parts += (value[start : address.end], b"@" if address.domain is None else b".", domain)
            start = address.end
    return b"".join((*parts, value[start:]))
