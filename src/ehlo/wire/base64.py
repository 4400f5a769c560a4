"""Base64 as SASL exchanges over SMTP use it: strict, on one line, within a bound [RFC4954-4n]."""

from __future__ import annotations

import binascii
from typing import Final


class Base64Error(ValueError):
    """The octets are not exactly one padded base64 string."""


def decode(text: bytes) -> bytes:
    """The octets that `text` stands for; b"" for b"". Raises Base64Error.

    [RFC4954-4n] characters outside the alphabet, `=` anywhere but at the end and wrong padding
    are refused, not skipped: two decoders that disagree would read two different user names.
    """
    try:
        data = binascii.a2b_base64(text)
    except binascii.Error:
        raise Base64Error("not base64") from None
    # What the decoder skips or lets pass (also in its strict mode: bits behind the end) would give the same
    # octets several spellings.
    if encode(data) != text:
        raise Base64Error("not canonical base64")
    return data


def encode(data: bytes) -> bytes:
    """One unbroken line [NTLM-2.2.1.3a]."""
    return binascii.b2a_base64(data, newline=False)


EMPTY: Final = b"="
"""How an initial response of no octets is written [RFC4954-4j]."""
