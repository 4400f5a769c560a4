"""BURL (RFC 4468): content that the server fetches by itself. Here is what EHLO says about it."""

from __future__ import annotations

import re

import attrs

from ehlo._value import Value
from ehlo.extensions._base import Extension

_AUTHORITY = re.compile(r"[!-.0->@-~]+\Z")
_PREFIX = "imap://"


def _are_authorities(_: object, __: object, value: tuple[str, ...]) -> None:
    if not all(map(_AUTHORITY.match, value)):
        raise ValueError("not the authority of a URL")


@attrs.frozen(repr=False, eq=False)
class BurlSources(Value):
    """Where the server fetches content from [RFC4468-3.1a]."""

    imap: bool = False
    """Any IMAP server that the URL names."""
    servers: tuple[str, ...] = attrs.field(default=(), validator=_are_authorities)
    """Without a login: the authorities of `imap://` URLs, such as `mail.example` or `mail.example:1143`."""


def _parse_offer(words: tuple[str, ...]) -> BurlSources:
    servers = [word[len(_PREFIX) :] for word in words if word.lower().startswith(_PREFIX)]
    return BurlSources(
        any(word.lower() == "imap" for word in words), tuple(filter(_AUTHORITY.match, servers))
    )


def burl(sources: BurlSources | None) -> Extension:
    """The extension of a server that fetches from there; None: it is not offered."""
    words = None
    if sources is not None:
        words = (*(["imap"] if sources.imap else []), *(_PREFIX + server for server in sources.servers))
    return Extension(
        keyword="BURL",
        rfc="RFC 4468",
        summary="content that the server fetches from an IMAP server",
        offer=lambda _: words,
        parse_offer=_parse_offer,
    )


BURL = burl(None)
"""For clients: a server that fetches content makes its own."""
