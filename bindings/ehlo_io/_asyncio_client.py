"""Clients on asyncio."""

from __future__ import annotations

import asyncio
from os import PathLike
from typing import Any, Final, Unpack

from ehlo import flows
from ehlo_io._async_face import Client, Connecting, Session, dialled
from ehlo_io._asyncio_link import AsyncioAlarm
from ehlo_io._asyncio_pump import AsyncioPump
from ehlo_io._client import ClientSetup, ConnectOptions, no_connection

__all__ = ["Client", "connect", "connect_unix"]

_HEAD_START: Final = 0.25
"""Seconds after which the next address of a host is tried, too."""


async def _open(setup: ClientSetup) -> Session:
    conn = setup.connection()
    loop = asyncio.get_running_loop()

    def make() -> AsyncioPump:
        return AsyncioPump(setup.channel, AsyncioAlarm(loop))

    try:
        async with asyncio.timeout(setup.connect_timeout):
            sock = await dialled(setup)
            if sock is not None:
                sock.setblocking(False)
                _, pump = await loop.create_connection(make, sock=sock)
            elif setup.path is not None:
                _, pump = await loop.create_unix_connection(make, setup.path)
            else:
                eager = _eager(loop, setup.host)
                _, pump = await loop.create_connection(make, setup.host, setup.port, **eager)
    except OSError as error:
        raise no_connection(setup, error) from error
    opened = await pump.run(flows.open_session(conn, setup.session_options(pump.local_address)))
    return conn, opened, pump


def _eager(loop: asyncio.AbstractEventLoop, host: str) -> dict[str, Any]:
    """Try several addresses of a name side by side, for one of them may not answer (RFC 8305)."""
    # An address ends in a digit or has colons, a name does neither. uvloop's has no such argument.
    named = not (host[-1:].isdigit() or ":" in host)
    racing = named and isinstance(loop, asyncio.BaseEventLoop)
    return {"happy_eyeballs_delay": _HEAD_START} if racing else {}


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
