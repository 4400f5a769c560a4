"""Who gets a session: behind a proxy whom it spoke for, within bounds who comes first; and who watches it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from ehlo._state import State
from ehlo.flows._crowd import Crowd, counted
from ehlo.flows._proxied import TrustedProxies, introduced
from ehlo.flows._serve import Server
from ehlo.flows.actions import Flow
from ehlo.flows.facts import Observe
from ehlo.flows.handler import Hooks
from ehlo.server import ServerConnection

if TYPE_CHECKING:
    from ehlo.flows._fixups import Fixups


def serve(  # noqa: PLR0913 (each is a choice of its own)
    conn: ServerConnection,
    hooks: Hooks,
    *,
    peer: str | None = None,
    implicit_tls: bool = False,
    proxied_from: TrustedProxies | None = None,
    warn: Callable[[str], None] = lambda _: None,
    fixups: Fixups | None = None,
    crowd: Crowd | None = None,
    observe: Observe | None = None,
) -> Flow[None]:
    """Serve one connection to its end. Never raises for what the peer or the handler does.

    `peer` is the transport's address as text. With `proxied_from` the connection must come from one of
    these and begin with a PROXY header, whose source is the peer from then on; `warn` is told when it
    does not. With `fixups` the hooks get messages as that policy mends them, and what it refuses they do
    not get. With `crowd` there are only so many connections at once: behind a proxy those count that it
    has spoken for. `observe` is told what happens (`ehlo.flows.facts`).
    """
    server = Server(conn, hooks, peer, fixups)
    place = partial(_placed, conn, server, crowd, observe, warn, implicit_tls=implicit_tls)
    if proxied_from is not None:
        return _behind(conn, server, peer, proxied_from, warn, place, implicit_tls=implicit_tls)
    return place(peer, server.run(implicit_tls=implicit_tls))


def _behind(
    conn: ServerConnection,
    server: Server,
    peer: str | None,
    trusted: TrustedProxies,
    warn: Callable[[str], None],
    place: Callable[[str | None, Flow[None]], Flow[None]],
    *,
    implicit_tls: bool,
) -> Flow[None]:
    """The session, once the proxy has said whom it speaks for."""
    peer, proxy, received = yield from introduced(conn, peer, trusted, warn, implicit_tls=implicit_tls)
    server.introduce(peer, proxy)
    yield from place(peer, server.run_on(received, implicit_tls=implicit_tls))


def _placed(
    conn: ServerConnection,
    server: Server,
    crowd: Crowd | None,
    observe: Observe | None,
    warn: Callable[[str], None],
    peer: str | None,
    flow: Flow[None],
    *,
    implicit_tls: bool,
) -> Flow[None]:
    """The flow of a session that is counted and watched, unless it is over before it began."""
    watch = server.watched(observe)
    if conn.state is State.CLOSED:
        watch.refused(None)
        return flow
    flow = watch.over(flow)
    return flow if crowd is None else counted(crowd, conn, peer, flow, warn, watch, implicit_tls=implicit_tls)
