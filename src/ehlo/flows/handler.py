"""The application's side of a server: an object with some of these methods, sync or async.

    on_connect(session)                                       None, or a Reply
    on_hello(session, name)                                   None, or a Reply
    on_auth_password(session, username, password, authzid)    bool
    on_auth_secret(session, username, kind, domain)           bytes, None for an unknown user
    on_auth_authorize(session, authcid, authzid)              bool
    on_auth_refused(session, mechanism, reason, failures)     None
    on_mail(session, reverse_path, parameters)                None, or a Reply
    on_rcpt(session, forward_path, parameters)                None, or a Reply
    on_data(session, envelope)                                None, or a Reply
    on_body(session, data)                                    None
    on_message(session, envelope, content)                    None, or a Reply
    on_vrfy(session, text)                                    None, or a Reply
    on_reset(session)                                         None
    on_quit(session)                                          None

None accepts with the default reply. Without `on_body` the message is collected and comes whole as
`content`; with it, `content` is b"". What `on_message` accepts must be durable when it returns.
`on_reset` follows every other end of a transaction, also a message that `on_message` refused. An
exception is 451 4.3.0 for the client (454 4.7.0 inside AUTH) and a record in the log of the
binding.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import attrs

from ehlo._events import TLSInfo
from ehlo.sasl import Identity, ServerMechanisms
from ehlo.server import ServerConnection

HOOKS: Final = (
    "on_connect",
    "on_hello",
    "on_auth_password",
    "on_auth_secret",
    "on_auth_authorize",
    "on_auth_refused",
    "on_mail",
    "on_rcpt",
    "on_data",
    "on_body",
    "on_message",
    "on_vrfy",
    "on_reset",
    "on_quit",
)


@attrs.frozen
class Hooks:
    """The methods of a handler that a server calls, by name."""

    methods: Mapping[str, Callable[..., Any]]
    names: frozenset[str] = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        object.__setattr__(self, "names", frozenset(self.methods))

    def __contains__(self, name: object) -> bool:
        return name in self.names


def hooks_of(handler: object) -> Hooks:
    """The methods of a handler that a server calls. Raises TypeError for a misspelt `on_...`."""
    for name in dir(handler):
        if name.startswith("on_") and name not in HOOKS:
            raise TypeError(f"{type(handler).__name__}.{name} is no hook of a server")
    return Hooks({name: getattr(handler, name) for name in HOOKS if callable(getattr(handler, name, None))})


def mechanisms_of(
    hooks: Hooks, *, target: str, nonce: Callable[[], bytes], now: Callable[[], int] | None = None
) -> ServerMechanisms:
    """The mechanisms whose questions the handler can answer."""
    from ehlo.sasl import standard_mechanisms  # noqa: PLC0415 (with the mechanisms)

    return standard_mechanisms(
        verify_password="on_auth_password" in hooks,
        fetch_nt_hash="on_auth_secret" in hooks,
        target=target,
        nonce=nonce,
        now=now,
    )


class Session:
    """What a handler may know of the connection it serves; `state` is its own to use."""

    __slots__ = ("_conn", "peer", "state")

    def __init__(self, conn: ServerConnection, peer: str | None) -> None:
        self._conn = conn
        self.peer: Final = peer
        """The peer's address as text, or None where the transport has none."""
        self.state: Any = None

    @property
    def identity(self) -> Identity | None:
        return self._conn.identity

    @property
    def tls(self) -> TLSInfo | None:
        return self._conn.tls

    @property
    def client_name(self) -> str | None:
        """The argument of the last EHLO or HELO: said by the client, never proved."""
        return self._conn.client_name

    @property
    def extended(self) -> bool:
        return self._conn.extended

    def __repr__(self) -> str:
        return f"<Session with {self.peer}>"
