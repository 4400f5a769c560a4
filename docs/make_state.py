"""Writes docs/state.md from the session table: run it after a change to `ehlo._state`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ehlo import ALLOWED, TRANSITIONS, State

PAGE = Path(__file__).with_name("state.md")

HEAD = """\
# The session

Written by `docs/make_state.py` from the tables `TRANSITIONS` and `ALLOWED`: change those, not this page.

A server walks the table when it sends a reply, a client when it receives one. `2yz` stands for any reply
code that begins with 2. A reply that has no row changes nothing, and 421 closes in every state.
"""


def _diagram() -> Iterator[str]:
    yield "```mermaid"
    yield "stateDiagram-v2"
    yield f"    [*] --> {State.GREETING.name}"
    for state, rows in TRANSITIONS.items():
        edges: dict[State, dict[str, list[str]]] = {}
        for (verb, klass), after in rows.items():
            edges.setdefault(after, {}).setdefault(verb.value, []).append(f"{klass.value}yz")
        for after, verbs in edges.items():
            label = ", ".join(f"{verb} {'/'.join(classes)}" for verb, classes in verbs.items())
            yield f"    {state.name} --> {after.name}: {label}"
    yield f"    {State.CLOSED.name} --> [*]"
    yield "```"


def _transitions() -> Iterator[str]:
    yield "| In | a reply to | of class | leads to |"
    yield "|---|---|---|---|"
    for state, rows in TRANSITIONS.items():
        for (verb, klass), after in rows.items():
            yield f"| {state.name} | {verb.value} | {klass.value}yz | {after.name} |"


def _allowed() -> Iterator[str]:
    yield "| In | may come; anything else is 503 |"
    yield "|---|---|"
    for state, verbs in ALLOWED.items():
        yield f"| {state.name} | {', '.join(sorted(verb.value for verb in verbs)) or 'nothing'} |"


def page() -> str:
    """The whole page."""
    parts = (HEAD.rstrip("\n"), *map("\n".join, (_diagram(), _transitions(), _allowed())))
    return "\n\n".join(parts) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
