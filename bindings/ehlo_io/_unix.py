"""The UNIX socket of a server: its file is made, and goes with it."""

from __future__ import annotations

import os
import socket
import stat
from contextlib import suppress

import ehlo

BACKLOG = 1024
"""Connections that wait for being accepted, on sockets of any kind."""
OWNER_ONLY = stat.S_IRUSR | stat.S_IWUSR
_PERMISSIONS = stat.S_IRWXU | stat.S_IRWXG | stat.S_IRWXO


def checked_path(path: str | os.PathLike[str]) -> str:
    """Raises LocalProtocolError for what no socket can have: neither is Linux's abstract namespace meant."""
    text = os.fspath(path)
    if not text or "\0" in text:
        raise ehlo.LocalProtocolError("the path of a UNIX socket is empty, or has a NUL in it")
    return text


class UnixSocket:
    """Where a server listens, with the permissions of its file."""

    def __init__(self, path: str | os.PathLike[str], mode: int) -> None:
        """Raises LocalProtocolError."""
        self.path = checked_path(path)
        if mode & ~_PERMISSIONS:
            raise ehlo.LocalProtocolError("the mode of a UNIX socket is three octal digits")
        self._mode = mode
        self._file: tuple[int, int] | None = None

    def listen(self) -> socket.socket:
        """Raises OSError, also where another server listens or another file is."""
        if _is_left_over(self.path):
            os.unlink(self.path)
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            sock.bind(self.path)
            # Nobody can connect before `listen`: there is no moment when more than `mode` says may.
            os.chmod(self.path, self._mode)
            self._file = _identity(self.path)
            sock.listen(BACKLOG)
        except BaseException:
            sock.close()
            self.remove()
            raise
        return sock

    def remove(self) -> None:
        """Remove the file while the socket still listens: a successor that finds it makes another one,
        and that is not removed."""
        with suppress(OSError):
            if self._file is not None and _identity(self.path) == self._file:
                os.unlink(self.path)
        self._file = None


def _identity(path: str) -> tuple[int, int]:
    found = os.lstat(path)
    return found.st_dev, found.st_ino


def _is_left_over(path: str) -> bool:
    """Whether a socket is there, and nobody listens on it. Where that cannot be told, somebody does."""
    try:
        if not stat.S_ISSOCK(os.lstat(path).st_mode):
            return False
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            probe.setblocking(False)
            probe.connect(path)
    except ConnectionRefusedError:
        return True
    except OSError:
        return False
    return False
