"""Several processes that serve on one socket, and the one that looks after them.

That one opens the socket, starts the workers by fork before anything runs in it that a fork would harm,
passes signals on, and starts another worker where one ended. It serves nobody itself. With each worker it
shares a pair of sockets: the worker tells how it is in lines, and the end of either process is the end of
the stream for the other.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import socket
import sys
import threading
import time
import traceback
from collections.abc import Callable
from typing import Final, Never

import attrs

from ehlo_io._common import GRACE, LOGGER, printable
from ehlo_io.cli.common import reason
from ehlo_io.cli.exits import Exit, Failure
from ehlo_io.cli.runners import Told, signals_heard, signals_of

_AT_ONCE: Final = 1.0
"""Seconds: a worker that does not live so long will hardly do so the next time."""
_FIRST_PAUSE: Final = 0.1
_LONGEST_PAUSE: Final = 30.0
_PATIENCE: Final = 4 * GRACE
"""Seconds that workers get to end after a failure; asked to stop, they get as long as it takes."""


def pause(deaths: int) -> float:
    """Seconds until a worker is started again whose predecessors ended at once, so many times in a row."""
    return min(_LONGEST_PAUSE, _FIRST_PAUSE * 2 ** min(deaths - 1, 16)) if deaths else 0.0


@attrs.frozen(kw_only=True)
class Work:
    """What there is to do."""

    count: int
    serve: Callable[[int, Told], None]
    """Called in each worker, with its number. Raises Failure."""
    ended: Callable[[int], None]
    """Called with the number of each process that ended."""
    where: str
    leave: Callable[[], None]
    """Listen no more in this process."""
    renew: Callable[[], None] | None
    """So that workers that are started later are as those that were renewed; None: SIGHUP is not for us."""


@attrs.define(eq=False)
class _Worker:
    number: int
    process: int
    link: socket.socket
    began: float
    ready: bool = False
    renewing: bool = False
    failure: Failure | None = None
    heard: bytes = b""


class _Reporting:
    """`Told` in a worker."""

    def __init__(self, link: socket.socket, signals: tuple[signal.Signals, ...]) -> None:
        self._link = link
        self._signals = signals

    def listening(self, where: str) -> None:
        # What came in the meantime has waited for who handles it.
        signal.pthread_sigmask(signal.SIG_UNBLOCK, self._signals)
        self._say("ready")

    def reloading(self) -> None:
        pass

    def reloaded(self) -> None:
        self._say("renewed")

    def stopping(self) -> None:
        pass

    def failed(self, failure: Failure) -> None:
        self._say(f"failed {failure.exit_code} {failure.message}")

    def _say(self, line: str) -> None:
        with contextlib.suppress(OSError):
            self._link.sendall(f"{printable(line)}\n".encode("utf-8", "replace"))


class Supervisor:
    """The process that looks after the others."""

    def __init__(self, work: Work, told: Told) -> None:
        self._work = work
        self._told = told
        self._signals = signals_of(renews=work.renew is not None)
        self._selector = selectors.DefaultSelector()
        self._workers: dict[int, _Worker] = {}
        self._deaths: dict[int, int] = {}
        """How many of a number ended at once, one after the other."""
        self._due: dict[int, float] = {}
        """When there is to be another one of a number."""
        self._serving = False
        self._stopping = False

    def run(self) -> None:
        """Until a signal. Raises Failure when a worker fails before all of them serve."""
        try:
            self._run()
        except OSError as error:
            raise Failure(f"no workers: {reason(error)}") from None

    def _run(self) -> None:
        with signals_heard(self._signals) as (heard, told), self._selector:
            self._selector.register(heard, selectors.EVENT_READ)
            self._own = (heard, told)
            try:
                for number in range(self._work.count):
                    self._start(number)
                while self._workers or self._due:
                    self._turn(heard)
            finally:
                self._end()

    def _turn(self, heard: socket.socket) -> None:
        now = time.monotonic()
        left = max(0.0, min(self._due.values()) - now) if self._due else None
        for key, _ in self._selector.select(left):
            if key.data is None:
                for number in heard.recv(64):
                    self._signal(number)
            else:
                self._hear(key.data)
        now = time.monotonic()
        for number in [number for number, due in self._due.items() if due <= now]:
            del self._due[number]
            self._start_again(number)

    # ---- signals ----

    def _signal(self, number: int) -> None:
        if self._stopping:
            return
        if number == signal.SIGHUP and self._work.renew is not None:
            self._told.reloading()
            self._work.renew()
            for worker in self._workers.values():
                worker.renewing = True
            self._tell_all(signal.SIGHUP)
        else:
            self._told.stopping()
            self._stop()

    def _stop(self) -> None:
        self._stopping = True
        self._due.clear()
        self._work.leave()
        self._tell_all(signal.SIGTERM)

    def _tell_all(self, number: signal.Signals) -> None:
        for worker in self._workers.values():
            # Not waited for yet: its number is no other's.
            os.kill(worker.process, number)

    def _end(self) -> None:
        """After a failure: let none outlive this process."""
        if self._stopping and not self._workers:
            return
        self._stop()
        end = time.monotonic() + _PATIENCE
        while self._workers and (left := end - time.monotonic()) > 0:
            for key, _ in self._selector.select(left):
                if key.data is not None:
                    self._hear(key.data)
        self._tell_all(signal.SIGKILL)
        for worker in list(self._workers.values()):
            self._ended(worker)

    # ---- workers ----

    def _start_again(self, number: int) -> None:
        try:
            self._start(number)
        except OSError as error:
            # Too many processes, or too little memory: those that serve go on.
            self._put_off(number, f"could not be started: {reason(error)}")

    def _put_off(self, number: int, why: str, *, at_once: bool = True) -> None:
        deaths = self._deaths[number] = self._deaths.get(number, 0) + 1 if at_once else 0
        seconds = pause(deaths)
        self._due[number] = time.monotonic() + seconds
        LOGGER.error("worker %d %s; another one starts in %g s", number, why, seconds)

    def _start(self, number: int) -> None:
        """Raises OSError."""
        ours, theirs = socket.socketpair()
        sys.stdout.flush()
        sys.stderr.flush()
        # Until it can handle them itself, what is for us must not be taken for its own.
        signal.pthread_sigmask(signal.SIG_BLOCK, self._signals)
        try:
            process = os.fork()
            if process == 0:
                ours.close()
                self._be_worker(number, theirs)
        except OSError:
            ours.close()
            theirs.close()
            raise
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, self._signals)
        theirs.close()
        worker = self._workers[number] = _Worker(number, process, ours, time.monotonic())
        self._selector.register(ours, selectors.EVENT_READ, worker)

    def _hear(self, worker: _Worker) -> None:
        try:
            data = worker.link.recv(65536)
        except ConnectionError:
            data = b""
        *lines, worker.heard = (worker.heard + data).split(b"\n")
        for line in lines:
            word, _, rest = line.decode("utf-8", "replace").partition(" ")
            if word == "ready":
                worker.ready = True
            elif word == "renewed":
                self._renewed(worker)
            else:
                status, _, text = rest.partition(" ")
                worker.failure = Failure(text, int(status))
        if not data:
            self._ended(worker)
        elif not self._serving and not self._stopping:
            ready = [other for other in self._workers.values() if other.ready]
            if len(ready) == self._work.count:
                self._serving = True
                self._told.listening(self._work.where)

    def _renewed(self, worker: _Worker) -> None:
        if worker.renewing:
            worker.renewing = False
            if not self._stopping and not any(other.renewing for other in self._workers.values()):
                self._told.reloaded()

    def _ended(self, worker: _Worker) -> None:
        self._selector.unregister(worker.link)
        worker.link.close()
        status = os.waitstatus_to_exitcode(os.waitpid(worker.process, 0)[1])
        self._work.ended(worker.process)
        del self._workers[worker.number]
        self._renewed(worker)
        if self._stopping:
            return
        how = f"status {status}" if status >= 0 else signal.Signals(-status).name
        if not self._serving:
            raise worker.failure or Failure(f"a worker ended with {how} before it served")
        lived = time.monotonic() - worker.began
        why = f": {worker.failure.message}" if worker.failure else ""
        self._put_off(worker.number, f"ended with {how}{why}", at_once=lived < _AT_ONCE)

    # ---- in a worker ----

    def _be_worker(self, number: int, link: socket.socket) -> Never:
        status: int = Exit.SET_UP
        try:
            signal.set_wakeup_fd(-1)
            for one in self._signals:
                signal.signal(one, signal.SIG_DFL)
            self._selector.close()
            for sock in (*self._own, *(other.link for other in self._workers.values())):
                # The end of the stream is for those who look after it.
                sock.close()
            threading.Thread(target=_end_with_parent, args=(link,), name="ehlo-parent", daemon=True).start()
            status = self._work_in(number, _Reporting(link, self._signals))
        except BaseException:
            traceback.print_exc()
        finally:
            with contextlib.suppress(OSError, ValueError):
                sys.stdout.flush()
            # What called the other process is not to run in this one.
            os._exit(status)

    def _work_in(self, number: int, reporting: _Reporting) -> int:
        try:
            self._work.serve(number, reporting)
        except Failure as failure:
            reporting.failed(failure)
            return failure.exit_code
        return Exit.OK


def _end_with_parent(link: socket.socket) -> None:
    """Nobody would start this worker again, or stop it: it ends as its parent did."""
    with contextlib.suppress(OSError):
        link.recv(1)
    os._exit(Exit.SET_UP)
