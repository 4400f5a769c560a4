"""Command lines: verb and argument, parameters, and writing them without injection (RFC 5321 4.1)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from ehlo._errors import LocalProtocolError
from ehlo.wire import abnf

_UNSAFE: Final = re.compile(r"[\x00-\x1f\x7f]")
_UNSAFE_OCTET: Final = re.compile(rb"[\x00-\x1f\x7f]")


def has_control(line: bytes) -> bool:
    """CR, LF, NUL or another control octet inside a line: it is refused whole, never cut in two
    [SEC-SMUG-in-e] [RFC5321-4.1.2k]."""
    if line.isascii() and line.decode("ascii").isprintable():
        return False
    return _UNSAFE_OCTET.search(line) is not None


def split_line(line: bytes) -> tuple[bytes, bytes]:
    """`(verb in upper case, argument)`; trailing space is dropped [RFC5321-4.1.1a]."""
    verb, _, argument = line.partition(b" ")
    return verb.upper(), argument.strip(b" ")


def render(*words: str) -> bytes:
    """One command line from its words. Raises LocalProtocolError before an octet leaves.

    [SEC-INJ-cli-a] CR, LF and NUL would let an argument become a command.
    """
    line = " ".join(words)
    if _UNSAFE.search(line):
        raise LocalProtocolError("control character in a command argument")
    try:
        return line.encode("utf-8") + b"\r\n"
    except UnicodeEncodeError:
        raise LocalProtocolError("command argument is not text") from None


class ParameterError(ValueError):
    """A parameter of MAIL or RCPT is not `keyword` or `keyword=value`, or its value is wrong."""

    def __init__(self, message: str, enhanced: str = "5.5.4") -> None:
        super().__init__(message)
        self.enhanced = enhanced
        """What the 501 says."""


def split_parameters(text: str) -> Iterator[tuple[str, str | None]]:
    """`(KEYWORD, value or None)` for each parameter. Raises ParameterError [RFC5321-4.1.2i].

    The keyword comes in upper case, the value as it was: its case has meaning (ENVID, ORCPT).
    """
    # [RFC1869-6a] spaces part them and nothing else: str.split() would also cut at U+0085 or U+00A0.
    for word in text.split(" "):
        if not word:
            continue
        keyword, equals, value = word.partition("=")
        if not abnf.ESMTP_KEYWORD.match(keyword):
            raise ParameterError("not a parameter")
        if equals and not abnf.ESMTP_VALUE_UTF8.match(value):
            raise ParameterError("not a parameter value")
        yield keyword.upper(), value if equals else None
