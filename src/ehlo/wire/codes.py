"""Reply codes, their classes, and enhanced status codes (RFC 5321 section 4.2, RFC 3463)."""

from __future__ import annotations

import re
from enum import IntEnum
from functools import lru_cache
from typing import Final

import attrs


class ReplyClass(IntEnum):
    """The first digit of a reply code: all that a client acts on [RFC5321-4.2c]."""

    SUCCESS = 2
    INTERMEDIATE = 3
    TRANSIENT = 4
    PERMANENT = 5


CLASS_OF: Final[dict[int, ReplyClass]] = {code: ReplyClass(code // 100) for code in range(200, 600)}
"""Reply code to class; a code outside 200 to 599 is not in it [RFC5321-4.2e]."""

CLOSING: Final = 421
"""Ends the session in answer to any command, or to none [RFC5321-3.8d]."""

_ENHANCED: Final = re.compile(r"([245])\.(0|[1-9][0-9]{0,2})\.(0|[1-9][0-9]{0,2})")
_LONGEST: Final = len("5.123.123")


@attrs.frozen(order=True)
class EnhancedCode:
    """`class.subject.detail` of RFC 3463 section 2. Raises ValueError for what that does not know."""

    klass: int
    subject: int
    detail: int

    def __attrs_post_init__(self) -> None:
        # [RFC2034-4b] no class 3, so that no 3yz reply can carry one.
        if self.klass not in (2, 4, 5) or not (0 <= self.subject <= 999 and 0 <= self.detail <= 999):
            raise ValueError("not an enhanced status code")

    def __str__(self) -> str:
        return f"{self.klass}.{self.subject}.{self.detail}"

    @classmethod
    def parse(cls, text: str) -> EnhancedCode:
        """The code that `text` spells exactly. Raises ValueError."""
        found = _ENHANCED.fullmatch(text)
        if found is None:
            raise ValueError(f"not an enhanced status code: {text!r}")
        return cls(*map(int, found.groups()))


def split_enhanced(code: int, text: str) -> tuple[EnhancedCode | None, str]:
    """A leading enhanced code of `text`, and what follows it.

    [RFC2034-4g] it counts only if its class is the first digit of the reply code; otherwise it
    is plain text.
    """
    # [RFC2034-4b] none in a 3yz: its text may be a secret, and is not remembered below.
    if text[1:2] != "." or code // 100 == 3:
        return None, text
    head, _, rest = text.partition(" ")
    if len(head) > _LONGEST:
        return None, text
    enhanced = _enhanced(head)
    if enhanced is None or enhanced.klass != code // 100:
        return None, text
    return enhanced, rest.lstrip(" ")


# A handful of codes is all that a server has, and a few first words.
@lru_cache(maxsize=256)
def _enhanced(word: str) -> EnhancedCode | None:
    found = _ENHANCED.fullmatch(word)
    return None if found is None else EnhancedCode(*map(int, found.groups()))
