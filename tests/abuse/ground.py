"""Where attacks take place, and the list of them."""

from __future__ import annotations

import base64
import re
import threading
from collections import Counter
from collections.abc import Callable
from typing import Final, TypeAlias

import attrs
from tests.abuse.target import LONG, RECIPIENT, SENDER, Target

HELLO: Final = b"EHLO attacker.example\r\n"
ENVELOPE: Final = f"MAIL FROM:<{SENDER}>\r\nRCPT TO:<{RECIPIENT}>\r\n".encode()
QUIT: Final = b"QUIT\r\n"
_REPLY = re.compile(rb"(?m)^([0-9]{3}) ")


@attrs.frozen
class Ground:
    """A server, and how much of it there shall be."""

    target: Target
    share: float = 1.0
    at_height: Callable[[], object] = lambda: None
    """Called by attacks that hold something, while they hold the most."""

    def times(self, few: int, many: int) -> int:
        """How often, in the test suite and in the long form of it."""
        return max(1, int((many if LONG else few) * self.share))


Attack: TypeAlias = Callable[[Ground], None]
ATTACKS: Final[dict[str, Attack]] = {}
"""On a server whose patience is the usual one."""
WAITS: Final[dict[str, Attack]] = {}
"""On a server that does not wait for long."""


def attack(name: str, among: dict[str, Attack] = ATTACKS) -> Callable[[Attack], Attack]:
    """Put a function on a list."""

    def enter(run: Attack) -> Attack:
        assert name not in among, f"{name} is there twice"
        among[name] = run
        return run

    return enter


def codes(said: bytes) -> Counter[int]:
    """How often each reply was given."""
    return Counter(int(code) for code in _REPLY.findall(said))


def b64(text: str) -> bytes:
    return base64.b64encode(text.encode())


def at_once(count: int, work: Callable[[], None]) -> None:
    """The same in several threads; what goes wrong in one is raised."""
    failures: list[BaseException] = []

    def run() -> None:
        try:
            work()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=run) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
