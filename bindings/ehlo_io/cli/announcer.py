"""The hooks that take a message, and those that only tell that it came."""

from __future__ import annotations

from collections.abc import Awaitable, Collection
from typing import Protocol

import click

import ehlo


class Storage(Protocol):
    """The hooks that take a message; on asyncio they may be async."""

    @property
    def in_thread(self) -> Collection[str]: ...

    def on_data(self, session: ehlo.Session, envelope: ehlo.Envelope) -> ehlo.Reply | None: ...

    def on_body(self, session: ehlo.Session, data: bytes) -> Awaitable[None] | None: ...

    def on_message(
        self, session: ehlo.Session, envelope: ehlo.Envelope, content: bytes
    ) -> Awaitable[ehlo.Reply | list[ehlo.Reply] | None] | ehlo.Reply | None: ...

    def on_reset(self, session: ehlo.Session) -> None: ...


class Announcer:
    """Keeps nothing of a message but the line that it prints about it."""

    in_thread = frozenset({"on_message"})

    def on_data(self, session: ehlo.Session, envelope: ehlo.Envelope) -> ehlo.Reply | None:
        session.state = 0
        return None

    def on_body(self, session: ehlo.Session, data: bytes) -> None:
        session.state += len(data)

    def on_message(self, session: ehlo.Session, envelope: ehlo.Envelope, content: bytes) -> ehlo.Reply | None:
        goals = ", ".join(f"<{recipient.path}>" for recipient in envelope.recipients)
        click.echo(f"from <{envelope.reverse_path or ''}> to {goals}: {session.state} octets")
        return None

    def on_reset(self, session: ehlo.Session) -> None:
        session.state = 0
