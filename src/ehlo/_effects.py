"""What a success reply to an event changes in a server connection, beside its state."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, Protocol

from ehlo._commands import Verb
from ehlo._events import BodyStarted, HelloReceived, MailReceived, MessageReceived, RcptReceived
from ehlo._patience import Patience
from ehlo._server_config import NOTHING_OFFERED, Offer, ServerConfig
from ehlo._transaction import Transaction
from ehlo.wire.dot import DotDecoder

if TYPE_CHECKING:
    from ehlo.extensions import XClient


class Changeable(Protocol):
    """What is changed of a connection."""

    config: ServerConfig
    client_name: str | None
    extended: bool
    offered: Offer
    transaction: Transaction
    patience: Patience
    may_xclient: bool
    xclient: XClient | None

    @property
    def on_offer(self) -> Offer: ...


def _said_hello(conn: Changeable, event: HelloReceived) -> None:
    conn.client_name = event.name
    conn.extended = event.extended
    # [RFC5321-4.1.1.1f] HELO enables no extension; others come with TLS, or go.
    conn.offered = conn.on_offer if event.extended else NOTHING_OFFERED
    if conn.xclient is not None:
        # From here on the client may speak for itself, and nobody trusts it.
        conn.may_xclient = False


def _began(conn: Changeable, event: MailReceived) -> None:
    conn.transaction = Transaction(event)


def _added(conn: Changeable, event: RcptReceived) -> None:
    conn.transaction.add(event)


def _body_follows(conn: Changeable, _: BodyStarted) -> None:
    conn.transaction.start_body(conn.config, DotDecoder())


def _took_message(conn: Changeable, _: MessageReceived) -> None:
    conn.patience.renew()


EFFECTS: Final[dict[Verb, Callable[[Changeable, Any], None]]] = {
    Verb.EHLO: _said_hello,
    Verb.HELO: _said_hello,
    Verb.LHLO: _said_hello,
    Verb.MAIL: _began,
    Verb.RCPT: _added,
    Verb.DATA: _body_follows,
    Verb.END_OF_DATA: _took_message,
}
"""By the verb that was accepted."""
