"""Clients on trio."""

from __future__ import annotations

from typing import Unpack

import trio

from ehlo import flows
from ehlo_io._async_face import Client, Connecting, no_connection
from ehlo_io._client import ClientSetup, ConnectOptions
from ehlo_io._trio_pump import TrioPump, bare

__all__ = ["Client", "connect"]


async def _open(setup: ClientSetup) -> Client:
    conn = setup.connection()
    try:
        with trio.fail_after(setup.connect_timeout):
            stream = await trio.open_tcp_stream(setup.host, setup.port)
    except (OSError, trio.TooSlowError) as error:
        raise no_connection(setup, error) from error
    sock = bare(stream)
    pump = TrioPump(sock, setup.channel)
    local_address = str(sock.getsockname()[0])
    opened = await pump.run(flows.open_session(conn, setup.session_options(local_address)))
    return Client(setup, conn, opened, pump)


def connect(host: str, port: int = flows.SUBMISSION_PORT, **options: Unpack[ConnectOptions]) -> Connecting:
    """Open a session that is ready for messages; see `ConnectOptions`. Await it or enter it.

    Raises LocalProtocolError for a wrong argument; when awaited SessionError or
    RemoteProtocolError.
    """
    return Connecting(_open, ClientSetup.of(host, port, options))
