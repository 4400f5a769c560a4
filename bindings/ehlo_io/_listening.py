"""Where a server listens, beside host and port: a file of its own, or a socket that the caller made."""

from __future__ import annotations

import socket
from typing import Protocol

import ehlo
from ehlo_io._unix import BACKLOG


class Listening(Protocol):
    """What a server listens on, and leaves."""

    @property
    def path(self) -> str | None:
        """Of a UNIX socket."""
        ...

    def listen(self) -> socket.socket:
        """Raises OSError."""
        ...

    def remove(self) -> None:
        """Of what was made, what others can see. The socket still listens."""
        ...


class GivenSocket:
    """A listening socket that the caller made; its server closes it.

    Others may listen on it, too, such as processes that were forked: it is closed but never shut down.
    """

    def __init__(self, sock: socket.socket) -> None:
        """Raises LocalProtocolError for what is no stream socket, TCP or UNIX, that listens."""
        self._sock = sock
        if not listens(sock):
            raise ehlo.LocalProtocolError("sock is a stream socket that listens")
        self.path = unix_name(sock)

    def listen(self) -> socket.socket:
        return self._sock

    def remove(self) -> None:
        """Nothing: whoever made it answers for its file."""


def listening(sock: socket.socket | None) -> GivenSocket | None:
    """`GivenSocket` where there is one."""
    return None if sock is None else GivenSocket(sock)


def tcp_socket(host: str, port: int) -> socket.socket:
    """Raises OSError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, port), family=family, backlog=BACKLOG)


def is_unix(sock: socket.socket) -> bool:
    return sock.family == getattr(socket, "AF_UNIX", None)


def unix_name(sock: socket.socket) -> str | None:
    """The path of a UNIX socket, with "@" before an abstract name of Linux; None for others."""
    if not is_unix(sock):
        return None
    name: str | bytes = sock.getsockname()
    text = name if isinstance(name, str) else name.decode("utf-8", "backslashreplace")
    return text.replace("\0", "@", 1)


def listens(sock: socket.socket) -> bool:
    """Whether it is a stream socket, TCP or UNIX, that listens."""
    known = sock.family in (socket.AF_INET, socket.AF_INET6) or is_unix(sock)
    try:
        return (
            known
            and sock.type == socket.SOCK_STREAM
            and bool(sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))
        )
    except OSError:
        # Closed already, or a system that cannot tell.
        return False
