"""Mailboxes, paths and address literals (RFC 5321 sections 4.1.2 and 4.1.3, RFC 6531 section 3.3)."""

from __future__ import annotations

import ipaddress
import re
from functools import lru_cache
from typing import Final, TypeAlias

import attrs

from ehlo._value import Value
from ehlo.wire import abnf

# [RFC5321-4.5.3.1a] octets that must be taken; more is refused.
LOCAL_PART: Final = 64
DOMAIN: Final = 255
PATH: Final = 256
LABEL: Final = 63

_PATH = re.compile(r'<((?:"(?:[^"\\]|\\.)*"|[^">])*)>(?: +(.*))?\Z', re.DOTALL)
# What nearly every mailbox is, in one pattern that never backtracks: a dot-string, and a domain whose
# labels hold no two hyphens in a row. The bounds are looked at afterwards.
_MAILBOX = rf"([{abnf.ATEXT}]+(?:\.[{abnf.ATEXT}]+)*)@([A-Za-z0-9]+(?:[.-][A-Za-z0-9]+)*)"
_SIMPLE = re.compile(rf"{_MAILBOX}\Z")
_SIMPLE_PATH = re.compile(rf"<{_MAILBOX}>\Z".encode("ascii"))
_ROUTE = abnf.Pattern(r"@[^,:@<>\s]+(?:,@[^,:@<>\s]+)*:")
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL)
_UNQUOTE = abnf.Pattern(r"\\(.)")
_QUOTE = abnf.Pattern(r'(["\\])')


class AddressError(ValueError):
    """Not a mailbox or path by the grammar; the text never repeats the input."""


@attrs.frozen(repr=False, eq=False)
class Mailbox(Value):
    """`local@domain`. Make one from text with `Mailbox.parse`.

    Equal when the local parts are the same, however they were quoted [RFC5321-4.1.2e], and the
    domains differ in case only [RFC5321-2.4b].
    """

    local: str
    """The local part without quoting; only the destination host knows what it means."""
    domain: str = attrs.field(eq=str.lower)
    """A domain, or an address literal in brackets; "" only for a bare postmaster."""

    @classmethod
    def parse(cls, text: str, *, utf8: bool = False) -> Mailbox:
        """The mailbox that `text` spells exactly. Raises AddressError."""
        found = _SIMPLE.match(text)
        if found is not None and (simple := _if_short(*found.groups())) is not None:
            return simple
        if text.startswith('"'):
            found = _QUOTED.match(text)
            if found is None:
                raise AddressError("quoted local part does not end")
            local = _UNQUOTE.sub(r"\1", found[1])
            quoted = abnf.QUOTED_CONTENT_UTF8 if utf8 else abnf.QUOTED_CONTENT
            legal = quoted.match(found[1]) is not None and text[found.end() : found.end() + 1] == "@"
            domain = text[found.end() + 1 :]
        else:
            local, at, domain = text.rpartition("@")
            legal = bool(at) and (abnf.DOT_STRING_UTF8 if utf8 else abnf.DOT_STRING).match(local) is not None
        if not legal:
            raise AddressError("not a mailbox")
        if len(local.encode("utf-8", "replace")) > LOCAL_PART:
            raise AddressError("local part is too long")
        check_domain(domain, utf8=utf8)
        return cls(local, domain)

    @property
    def is_ascii(self) -> bool:
        return self.local.isascii() and self.domain.isascii()

    def with_a_labels(self) -> Mailbox:
        """The same mailbox with a domain in ASCII (RFC 5891), by the package `idna`. Raises AddressError,
        also for a local part that is not ASCII: nothing stands for that [RFC6531-3.2c]."""
        if self.domain.isascii() and self.local.isascii():
            return self
        if not self.local.isascii():
            raise AddressError("a local part that is not ASCII has no other form")
        try:
            import idna  # noqa: PLC0415 (an extra)
        except ImportError:
            raise AddressError("a domain in ASCII needs the package idna: pip install ehlo[idna]") from None
        try:
            return Mailbox(self.local, idna.encode(self.domain, uts46=True).decode("ascii"))
        except idna.IDNAError:
            raise AddressError("the domain is not one that has a form in ASCII") from None

    @property
    def is_postmaster(self) -> bool:
        """[RFC5321-4.1.1.3c] in any letter case, with or without a domain."""
        return self.local.lower() == "postmaster"

    @property
    def is_literal(self) -> bool:
        return self.domain.startswith("[")

    def __str__(self) -> str:
        """With the least quoting possible [RFC5321-4.1.2f]."""
        if abnf.DOT_STRING_UTF8.match(self.local):
            local = self.local
        else:
            local = '"' + _QUOTE.sub(r"\\\1", self.local) + '"'
        return f"{local}@{self.domain}" if self.domain else local


ReversePath: TypeAlias = Mailbox | None
"""The sender; None is the null reverse-path `<>` [RFC5321-4.1.1.2b]."""

ForwardPath: TypeAlias = Mailbox


# A program has one name, and few others to check again and again.
@lru_cache(maxsize=64)
def check_domain(domain: str, *, utf8: bool = False) -> None:
    """Raises AddressError unless `domain` is a domain or an address literal."""
    if len(domain.encode("utf-8", "replace")) > DOMAIN:
        raise AddressError("domain is too long")
    if domain.startswith("["):
        _check_literal(domain)
        return
    if not (abnf.DOMAIN_UTF8 if utf8 else abnf.DOMAIN).match(domain):
        raise AddressError("not a domain")
    if max(map(len, domain.split("."))) > LABEL:
        raise AddressError("label is too long")


def _check_literal(literal: str) -> None:
    if not literal.endswith("]") or not literal.isascii():
        raise AddressError("not an address literal")
    content = literal[1:-1]
    try:
        # [RFC5321-4.1.3a] the tag in any letter case.
        if content[:5].lower() == "ipv6:":
            if "%" in content:
                raise AddressError("not an address literal")
            ipaddress.IPv6Address(content[5:])
            return
        ipaddress.IPv4Address(content)
    except ValueError:
        # [RFC5321-4.1.3b] a general literal is left to policy; a broken IPv6 one is not one.
        if content[:5].lower() == "ipv6:" or not abnf.GENERAL_LITERAL.match(content):
            raise AddressError("not an address literal") from None


def simple_path(argument: bytes, start: int) -> Mailbox | None:
    """The mailbox of `<local@domain>` from `start` to the end; None: take the long way."""
    found = _SIMPLE_PATH.match(argument, start)
    return None if found is None else _if_short(found[1].decode("ascii"), found[2].decode("ascii"))


def _if_short(local: str, domain: str) -> Mailbox | None:
    """The mailbox if no bound can be passed: a domain no longer than a label has no label that is."""
    return Mailbox(local, domain) if len(local) <= LOCAL_PART and len(domain) <= LABEL else None


def split_path(argument: str) -> tuple[str, str]:
    """`<path> parameters` as `(path without brackets, parameters)`. Raises AddressError.

    Quoted local parts may hold `>` and spaces [RFC5321-4.1.2d].
    """
    found = _PATH.match(argument)
    if found is None:
        raise AddressError("path is not in angle brackets")
    return found[1], (found[2] or "").strip(" ")


def _strip_route(path: str) -> str:
    if not path.startswith("@"):
        return path
    found = _ROUTE.match(path)
    if found is None:
        raise AddressError("not a source route")
    for hop in found[0][:-1].split(","):
        check_domain(hop[1:])
    # [RFC5321-3.3i] parsed and dropped: only the final mailbox is handed on.
    return path[found.end() :]


def _check_path_length(path: str) -> None:
    if len(path.encode("utf-8", "replace")) + 2 > PATH:
        raise AddressError("path is too long")


def parse_reverse_path(path: str, *, utf8: bool = False) -> ReversePath:
    """The path between the brackets of MAIL; None for the null path. Raises AddressError."""
    if not path:
        return None
    _check_path_length(path)
    return Mailbox.parse(_strip_route(path), utf8=utf8)


def parse_forward_path(path: str, *, utf8: bool = False) -> ForwardPath:
    """The path between the brackets of RCPT. Raises AddressError; `<>` is one."""
    _check_path_length(path)
    # [RFC5321-2.3.5b] the one address that needs no domain.
    if path.lower() == "postmaster":
        return Mailbox(path, "")
    return Mailbox.parse(_strip_route(path), utf8=utf8)


def render_path(path: Mailbox | None, *, utf8: bool = False) -> str:
    """`<path>` for MAIL or RCPT. Raises AddressError for a value that no text parses to.

    [SEC-INJ-cli-b] a Mailbox made by hand could hold `>` or a space that alters the command.
    """
    if path is None:
        return "<>"
    text = str(path)
    _check_path_length(text)
    if not (path.is_postmaster and not path.domain) and Mailbox.parse(text, utf8=utf8) != path:
        raise AddressError("not a mailbox")
    return f"<{text}>"
