"""Performs the actions of flows on one blocking socket."""

from __future__ import annotations

import contextlib
import selectors
import socket
import time
from collections.abc import Coroutine
from inspect import isawaitable
from typing import Any, TypeVar

import ehlo
from ehlo import flows
from ehlo_io._clock import DeadlineClock
from ehlo_io._message import Source
from ehlo_io._setup import MAX_REPLIES, log_hook_failure
from ehlo_io._tls import Channel

T = TypeVar("T")
_SIZE = 65536
# The one that is nearest to the system call and has no descriptor of its own.
_Selector: type[selectors.BaseSelector] = getattr(selectors, "PollSelector", selectors.SelectSelector)


class SocketPump:
    """Performs the actions of flows on one socket.

    When `wake` becomes readable, who waits for the peer looks whether he shall stop. Shutting the
    socket down would wake him, too, but he could not tell any more when the peer is done reading.
    """

    def __init__(
        self,
        sock: socket.socket,
        channel: Channel,
        peer: str | None = None,
        wake: socket.socket | None = None,
    ) -> None:
        self.sock = sock
        self._stopping = False
        self._wake = wake
        self._channel = channel
        self._peer = peer
        self._clock = DeadlineClock()
        self._received: list[bytes] = []
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def run(self, flow: flows.Flow[T], source: Source | None = None) -> T:
        try:
            action = next(flow)
            while True:
                try:
                    result = self._perform(action, source)
                except Exception as error:
                    action = flow.throw(error)
                else:
                    action = flow.send(result)
        except StopIteration as stop:
            value: T = stop.value
            return value
        except Exception:
            # The flow has closed the connection itself where it is over; a refusal leaves it open.
            raise
        except BaseException:
            self.sock.close()
            raise

    def stop(self) -> None:
        """From another thread: let the flow end at its next `Receive`; for one that waits see `wake`."""
        self._stopping = True

    def abort(self) -> None:
        """From another thread: end the connection at once."""
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_RDWR)

    def _perform(self, action: flows.Action, source: Source | None) -> Any:
        match action:
            case flows.Receive(deadline):
                return self._receive(deadline)
            case flows.Send(data, deadline, and_receive):
                return self._send(self._channel.outgoing(data), deadline, and_receive)
            case flows.Poll():
                return self._poll()
            case flows.Ask(question):
                return self._ask(question)
            case flows.ReadBody(size):
                assert source is not None, "only a submission reads a body"
                return _plain(source.read(size))
            case flows.StartTLS(server_hostname, deadline):
                return self._start_tls(server_hostname, deadline)
            case flows.Close(linger):
                return self._close(linger)

    def _ask(self, question: Any) -> Any:
        try:
            return _plain(question())
        except Exception:
            log_hook_failure(self._peer)
            raise

    def _wait(self, deadline: ehlo.Deadline | None) -> None:
        """Bound the next call on the socket."""
        now = time.monotonic()
        expiry = self._clock.expiry(deadline, now)
        if expiry is not None and expiry <= now:
            raise TimeoutError
        self.sock.settimeout(None if expiry is None else expiry - now)

    def _raw(self, deadline: ehlo.Deadline | None) -> bytes:
        if self._received:
            return self._received.pop(0)
        self._wait(deadline)
        if self._wake is not None:
            self._ready(selectors.EVENT_READ, self._wake)
        if self._stopping:
            raise flows.Shutdown
        return self.sock.recv(_SIZE)

    def _receive(self, deadline: ehlo.Deadline | None) -> bytes:
        data = self._channel.buffered()
        while data is None:
            data = self._channel.incoming(self._raw(deadline))
        return data

    def _poll(self) -> bytes | None:
        data = self._channel.buffered()
        if data is None and not self._received:
            self.sock.settimeout(0)
            try:
                self._received.append(self.sock.recv(_SIZE))
            except BlockingIOError:
                return None
        return self._channel.incoming(self._received.pop(0)) if data is None else data

    def _send(self, data: bytes, deadline: ehlo.Deadline | None, and_receive: bool) -> None:
        if not and_receive:
            self._wait(deadline)
            self.sock.sendall(data)
            return
        view = memoryview(data)
        while view:
            self._wait(deadline)
            events = self._ready(selectors.EVENT_READ | selectors.EVENT_WRITE)
            if events & selectors.EVENT_READ:
                piece = self.sock.recv(_SIZE)
                self._received.append(piece)
                if not piece:
                    raise ConnectionResetError("the peer closed the connection")
                if sum(map(len, self._received)) > MAX_REPLIES:
                    raise ConnectionAbortedError("the peer sends without end")
            if events & selectors.EVENT_WRITE:
                self.sock.settimeout(0)
                with contextlib.suppress(BlockingIOError):
                    view = view[self.sock.send(view) :]

    def _ready(self, events: int, wake: socket.socket | None = None) -> int:
        """Wait for one of these events on the socket, or until `wake` is readable; which it was."""
        timeout = self.sock.gettimeout()
        with _Selector() as selector:
            selector.register(self.sock, events)
            if wake is not None:
                selector.register(wake, selectors.EVENT_READ)
            ready = selector.select(timeout)
        if not ready:
            raise TimeoutError
        return sum(found for key, found in ready if key.fileobj is self.sock)

    def _start_tls(self, server_hostname: str | None, deadline: ehlo.Deadline | None) -> ehlo.TLSInfo:
        channel = self._channel
        channel.start_tls(server_hostname)
        try:
            info = channel.handshake(None)
            while info is None:
                self._send(channel.pending(), deadline, False)
                info = channel.handshake(self._raw(deadline))
        finally:
            # An alert tells the peer why, a last flight ends the handshake.
            with contextlib.suppress(OSError):
                self._send(channel.pending(), deadline, False)
        return info

    def _close(self, linger: float) -> None:
        with contextlib.suppress(OSError):
            self.sock.settimeout(linger)
            self.sock.sendall(self._channel.closing())
            self.sock.shutdown(socket.SHUT_WR)
            end = time.monotonic() + linger
            while linger and (left := end - time.monotonic()) > 0:
                self.sock.settimeout(left)
                if not self.sock.recv(_SIZE):
                    break
        self.sock.close()


def _plain(answer: Any) -> Any:
    if isawaitable(answer):
        if isinstance(answer, Coroutine):
            answer.close()
        raise TypeError("an async function cannot be used with blocking sockets")
    return answer
