"""Performs the actions of flows on one blocking socket."""

from __future__ import annotations

import contextlib
import math
import select
import socket
import struct
import time
from collections.abc import Coroutine
from inspect import isawaitable
from typing import Any, Final, TypeVar

import ehlo
from ehlo import flows
from ehlo.flows import Ask, Close, Exchange, Poll, ReadBody, Receive, Send, StartTLS
from ehlo_io._clock import Timed
from ehlo_io._common import LOGGER, MAX_REPLIES, fields, log_hook_failure
from ehlo_io._message import Source
from ehlo_io._tls import Channel, MakeChannel

T = TypeVar("T")
_SIZE: Final = 65536
READ: Final = 1
_WRITE: Final = 2
_WOKEN: Final = 4

# A peer that is at work answers at once: the thread then blocks in recv(2), which costs one system call
# and gives the other threads one turn, where polling first would cost two of both.
_AT_ONCE: Final = 0.1
"""Seconds."""
_DONTWAIT: Final[int | None] = getattr(socket, "MSG_DONTWAIT", None)


class _Selecting:
    """Waits for one socket, or until another one is readable, where there is no poll(2)."""

    def __init__(self, sock: socket.socket, wake: socket.socket | None) -> None:
        self._sock = sock
        self._wake = [] if wake is None else [wake]

    def wait(self, events: int, seconds: float) -> int:
        """Which of the events there are; 0 when the time is over."""
        reading = [*self._wake, self._sock] if events & READ else self._wake
        writing = [self._sock] if events & _WRITE else []
        readable, writable, _ = select.select(reading, writing, [], None if seconds == math.inf else seconds)
        found = (READ if self._sock in readable else 0) | (_WRITE if writable else 0)
        if self._wake and self._wake[0] in readable:
            # It stays readable, and has said what it had to say.
            self._wake = []
            found |= _WOKEN
        return found


class _Polling:
    """The same with poll(2): no limit on the number of descriptors, and the set is made but once."""

    __slots__ = ("_events", "_poll", "_sock")

    def __init__(self, sock: socket.socket, wake: socket.socket | None) -> None:
        self._sock = sock.fileno()
        self._poll = select.poll()
        self._events = READ
        self._poll.register(self._sock, select.POLLIN)
        if wake is not None:
            self._poll.register(wake, select.POLLIN)

    def wait(self, events: int, seconds: float) -> int:
        if events != self._events:
            self._events = events
            wanted = (select.POLLIN if events & READ else 0) | (select.POLLOUT if events & _WRITE else 0)
            self._poll.modify(self._sock, wanted)
        found = 0
        for fd, event in self._poll.poll(None if seconds == math.inf else math.ceil(seconds * 1000)):
            if fd != self._sock:
                self._poll.unregister(fd)
                found |= _WOKEN
            elif event & select.POLLOUT:
                found |= _WRITE | (READ if event & select.POLLIN else 0)
            else:
                # Also an error and the end of the stream: reading and writing tell.
                found |= events
        return found


Waiting = _Polling if hasattr(select, "poll") else _Selecting


class LeftBehind(BaseException):
    """Another thread runs the flow now."""


class SocketPump(Timed):
    """Performs the actions of flows on one socket.

    When `wake` becomes readable, who waits for the peer looks whether he shall stop. Shutting the
    socket down would wake him, too, but he could not tell any more when the peer is done reading.
    """

    __slots__ = (
        "_asked",
        "_blocks",
        "_channel",
        "_flow",
        "_make_channel",
        "_received",
        "_source",
        "_stopping",
        "_waiting",
        "peer",
        "sock",
    )

    def __init__(
        self,
        sock: socket.socket,
        make_channel: MakeChannel,
        peer: str | None = None,
        wake: socket.socket | None = None,
    ) -> None:
        super().__init__()
        self.sock = sock
        self._stopping = False
        self._waiting = Waiting(sock, wake)
        self._make_channel = make_channel
        # None while the octets are those of the socket.
        self._channel: Channel | None = None
        self.peer = peer
        self._source: Source | None = None
        self._received: list[bytes] | None = None
        self._flow: flows.Flow[Any] | None = None
        # When the answer of user code is due; whoever takes it out goes on with the flow.
        self._asked: list[float] = []
        self._blocks = False
        sock.setblocking(False)
        with contextlib.suppress(OSError):
            if sock.family in (socket.AF_INET, socket.AF_INET6):
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if _DONTWAIT is not None:
                # As struct timeval: the system ends the wait.
                seconds = struct.pack("@ll", 0, int(_AT_ONCE * 1_000_000))
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, seconds)
                sock.setblocking(True)
                self._blocks = True

    def run(self, flow: flows.Flow[T], source: Source | None = None) -> T:
        self._source = source
        self._flow = flow
        return self._run(flow, None)

    def overdue(self, now: float) -> bool:
        """From another thread: user code takes too long. Who is told so has to call `go_on`, once."""
        asked = self._asked
        try:
            return asked[0] <= now and asked.pop() <= now
        except IndexError:
            return False

    def go_on(self) -> None:
        """Run the flow to its end without the answer. The thread that waits for it is left behind."""
        assert self._flow is not None, "a flow asked"
        error = TimeoutError("user code took too long")
        LOGGER.error(
            "a hook of the handler failed (session with %s)",
            self.peer,
            exc_info=error,
            extra=fields("hook failed", peer=self.peer),
        )
        self._run(self._flow, error)

    def _run(self, flow: flows.Flow[T], error: Exception | None) -> T:
        value: Any = None
        try:
            while True:
                action = flow.send(value) if error is None else flow.throw(error)
                error = None
                try:
                    value = self._exchange(action) if type(action) is Exchange else self._perform(action)
                except Exception as raised:
                    error = raised
        except StopIteration as stop:
            self._flow = None
            result: T = stop.value
            return result
        except Exception:
            # The flow has closed the connection itself where it is over; a refusal leaves it open.
            raise
        except LeftBehind:
            raise
        except BaseException:
            self.sock.close()
            flow.close()
            raise

    def stop(self) -> None:
        """From another thread: let the flow end when it next waits for octets; for one that waits see
        `wake`."""
        self._stopping = True

    def abort(self) -> None:
        """From another thread: end the connection at once."""
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_RDWR)

    def _perform(self, action: flows.Action) -> Any:
        match action:
            case Exchange():
                return self._exchange(action)
            case Receive(deadline):
                return self._receive(deadline)
            case Send(data, deadline, and_receive):
                return self._send(data, deadline, and_receive)
            case Poll():
                return self._poll()
            case Ask():
                return self._ask(action)
            case ReadBody(size):
                assert self._source is not None, "only a submission reads a body"
                return _plain(self._source.read(size))
            case StartTLS():
                return self._start_tls(action)
            case Close(linger):
                return self._close(linger)

    def _exchange(self, action: Exchange) -> bytes:
        self._send(action.data, action.deadline, action.and_receive)
        return self._receive(action.deadline)

    def _ask(self, action: Ask) -> Any:
        if action.timeout is None:
            return self._answer(action)
        asked = self._asked = [time.monotonic() + action.timeout]
        try:
            return self._answer(action)
        finally:
            try:
                asked.pop()
            except IndexError:
                raise LeftBehind from None

    def _answer(self, action: Ask) -> Any:
        try:
            answer = action.question()
            return answer if answer is None else _plain(answer)
        except Exception:
            if action.logged:
                log_hook_failure(self.peer)
            raise

    def _wait(self, events: int, deadline: ehlo.Deadline | None) -> int:
        """Which of the events there are. Raises TimeoutError."""
        found = self._waiting.wait(events, self._left(deadline, time.monotonic))
        if not found:
            raise TimeoutError
        return found

    def _raw(self, deadline: ehlo.Deadline | None) -> bytes:
        if self._received:
            return self._received.pop(0)
        at_once = self._blocks
        while not self._stopping:
            if at_once and self._left(deadline, time.monotonic) > _AT_ONCE:
                try:
                    return self.sock.recv(_SIZE)
                except BlockingIOError:
                    at_once = False
            self._wait(READ, deadline)
            # The socket that wakes may be the only one that is readable.
            data = self._recv_now()
            if data is not None:
                return data
        raise flows.Shutdown

    def _recv_now(self) -> bytes | None:
        try:
            return self.sock.recv(_SIZE, _DONTWAIT or 0)
        except BlockingIOError:
            return None

    def _receive(self, deadline: ehlo.Deadline | None) -> bytes:
        channel = self._channel
        data = None if channel is None else channel.buffered()
        while data is None:
            raw = self._raw(deadline)
            data = raw if channel is None else channel.incoming(raw)
        return data

    def _poll(self) -> bytes | None:
        channel = self._channel
        data = None if channel is None else channel.buffered()
        if data is not None:
            return data
        raw = self._received.pop(0) if self._received else self._recv_now()
        return raw if raw is None or channel is None else channel.incoming(raw)

    def _send(self, data: bytes, deadline: ehlo.Deadline | None, and_receive: bool) -> None:
        self._send_raw(data if self._channel is None else self._channel.outgoing(data), deadline, and_receive)

    def _send_raw(self, data: bytes, deadline: ehlo.Deadline | None, and_receive: bool = False) -> None:
        sent = self._write(data)
        if sent == len(data):
            return
        left = memoryview(data)[sent:]
        while left:
            events = self._wait(READ | _WRITE if and_receive else _WRITE, deadline)
            if events & READ:
                self._keep_receiving()
            if events & _WRITE:
                left = left[self._write(left) :]

    def _write(self, data: bytes | memoryview) -> int:
        try:
            return self.sock.send(data, _DONTWAIT or 0)
        except BlockingIOError:
            return 0

    def _keep_receiving(self) -> None:
        if self._received is None:
            self._received = []
        piece = self._recv_now()
        if piece is None:
            return
        self._received.append(piece)
        if not piece:
            raise ConnectionResetError("the peer closed the connection")
        if sum(map(len, self._received)) > MAX_REPLIES:
            raise ConnectionAbortedError("the peer sends without end")

    def _start_tls(self, action: StartTLS) -> ehlo.TLSInfo:
        channel, deadline = self._make_channel(), action.deadline
        channel.start_tls(action.server_hostname)
        self._channel = channel
        try:
            info = channel.handshake(action.received or None)
            while info is None:
                self._send_raw(channel.pending(), deadline)
                info = channel.handshake(self._raw(deadline))
        finally:
            # An alert tells the peer why, a last flight ends the handshake.
            with contextlib.suppress(OSError):
                self._send_raw(channel.pending(), deadline)
        return info

    def _close(self, linger: float) -> None:
        with contextlib.suppress(OSError):
            if self._channel is not None:
                self._send_raw(self._channel.closing(), ehlo.Deadline(ehlo.Wait.QUIT, linger))
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
