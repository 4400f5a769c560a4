"""How many connections a server holds: who is counted, who is turned away, and with which words."""

from __future__ import annotations

import pytest
from tests.helpers.driver import server_config

from ehlo import LocalProtocolError, Reply, ServerConnection, Session, State
from ehlo.flows import (
    Ask,
    Close,
    Crowd,
    Exchange,
    Flow,
    Receive,
    Send,
    Shutdown,
    StartTLS,
    TrustedProxies,
    hooks_of,
    serve,
)

ALICE, BOB, PROXY = "192.0.2.7", "2001:db8::7", "192.0.2.1"
FULL = Reply(421, "Too many connections, try again later", "4.3.2")
TOO_MANY = Reply(421, "Too many connections from your address", "4.7.0")


def test_of_one_address() -> None:
    crowd = Crowd(per_peer=2)
    assert [crowd.enter(peer) for peer in (ALICE, ALICE, BOB)] == [None] * 3
    assert crowd.enter(ALICE) == TOO_MANY
    crowd.leave(ALICE)
    assert [crowd.enter(ALICE), crowd.enter(ALICE)] == [None, TOO_MANY]


def test_in_all() -> None:
    crowd = Crowd(connections=2)
    assert [crowd.enter(ALICE), crowd.enter(None), crowd.enter(BOB)] == [None, None, FULL]
    crowd.leave(None)
    assert [crowd.enter("unix"), crowd.enter("unix")] == [None, FULL]


def test_who_is_turned_away_is_not_counted() -> None:
    crowd = Crowd(connections=2, per_peer=1)
    assert [crowd.enter(ALICE) for _ in range(3)] == [None, TOO_MANY, TOO_MANY]
    assert [crowd.enter(BOB), crowd.enter(BOB)] == [None, FULL]
    crowd.leave(ALICE)
    assert [crowd.enter(ALICE), crowd.enter(ALICE)] == [None, FULL]


@pytest.mark.parametrize("peer", ["unix", None])
def test_no_address_is_no_peer(peer: str | None) -> None:
    crowd = Crowd(per_peer=1)
    assert [crowd.enter(peer) for _ in range(3)] == [None] * 3
    crowd.leave(peer)
    assert [crowd.enter(ALICE), crowd.enter(ALICE)] == [None, TOO_MANY]


@pytest.mark.parametrize(("connections", "per_peer"), [(0, None), (None, 0), (1, -1)])
def test_a_bound_below_one(connections: int | None, per_peer: int | None) -> None:
    with pytest.raises(LocalProtocolError, match="no connection"):
        Crowd(connections=connections, per_peer=per_peer)


# ---- in the flow ----


class Door:
    def __init__(self) -> None:
        self.peers: list[str | None] = []
        self.warnings: list[str] = []

    def on_connect(self, session: Session) -> None:
        self.peers.append(session.peer)

    def flow(self, crowd: Crowd, *, tls: bool = False, proxied: bool = False) -> Flow[None]:
        self.conn = ServerConnection(server_config())
        return serve(
            self.conn,
            hooks_of(self),
            peer=PROXY if proxied else ALICE,
            implicit_tls=tls,
            proxied_from=TrustedProxies.of([PROXY]) if proxied else None,
            warn=self.warnings.append,
            crowd=crowd,
        )


def greeted(flow: Flow[None], first: object = None) -> None:
    """Up to the wait for the first command."""
    action = flow.send(first)
    while not isinstance(action, Exchange):
        action = flow.send(action.question() if isinstance(action, Ask) else None)
    assert action.data.startswith(b"220 ")


@pytest.mark.parametrize("end", [b"", OSError("broken"), Shutdown(), None])
def test_a_place_is_free_again_however_the_session_ends(end: bytes | Exception | None) -> None:
    crowd, door = Crowd(connections=1), Door()
    first = door.flow(crowd)
    greeted(first)
    assert crowd.enter(BOB) == FULL
    if end is None:
        first.close()
    else:
        action = first.send(end) if isinstance(end, bytes) else first.throw(end)
        assert isinstance(action, (Send, Close))
        assert crowd.enter(BOB) == FULL
        assert all(isinstance(left, Close) for left in first)
    assert crowd.enter(BOB) is None


def test_who_is_turned_away_hears_why() -> None:
    crowd, door = Crowd(per_peer=1), Door()
    crowd.enter(ALICE)
    flow = door.flow(crowd)
    action = next(flow)
    assert isinstance(action, Send)
    assert action.data == TOO_MANY.render()
    close = flow.throw(OSError("broken"))
    assert close == Close(0.0)
    with pytest.raises(StopIteration):
        flow.send(None)
    assert door.conn.state is State.CLOSED
    assert door.peers == []
    assert door.warnings == [
        f"a connection was closed: Too many connections from your address (session with {ALICE})"
    ]


def test_who_begins_with_tls_hears_nothing() -> None:
    crowd, door = Crowd(connections=1), Door()
    kept = door.flow(crowd, tls=True)
    assert isinstance(next(kept), StartTLS)
    assert next(door.flow(crowd, tls=True)) == Close(0.0)


def test_behind_a_proxy_its_client_counts() -> None:
    crowd, door = Crowd(per_peer=1), Door()
    kept = []
    for source in ("198.51.100.7", "198.51.100.8", "198.51.100.7"):
        flow = door.flow(crowd, proxied=True)
        kept.append(flow)
        assert isinstance(next(flow), Receive)
        header = f"PROXY TCP4 {source} 203.0.113.9 4711 587\r\n".encode()
        if len(kept) < 3:
            greeted(flow, header)
        else:
            action = flow.send(header)
            assert isinstance(action, Send)
            assert action.data == TOO_MANY.render()
    assert door.peers == ["198.51.100.7", "198.51.100.8"]
    # What has said nothing yet has no place, and loses none.
    assert isinstance(next(silent := door.flow(crowd, proxied=True)), Receive)
    assert silent.send(b"") == Close(0.0)
    kept[0].close()
    assert crowd.enter("198.51.100.7") is None
