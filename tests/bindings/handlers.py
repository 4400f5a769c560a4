"""Handlers of the servers under test."""

from __future__ import annotations

from typing import Any

import ehlo

PASSWORD = ehlo.Password("user@example.com", "secret")
SENDER = "user@example.com"
RCPT = "bob@example.net"


class Sink(ehlo.UserStore):
    """Keeps what it gets; refuses recipients whose name begins with "bad"."""

    def __init__(self) -> None:
        super().__init__({PASSWORD.username: "secret"})
        self.stored: list[bytes] = []
        self.envelopes: list[ehlo.Envelope] = []
        self.mechanisms: list[str | None] = []
        self.calls: list[str] = []

    def on_connect(self, session: ehlo.Session) -> None:
        self.calls.append("connect")

    def on_hello(self, session: ehlo.Session, name: str) -> None:
        self.calls.append(f"hello {name}")

    def on_mail(self, session: ehlo.Session, path: Any, parameters: Any) -> None:
        self.calls.append("mail")

    def on_rcpt(self, session: ehlo.Session, path: ehlo.ForwardPath, parameters: Any) -> ehlo.Reply | None:
        if str(path).startswith("bad"):
            return ehlo.Reply(550, "No such user", "5.1.1")
        return None

    def on_message(self, session: ehlo.Session, envelope: ehlo.Envelope, content: bytes) -> None:
        self.stored.append(content)
        self.envelopes.append(envelope)
        self.mechanisms.append(session.identity.mechanism if session.identity else None)

    def on_reset(self, session: ehlo.Session) -> None:
        self.calls.append("reset")

    def on_quit(self, session: ehlo.Session) -> None:
        self.calls.append("quit")


class AsyncSink(Sink):
    """The same with hooks that must be awaited."""

    async def on_auth_password(  # type: ignore[override]
        self, session: object, username: str, password: str, authzid: str
    ) -> bool:
        return super().on_auth_password(session, username, password, authzid)

    async def on_message(  # type: ignore[override]
        self, session: ehlo.Session, envelope: ehlo.Envelope, content: bytes
    ) -> None:
        super().on_message(session, envelope, content)

    async def on_reset(self, session: ehlo.Session) -> None:  # type: ignore[override]
        super().on_reset(session)
