"""Performs the actions of flows on one asyncio transport, from the transport's own callbacks.

There is no task for a connection and none for a command: octets that arrive, a buffer that drains,
an awaitable that is done or a deadline that passes resumes the flow where it waits.
"""

from __future__ import annotations

import asyncio
import ssl
import threading
from collections.abc import Callable
from contextlib import suppress
from inspect import isawaitable
from typing import Any, Generic, TypeVar, cast

import ehlo
from ehlo import flows
from ehlo_io._clock import DeadlineClock
from ehlo_io._message import Source
from ehlo_io._setup import MAX_REPLIES, log_hook_failure
from ehlo_io._tls import Channel

T = TypeVar("T")

_SIZE = 65536
_MAX_UNREAD = 262144
_GOODBYE = 2.0
"""Seconds that the last octets get to leave after a flow's end."""


class _Shared(threading.local):
    # One buffer for all connections of a thread: a callback copies out what it got before it returns,
    # and asyncio's own buffer of 256 KiB for each read costs more than all the rest of a short
    # message. Loops in other threads read at the same time, so each has its own.
    def __init__(self) -> None:
        self.buffer = memoryview(bytearray(_SIZE))


_SHARED = _Shared()


class _Waiting:
    """Not a result: the flow is to be resumed later."""


_WAITING = _Waiting()


class AsyncioPump(asyncio.BufferedProtocol, Generic[T]):
    """One connection. `run` starts a flow; several may run one after the other."""

    def __init__(self, channel: Channel, *, on_made: Callable[[AsyncioPump[T]], None] | None = None) -> None:
        self._channel = channel
        self._on_made = on_made
        self._loop = asyncio.get_running_loop()
        self._buffer = _SHARED.buffer
        self._transport: asyncio.Transport | None = None
        self._clock = DeadlineClock()
        self._flow: flows.Flow[T] | None = None
        self._source: Source | None = None
        self._done: asyncio.Future[T] | None = None
        self._action: flows.Action | None = None
        self._task: asyncio.Future[Any] | None = None
        self._unread: list[bytes] = []
        self._unread_size = 0
        self._eof = False
        self._lost: OSError | None = None
        self._write_paused = False
        self._timer: asyncio.TimerHandle | None = None
        self._end: asyncio.TimerHandle | None = None
        self._expiry: float | None = None
        self.stopping = False
        self.peer: str | None = None
        self.local_address = ""
        self.closed: asyncio.Future[None] = self._loop.create_future()

    # ---- flows ----

    def run(self, flow: flows.Flow[T], source: Source | None = None) -> asyncio.Future[T]:
        """Run a flow to its end; cancelling the future ends the connection."""
        self._flow, self._source = flow, source
        self._done = self._loop.create_future()
        self._done.add_done_callback(self._if_cancelled)
        self._step()
        return self._done

    def stop(self) -> None:
        """Let a server's flow end at its next `Receive`, or where it waits for the peer now."""
        self.stopping = True
        if isinstance(self._action, flows.Receive | flows.StartTLS):
            self._step(error=flows.Shutdown())

    def abort(self) -> None:
        if self._task is not None:
            self._task.cancel()
        if self._transport is not None:
            self._transport.abort()

    def _if_cancelled(self, done: asyncio.Future[T]) -> None:
        if done.cancelled() and self._flow is not None:
            self._finish()
            self.abort()

    def _finish(self) -> None:
        flow, self._flow, self._action, self._source = self._flow, None, None, None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if flow is not None:
            flow.close()

    def _step(self, value: Any = None, error: BaseException | None = None) -> None:
        """Run the flow until it waits for something."""
        flow, done = self._flow, self._done
        if flow is None or done is None:
            return
        self._action = self._expiry = None
        try:
            while True:
                action = flow.send(value) if error is None else flow.throw(error)
                value = error = None
                try:
                    value = self._perform(action)
                except Exception as raised:
                    error = raised
                if value is _WAITING:
                    self._action = action
                    return
        except StopIteration as stop:
            self._finish()
            if not done.done():
                done.set_result(stop.value)
        except Exception as raised:
            # The flow has closed the connection itself where it is over; a refusal leaves it open.
            self._finish()
            if not done.done():
                done.set_exception(raised)

    # ---- actions: a result, or _WAITING ----

    def _perform(self, action: flows.Action) -> Any:
        match action:
            case flows.Receive(deadline):
                return self._receive(deadline)
            case flows.Send(data, deadline, and_receive):
                return self._send(data, deadline, and_receive)
            case flows.Poll():
                return self._poll()
            case flows.Ask(question):
                return self._call(question)
            case flows.ReadBody(size):
                assert self._source is not None, "only a submission reads a body"
                return self._await(self._source.read(size))
            case flows.StartTLS(server_hostname, deadline):
                self._channel.start_tls(server_hostname)
                return self._handshake(deadline, start=True)
            case flows.Close(linger):
                return self._close(linger)

    def _receive(self, deadline: ehlo.Deadline | None) -> Any:
        if self.stopping:
            raise flows.Shutdown
        data = self._poll()
        return self._wait(deadline) if data is None else data

    def _poll(self) -> bytes | None:
        data = self._channel.buffered()
        while data is None and (raw := self._next_unread()) is not None:
            data = self._channel.incoming(raw)
        return data

    def _next_unread(self) -> bytes | None:
        """What arrived, b"" at the end of the stream, None when nothing is there."""
        if self._unread:
            raw = b"".join(self._unread) if len(self._unread) > 1 else self._unread[0]
            self._unread.clear()
            if self._unread_size > _MAX_UNREAD and self._transport is not None:
                self._transport.resume_reading()
            self._unread_size = 0
            return raw
        if self._lost is not None:
            raise self._lost
        return b"" if self._eof else None

    def _send(self, data: bytes, deadline: ehlo.Deadline | None, and_receive: bool) -> Any:
        self._write(self._channel.outgoing(data))
        transport = self._transport
        if transport is None or not (self._write_paused or transport.is_closing()):
            return None
        # A transport whose write failed is closing: `connection_lost` is on its way.
        if and_receive:
            transport.resume_reading()
        return self._wait(deadline)

    def _write(self, data: bytes) -> None:
        if self._lost is not None:
            raise self._lost
        if data and self._transport is not None:
            self._transport.write(data)

    def _handshake(self, deadline: ehlo.Deadline | None, *, start: bool = False) -> Any:
        channel = self._channel
        raw = None
        try:
            info = channel.handshake(None) if start else None
            while info is None and (raw := self._next_unread()) is not None:
                info = channel.handshake(raw)
        finally:
            # An alert tells the peer why, a last flight ends the handshake.
            self._write(channel.pending())
        return self._wait(deadline) if info is None else info

    def _call(self, question: Callable[[], Any]) -> Any:
        try:
            return self._await(question(), hook=True)
        except Exception:
            log_hook_failure(self.peer)
            raise

    def _await(self, answer: Any, *, hook: bool = False) -> Any:
        if not isawaitable(answer):
            return answer
        self._task = asyncio.ensure_future(answer)
        self._task.add_done_callback(self._hook_done if hook else self._read_done)
        return _WAITING

    def _hook_done(self, task: asyncio.Future[Any]) -> None:
        self._task = None
        if task.cancelled():
            self._step(error=ConnectionAbortedError("the hook was cancelled"))
            return
        error = task.exception()
        if error is not None:
            try:
                raise error
            except BaseException:
                log_hook_failure(self.peer)
        self._step(None if error else task.result(), error)

    def _read_done(self, task: asyncio.Future[Any]) -> None:
        self._task = None
        error = ConnectionAbortedError("reading was cancelled") if task.cancelled() else task.exception()
        self._step(None if error else task.result(), error)

    def _close(self, linger: float) -> Any:
        transport = self._transport
        if transport is None or self._lost is not None:
            return None
        if self._write_paused and not linger:
            # The peer does not read: what is queued would never leave.
            transport.abort()
            return None
        transport.write(self._channel.closing())
        if linger and not self._eof and transport.can_write_eof():
            try:
                transport.write_eof()
            except OSError:
                # The peer has reset the connection, and the loop has not noticed yet.
                transport.abort()
                return None
            self._unread.clear()
            transport.resume_reading()
            return self._wait_until(self._loop.time() + linger)
        self._end_transport(transport)
        return None

    def _end_transport(self, transport: asyncio.Transport) -> None:
        transport.close()
        self._end = self._loop.call_later(_GOODBYE, transport.abort)

    # ---- deadlines: one lazy timer ----

    def _wait(self, deadline: ehlo.Deadline | None) -> _Waiting:
        return self._wait_until(self._clock.expiry(deadline, self._loop.time()))

    def _wait_until(self, expiry: float | None) -> _Waiting:
        self._expiry = expiry
        if self._expiry is not None and (self._timer is None or self._timer.when() > self._expiry):
            self._arm(self._expiry)
        return _WAITING

    def _arm(self, when: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_at(when, self._timer_fired)

    def _timer_fired(self) -> None:
        self._timer = None
        if self._expiry is None:
            return
        if self._expiry > self._loop.time():
            self._arm(self._expiry)
        else:
            self._resume(TimeoutError())

    # ---- the transport ----

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are none of asyncio's classes.
        self._transport = cast(asyncio.Transport, transport)
        peer = transport.get_extra_info("peername")
        self.peer = str(peer[0]) if peer else None
        local = transport.get_extra_info("sockname")
        self.local_address = str(local[0]) if local else ""
        if self._on_made is not None:
            self._on_made(self)

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        if isinstance(self._action, flows.Close):
            return
        data = bytes(self._buffer[:nbytes])
        if isinstance(self._action, flows.Receive) and not self._unread:
            self._hand_over(data)
            return
        self._unread.append(data)
        self._unread_size += nbytes
        if self._unread_size > _MAX_UNREAD and self._transport is not None:
            if not isinstance(self._action, flows.Send) or not self._action.and_receive:
                self._transport.pause_reading()
            elif self._unread_size > MAX_REPLIES:
                self._step(error=ConnectionAbortedError("the peer sends without end"))
                return
        self._resume()

    def _hand_over(self, data: bytes) -> None:
        """The flow waits for just this: it gets it without a detour."""
        try:
            value = self._channel.incoming(data)
        except OSError as error:
            self._step(error=error)
        else:
            if value is not None:
                self._step(value)

    def eof_received(self) -> bool:
        self._eof = True
        self._resume()
        # The flow may still have a reply to send; it closes the transport itself.
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        if self._end is not None:
            self._end.cancel()
        if exc is not None and self._on_made is None and not isinstance(self._action, flows.Close):
            self._rescue()
        self._lost = exc if isinstance(exc, OSError) else ConnectionResetError("the connection is closed")
        if not self.closed.done():
            self.closed.set_result(None)
        self._resume()

    def _rescue(self) -> None:
        """A write that fails ends asyncio's reading, although a server's last words may be there."""
        assert self._transport is not None, "it is lost now"
        sock = self._transport.get_extra_info("socket")
        # What stands for a socket in another event loop may not have this one.
        with suppress(OSError, TypeError, AttributeError), sock.dup() as rest:
            while self._unread_size < _MAX_UNREAD and (data := rest.recv(_SIZE)):
                self._unread.append(data)
                self._unread_size += len(data)

    def pause_writing(self) -> None:
        self._write_paused = True

    def resume_writing(self) -> None:
        self._write_paused = False
        if isinstance(self._action, flows.Send):
            self._step()

    def _resume(self, error: OSError | None = None) -> None:
        """Something happened on the transport: look whether the action that waits can go on."""
        action = self._action
        try:
            match action:
                case flows.Receive(deadline) if error is None:
                    value = self._receive(deadline)
                case flows.StartTLS(_, deadline) if error is None:
                    value = self._handshake(deadline)
                case flows.Send():
                    if error is None and self._lost is None:
                        return
                    raise error or self._lost or TimeoutError()
                case flows.Close():
                    if error is None and not self._eof and self._lost is None:
                        return
                    if self._transport is not None and self._lost is None:
                        self._transport.abort() if error else self._end_transport(self._transport)
                    value = None
                case None | flows.Poll() | flows.Ask() | flows.ReadBody():
                    return
                case _:
                    raise error or TimeoutError()
        except (OSError, ssl.SSLError) as raised:
            self._step(error=raised)
            return
        if value is not _WAITING:
            self._step(value)
