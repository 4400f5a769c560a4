"""Servers on blocking sockets."""

from __future__ import annotations

import math
import socket
import ssl
import threading
import time
from collections.abc import Iterable
from os import PathLike
from types import TracebackType
from typing import Final, Unpack

from ehlo import flows
from ehlo_io._common import GRACE, LOGGER, peer_of
from ehlo_io._listening import Listening, listening, tcp_socket
from ehlo_io._server import CurrentSetup, ServeOptions, ServerSetup
from ehlo_io._socket_pump import READ, LeftBehind, SocketPump, Waiting
from ehlo_io._unix import OWNER_ONLY, UnixSocket

__all__ = ["GRACE", "Server", "serve", "serve_unix"]

_WATCH: Final = 1.0
"""Seconds between two looks for hooks that take too long, at most."""
_BUSY: Final = 0.01
"""And at least."""


class Server:
    """A running server. Leaving its `with` block, or `close`, ends it."""

    def __init__(self, setup: ServerSetup, listener: socket.socket, place: Listening | None = None) -> None:
        self._setup = CurrentSetup(setup)
        self._place = place
        self._make_channel = self._setup.channel
        self._listener = listener
        # Others may wait on it, too, and be quicker.
        listener.setblocking(False)
        self._lock = threading.Lock()
        self._pumps: dict[SocketPump, threading.Thread] = {}
        self._stopping = threading.Event()
        self._wake, self._waker = socket.socketpair()
        # Shutting the listener down would end the wait for it, in all processes that have it.
        self._halt, self._halter = socket.socketpair()
        threads = [threading.Thread(target=self._accept, name="ehlo-accept", daemon=True)]
        patience = setup.config.limits.hook_timeout
        if patience is not None:
            often = min(_WATCH, max(patience / 4, _BUSY))
            threads.append(
                threading.Thread(target=self._watch, args=(often,), name="ehlo-watch", daemon=True)
            )
        self._threads = threads
        for thread in threads:
            thread.start()

    @property
    def address(self) -> tuple[str, int]:
        """Host and port that the server listens on."""
        if self.path is not None:
            raise RuntimeError("the server listens on a UNIX socket")
        host, port = self._listener.getsockname()[:2]
        return host, port

    @property
    def path(self) -> str | None:
        """The UNIX socket that the server listens on, where it is one."""
        return None if self._place is None else self._place.path

    def _accept(self) -> None:
        waiting = Waiting(self._listener, self._halt)
        while True:
            waiting.wait(READ, math.inf)
            if self._stopping.is_set():
                return
            try:
                sock, name = self._listener.accept()
            except BlockingIOError:
                continue
            except OSError as error:
                # Out of descriptors, perhaps: others must get to close theirs.
                LOGGER.warning("a connection could not be accepted: %s", error)
                self._stopping.wait(0.1)
                continue
            self._start(SocketPump(sock, self._make_channel, peer_of(name), self._wake))
            # Until somebody else comes it would be kept, and what it holds, when it has long ended.
            del sock

    def _start(self, pump: SocketPump, *, anew: bool = True) -> None:
        thread = threading.Thread(target=self._serve, args=(pump, anew), daemon=True)
        with self._lock:
            self._pumps[pump] = thread
        try:
            thread.start()
        except RuntimeError as error:
            LOGGER.warning("a connection could not be served: %s", error)
            self._drop(pump)

    def _watch(self, often: float) -> None:
        """A thread cannot be broken off: a hook that takes too long keeps its own, and the session goes on in
        another one."""
        while not self._stopping.wait(often):
            self._look()

    def _look(self) -> None:
        with self._lock:
            open_pumps = list(self._pumps)
        now = time.monotonic()
        for pump in open_pumps:
            if pump.overdue(now):
                self._start(pump, anew=False)

    def _drop(self, pump: SocketPump) -> None:
        pump.sock.close()
        with self._lock:
            del self._pumps[pump]

    def _serve(self, pump: SocketPump, anew: bool) -> None:
        # Called as it stands: what C code calls in between, such as a partial, takes a page of each stack.
        over = True
        try:
            if anew:
                pump.run(self._setup.flow(pump.peer))
            else:
                pump.go_on()
        except LeftBehind:
            over = False
        except Exception:
            LOGGER.exception("a connection ended in an error (session with %s)", pump.peer)
        finally:
            if over:
                self._drop(pump)

    def close(self) -> None:
        """Take no more connections, say goodbye on those that are open, and wait for their end."""
        if self._stopping.is_set():
            return
        self._stopping.set()
        if self._place is not None:
            self._place.remove()
        self._halter.close()
        _join(self._threads)
        self._listener.close()
        self._halt.close()
        with self._lock:
            open_pumps = dict(self._pumps)
        for pump in open_pumps:
            pump.stop()
        self._waker.close()
        _join(open_pumps.values())
        for pump in open_pumps:
            pump.abort()
        # A thread that a hook holds longer stays behind.
        _join(open_pumps.values())
        self._wake.close()

    def renew(
        self, handler: object, *, tls: ssl.SSLContext | None = None, certificate: str | None = None
    ) -> None:
        """Serve new connections with this handler; `tls` and `certificate` are those of new handshakes,
        as they were where there is no `tls`.

        All other options stay as they were, and sessions that are open keep their handler. Raises
        LocalProtocolError or TypeError for what could never work, and then nothing has changed.
        """
        self._setup.renew(handler, tls, certificate)

    def serve_forever(self) -> None:
        """Return when `close` was called, in another thread or a signal handler."""
        self._stopping.wait()

    def __enter__(self) -> Server:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _join(threads: Iterable[threading.Thread]) -> None:
    end = time.monotonic() + GRACE
    for thread in threads:
        thread.join(max(0.0, end - time.monotonic()))


def serve(
    handler: object,
    host: str = "127.0.0.1",
    port: int = flows.SUBMISSION_PORT,
    *,
    sock: socket.socket | None = None,
    **options: Unpack[ServeOptions],
) -> Server:
    """Start a server in threads of its own; see `ServeOptions` and `ehlo.flows.handler`.

    Port 0 is any free port. `sock`, a listening socket, takes the place of host and port, and is closed
    with the server. Raises OSError when the address cannot be had, LocalProtocolError or TypeError for
    arguments that could never work.
    """
    setup, place = ServerSetup.of(handler, options), listening(sock)
    if place is not None:
        return Server(setup, place.listen(), place)
    return Server(setup, tcp_socket(host, port))


def serve_unix(
    handler: object,
    path: str | PathLike[str],
    *,
    mode: int = OWNER_ONLY,
    **options: Unpack[ServeOptions],
) -> Server:
    """`serve` on a UNIX socket: its file is made with the permissions `mode`, and removed at the end.

    One that nobody listens on any more is replaced; the peer of each session is "unix". Raises OSError
    when the path cannot be had, LocalProtocolError or TypeError for arguments that could never work.
    """
    setup, unix = ServerSetup.of(handler, options), UnixSocket(path, mode)
    return Server(setup, unix.listen(), unix)
