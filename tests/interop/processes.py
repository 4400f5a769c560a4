"""Programs that a test starts: found, started in a process group of their own, ended by that group's id."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).parents[2]
SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
PATIENCE = 20.0
"""Seconds until a test gives up on another program."""


def find_program(name: str) -> str | None:
    """Where a program is, also when the caller's PATH lacks the sbin directories."""
    return shutil.which(name, path=os.environ.get("PATH", "") + os.pathsep + SYSTEM_PATH)


def clean_environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """An environment without proxies, passwords and personal settings."""
    path = os.environ.get("PATH", "") + os.pathsep + SYSTEM_PATH
    return {"PATH": path, "HOME": os.devnull, "LC_ALL": "C", **(extra or {})}


def python_environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """The clean environment, in which Python finds the project."""
    places = os.pathsep.join(str(ROOT / name) for name in ("src", "bindings"))
    return clean_environment({"PYTHONPATH": places, "PYTHONUNBUFFERED": "1", **(extra or {})})


def free_port() -> int:
    """A loopback port that nothing listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def command(argv: Sequence[str], given: bytes = b"", env: Mapping[str, str] | None = None) -> bytes:
    """Run a program to its end and return what it printed; a failure is an error that shows it."""
    done = subprocess.run(
        [find_program(argv[0]) or argv[0], *argv[1:]],
        input=given,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=env or clean_environment(),
        timeout=PATIENCE,
        check=False,
    )
    if done.returncode != 0:
        printed = done.stdout.decode("utf-8", "replace")
        raise RuntimeError(f"{argv[0]} ended with status {done.returncode}: {printed}")
    return done.stdout


def tail(path: Path, characters: int = 3000) -> str:
    """The end of a log, for the message of an error."""
    text = path.read_text("utf-8", "replace") if path.exists() else "(no log)"
    return f"--- {path.name} ---\n{text[-characters:]}"


@contextlib.contextmanager
def running(argv: Sequence[str], log: Path, env: Mapping[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program whose output goes to a log, and end its process group afterwards."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=env,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        end_group(process)


def end_group(process: subprocess.Popen[bytes]) -> None:
    """End a process and what it started, politely first; its own process group only."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        # The group outlives its leader while a child is left.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(PATIENCE / 2)


def wait_until_listening(port: int, process: subprocess.Popen[bytes]) -> None:
    """Return when the port accepts connections; an error when the process ends or takes too long."""
    for _ in attempts(process):
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", port), PATIENCE).close()
            return


def wait_until_read(port: int, process: subprocess.Popen[bytes]) -> None:
    """Return when a server has taken all that its clients sent out of the kernel's buffers."""
    table = Path("/proc/net/tcp")
    if not table.exists():
        return
    for _ in attempts(process):
        rows = [line.split() for line in table.read_text("ascii").splitlines()[1:]]
        # Columns: local address, remote address, state, queues (sent:received); 01 is "established".
        ours = [row[4] for row in rows if row[1].endswith(f":{port:04X}") and row[3] == "01"]
        if all(queues.endswith(":00000000") for queues in ours):
            return


def attempts(process: subprocess.Popen[bytes], pause: float = 0.02) -> Iterator[int]:
    """Count attempts while a process lives; its end or PATIENCE running out is an error."""
    end = time.monotonic() + PATIENCE
    count = 0
    while time.monotonic() < end:
        yield (count := count + 1)
        # Waiting for the end of the process is the pause between two attempts.
        with contextlib.suppress(subprocess.TimeoutExpired):
            raise RuntimeError(f"the program ended with status {process.wait(pause)}")
    raise TimeoutError(f"no result after {PATIENCE} seconds and {count} attempts")
