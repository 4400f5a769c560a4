"""What `ehlo serve` listens on: host and port, a UNIX socket, or a socket that is there already."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import attrs

from ehlo_io._listening import tcp_socket, unix_name
from ehlo_io._server import ServeOptions
from ehlo_io._unix import UnixSocket

T = TypeVar("T")


def address_text(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


@attrs.frozen
class Place:
    """What to listen on."""

    host: str
    port: int
    path: Path | None
    mode: int
    sock: socket.socket | None = None
    """Listens there."""

    @classmethod
    def of(cls, sock: socket.socket) -> Place:
        """Where a socket listens."""
        path = unix_name(sock)
        if path is not None:
            return cls("", 0, Path(path), 0, sock)
        host, port = sock.getsockname()[:2]
        return cls(host, port, None, 0, sock)

    @property
    def public(self) -> bool:
        return self.path is None and not _is_loopback(self.host)

    def __str__(self) -> str:
        return address_text(self.host, self.port) if self.path is None else str(self.path)

    def server(
        self, tcp: Callable[..., T], unix: Callable[..., T], handler: object, options: ServeOptions
    ) -> T:
        """`serve` or `serve_unix` of a binding, called."""
        if self.sock is not None:
            return tcp(handler, sock=self.sock, **options)
        if self.path is None:
            return tcp(handler, self.host, self.port, **options)
        return unix(handler, self.path, mode=self.mode, **options)


class SharedPlace:
    """A place with a socket for several processes; the one that made it closes it."""

    def __init__(self, place: Place) -> None:
        """Raises OSError, or LocalProtocolError for a path or a mode that no socket can have."""
        self._unix = None
        sock = place.sock
        if sock is None and place.path is not None:
            self._unix = UnixSocket(place.path, place.mode)
            sock = self._unix.listen()
        elif sock is None:
            sock = tcp_socket(place.host, place.port)
        self._sock = sock
        self.place = Place.of(sock)

    def close(self) -> None:
        """Nobody can connect when the others have closed theirs, too."""
        if self._unix is not None:
            self._unix.remove()
        self._sock.close()
