"""Processes of a benchmark: started on a core, measured from outside, ended by their own id."""

from __future__ import annotations

import json
import resource
import select
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Final

from benchmarks.machine import pinned

ROOT: Final = Path(__file__).parent.parent
HOST: Final = "127.0.0.1"
_PATIENCE: Final = 20.0
"""Seconds that a process gets to start."""
_RUN_LIMIT: Final = 30.0
"""Seconds that one run may take."""


class RunFailed(Exception):
    """A process did not do what it was started for."""


class Child:
    """One process."""

    def __init__(self, popen: subprocess.Popen[str], name: str) -> None:
        self.popen = popen
        self.name = name
        self.port = 0

    @property
    def pid(self) -> int:
        return self.popen.pid

    def cpu(self) -> float:
        """Seconds of CPU of all its threads so far, those that ended included."""
        # The clock of another process: clock_getcpuclockid(3) computes the same number.
        return time.clock_gettime((~self.pid << 3) | 2)

    def memory(self, field: str = "VmRSS") -> int:
        """Octets: VmRSS is what is there now, VmHWM the peak."""
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith(field + ":"):
                return int(line.split()[1]) * 1024
        raise RunFailed(f"{self.name} has no {field}: it ended")

    def reset_peak(self) -> None:
        Path(f"/proc/{self.pid}/clear_refs").write_text("5")

    def read_line(self, patience: float = _PATIENCE) -> str:
        """The next line of output. A process that says nothing in time is ended."""
        assert self.popen.stdout is not None
        if not select.select([self.popen.stdout], [], [], patience)[0]:
            self.stop()
            raise RunFailed(f"{self.name} did not answer in {patience:.0f} s")
        line = self.popen.stdout.readline()
        if not line:
            raise RunFailed(f"{self.name} ended (status {self.popen.wait(_PATIENCE)})")
        return line

    def ask(self, job: Mapping[str, object]) -> dict[str, Any]:
        """Give a worker one job and wait for its answer."""
        assert self.popen.stdin is not None
        if self.popen.poll() is not None:
            raise RunFailed(f"{self.name} has ended")
        self.popen.stdin.write(json.dumps(job) + "\n")
        self.popen.stdin.flush()
        answer: dict[str, Any] = json.loads(self.read_line(_RUN_LIMIT))
        if "error" in answer:
            raise RunFailed(f"{self.name}: {answer['error']}")
        return answer

    def stop(self) -> None:
        for pipe in (self.popen.stdin, self.popen.stdout):
            if pipe is not None:
                with suppress(OSError):
                    pipe.close()
        if self.popen.poll() is None:
            self.popen.terminate()
        try:
            self.popen.wait(3)
        except subprocess.TimeoutExpired:
            self.popen.kill()
            self.popen.wait()


class Processes:
    """All processes of one benchmark; leaving the `with` block ends them."""

    def __init__(self) -> None:
        self._children: list[Child] = []

    def __enter__(self) -> Processes:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for child in reversed(self._children):
            child.stop()

    def end(self, child: Child) -> None:
        self._children.remove(child)
        child.stop()

    def start(self, name: str, argv: Sequence[str], core: int) -> Child:
        # A child runs on the cores of its parent.
        with pinned(core):
            popen = subprocess.Popen(  # noqa: S603 (arguments of our own)
                argv,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                cwd=ROOT,
            )
        child = Child(popen, name)
        self._children.append(child)
        return child

    def python(self, name: str, module: str, arguments: Sequence[str], core: int) -> Child:
        return self.start(name, [sys.executable, "-m", module, *arguments], core)

    def server(self, name: str, argv: Sequence[str], core: int) -> Child:
        """A server of ours: it says its port on the first line of its output."""
        child = self.start(name, argv, core)
        word, _, port = child.read_line().partition(" ")
        if word != "port":
            raise RunFailed(f"{name} did not say its port")
        child.port = int(port)
        return child

    def foreign_server(self, name: str, argv: Sequence[str], port: int, core: int) -> Child:
        """A server that says nothing: it is ready when it takes connections."""
        child = self.start(name, argv, core)
        child.port = port
        end = time.monotonic() + _PATIENCE
        while time.monotonic() < end and child.popen.poll() is None:
            with suppress(OSError), socket.create_connection((HOST, port), 1.0) as sock:
                sock.recv(512)
                return child
            time.sleep(0.05)
        raise RunFailed(f"{name} does not answer")


def free_port() -> int:
    with socket.create_server((HOST, 0)) as sock:
        port: int = sock.getsockname()[1]
        return port


class Finished:
    """A program that ran to its end: how long, and with how much CPU."""

    def __init__(self, seconds: float, cpu: float) -> None:
        self.seconds = seconds
        self.cpu = cpu


def run(argv: Sequence[str], core: int) -> Finished:
    """Raises RunFailed when the program fails or does not end in time."""
    before, start = _children_cpu(), time.perf_counter()
    with pinned(core):
        popen = subprocess.Popen(  # noqa: S603 (arguments of our own)
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
    try:
        _, errors = popen.communicate(timeout=_RUN_LIMIT)
    except subprocess.TimeoutExpired as error:
        popen.kill()
        popen.communicate()
        raise RunFailed(f"{argv[0]} did not end in {_RUN_LIMIT:.0f} s") from error
    except BaseException:
        popen.kill()
        popen.wait()
        raise
    seconds = time.perf_counter() - start
    if popen.returncode != 0:
        raise RunFailed(f"{Path(argv[0]).name}: {errors.strip()[-300:]}")
    return Finished(seconds, _children_cpu() - before)


def _children_cpu() -> float:
    """Of the children that were waited for: nothing else ends while a program runs."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
