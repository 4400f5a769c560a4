"""Whether `ehlo serve --relay` loses mail when it is killed: run it with the interpreter that has ehlo.

    python -m tests.crash.relay --messages 1000 --every 1.0 --workers 1

Senders submit numbered messages to the gateway, which is killed by SIGKILL again and again and started anew;
it hands on to a sink in this process that refuses some of them, for now or for good. In the end each
message that was accepted has to be in the sink, octet for octet, itself or in a report, and nothing may be
there twice but what was in flight when the gateway was killed. With several workers it is one of them that
is killed, or the process that looks after them, and then another number of them is started.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import os
import queue
import random
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import attrs
from tests.interop.processes import end_group, free_port, python_environment

import ehlo
from ehlo import dsn
from ehlo_io import blocking

SENDER, RECIPIENT = "alice@local.example", "bob@local.example"
SESSIONS = 4
PATIENCE = 60.0
_NUMBER = re.compile(rb"(?m)^X-Number: ([0-9]+)\r$")


def message(number: int) -> bytes:
    """The same for the same number, of a size of its own, with octets that show where they come from."""
    seed = hashlib.sha256(str(number).encode()).hexdigest()
    lines = (f"{seed} {line}\r\n..\r\n" for line in range(1 + number * 37 % (1500 if number % 23 else 500)))
    return f"Subject: crash test\r\nX-Number: {number}\r\n\r\n{''.join(lines)}.\r\n".encode()


def returned(report: bytes) -> bytes:
    """The message that comes back with a report."""
    found = dsn.parse(report).returned
    return b"" if found is None else found.content


class Sink:
    """Counts what arrives, whole or not: each message, or the report on one that is refused."""

    def __init__(self) -> None:
        self.arrived: dict[int, int] = {}
        self.damaged: list[int] = []
        self._put_off: set[int] = set()
        self._lock = threading.Lock()

    def on_message(self, session: ehlo.Session, envelope: ehlo.Envelope, content: bytes) -> ehlo.Reply | None:
        found = _NUMBER.search(content)
        number = int(found[1]) if found else -1
        report = envelope.reverse_path is None
        if number % 23 == 0 and not report:
            return ehlo.Reply(550, "Never", "5.7.1")
        with self._lock:
            if number % 17 == 0 and number not in self._put_off:
                self._put_off.add(number)
                return ehlo.Reply(451, "Not now", "4.2.0")
            # A gateway may add lines of a header on top.
            whole = returned(content) if report else content
            if found is None or not whole.endswith(message(number)):
                self.damaged.append(number)
            self.arrived[number] = self.arrived.get(number, 0) + 1
        return None


@attrs.define
class Gateway:
    """`ehlo serve --relay`, as often as it takes."""

    port: int
    spool: Path
    hop: int
    log: Path
    workers: int = 1
    """How many processes serve, more or less."""
    kills: int = 0
    in_flight: int = 0
    """How many messages could be under way at the kills, at most."""
    _running: int = 0
    _process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        argv = [sys.executable, "-m", "ehlo_io", "serve", "--port", str(self.port), "--no-require-auth"]
        # Header fields that come between would look like damage.
        argv += ["--no-fixups"]
        argv += ["--relay", f"submission://127.0.0.1:{self.hop}", "--relay-tls", "none"]
        argv += ["--spool", str(self.spool), "--relay-retry", "1s", "--relay-sessions", str(SESSIONS)]
        # Other spools than the last time.
        self._running = random.choice((1, self.workers, self.workers + 1)) if self.workers > 1 else 1  # noqa: S311
        argv += ["--workers", str(self._running)]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                argv, stdout=subprocess.PIPE, stderr=log, env=python_environment(), start_new_session=True
            )
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line.startswith(b"listening on "), self.log.read_text()

    def kill_one(self) -> None:
        """A worker, or all of it, which then is started anew."""
        if self._running > 1 and random.random() < 0.6:  # noqa: S311
            self._kill_worker()
        else:
            self.kill()
            self.start()

    def _kill_worker(self) -> None:
        assert self._process is not None
        process = self._process.pid
        workers = Path(f"/proc/{process}/task/{process}/children").read_text().split()
        # One that was killed just now may be missing.
        if workers:
            os.kill(int(random.choice(workers)), signal.SIGKILL)  # noqa: S311
            self.kills += 1
            self.in_flight += SESSIONS

    def kill(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()
        self._close()
        self.kills += 1
        self.in_flight += SESSIONS * self._running
        # Its workers end by themselves, and the port is free then.
        end = time.monotonic() + PATIENCE
        while _listens(self.port):
            assert time.monotonic() < end, "a worker outlives its parent"
            time.sleep(0.005)

    def end(self) -> None:
        if self._process is not None:
            end_group(self._process)
            self._close()

    def _close(self) -> None:
        if self._process is not None and self._process.stdout is not None:
            self._process.stdout.close()
        self._process = None


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), PATIENCE).close()
    except ConnectionError:
        return False
    return True


@attrs.frozen(kw_only=True)
class Plan:
    messages: int
    """How many are to be accepted."""
    every: float
    """Seconds that the gateway lives, on the average."""
    pause: float
    """Seconds for which each sender rests after a message."""
    workers: int = 1


def send_all(port: int, numbers: queue.SimpleQueue[int], accepted: list[int], plan: Plan) -> None:
    """Until enough are accepted; what was not is forgotten, and another number takes its place."""
    wanted = plan.messages
    while len(accepted) < wanted:
        with (
            contextlib.suppress(ehlo.Error, OSError),
            blocking.connect("127.0.0.1", port, tls="none", client_name="client.example") as client,
        ):
            while len(accepted) < wanted:
                number = numbers.get()
                client.submit(message(number), sender=SENDER, recipients=[RECIPIENT], ret="full")
                accepted.append(number)
                time.sleep(plan.pause)
        time.sleep(0.02)


@attrs.frozen
class Report:
    accepted: int
    kills: int
    lost: tuple[int, ...]
    damaged: tuple[int, ...]
    twice: int
    """How many arrivals were too many."""
    in_flight: int

    def check(self) -> None:
        assert not self.lost, f"lost: {self.lost}"
        assert not self.damaged, f"damaged: {self.damaged}"
        assert self.twice <= self.in_flight, f"{self.twice} came twice, {self.kills} kills"


@contextlib.contextmanager
def _senders(port: int, accepted: list[int], plan: Plan) -> Iterator[list[threading.Thread]]:
    numbers: queue.SimpleQueue[int] = queue.SimpleQueue()
    for number in range(20 * plan.messages):
        numbers.put(number)
    threads = [
        threading.Thread(target=send_all, args=(port, numbers, accepted, plan), daemon=True) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    yield threads
    for thread in threads:
        thread.join(PATIENCE)


def run(plan: Plan) -> Report:
    """Kill the gateway again and again until enough messages are accepted."""
    sink = Sink()
    accepted: list[int] = []
    policy = attrs.evolve(ehlo.OXSMTP_2008, require_auth=False)
    with (
        tempfile.TemporaryDirectory() as top,
        blocking.serve(sink, "127.0.0.1", 0, policy=policy, hostname="sink.example") as hop,
    ):
        gateway = Gateway(free_port(), Path(top) / "spool", hop.address[1], Path(top) / "log", plan.workers)
        try:
            gateway.start()
            with _senders(gateway.port, accepted, plan) as threads:
                while any(thread.is_alive() for thread in threads):
                    # At any moment, and not always at the same one.
                    time.sleep(plan.every * random.uniform(0.5, 1.5))  # noqa: S311
                    gateway.kill_one()
            end = time.monotonic() + PATIENCE
            while (lost := set(accepted) - set(sink.arrived)) and time.monotonic() < end:
                time.sleep(0.05)
            # Who was accepted twice would come twice now.
            time.sleep(1.5)
        finally:
            gateway.end()
        assert "Traceback" not in gateway.log.read_text(), gateway.log.read_text()
    twice = sum(count - 1 for count in sink.arrived.values())
    return Report(
        len(accepted), gateway.kills, tuple(sorted(lost)), tuple(sink.damaged), twice, gateway.in_flight
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--messages", type=int, default=1000)
    parser.add_argument("--every", type=float, default=1.0, help="seconds from a start to the next kill")
    parser.add_argument("--pause", type=float, default=0.05, help="seconds between two messages of a sender")
    parser.add_argument("--workers", type=int, default=1, help="processes that serve, more or less")
    given = parser.parse_args()
    report = run(Plan(messages=given.messages, every=given.every, pause=given.pause, workers=given.workers))
    print(
        f"{report.accepted} accepted, {report.kills} kills: {len(report.lost)} lost, "
        f"{len(report.damaged)} damaged, {report.twice} came twice"
    )
    report.check()


if __name__ == "__main__":
    main()
