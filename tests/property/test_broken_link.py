"""Whole sessions by the flows, over a link that breaks somewhere, on the way there or back.

Behind every fifth octet, or with `EHLO_MACHINE_FACTOR` behind each.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import attrs
import pytest
from tests.helpers.driver import OPEN
from tests.helpers.sasl import session_options

from ehlo import (
    STANDARD,
    ClientConnection,
    ConnectionFailed,
    Envelope,
    Reply,
    ServerConfig,
    ServerConnection,
    Session,
    SessionError,
    Submission,
    SubmissionFailed,
    SubmissionResult,
    envelope,
)
from ehlo.flows import Flow, Send, close, hooks_of, open_session, serve, submit
from ehlo.flows.actions import Action, Exchange, Receive
from ehlo.testing import drive

BODY = b".a\r\n..\r\nb\r\n.\r\n\r\n"
ENOUGH = 1 << 20
STEP = 1 if "EHLO_MACHINE_FACTOR" in os.environ else 5


@attrs.define
class Wire:
    """How many octets still pass in each direction, and how many did."""

    up: int
    down: int
    sent: int = 0
    heard: int = 0

    @property
    def broken(self) -> bool:
        """Nothing more will come."""
        return self.sent > self.up or self.heard >= self.down


def over(wire: Wire, flow: Flow[SubmissionResult | None]) -> Flow[SubmissionResult | None]:
    """The client's flow, whose link breaks: what it sends is cut off, or what it hears."""
    action: Action | None = next(flow)
    try:
        while action is not None:
            if isinstance(action, Exchange):
                yield from _send(wire, action.data)
                action = Receive(action.deadline) if wire.sent <= wire.up else None
                if action is None:
                    action = flow.throw(ConnectionResetError())
            elif isinstance(action, Send):
                yield from _send(wire, action.data)
                action = flow.send(None) if wire.sent <= wire.up else flow.throw(ConnectionResetError())
            elif isinstance(action, Receive) and wire.broken:
                action = flow.send(b"")
            else:
                found = yield action
                if isinstance(action, Receive) and isinstance(found, bytes):
                    found = found[: max(0, wire.down - wire.heard)]
                    wire.heard += len(found)
                action = flow.send(found)
    except StopIteration as stop:
        return stop.value  # type: ignore[no-any-return]
    return None


def _send(wire: Wire, data: bytes) -> Iterator[Send]:
    passed = data[: max(0, wire.up - wire.sent)]
    wire.sent += len(data)
    if passed:
        yield Send(passed)


class Store:
    """Keeps what it accepts, or refuses it in the end."""

    def __init__(self, refusal: Reply | None) -> None:
        self.refusal = refusal
        self.stored: list[tuple[str, bytes]] = []

    def on_message(self, session: Session, envelope: Envelope, content: bytes) -> Reply | None:
        if self.refusal is None:
            self.stored.append((str(envelope.reverse_path), content))
        return self.refusal


def session(
    wire: Wire, store: Store, *, pipelining: bool, chunking: bool, lmtp: bool
) -> list[SubmissionResult | SessionError]:
    """Two messages; what the client knows of each that it began."""
    conn = ClientConnection(lmtp=lmtp)
    known: list[SubmissionResult | SessionError] = []

    def client() -> Flow[None]:
        options = session_options()
        yield from open_session(conn, options)
        for sender in ("a@x.org", "b@x.org"):
            message = Submission(
                envelope=envelope(sender, ["r@y.org", "s@y.org"]),
                content=BODY,
                pipelining=pipelining,
                chunking=chunking,
            )
            try:
                known.append((yield from submit(conn, message)))
            except SubmissionFailed as failed:
                known.append(failed)
            except SessionError as error:
                known.append(error)
            if not conn.is_ready:
                return
        yield from close(conn)

    config = ServerConfig(hostname="mail.example", policy=OPEN, extensions=STANDARD, lmtp=lmtp)
    try:
        drive(over(wire, client()), serve(ServerConnection(config), hooks_of(store), peer="192.0.2.1"))
    except SessionError:
        # Before the first message.
        assert not known
    return known


@pytest.mark.clause("RFC5321-4.1.1.10c", "RFC2033-5d")
@pytest.mark.parametrize("refusal", [None, Reply(554, "no", "5.6.0")], ids=["taken", "refused"])
@pytest.mark.parametrize("lmtp", [False, True], ids=["smtp", "lmtp"])
@pytest.mark.parametrize("chunking", [False, True], ids=["data", "bdat"])
@pytest.mark.parametrize("pipelining", [False, True], ids=["lock-step", "one-flight"])
@pytest.mark.parametrize("direction", ["up", "down"])
def test_what_the_client_says_of_a_message_is_so(
    direction: str, pipelining: bool, chunking: bool, lmtp: bool, refusal: Reply | None
) -> None:
    whole = Wire(ENOUGH, ENOUGH)
    how = {"pipelining": pipelining, "chunking": chunking, "lmtp": lmtp}
    assert len(session(whole, Store(refusal), **how)) == 2
    total = whole.sent if direction == "up" else whole.heard
    unknown = 0
    for octets in range(0, total, STEP):
        wire = Wire(octets, ENOUGH) if direction == "up" else Wire(ENOUGH, octets)
        store = Store(refusal)
        known = session(wire, store, **how)
        assert all(content == BODY for _, content in store.stored)
        senders = [sender for sender, _ in store.stored]
        for sender, outcome in zip(("a@x.org", "b@x.org"), known, strict=False):
            if isinstance(outcome, SubmissionResult):
                assert senders.count(sender) == 1
            elif isinstance(outcome, SubmissionFailed):
                assert senders.count(sender) == 0
            else:
                assert isinstance(outcome, ConnectionFailed)
                assert senders.count(sender) <= 1
                unknown += senders.count(sender)
        # What was never begun is not there.
        assert len(senders) <= len(known)
    # Only a reply that is lost leaves the client in doubt of what was taken.
    assert (unknown > 0) == (direction == "down" and refusal is None)
