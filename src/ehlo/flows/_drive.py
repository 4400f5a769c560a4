"""The steps that all client flows share: flush, wait for an event, tell a lost session."""

from __future__ import annotations

from ehlo._errors import ConnectionFailed, ProtocolError
from ehlo._events import ClientEvent, ConnectionClosed, Disconnecting, Pause
from ehlo.client import ClientConnection
from ehlo.flows.actions import Close, Flow, Receive, Send, T


def flush(conn: ClientConnection) -> Flow[None]:
    """Send what is queued."""
    data = conn.data_to_send()
    if data:
        yield _send(conn, data)


def _send(conn: ClientConnection, data: bytes) -> Send:
    # While several commands are in flight their replies must be read, or both sides block.
    return Send(data, conn.deadline, and_receive=conn.in_flight > 1)


def event(conn: ClientConnection) -> Flow[ClientEvent]:
    """The next event. Raises ConnectionFailed when the server goes away instead."""
    # Not `yield from flush`: a generator for each reply, which mostly has nothing to send.
    data = conn.data_to_send()
    if data:
        yield _send(conn, data)
    while isinstance(found := conn.next_event(), Pause):
        conn.receive_data((yield Receive(conn.deadline)))
    if isinstance(found, Disconnecting):
        raise ConnectionFailed(f"the server ended the session: {found.reply}", reply=found.reply)
    if isinstance(found, ConnectionClosed):
        raise ConnectionFailed("the server closed the connection")
    return found


def guarded(conn: ClientConnection, flow: Flow[T]) -> Flow[T]:
    """Run a flow; whatever goes wrong on the wire closes the connection and has one shape."""
    try:
        return (yield from flow)
    except TimeoutError as error:
        deadline = conn.deadline
        waited = f" for the {deadline.wait.value}" if deadline is not None else ""
        yield Close()
        raise ConnectionFailed(f"out of time waiting{waited}") from error
    except OSError as error:
        yield Close()
        raise ConnectionFailed(f"the connection broke: {error}") from error
    except (ProtocolError, ConnectionFailed):
        # After a LocalProtocolError, too: half of what was to be said may have been.
        yield Close()
        raise
