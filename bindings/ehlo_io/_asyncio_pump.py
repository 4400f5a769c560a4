"""Performs the actions of flows on one asyncio transport, from the transport's own callbacks.

There is no task for a connection and none for a command: octets that arrive, a buffer that drains,
an awaitable that is done or a deadline that passes resumes the flow where it waits.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from enum import Enum
from inspect import isawaitable
from typing import Any, Final, Protocol, TypeVar

import ehlo
from ehlo import flows
from ehlo.flows import Ask, Close, Exchange, Poll, ReadBody, Receive, Send, StartTLS
from ehlo_io._alarm import Alarm
from ehlo_io._asyncio_link import MAX_UNREAD, AsyncioLink
from ehlo_io._common import MAX_REPLIES, log_hook_failure
from ehlo_io._message import Source
from ehlo_io._tls import MakeChannel

T = TypeVar("T")


_GOODBYE: Final = 2.0
"""Seconds that the last octets get to leave after a flow's end."""


class _Wait(Enum):
    """What the flow waits for."""

    NOTHING = "nothing"
    """There is no flow, or it runs."""
    DATA = "data"
    ROOM = "room"
    """For what was written to leave."""
    HANDSHAKE = "handshake"
    CODE = "code"
    """User code that is awaited."""
    END = "end"
    """The peer's last octets, which are thrown away."""


_NOTHING, _DATA, _ROOM, _HANDSHAKE = _Wait.NOTHING, _Wait.DATA, _Wait.ROOM, _Wait.HANDSHAKE
_CODE, _END = _Wait.CODE, _Wait.END


class _Later:
    """Not a result: the flow is to be resumed later."""


_LATER: Final = _Later()


class Owner(Protocol):
    """The server that a connection belongs to."""

    def made(self, pump: AsyncioPump) -> None:
        """A connection was made: give it a flow."""

    def ended(self, pump: AsyncioPump, error: Exception | None) -> None:
        """Its flow ended."""

    def gone(self, pump: AsyncioPump) -> None:
        """The connection is closed."""


class AsyncioPump(AsyncioLink):
    """One connection. Several flows may run on it, one after the other."""

    __slots__ = (
        "_done",
        "_exchanging",
        "_flow",
        "_make_channel",
        "_owner",
        "_source",
        "_task",
        "_waits",
        "stopping",
    )

    def __init__(self, make_channel: MakeChannel, alarm: Alarm, owner: Owner | None = None) -> None:
        super().__init__(alarm)
        self._make_channel = make_channel
        self._owner = owner
        self._flow: flows.Flow[Any] | None = None
        self._source: Source | None = None
        self._done: asyncio.Future[Any] | None = None
        self._task: asyncio.Task[None] | None = None
        self._waits = _NOTHING
        # What waits for room: its second half is still to come.
        self._exchanging: Send | Exchange | None = None
        self.stopping = False

    # ---- flows ----

    async def run(self, flow: flows.Flow[T], source: Source | None = None) -> T:
        """Run a flow to its end; being cancelled ends the connection."""
        self._source = source
        done = self._done = self._loop.create_future()
        self.start(flow)
        try:
            result: T = await done
        except asyncio.CancelledError:
            self._finish()
            self.abort()
            raise
        return result

    def start(self, flow: flows.Flow[Any]) -> None:
        """Run a flow to its end; the owner is told."""
        self._flow = flow
        self._step()

    def stop(self) -> None:
        """Let a server's flow end when it next waits for octets, or now if it does so."""
        self.stopping = True
        if self._waits in (_DATA, _HANDSHAKE):
            self._step(error=flows.Shutdown())

    def abort(self) -> None:
        """End the connection at once, and the user code that is awaited."""
        if self._task is not None:
            self._task.cancel()
        self._transport.abort()

    @property
    def over(self) -> bool:
        """No flow runs, and the connection is closed."""
        return self._flow is None and self._lost is not None

    def _step(self, value: Any = None, error: BaseException | None = None) -> None:
        """Run the flow until it waits for something."""
        flow = self._flow
        if flow is None:
            return
        self._waits = _NOTHING
        try:
            while True:
                action = flow.send(value) if error is None else flow.throw(error)
                error = None
                try:
                    value = self._exchange(action) if type(action) is Exchange else self._perform(action)
                except Exception as raised:
                    error = raised
                else:
                    if value is _LATER:
                        return
        except StopIteration as stop:
            self._finish()
            self._tell(stop.value, None)
        except Exception as failure:
            # The flow has closed the connection itself where it is over; a refusal leaves it open.
            self._finish()
            self._tell(None, failure)

    def _finish(self) -> None:
        flow, self._flow, self._source = self._flow, None, None
        self._waits = _NOTHING
        if flow is not None:
            flow.close()

    def _tell(self, result: Any, failure: Exception | None) -> None:
        done = self._done
        if self._owner is not None:
            self._owner.ended(self, failure)
        elif done is not None and not done.done():
            done.set_result(result) if failure is None else done.set_exception(failure)

    # ---- actions: a result, or _LATER ----

    def _perform(self, action: flows.Action) -> Any:
        match action:
            case Exchange():
                return self._exchange(action)
            case Receive():
                return self._receive(action.deadline)
            case Send():
                return self._send(action)
            case Poll():
                return self._arrived()
            case Ask():
                return self._ask(action)
            case ReadBody(size):
                assert self._source is not None, "only a submission reads a body"
                return self._await(self._source.read(size), logged=False)
            case StartTLS():
                return self._start_tls(action)
            case Close(linger):
                return self._close(linger)

    def _exchange(self, action: Exchange) -> Any:
        if self._channel is not None or self._lost is not None:
            self._write(action.data)
        else:
            self._transport.write(action.data)
            if self._unread is None and not (self._paused or self._eof or self.stopping):
                # The turn that nearly all are: nothing can be there yet.
                self._waits = _DATA
                deadline = action.deadline
                if deadline is not self._deadline or self._entry is None:
                    self._bound(deadline)
                return _LATER
        return self._wait_for_room(action) if self._paused else self._receive(action.deadline)

    def _receive(self, deadline: ehlo.Deadline | None) -> Any:
        if self.stopping:
            raise flows.Shutdown
        data = self._arrived()
        return self._wait(_DATA, deadline) if data is None else data

    def _send(self, action: Send) -> Any:
        self._write(action.data)
        # A transport whose write failed is closing: `connection_lost` is on its way.
        return self._wait_for_room(action) if self._paused or self._transport.is_closing() else None

    def _wait_for_room(self, action: Send | Exchange) -> _Later:
        self._exchanging = action
        if action.and_receive:
            self._transport.resume_reading()
        return self._wait(_ROOM, action.deadline)

    def _start_tls(self, action: StartTLS) -> Any:
        channel = self._make_channel()
        channel.start_tls(action.server_hostname)
        self._channel = channel
        info = self._handshake(channel, action.received or None)
        while info is None and (raw := self._next_unread()) is not None:
            info = self._handshake(channel, raw)
        return self._wait(_HANDSHAKE, action.deadline) if info is None else info

    def _ask(self, action: Ask) -> Any:
        if action.blocking:
            return self._await(asyncio.to_thread(action.question), logged=action.logged)
        try:
            answer = action.question()
        except Exception:
            if action.logged:
                log_hook_failure(self.peer)
            raise
        return answer if answer is None else self._await(answer, logged=action.logged)

    def _await(self, answer: Any, *, logged: bool) -> Any:
        if not isawaitable(answer):
            return answer
        self._waits = _CODE
        self._task = self._loop.create_task(self._answered(answer, logged))
        return _LATER

    async def _answered(self, answer: Awaitable[Any], logged: bool) -> None:
        """Await user code, and go on from there: what follows needs no task of its own."""
        value: Any = None
        error: Exception | None = None
        try:
            value = await answer
            while isawaitable(value):
                # What was called in a thread was no plain function after all.
                value = await value
        except asyncio.CancelledError:
            error = ConnectionAbortedError("what was awaited was cancelled")
        except Exception as raised:
            error = raised
            if logged:
                log_hook_failure(self.peer)
        self._task = None
        self._step(value, error)

    def _close(self, linger: float) -> Any:
        transport = self._transport
        if self._lost is not None:
            return None
        if self._paused and not linger:
            # The peer does not read: what is queued would never leave.
            transport.abort()
            return None
        if self._channel is not None:
            transport.write(self._channel.closing())
        if linger and not self._eof and transport.can_write_eof():
            try:
                transport.write_eof()
            except OSError:
                # The peer has reset the connection, and the loop has not noticed yet.
                transport.abort()
                return None
            self._unread = None
            transport.resume_reading()
            return self._wait(_END, ehlo.Deadline(ehlo.Wait.QUIT, linger))
        self._end_transport()
        return None

    def _end_transport(self) -> None:
        transport = self._transport
        transport.close()
        if transport.get_write_buffer_size():
            # What is over aborts it when that does not leave.
            self._bound(ehlo.Deadline(ehlo.Wait.QUIT, _GOODBYE))

    # ---- deadlines ----

    def _wait(self, what: _Wait, deadline: ehlo.Deadline | None) -> _Later:
        self._waits = what
        self._bound(deadline)
        return _LATER

    def _time_is_over(self) -> None:
        if self._waits in (_DATA, _ROOM, _HANDSHAKE):
            self._step(error=TimeoutError())
        elif self._waits is _END or self._transport.is_closing():
            self._transport.abort()

    # ---- the transport ----

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        if self._owner is not None:
            self._owner.made(self)

    def buffer_updated(self, nbytes: int) -> None:
        if self._waits is _DATA and self._channel is None:
            # The flow waits for just this: it gets it without a detour.
            self._step(bytes(self._buffer[:nbytes]))
        elif self._waits is not _END:
            self._keep(bytes(self._buffer[:nbytes]))

    def _keep(self, data: bytes) -> None:
        if self._unread is None:
            self._unread = bytearray()
        self._unread += data
        if self._waits is _DATA or self._waits is _HANDSHAKE:
            self._resume()
            return
        size, action = len(self._unread), self._exchanging
        if self._waits is _ROOM and action is not None and action.and_receive:
            if size > MAX_REPLIES:
                self._step(error=ConnectionAbortedError("the peer sends without end"))
        elif size > MAX_UNREAD:
            self._transport.pause_reading()

    def _resume(self) -> None:
        """Something came: look whether what waits for it can go on."""
        value: Any = None
        try:
            if self._waits is _DATA:
                value = self._arrived()
            elif self._channel is not None and (raw := self._next_unread()) is not None:
                value = self._handshake(self._channel, raw)
        except OSError as error:
            self._step(error=error)
        else:
            if value is not None:
                self._step(value)

    def eof_received(self) -> bool:
        self._eof = True
        if self._waits is _DATA or self._waits is _HANDSHAKE:
            self._resume()
        elif self._waits is _END:
            self._end_transport()
            self._step()
        # The flow may still have a reply to send; it closes the transport itself.
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        self._no_alarm()
        if exc is not None and self._owner is None and self._waits is not _END:
            self._rescue()
        self._lost = exc if isinstance(exc, OSError) else ConnectionResetError("the connection is closed")
        if self._waits is _DATA or self._waits is _HANDSHAKE:
            self._resume()
        elif self._waits is _ROOM:
            self._step(error=self._lost)
        elif self._waits is _END:
            self._step()
        if self._owner is not None:
            self._owner.gone(self)

    def resume_writing(self) -> None:
        self._paused = False
        action, self._exchanging = self._exchanging, None
        if self._waits is not _ROOM:
            return
        if not isinstance(action, Exchange):
            self._step()
            return
        try:
            value = self._receive(action.deadline)
        except Exception as error:
            self._step(error=error)
        else:
            if value is not _LATER:
                self._step(value)
