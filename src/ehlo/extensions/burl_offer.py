"""BURL (RFC 4468): content that the server fetches by itself. Here is what EHLO and the command say."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import unquote

import attrs

from ehlo._value import Value
from ehlo.extensions._base import Extension, OfferFacts
from ehlo.wire import abnf

_AUTHORITY = re.compile(r"[!-.0->@-~]+\Z")
_PREFIX = "imap://"
# No reader may take another part of the URL for the server than this one does.
_SERVER: Final = re.compile(r"imap://(?:[^/@?#\\]*@)?([^/@?#\\]+)/", re.IGNORECASE)
_SUBMITTER: Final = re.compile(r";urlauth=submit\+([^:;]*):", re.IGNORECASE)


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

    def cover(self, url: str) -> bool:
        """Whether the content at this URL is fetched."""
        found = _SERVER.match(url)
        return found is not None and (self.imap or found[1].lower() in map(str.lower, self.servers))


def submitter(url: str) -> str | None:
    """The user for whom alone it may be submitted, who has to be the client [RFC4468-3.3a]; None where the
    URL names none."""
    found = _SUBMITTER.search(url)
    return None if found is None else unquote(found[1])


def parse_burl(argument: bytes) -> tuple[str, bool] | None:
    """The URL and whether it is the last; None for what is no argument of BURL [RFC4468-3.2a]."""
    text = argument.decode("ascii", "replace")
    url, _, rest = text.partition(" ")
    word = rest.strip(" ").upper()
    return (url, word == "LAST") if abnf.ABSOLUTE_URI.match(url) and word in ("", "LAST") else None


def _parse_offer(words: tuple[str, ...]) -> BurlSources:
    servers = [word[len(_PREFIX) :] for word in words if word.lower().startswith(_PREFIX)]
    return BurlSources(
        any(word.lower() == "imap" for word in words), tuple(filter(_AUTHORITY.match, servers))
    )


def burl(sources: BurlSources | None) -> Extension:
    """The extension of a server that fetches from there; None: it is not offered. The sources are told to
    those who may use them."""
    words: tuple[str, ...] = ()
    if sources is not None:
        words = (*(["imap"] if sources.imap else []), *(_PREFIX + server for server in sources.servers))

    def offer(facts: OfferFacts) -> tuple[str, ...] | None:
        if sources is None:
            return None
        return words if facts.authenticated else ()

    return Extension(
        keyword="BURL",
        rfc="RFC 4468",
        summary="content that the server fetches from an IMAP server",
        offer=offer,
        parse_offer=_parse_offer,
    )


BURL = burl(None)
"""For clients: a server that fetches content makes its own."""
