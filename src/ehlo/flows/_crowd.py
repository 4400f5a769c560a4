"""How many connections a server holds at once, in all and of one address.

[RFC5321-3.8b] a server that must end a session for lack of room says 421. Whoever is turned away is not
counted, and not waited for: what is short is room.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Final

from ehlo import _replies as replies
from ehlo._errors import LocalProtocolError
from ehlo._events import Deadline, Wait
from ehlo.flows._proxied import UNIX_PEER
from ehlo.flows._watch import NOBODY, Watch
from ehlo.flows.actions import Close, Flow, Send
from ehlo.server import ServerConnection
from ehlo.wire.reply import Reply

_GOODBYE: Final = 2.0
_NO_GUARD: Final[AbstractContextManager[object]] = nullcontext()


class Crowd:
    """The open connections of one server, counted. None is any number of them.

    A peer is an address as text. UNIX sockets have but one, "unix", and a client that is gone has none:
    these count in all, and not as a peer. `guard` is a lock, which may be taken twice, where flows run in
    several threads. Raises LocalProtocolError for a bound below one.
    """

    def __init__(
        self,
        *,
        connections: int | None = None,
        per_peer: int | None = None,
        guard: AbstractContextManager[object] = _NO_GUARD,
    ) -> None:
        for bound in (connections, per_peer):
            if bound is not None and bound < 1:
                raise LocalProtocolError("a server that takes no connection is none")
        self._connections = connections
        self._per_peer = per_peer
        self._guard = guard
        self._all = 0
        self._of: dict[str, int] = {}

    def enter(self, peer: str | None) -> Reply | None:
        """The refusal of one more connection; None: it counts until `leave`."""
        with self._guard:
            if self._connections is not None and self._all >= self._connections:
                return replies.SERVER_FULL
            if self._per_peer is not None and peer is not None and peer != UNIX_PEER:
                already = self._of.get(peer, 0)
                if already >= self._per_peer:
                    return replies.TOO_MANY_CONNECTIONS
                self._of[peer] = already + 1
            self._all += 1
        return None

    def leave(self, peer: str | None) -> None:
        with self._guard:
            self._all -= 1
            if peer is not None and peer in self._of:
                self._of[peer] -= 1
                if not self._of[peer]:
                    del self._of[peer]


def counted(
    crowd: Crowd,
    conn: ServerConnection,
    peer: str | None,
    flow: Flow[None],
    warn: Callable[[str], None],
    watch: Watch = NOBODY,
    *,
    implicit_tls: bool,
) -> Flow[None]:
    """The flow of a connection that has a place in the crowd until it ends, or the end of one that has
    none."""
    refusal = crowd.enter(peer)
    if refusal is None:
        try:
            yield from flow
        finally:
            crowd.leave(peer)
        return
    warn(f"a connection was closed: {refusal.text} (session with {peer})")
    watch.refused(refusal)
    # In clear it would be noise to a client that begins with TLS, and a handshake is what costs most.
    conn.close(None if implicit_tls else refusal)
    data = conn.data_to_send()
    try:
        if data:
            yield Send(data, Deadline(Wait.REPLY, _GOODBYE))
    except OSError:
        pass
    yield Close()
