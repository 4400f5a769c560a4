"""What all bindings share in both roles."""

from __future__ import annotations

import logging
from typing import Any, Final

from ehlo import flows

LOGGER = logging.getLogger("ehlo_io")

GRACE = 5.0
"""Seconds that open connections get to end when a server stops."""

MAX_REPLIES = 16 * 1024 * 1024
"""Octets that are kept while a flight is sent: more than any server answers, and a bound against
one that only talks."""


def printable(text: str) -> str:
    """`text` on one line without anything that a terminal or a log would obey."""
    return "".join(sign if sign.isprintable() else "?" for sign in text)


def peer_of(name: object) -> str | None:
    """The address in what `getpeername` gives, as text; a UNIX socket has no other name than that."""
    if isinstance(name, tuple):
        return str(name[0])
    return None if name is None else flows.UNIX_PEER


def local_address_of(name: object) -> str:
    """The address in what `getsockname` gives; "" for a UNIX socket."""
    return str(name[0]) if isinstance(name, tuple) else ""


LONGEST: Final = 1000
"""Letters of what a peer says that a field of a record has; no address has more."""


def fields(event: str, **about: Any) -> dict[str, dict[str, Any]]:
    """The `extra` of a record: what is known, texts made printable and cut."""
    known = {"event": event} | {name: value for name, value in about.items() if value is not None}
    shown = {
        name: printable(value)[:LONGEST] if isinstance(value, str) else value for name, value in known.items()
    }
    return {"ehlo": shown}


def log_hook_failure(peer: str | None) -> None:
    """Call inside `except`: the client hears 451 and nothing else."""
    LOGGER.exception(
        "a hook of the handler failed (session with %s)", peer, extra=fields("hook failed", peer=peer)
    )
