"""Performs the actions of flows on one socket in trio.

One cancel scope lasts for as long as the flow waits for nothing but the peer: opening one for each wait
costs more than what it waits for. When its time comes the pump looks how long there still is to wait.
User code is awaited outside it.
"""

from __future__ import annotations

import math
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress
from inspect import isawaitable
from typing import Any, Final, TypeVar

import trio

import ehlo
from ehlo import flows
from ehlo.flows import Ask, Close, Exchange, Poll, ReadBody, Receive, Send, StartTLS
from ehlo_io._clock import Timed
from ehlo_io._message import Source
from ehlo_io._setup import MAX_REPLIES, log_hook_failure
from ehlo_io._tls import Channel, MakeChannel

T = TypeVar("T")
_SIZE: Final = 65536
_GOODBYE: Final = 0.1
"""Seconds that the end of TLS gets to leave; it has no room only if the peer does not read."""


class _Ended:
    """The flow returned this."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value


class _UserCode:
    """The flow waits for the end of this."""

    __slots__ = ("answer", "hook")

    def __init__(self, answer: Awaitable[Any], *, hook: bool) -> None:
        self.answer = answer
        self.hook = hook


class TrioPump(Timed):
    """One connection. `run` performs a flow in the calling task."""

    __slots__ = (
        "_action",
        "_channel",
        "_left",
        "_make_channel",
        "_peer",
        "_received",
        "_scope",
        "_sent",
        "_sock",
        "_source",
        "_stopping",
        "_waits",
    )
    _scope: trio.CancelScope

    def __init__(self, sock: socket.socket, make_channel: MakeChannel, peer: str | None = None) -> None:
        """`sock` must not block."""
        super().__init__()
        self._sock = sock
        self._make_channel = make_channel
        # None while the octets are those of the socket.
        self._channel: Channel | None = None
        self._peer = peer
        self._source: Source | None = None
        # The action that is not done yet, and what of it is.
        self._action: flows.Action | None = None
        self._sent = False
        self._left: memoryview | None = None
        self._received: list[bytes] | None = None
        self._waits = False
        self._stopping = False

    async def run(self, flow: flows.Flow[T], source: Source | None = None) -> T:
        self._source = source
        # What a flow that was cancelled left behind.
        self._action = None
        value: Any = None
        error: Exception | None = None
        try:
            while True:
                found: _Ended | _UserCode | None = None
                with trio.CancelScope(deadline=self._until) as self._scope:
                    found = await self._go_on(flow, value, error)
                if isinstance(found, _Ended):
                    result: T = found.value
                    return result
                value, error = await self._answer(found) if found else self._interruption()
        except Exception:
            # The flow has closed the connection itself where it is over; a refusal leaves it open.
            raise
        except BaseException:
            self.abort()
            raise

    def stop(self) -> None:
        """Let a server's flow end when it next waits for octets, or now if it does so."""
        self._stopping = True
        if self._waits:
            self._scope.cancel()

    def abort(self) -> None:
        """End the connection at once."""
        if self._sock.fileno() >= 0:
            trio.lowlevel.notify_closing(self._sock)
            self._sock.close()

    async def _go_on(self, flow: flows.Flow[T], value: Any, error: Exception | None) -> _Ended | _UserCode:
        """Run the flow until it ends or waits for user code."""
        while True:
            action = self._action
            if action is None or error is not None:
                self._sent, self._left = False, None
                try:
                    action = flow.send(value) if error is None else flow.throw(error)
                except StopIteration as stop:
                    return _Ended(stop.value)
                self._action = action
                value = error = None
            try:
                value = await (self._exchange(action) if type(action) is Exchange else self._perform(action))
            except Exception as raised:
                error = raised
            else:
                self._action = None
                if isinstance(value, _UserCode):
                    return value

    def _interruption(self) -> tuple[None, Exception | None]:
        """The scope was cancelled: because the pump shall stop, because the time of the wait is over,
        or because it might have been."""
        waits, self._waits = self._waits, False
        if waits and self._stopping:
            return None, flows.Shutdown()
        return None, TimeoutError() if self._until <= trio.current_time() else None

    async def _answer(self, code: _UserCode) -> tuple[Any, Exception | None]:
        try:
            return await code.answer, None
        except Exception as error:
            if code.hook:
                log_hook_failure(self._peer)
            return None, error

    # ---- actions: each can be interrupted and begun again ----

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
            case Ask(question):
                return self._ask(question)
            case ReadBody(size):
                assert self._source is not None, "only a submission reads a body"
                return _user_code(self._source.read(size), hook=False)
            case StartTLS(server_hostname, deadline):
                return await self._start_tls(server_hostname, deadline)
            case Close(linger):
                return await self._close(linger)

    async def _exchange(self, action: Exchange) -> bytes:
        if not self._sent:
            await self._send(action.data, action.deadline, action.and_receive)
            self._sent = True
        data = await self._receive(action.deadline)
        self._sent = False
        return data

    async def _send(self, data: bytes, deadline: ehlo.Deadline | None, and_receive: bool) -> None:
        if self._left is None:
            self._write(data if self._channel is None else self._channel.outgoing(data))
        if self._left is not None:
            self._bound(deadline)
            await (self._send_and_receive() if and_receive else self._send_rest())

    def _write(self, data: bytes) -> None:
        """What can be written without waiting; the rest is left."""
        try:
            sent = self._sock.send(data)
        except BlockingIOError:
            sent = 0
        self._left = memoryview(data)[sent:] if sent < len(data) else None

    async def _send_rest(self) -> None:
        while self._left is not None:
            await trio.lowlevel.wait_writable(self._sock)
            self._write(self._left)  # type: ignore[arg-type]

    async def _send_and_receive(self) -> None:
        failure: OSError | None = None
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._keep_receiving, nursery.cancel_scope)
            try:
                await self._send_rest()
            except OSError as error:
                failure = error
            nursery.cancel_scope.cancel()
        if failure is not None:
            raise failure
        if sum(map(len, self._received or ())) > MAX_REPLIES:
            raise ConnectionAbortedError("the peer sends without end")

    async def _keep_receiving(self, sending: trio.CancelScope) -> None:
        if self._received is None:
            self._received = []
        size = sum(map(len, self._received))
        with suppress(OSError):
            while data := await self._recv():
                self._received.append(data)
                size += len(data)
                if size > MAX_REPLIES:
                    sending.cancel()
            self._received.append(data)

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
        self._waits = True
        data = await self._recv()
        self._waits = False
        return data

    async def _recv(self) -> bytes:
        while True:
            try:
                await trio.lowlevel.wait_readable(self._sock)
                return self._sock.recv(_SIZE)
            except BlockingIOError:
                continue
            except (trio.ClosedResourceError, ValueError) as error:
                raise ConnectionResetError("the connection is closed") from error

    def _bound(self, deadline: ehlo.Deadline | None) -> None:
        """Let the next wait end at the deadline; the scope may end it earlier, to look."""
        if deadline is not self._deadline:
            self._deadline = deadline
            self._until = math.inf if deadline is None else trio.current_time() + deadline.seconds
        self._scope.deadline = min(self._scope.deadline, self._until)

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

    def _ask(self, question: Callable[[], Any]) -> Any:
        try:
            answer = question()
        except Exception:
            log_hook_failure(self._peer)
            raise
        return answer if answer is None else _user_code(answer, hook=True)

    async def _start_tls(self, server_hostname: str | None, deadline: ehlo.Deadline | None) -> ehlo.TLSInfo:
        channel = self._channel
        if channel is None:
            channel = self._make_channel()
            channel.start_tls(server_hostname)
            self._channel = channel
        raw = None
        try:
            while (info := channel.handshake(raw)) is None:
                await self._send_raw(channel.pending(), deadline)
                raw = await self._raw(deadline)
        except OSError:
            # An alert tells the peer why.
            with suppress(OSError):
                self._write(channel.pending())
            raise
        await self._send_raw(channel.pending(), deadline)
        return info

    async def _send_raw(self, data: bytes, deadline: ehlo.Deadline | None) -> None:
        if data:
            self._write(data)
        if self._left is not None:
            self._bound(deadline)
            await self._send_rest()

    async def _close(self, linger: float) -> None:
        last = b"" if self._channel is None else self._channel.closing()
        if last or linger:
            self._until = math.inf
            self._scope.deadline = math.inf
            with trio.move_on_after(linger or _GOODBYE), suppress(OSError):
                await self._send_raw(last, None)
                self._sock.shutdown(socket.SHUT_WR)
                while linger and await self._recv():
                    pass
        self.abort()


def _user_code(answer: Any, *, hook: bool) -> Any:
    return _UserCode(answer, hook=hook) if isawaitable(answer) else answer
