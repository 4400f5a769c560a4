"""The grammar of RFC 5321 section 4.1.2, as bytes and str patterns that the codecs compile.

Nothing here decides policy: a lenient or a strict reading is the codec's choice.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final


class Pattern:
    """A pattern of str that is compiled when it is first used: those of UTF-8 take long."""

    __slots__ = ("_compiled", "_source")

    def __init__(self, source: str) -> None:
        self._source = source
        self._compiled: re.Pattern[str] | None = None

    def _pattern(self) -> re.Pattern[str]:
        if self._compiled is None:
            self._compiled = re.compile(self._source)
        return self._compiled

    def match(self, text: str) -> re.Match[str] | None:
        return self._pattern().match(text)

    def sub(self, replacement: str | Callable[[re.Match[str]], str], text: str) -> str:
        return self._pattern().sub(replacement, text)


# atext of RFC 5322 section 3.2.3.
ATEXT: Final = r"A-Za-z0-9!#$%&'*+\-/=?^_`{|}~"
# RFC 6531 section 3.3 adds UTF8-non-ascii to atext, qtextSMTP and sub-domain. Left out are C1 controls
# and line separators, which would break lines for others, and surrogates, which no octets stand for.
# The classes that hold it are written by what they leave out: a range up to U+10FFFF takes
# milliseconds to compile.
NOT_UTF8: Final = r"\x7f-\x9f\u2028\u2029\ud800-\udfff"

_ATEXT_UTF8 = rf'[^\x00- "(),.:;<>@\[\\\]{NOT_UTF8}]'
DOT_STRING: Final = re.compile(rf"[{ATEXT}]+(?:\.[{ATEXT}]+)*\Z")
DOT_STRING_UTF8: Final = Pattern(rf"{_ATEXT_UTF8}+(?:\.{_ATEXT_UTF8}+)*\Z")
# [RFC5321-4.1.2g] qtextSMTP is %d32-33 / %d35-91 / %d93-126: no control characters, ever.
QUOTED_CONTENT: Final = Pattern(r"(?:[ !#-\[\]-~]|\\[ -~])*\Z")
QUOTED_CONTENT_UTF8: Final = Pattern(rf'(?:[^\x00-\x1f"\\{NOT_UTF8}]|\\[ -~])*\Z')

_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?"
DOMAIN: Final = re.compile(rf"{_LABEL}(?:\.{_LABEL})*\Z")
_NOT_ALNUM = r":-@\[-`{-~"
_ULABEL = (
    rf"[^\x00-/{_NOT_ALNUM}{NOT_UTF8}]"
    rf"(?:[^\x00-,./{_NOT_ALNUM}{NOT_UTF8}]*[^\x00-/{_NOT_ALNUM}{NOT_UTF8}])?"
)
DOMAIN_UTF8: Final = Pattern(rf"{_ULABEL}(?:\.{_ULABEL})*\Z")

# General-address-literal: Standardized-tag ":" 1*dcontent.
GENERAL_LITERAL: Final = Pattern(r"[A-Za-z0-9-]*[A-Za-z0-9]:[!-Z^-~]+\Z")

# [RFC5321-4.1.2i] esmtp-keyword and esmtp-value.
ESMTP_KEYWORD: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]*\Z")
ESMTP_VALUE: Final = Pattern(r"[!-<>-~]+\Z")
ESMTP_VALUE_UTF8: Final = Pattern(rf"[^\x00- ={NOT_UTF8}]+\Z")

# RFC 4422 section 3.1; either letter case, for input is lenient [RFC4954-8a].
MECHANISM: Final = Pattern(r"[A-Za-z0-9_-]{1,20}\Z")
ABSOLUTE_URI: Final = Pattern(r"[A-Za-z][A-Za-z0-9+.-]*:[!-~]+\Z")

CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
"""What must never be echoed or logged raw: C0, DEL, C1 (which holds U+0085) and the line separators."""
