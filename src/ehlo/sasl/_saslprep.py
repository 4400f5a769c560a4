"""SASLprep (RFC 4013): how names and passwords are brought to one form before they are compared."""

from __future__ import annotations

import stringprep
from typing import Final
from unicodedata import ucd_3_2_0

# [RFC4505-2b] the "trace" profile of RFC 4505 section 3 prohibits these, and maps nothing.
_PROHIBITED_IN_TRACE = (
    stringprep.in_table_c21_c22,
    stringprep.in_table_c3,
    stringprep.in_table_c4,
    stringprep.in_table_c5,
    stringprep.in_table_c6,
    stringprep.in_table_c8,
    stringprep.in_table_c9,
)
_PROHIBITED = (*_PROHIBITED_IN_TRACE, stringprep.in_table_c12, stringprep.in_table_c7)
_MOST_MARKS: Final = 30
"""On one letter: what the Stream-Safe Text Format of UAX #15 allows, and far more than any text has."""


class SaslprepError(ValueError):
    """The text holds what SASLprep forbids, or nothing is left of it. Names no part of it."""


def saslprep(text: str, *, stored: bool = False) -> str:
    """The prepared form of `text`. Raises SaslprepError, also when a text that is not empty becomes so.

    `stored` refuses code points that Unicode 3.2 did not assign [RFC4013-2.5a]; a query keeps them.
    """
    # Nearly every name; the tables below take a thousand times as long.
    if text.isascii() and text.isprintable():
        return text
    # [RFC4013-2a] mapping, then NFKC as Unicode 3.2 knew it: RFC 3454 is bound to that version.
    mapped = "".join(
        " " if stringprep.in_table_c12(char) else char for char in text if not stringprep.in_table_b1(char)
    )
    _check_marks(mapped)
    prepared = ucd_3_2_0.normalize("NFKC", mapped)
    if text and not prepared:
        raise SaslprepError("nothing is left after preparation")
    # One character can become eighteen: each is looked up once.
    characters = set(prepared)
    if any(forbids(char) for char in characters for forbids in _PROHIBITED):
        raise SaslprepError("a character is prohibited")
    if stored and any(stringprep.in_table_a1(char) for char in characters):
        raise SaslprepError("a character is unassigned")
    _check_direction(prepared)
    return prepared


def check_trace(text: str) -> None:
    """Raises SaslprepError for what the trace of ANONYMOUS may not hold."""
    if any(forbids(char) for char in set(text) for forbids in _PROHIBITED_IN_TRACE):
        raise SaslprepError("a character is prohibited")
    _check_direction(text)


def _check_marks(text: str) -> None:
    """Normalization takes marks in the wrong order one by one to their place: the square of their number."""
    run = 0
    for char in text:
        for part in ucd_3_2_0.normalize("NFKD", char):
            run = run + 1 if ucd_3_2_0.combining(part) else 0
        if run > _MOST_MARKS:
            raise SaslprepError("more than 30 marks on one letter")


def _check_direction(text: str) -> None:
    """[RFC4013-2.4a] text that runs right to left does so from end to end."""
    characters = set(text)
    if not any(stringprep.in_table_d1(char) for char in characters):
        return
    if any(stringprep.in_table_d2(char) for char in characters):
        raise SaslprepError("both directions are mixed")
    if not (stringprep.in_table_d1(text[0]) and stringprep.in_table_d1(text[-1])):
        raise SaslprepError("text from right to left must begin and end so")
