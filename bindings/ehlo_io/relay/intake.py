"""The hooks of a server that puts each message into the spool before its client hears that it is accepted."""

from __future__ import annotations

from collections.abc import Callable

import ehlo
from ehlo_io.relay.queue import Clock
from ehlo_io.relay.spool import Spool
from ehlo_io.storage.deposit import Deposit, Depository


class Intake(Depository):
    """`on_message` blocks."""

    def __init__(self, spool: Spool, clock: Clock, announce: Callable[[str], None]) -> None:
        """`announce` is told the name of each message, in the thread that `on_message` is called in."""
        self._spool = spool
        self._clock = clock
        self._announce = announce

    def begin(self, session: ehlo.Session, envelope: ehlo.Envelope) -> tuple[Deposit, bytes]:
        return self._spool.begin(self._clock.name(), envelope, self._clock.now())

    def on_message(self, session: ehlo.Session, envelope: ehlo.Envelope, content: bytes) -> ehlo.Reply | None:
        held = session.state
        reply = super().on_message(session, envelope, content)
        if reply is None and isinstance(held, Deposit):
            self._announce(held.goal.name)
        return reply
