"""What known servers offer, as lines of their EHLO replies behind the host name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

EXCHANGE_2003: Final[tuple[str, ...]] = (
    "TURN",
    "SIZE",
    "ETRN",
    "PIPELINING",
    "DSN",
    "ENHANCEDSTATUSCODES",
    "8bitmime",
    "BINARYMIME",
    "CHUNKING",
    "VRFY",
    "X-EXPS GSSAPI NTLM LOGIN",
    "X-EXPS=LOGIN",
    "AUTH GSSAPI NTLM LOGIN",
    "AUTH=LOGIN",
    "X-LINK2STATE",
    "XEXCH50",
    "OK",
)
"""Seen in a public scan: keywords in lower case and glued with `=`, SIZE without a value, and a
closing `OK` that is no keyword."""

EXCHANGE_ONLINE: Final[tuple[str, ...]] = (
    "SIZE 157286400",
    "PIPELINING",
    "DSN",
    "ENHANCEDSTATUSCODES",
    "AUTH LOGIN XOAUTH2",
    "8BITMIME",
    "BINARYMIME",
    "CHUNKING",
    "SMTPUTF8",
)
"""As it stands behind STARTTLS."""


def ehlo_reply(host: str, lines: Sequence[str] = ()) -> str:
    """The lines of a script in which a server answers EHLO: `host` and what it offers."""
    texts = (host, *lines)
    last = len(texts) - 1
    return "\n".join(f"S: 250{' ' if i == last else '-'}{text}" for i, text in enumerate(texts))
