"""One side of a dialogue as a script, for the flow that plays the other.

A script has a line for each line on the wire, `C: ` from the client and `S: ` from the server. A
line of the other side that ends in `...` stands for all that begin so. Words in brackets:

    C: <TLS>            both sides do the handshake
    C: <no TLS>         the handshake fails
    S: <close>          this side closes the connection
    S: <reset>          the connection breaks
    S: <silence>        nothing comes, and time runs out
    C: <shutdown>       a server is told to stop

The other side may send more than one line at a time, as with PIPELINING: each is compared when the
script comes to it.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable
from typing import ClassVar, Final, Literal

import attrs

from ehlo._events import TLSInfo
from ehlo.flows import Shutdown
from ehlo.testing.run import FAKE_TLS

_LINE: Final = re.compile(r"\s*([CS]): ?(.*)\Z")
_RAISED: Final[dict[str, Callable[[], Exception]]] = {
    "<reset>": lambda: ConnectionResetError("the script resets the connection"),
    "<silence>": lambda: TimeoutError("the script is silent"),
    "<shutdown>": Shutdown,
}
_SPECIAL: Final = frozenset({"<TLS>", "<no TLS>", "<close>", *_RAISED})


class ScriptError(AssertionError):
    """The other side did not do what the script says."""


@attrs.frozen
class _Step:
    sender: str
    text: str

    @property
    def special(self) -> bool:
        return self.text in _SPECIAL

    def __str__(self) -> str:
        return f"{self.sender}: {self.text}"


def _parse(script: str) -> deque[_Step]:
    steps: deque[_Step] = deque()
    for line in script.split("\n"):
        if not line.strip():
            continue
        found = _LINE.match(line)
        if found is None:
            raise ValueError(f"not a line of a script: {line!r}")
        steps.append(_Step(found[1], found[2]))
    return steps


class _Scripted:
    """Plays the lines of one side and compares those of the other."""

    plays: ClassVar[Literal["C", "S"]]

    def __init__(self, script: str) -> None:
        self._steps = _parse(script)
        self._received = bytearray()
        self._to_send = bytearray()
        self._closed = False
        self._broken: Exception | None = None

    @property
    def done(self) -> bool:
        """Everything in the script came to pass, and nothing else."""
        return not self._steps and not self._received and not self._to_send

    def check_done(self) -> None:
        """Raises ScriptError unless `done`."""
        if not self.done:
            raise self.stuck()

    def stuck(self) -> ScriptError:
        due = self._steps[0] if self._steps else "the end"
        return ScriptError(
            f"the script is at {due}; not compared: {bytes(self._received)!r}, not taken: "
            f"{bytes(self._to_send)!r}"
        )

    # ---- the link, as the flow under test sees it ----

    def send(self, data: bytes) -> None:
        if self._broken is not None:
            raise self._broken
        self._received += data
        self._advance()

    def poll(self) -> bytes | None:
        self._advance()
        data = bytes(self._to_send)
        self._to_send.clear()
        return data or None

    def receive(self, most: int) -> bytes | None:
        self._advance()
        if self._to_send:
            data = bytes(self._to_send[:most])
            del self._to_send[:most]
            return data
        if self._closed:
            return b""
        if self._broken is not None:
            raise self._broken
        if self._steps and self._steps[0].text in _RAISED:
            error = _RAISED[self._steps.popleft().text]()
            if isinstance(error, ConnectionError):
                self._broken = error
            raise error
        return None

    def start_tls(self, received: bytes) -> TLSInfo | None:
        if received:
            raise ConnectionError("plaintext where the script has its handshake")
        self._advance()
        step = self._steps.popleft() if self._steps else None
        if step is None or step.text not in ("<TLS>", "<no TLS>"):
            raise ScriptError(f"a handshake, where the script has {step or 'its end'}")
        if step.text == "<no TLS>":
            raise ConnectionError("the script lets the handshake fail")
        return FAKE_TLS

    def close(self) -> None:
        """The flow closed the connection: the script must not wait for more."""
        self._closed = True

    # ---- inside ----

    def _advance(self) -> None:
        while self._steps:
            step = self._steps[0]
            if step.text == "<close>":
                self._closed = True
            elif step.special:
                return
            elif step.sender == self.plays:
                self._to_send += step.text.encode("utf-8", "surrogateescape") + b"\r\n"
            elif not self._compare(step):
                return
            self._steps.popleft()

    def _compare(self, step: _Step) -> bool:
        """Whether the line has come; raises ScriptError when another one has."""
        end = self._received.find(b"\r\n")
        if end < 0:
            return False
        line = bytes(self._received[:end])
        wanted = step.text.encode("utf-8", "surrogateescape")
        same = line.startswith(wanted[:-3]) if wanted.endswith(b"...") else line == wanted
        if not same:
            raise ScriptError(f"the script has {step}, but there came {line!r}")
        del self._received[: end + 2]
        return True


class ScriptedServer(_Scripted):
    """Plays the lines of the server for a client's flow."""

    plays = "S"


class ScriptedClient(_Scripted):
    """Plays the lines of the client for a server's flow."""

    plays = "C"
