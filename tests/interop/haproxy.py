"""HAProxy in front of a server: it tells whom it speaks for by the PROXY protocol."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.interop.processes import (
    clean_environment,
    find_program,
    free_port,
    running,
    tail,
    wait_until_listening,
)

CONFIGURATION = """\
global
    maxconn 50
defaults
    mode tcp
    timeout connect 10s
    timeout client 20s
    timeout server 20s
    timeout check 5s
    unique-id-format mark-%ci
listen front
    bind 127.0.0.1:{port}
    {check}
    server ehlo {target} {options}
"""


@contextmanager
def in_front_of(top: Path, target: str, options: str, check: str = "") -> Iterator[int]:
    """The port that HAProxy listens on, in front of a `target` such as 127.0.0.1:587 or unix@/run/mail.

    `options` are those of its `server` line, such as send-proxy; `check` says how it looks for the server.
    """
    port = free_port()
    values = {"port": port, "target": target, "options": options, "check": check}
    (top / "haproxy.cfg").write_text(CONFIGURATION.format(**values))
    log = top / "haproxy.log"
    argv = [find_program("haproxy") or "haproxy", "-db", "-f", str(top / "haproxy.cfg")]
    with running(argv, log, clean_environment()) as process:
        try:
            wait_until_listening(port, process)
        except (RuntimeError, TimeoutError) as error:
            raise RuntimeError(f"haproxy does not serve: {error}\n{tail(log)}") from error
        yield port
