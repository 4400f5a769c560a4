"""Pools on blocking sockets, for any number of threads."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Self, Unpack

import ehlo
from ehlo import flows
from ehlo_io._blocking_client import Client
from ehlo_io._client import SubmitOptions
from ehlo_io._message import Message, rewinder
from ehlo_io._pool import Shelf, check_size, gone_stale, none_left

__all__ = ["Pool"]


class Pool:
    """Open sessions with one server, for any number of threads; a `with` block ends them."""

    def __init__(self, connect: Callable[[], Client], *, size: int = 4, idle: float = 10.0) -> None:
        """`connect` gives a new session whenever one is needed: `lambda: connect("mail.example", auth=...)`.
        `size`: how many may be open at once; who comes then waits. `idle`: seconds after which a session
        that nobody used is closed.

        Raises LocalProtocolError for a wrong argument.
        """
        check_size(size, idle)
        self._connect = connect
        self._shelf: Shelf[Client] = Shelf(idle)
        self._places = threading.BoundedSemaphore(size)
        self._guard = threading.Lock()
        self._open = False
        self._closing = threading.Event()
        self._tidier: threading.Thread | None = None

    def submit(self, message: Message, **options: Unpack[SubmitOptions]) -> ehlo.SubmissionResult:
        """`submit` of a client, on a session that is free, or a new one.

        A kept session that the server has given up meanwhile is no failure: the message goes out on a new
        one, unless it may have arrived (`in_doubt`), or some of it was read and cannot be read again.
        """
        rewind = rewinder(message)
        with self.lease() as (client, used):
            try:
                return client.submit(message, **options)
            except ehlo.SessionError as error:
                if rewind is None or not used or not gone_stale(client, error):
                    raise
        rewind()
        with self.lease(fresh=True) as (client, _):
            return client.submit(message, **options)

    def submit_many(self, messages: Iterable[tuple[Message, SubmitOptions]]) -> list[flows.Delivery]:
        """`submit_many` of a client, on one session."""
        with self.lease() as (client, _):
            return client.submit_many(messages)

    @contextmanager
    def session(self) -> Iterator[Client]:
        """A session for the block alone. It is kept for others when it is ready for a message at the end."""
        with self.lease() as (client, _):
            yield client

    @contextmanager
    def lease(self, *, fresh: bool = False) -> Iterator[tuple[Client, bool]]:
        """A session, and whether it has served before; `fresh`: it has not, and none that has is kept."""
        if not self._open:
            raise none_left()
        with self._places:
            if not self._open:
                raise none_left()
            client, used = self._session(fresh=fresh)
            try:
                yield client, used
            finally:
                if not (client.is_ready and self._keep(client)):
                    _farewell(client)

    def _keep(self, client: Client) -> bool:
        with self._guard:
            if self._open:
                self._shelf.put(client, time.monotonic())
            return self._open

    def _session(self, *, fresh: bool) -> tuple[Client, bool]:
        while (kept := self._taken()) is not None:
            try:
                # What broke once is broken for its companions, too.
                if not fresh and kept.still_open():
                    return kept, True
            except BaseException:
                _farewell(kept)
                raise
            _farewell(kept)
        return self._connect(), False

    def _taken(self) -> Client | None:
        with self._guard:
            return self._shelf.take()

    def _expired(self) -> Client | None:
        with self._guard:
            return self._shelf.expired(time.monotonic())

    def _tidy(self) -> None:
        while not self._closing.wait(self._pause()):
            while (client := self._expired()) is not None:
                _farewell(client)

    def _pause(self) -> float:
        with self._guard:
            return self._shelf.pause(time.monotonic())

    def __enter__(self) -> Self:
        self._open = True
        self._closing.clear()
        self._tidier = threading.Thread(target=self._tidy, name="ehlo pool", daemon=True)
        self._tidier.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._guard:
            self._open = False
        self._closing.set()
        if self._tidier is not None:
            self._tidier.join()
        while (client := self._taken()) is not None:
            _farewell(client)


def _farewell(client: Client) -> None:
    with contextlib.suppress(ehlo.Error, OSError):
        client.close()
