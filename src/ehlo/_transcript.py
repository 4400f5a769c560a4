"""The dialogue as values, with nothing in it that must stay secret.

What is left out: the octets of an AUTH exchange in either direction, message content, the paths of
URLs (whoever knows one may read what is there), and lines that are no known command (a client that
lost step may be sending its password there). Control
characters are escaped, so that no peer can forge a line of a log.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Literal, TypeAlias

import attrs

from ehlo._commands import Verb
from ehlo._value import Value
from ehlo.wire.abnf import CONTROL, MECHANISM

REDACTED = "***"
# A user name before the host is shown no more than a path.
_ORIGIN = re.compile(rb"([A-Za-z][A-Za-z0-9+.-]{0,30}://[A-Za-z0-9.:\[\]-]*)/")
_VERBS = frozenset(verb.value.encode() for verb in Verb if verb.value.isupper())


@attrs.frozen(repr=False, eq=False)
class WireRecord(Value):
    """One line, or one note about octets that are not shown."""

    sender: Literal["C", "S", "-"]
    """`-` is the engine itself."""
    text: str

    def __str__(self) -> str:
        return f"{self.sender}: {self.text}"


Trace: TypeAlias = Callable[[WireRecord], None]
"""Called with each record as it comes to be. It must not raise."""


def _escape(line: bytes) -> str:
    text = line.decode("utf-8", "backslashreplace")
    return CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", text)


def _without_path(argument: bytes) -> str:
    """The argument of BURL: of the URL only the scheme and the host are shown."""
    url, space, word = argument.partition(b" ")
    origin = _ORIGIN.match(url)
    shown = REDACTED if origin is None else f"{origin[1].decode('ascii')}/{REDACTED}"
    end = " LAST" if word.upper() == b"LAST" else f" {REDACTED}" if space else ""
    return shown + end


def trace_command(trace: Trace, line: bytes) -> None:
    """A command line, without its CRLF."""
    verb, _, rest = line.partition(b" ")
    if verb.upper() == b"AUTH":
        mechanism, space, _ = rest.partition(b" ")
        name = mechanism.decode("ascii", "replace")
        # A client that forgets the mechanism puts its response there, and base64 is of mixed case.
        plain = MECHANISM.match(name) and (name.isupper() or name.islower())
        shown = name if plain else REDACTED
        trace(WireRecord("C", f"AUTH {shown} {REDACTED}" if space else f"AUTH {shown}"))
    elif verb.upper() == b"BURL":
        trace(WireRecord("C", f"BURL {_without_path(rest)}"))
    elif verb.upper() in _VERBS:
        trace(WireRecord("C", _escape(line)))
    else:
        trace(WireRecord("C", f"(not a command, {len(line)} octets)"))


def trace_auth_line(trace: Trace, line: bytes) -> None:
    """A client's line inside an AUTH exchange; only the cancel is shown."""
    trace(WireRecord("C", "*" if line == b"*" else REDACTED if line else "(empty line)"))


def trace_reply(trace: Trace, octets: bytes) -> None:
    """One rendered reply, all its lines."""
    for line in octets.split(b"\r\n")[:-1]:
        secret = line.startswith(b"334") and len(line) > 4
        trace(WireRecord("S", f"334 {REDACTED}" if secret else _escape(line)))


def trace_note(trace: Trace, text: str) -> None:
    trace(WireRecord("-", text))
