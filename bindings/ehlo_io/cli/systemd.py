"""What systemd hears from a service: sd_notify(3). Without NOTIFY_SOCKET nobody is told."""

from __future__ import annotations

import os
import socket
import time

from ehlo_io._common import LOGGER
from ehlo_io.cli.common import reason


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
