"""Performs the actions of flows on one socket in trio.

The socket is waited for, read and written directly: trio's own methods would go through its scheduler
once more for each.
"""

from __future__ import annotations

import socket
from contextlib import suppress
from inspect import isawaitable
from typing import Any, Final, TypeVar

import trio

import ehlo
from ehlo import flows
from ehlo.flows import Ask, Close, Exchange, Poll, ReadBody, Receive, Send, StartTLS
from ehlo_io._alarm import Alarm, Sleeper
from ehlo_io._common import MAX_REPLIES, log_hook_failure
from ehlo_io._message import Source
from ehlo_io._tls import Channel, MakeChannel

T = TypeVar("T")
_SIZE: Final = 65536
_GOODBYE: Final = 0.1
"""Seconds that the end of TLS gets to leave; it has no room only if the peer does not read."""


def bare(stream: trio.SocketStream) -> socket.socket:
    """The socket of a stream, without what trio puts around it: pumps wait for it themselves."""
    inner = stream.socket
    sock = socket.socket(inner.family, inner.type, inner.proto, fileno=inner.detach())
    sock.setblocking(False)
    return sock


class _TrioAlarm(Alarm):
    """One for each run of trio, in a task of its own."""

    def __init__(self) -> None:
        super().__init__(trio.current_time)
        self._scope = trio.CancelScope()

    def _ring_at(self, when: float) -> None:
        self._scope.deadline = when

    async def run(self) -> None:
        while True:
            with self._scope:
                await trio.sleep_forever()
            self._scope = trio.CancelScope()
            self.ring()


_ALARM: Final = trio.lowlevel.RunVar[_TrioAlarm | None]("ehlo_io alarm", None)


def _alarm() -> _TrioAlarm:
    """That of the present run."""
    found = _ALARM.get()
    if found is None:
        found = _TrioAlarm()
        _ALARM.set(found)
        trio.lowlevel.spawn_system_task(found.run, name="ehlo_io alarm")
    return found


class TrioPump(Sleeper):
    """One connection. `run` performs a flow in the calling task."""

    __slots__ = (
        "_channel",
        "_make_channel",
        "_peer",
        "_received",
        "_sock",
        "_source",
        "_stopping",
        "_timed_out",
        "_waits",
    )

    def __init__(self, sock: socket.socket, make_channel: MakeChannel, peer: str | None = None) -> None:
        """`sock` must not block."""
        super().__init__(_alarm())
        self._sock = sock
        self._make_channel = make_channel
        # None while the octets are those of the socket.
        self._channel: Channel | None = None
        self._peer = peer
        self._source: Source | None = None
        self._received: list[bytes] | None = None
        # In what an alarm, or `stop`, may end.
        self._waits = False
        self._timed_out = False
        self._stopping = False

    async def run(self, flow: flows.Flow[T], source: Source | None = None) -> T:
        self._source = source
        value: Any = None
        error: Exception | None = None
        try:
            while True:
                action = flow.send(value) if error is None else flow.throw(error)
                error = None
                try:
                    value = await (
                        self._exchange(action) if type(action) is Exchange else self._perform(action)
                    )
                except Exception as raised:
                    error = raised
        except StopIteration as stop:
            result: T = stop.value
            return result
        except Exception:
            # The flow has closed the connection itself where it is over; a refusal leaves it open.
            raise
        except BaseException:
            self.abort()
            flow.close()
            raise

    def stop(self) -> None:
        """Let a server's flow end when it next waits for octets, or now if it does so."""
        self._stopping = True
        if self._waits:
            trio.lowlevel.notify_closing(self._sock)

    def abort(self) -> None:
        """End the connection at once."""
        self._no_alarm()
        if self._sock.fileno() >= 0:
            trio.lowlevel.notify_closing(self._sock)
            self._sock.close()

    # ---- actions ----

    async def _perform(self, action: flows.Action) -> Any:
        match action:
            case Exchange():
                return await self._exchange(action)
            case Receive(deadline):
                return await self._receive(deadline)
            case Send(data, deadline, and_receive):
                return await self._send(data, deadline, and_receive)
            case Poll():
                return self._poll()
            case Ask():
                return await self._ask(action)
            case ReadBody(size):
                assert self._source is not None, "only a submission reads a body"
                return await _result(self._source.read(size), None)
            case StartTLS():
                return await self._start_tls(action)
            case Close(linger):
                return await self._close(linger)

    async def _exchange(self, action: Exchange) -> bytes:
        data = action.data if self._channel is None else self._channel.outgoing(action.data)
        left = self._write(data)
        if left:
            await self._send_rest(left, action.deadline, action.and_receive)
        return await self._receive(action.deadline)

    async def _send(self, data: bytes, deadline: ehlo.Deadline | None, and_receive: bool) -> None:
        left = self._write(data if self._channel is None else self._channel.outgoing(data))
        if left:
            await self._send_rest(left, deadline, and_receive)

    def _write(self, data: bytes | memoryview) -> memoryview | None:
        """Write what can be written without waiting; what is left."""
        try:
            sent = self._sock.send(data)
        except BlockingIOError:
            sent = 0
        return memoryview(data)[sent:] if sent < len(data) else None

    async def _send_rest(
        self, left: memoryview, deadline: ehlo.Deadline | None, and_receive: bool = False
    ) -> None:
        if not and_receive:
            await self._write_all(left, deadline)
            return
        failure: Exception | None = None
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._keep_receiving, nursery.cancel_scope)
            try:
                await self._write_all(left, deadline)
            except Exception as error:
                failure = error
            nursery.cancel_scope.cancel()
        if failure is not None:
            raise failure
        if sum(map(len, self._received or ())) > MAX_REPLIES:
            raise ConnectionAbortedError("the peer sends without end")

    async def _write_all(self, left: memoryview, deadline: ehlo.Deadline | None) -> None:
        unsent: memoryview | None = left
        self._bound(deadline)
        while unsent:
            self._waits = True
            try:
                await trio.lowlevel.wait_writable(self._sock)
            except trio.ClosedResourceError:
                if (error := self._interruption()) is not None:
                    raise error from None
            finally:
                self._waits = False
            unsent = self._write(unsent)

    async def _keep_receiving(self, sending: trio.CancelScope) -> None:
        if self._received is None:
            self._received = []
        size = sum(map(len, self._received))
        with suppress(OSError, trio.ClosedResourceError):
            while True:
                await trio.lowlevel.wait_readable(self._sock)
                data = self._sock.recv(_SIZE)
                self._received.append(data)
                size += len(data)
                if size > MAX_REPLIES:
                    sending.cancel()
                if not data:
                    return

    async def _receive(self, deadline: ehlo.Deadline | None) -> bytes:
        channel = self._channel
        data = None if channel is None else channel.buffered()
        while data is None:
            raw = await self._raw(deadline)
            data = raw if channel is None else channel.incoming(raw)
        return data

    async def _raw(self, deadline: ehlo.Deadline | None) -> bytes:
        if self._received:
            return self._received.pop(0)
        if self._stopping:
            raise flows.Shutdown
        self._bound(deadline)
        while True:
            self._waits = True
            try:
                await trio.lowlevel.wait_readable(self._sock)
                return self._sock.recv(_SIZE)
            except BlockingIOError:
                pass
            except trio.ClosedResourceError:
                if (error := self._interruption()) is not None:
                    raise error from None
            finally:
                self._waits = False

    def _interruption(self) -> Exception | None:
        """Why the wait for the socket was broken off; None: it may begin again."""
        if self._sock.fileno() < 0:
            return ConnectionResetError("the connection is closed")
        if self._timed_out:
            self._timed_out = False
            return TimeoutError()
        return flows.Shutdown() if self._stopping else None

    def _poll(self) -> bytes | None:
        channel = self._channel
        data = None if channel is None else channel.buffered()
        if data is not None:
            return data
        try:
            raw = self._received.pop(0) if self._received else self._sock.recv(_SIZE)
        except BlockingIOError:
            return None
        return raw if channel is None else channel.incoming(raw)

    async def _ask(self, action: Ask) -> Any:
        try:
            if action.blocking:
                thread = trio.to_thread.run_sync(
                    action.question, abandon_on_cancel=action.timeout is not None
                )
                answer = await _result(thread, action.timeout)
            else:
                answer = action.question()
            return answer if answer is None else await _result(answer, action.timeout)
        except Exception:
            if action.logged:
                log_hook_failure(self._peer)
            raise

    async def _start_tls(self, action: StartTLS) -> ehlo.TLSInfo:
        channel, deadline = self._make_channel(), action.deadline
        channel.start_tls(action.server_hostname)
        self._channel = channel
        try:
            info = channel.handshake(action.received or None)
            while info is None:
                await self._send_raw(channel.pending(), deadline)
                info = channel.handshake(await self._raw(deadline))
        except OSError:
            # An alert tells the peer why.
            with suppress(OSError):
                self._write(channel.pending())
            raise
        await self._send_raw(channel.pending(), deadline)
        return info

    async def _send_raw(self, data: bytes, deadline: ehlo.Deadline | None) -> None:
        left = self._write(data) if data else None
        if left:
            await self._send_rest(left, deadline)

    async def _close(self, linger: float) -> None:
        last = b"" if self._channel is None else self._channel.closing()
        if last or linger:
            with trio.move_on_after(linger or _GOODBYE), suppress(OSError, trio.ClosedResourceError):
                await self._send_raw(last, None)
                self._sock.shutdown(socket.SHUT_WR)
                while linger:
                    await trio.lowlevel.wait_readable(self._sock)
                    if not self._sock.recv(_SIZE):
                        break
        self.abort()

    def _time_is_over(self) -> None:
        if self._waits:
            self._timed_out = True
            trio.lowlevel.notify_closing(self._sock)


async def _result(answer: Any, timeout: float | None) -> Any:
    if timeout is None or not isawaitable(answer):
        return await answer if isawaitable(answer) else answer
    with trio.move_on_after(timeout):
        return await answer
    raise TimeoutError("what was awaited took too long")
