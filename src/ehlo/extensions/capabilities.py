"""What a server offered in its last EHLO reply."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Any, Final

import attrs

from ehlo._value import Value
from ehlo.extensions._base import Extension
from ehlo.wire.reply import Reply

# [RFC5321-4.1.1.1d] other lines are ignored. The `=` is the legacy spelling AUTH=LOGIN.
_LINE = re.compile(r"([A-Za-z0-9][A-Za-z0-9-]*)(?:[ =](.*))?\Z", re.DOTALL)


def _merge(lines: Iterable[str]) -> dict[str, tuple[str, ...]]:
    found: dict[str, dict[str, None]] = {}
    for line in lines:
        match = _LINE.match(line)
        if match is None:
            continue
        # A dict is a set that keeps the order: a list would be searched once for each word.
        found.setdefault(match[1].upper(), {}).update(dict.fromkeys((match[2] or "").split()))
    return {keyword: tuple(words) for keyword, words in found.items()}


@attrs.frozen(repr=False, eq=False)
class Capabilities(Value):
    """Keywords are kept as offered, known or not [EXCH-ehlo-c]; look them up in any letter case.

    `capabilities.offer(SIZE)` gives an extension's own reading of its words.
    """

    name: str = ""
    """What the server calls itself: the first line, never read as a keyword."""
    lines: tuple[str, ...] = ()
    """The keyword lines as they came."""
    _words: dict[str, tuple[str, ...]] = attrs.field(init=False, repr=False, eq=False)
    _offers: dict[str, Any] = attrs.field(init=False, repr=False, eq=False, factory=dict)

    def __attrs_post_init__(self) -> None:
        object.__setattr__(self, "_words", _merge(self.lines))

    @classmethod
    def from_reply(cls, reply: Reply) -> Capabilities:
        return (
            _read(reply.lines) if len(reply.lines) <= _USUAL_LINES else cls(reply.lines[0], reply.lines[1:])
        )

    def __contains__(self, keyword: str) -> bool:
        return keyword.upper() in self._words

    def __iter__(self) -> Iterator[str]:
        return iter(self._words)

    def words(self, keyword: str) -> tuple[str, ...]:
        """The words behind the keyword, lines merged; () also when it was not offered."""
        return self._words.get(keyword.upper(), ())

    def supports(self, extension: Extension) -> bool:
        return extension.keyword in self

    def offer(self, extension: Extension) -> Any:
        """The extension's typed reading of what was offered; None when it was not."""
        keyword = extension.keyword
        if keyword not in self._offers:
            supported = self.supports(extension)
            self._offers[keyword] = extension.parse_offer(self.words(keyword)) if supported else None
        return self._offers[keyword]


_USUAL_LINES: Final = 50


# A server says the same to each connection.
@lru_cache(maxsize=32)
def _read(lines: tuple[str, ...]) -> Capabilities:
    return Capabilities(lines[0], lines[1:])
