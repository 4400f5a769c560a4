"""Between two messages: has the server left?"""

from __future__ import annotations

from ehlo._errors import RemoteProtocolError
from ehlo.client import ClientConnection
from ehlo.flows.actions import Close, Flow, Poll


def still_open(conn: ClientConnection) -> Flow[bool]:
    """Whether the session can take another message, as far as octets that have come tell; none is sent.

    421, the end of the stream, and whatever else comes unasked end the session [RFC5321-3.8d].
    """
    try:
        while conn.is_ready and (data := (yield Poll())) is not None:
            conn.receive_data(data)
            conn.next_event()
    except (OSError, RemoteProtocolError):
        conn.close()
    if not conn.is_ready:
        yield Close()
    return conn.is_ready
