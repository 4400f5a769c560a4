"""The steps that all client flows share: send and wait for an event, tell a lost session."""

from __future__ import annotations

from ehlo._errors import ConnectionFailed, ProtocolError, ServiceRefused, SessionError
from ehlo._events import ClientEvent, ConnectionClosed, Disconnecting, Pause
from ehlo.client import ClientConnection
from ehlo.flows.actions import Close, Exchange, Flow, Receive, T
from ehlo.wire.reply import Reply


def turn(conn: ClientConnection) -> Exchange | Receive:
    """Send what is queued, wait for what comes."""
    data = conn.data_to_send()
    if not data:
        return Receive(conn.deadline)
    # While several commands are in flight their replies must be read, or both sides block.
    return Exchange(data, conn.deadline, conn.in_flight > 1)


def expected(found: ClientEvent) -> ClientEvent:
    """The event, unless the server goes away: then ConnectionFailed is raised."""
    if isinstance(found, Disconnecting):
        raise ConnectionFailed(f"the server ended the session: {found.reply}", reply=found.reply)
    if isinstance(found, ConnectionClosed):
        raise ConnectionFailed("the server closed the connection")
    return found


def event(conn: ClientConnection) -> Flow[ClientEvent]:
    """The next event, after what is queued was sent. Raises ConnectionFailed."""
    while isinstance(found := conn.next_event(), Pause):
        conn.receive_data((yield turn(conn)))
    return expected(found)


def guarded(conn: ClientConnection, flow: Flow[T]) -> Flow[T]:
    """Run a flow; whatever goes wrong on the wire closes the connection and has one shape.
    So does its end before its time."""
    failure: ProtocolError | ConnectionFailed
    try:
        return (yield from flow)
    except GeneratorExit:
        # Given up in the middle: the next message would take the replies to this one for its own.
        conn.close()
        raise
    except TimeoutError as error:
        deadline = conn.deadline
        waited = f" for the {deadline.wait.value}" if deadline is not None else ""
        failure = _because(error, f"out of time waiting{waited}")
    except OSError as error:
        failure = _because(error, f"the connection broke: {error}")
    except (ProtocolError, ConnectionFailed) as error:
        # After a LocalProtocolError, too: half of what was to be said may have been.
        failure = error
    failure.in_doubt = conn.in_doubt
    # Nothing more may be said on it, by a caller that tries its next message, either.
    conn.close()
    yield Close()
    raise failure


def _because(error: OSError, message: str) -> ConnectionFailed:
    failure = ConnectionFailed(message)
    failure.__cause__ = error
    return failure


def refused(what: str, found: object) -> SessionError:
    reply: Reply | None = getattr(found, "reply", None)
    return ServiceRefused(f"the server refused the {what}: {reply}", reply=reply)
