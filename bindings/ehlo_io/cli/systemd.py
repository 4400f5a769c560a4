"""What systemd hears from a service, sd_notify(3), and what it passes to it, sd_listen_fds(3). Without its
variables in the environment nobody is told, and nothing is passed."""

from __future__ import annotations

import os
import socket
import time
from typing import Final

from ehlo_io._common import LOGGER, printable
from ehlo_io._listening import listens
from ehlo_io.cli.common import reason
from ehlo_io.cli.exits import Failure


def ready() -> None:
    _tell("READY=1")


def reloading() -> None:
    """`ready` ends it."""
    # Type=notify-reload compares it with the time of its own signal.
    _tell("RELOADING=1", f"MONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}")


def stopping() -> None:
    _tell("STOPPING=1")


def _tell(*state: str) -> None:
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    if address.startswith("@"):
        # Linux's abstract names.
        address = f"\0{address[1:]}"
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            # The server goes on whether it is heard or not.
            sock.setblocking(False)
            sock.connect(address)
            sock.send("\n".join(state).encode())
    except OSError as error:
        LOGGER.warning("systemd could not be told %s: %s", state[0], reason(error))


# ---- sockets: sd_listen_fds(3) ----

_FIRST: Final = 3
"""The descriptors that are passed begin with this one."""


def given_socket() -> socket.socket | None:
    """The socket that systemd listens on for this process; None where it passes none.

    Its variables are gone from the environment then. Raises Failure for several sockets, and for one
    that is no listening stream socket.
    """
    pid, count, _ = (os.environ.pop(name, "") for name in ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"))
    if pid != str(os.getpid()) or count in ("", "0"):
        # They may have been meant for a process that started this one.
        return None
    if count != "1":
        raise Failure(f"LISTEN_FDS is {printable(count)}: one socket can be served")
    try:
        os.set_inheritable(_FIRST, False)
        sock = socket.socket(fileno=_FIRST)
    except OSError as error:
        raise Failure(f"what systemd passes is no socket: {reason(error)}") from None
    if not listens(sock):
        sock.close()
        raise Failure("what systemd passes is no stream socket that listens")
    return sock
