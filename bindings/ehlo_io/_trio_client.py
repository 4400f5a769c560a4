"""Clients on trio."""

from __future__ import annotations

from os import PathLike
from typing import Unpack

import trio

from ehlo import flows
from ehlo_io._async_face import Client, Connecting, Session, dialled
from ehlo_io._client import ClientSetup, ConnectOptions, no_connection
from ehlo_io._common import local_address_of
from ehlo_io._trio_pump import TrioPump, bare

__all__ = ["Client", "connect", "connect_unix"]


async def _open(setup: ClientSetup) -> Session:
    conn = setup.connection()
    try:
        with trio.fail_after(setup.connect_timeout):
            sock = await dialled(setup)
            if sock is not None:
                sock.setblocking(False)
            elif setup.path is not None:
                sock = bare(await trio.open_unix_socket(setup.path))
            else:
                sock = bare(await trio.open_tcp_stream(setup.host, setup.port))
    except (OSError, trio.TooSlowError) as error:
        raise no_connection(setup, error) from error
    pump = TrioPump(sock, setup.channel)
    local_address = local_address_of(sock.getsockname())
    opened = await pump.run(flows.open_session(conn, setup.session_options(local_address)))
    return conn, opened, pump


def connect(host: str, port: int = flows.SUBMISSION_PORT, **options: Unpack[ConnectOptions]) -> Connecting:
    """Open a session that is ready for messages; see `ConnectOptions`. Await it or enter it.

    Raises LocalProtocolError for a wrong argument; when awaited SessionError or
    RemoteProtocolError.
    """
    return Connecting(_open, ClientSetup.of(host, port, options))


def connect_unix(path: str | PathLike[str], **options: Unpack[ConnectOptions]) -> Connecting:
    """`connect` through a UNIX socket, by default without TLS.

    Raises LocalProtocolError for a wrong argument; when awaited SessionError or
    RemoteProtocolError.
    """
    return Connecting(_open, ClientSetup.of_path(path, options))
