"""Performs the actions of flows on one trio stream."""

from __future__ import annotations

import math
import selectors
from contextlib import suppress
from inspect import isawaitable
from typing import Any, TypeVar

import trio

import ehlo
from ehlo import flows
from ehlo_io._clock import DeadlineClock
from ehlo_io._message import Source
from ehlo_io._setup import MAX_REPLIES, log_hook_failure
from ehlo_io._tls import Channel

T = TypeVar("T")
_SIZE = 65536
# Without a descriptor of its own where there is poll(2).
_Selector = getattr(selectors, "PollSelector", selectors.DefaultSelector)
_GOODBYE = 0.1
"""Seconds that the end of TLS gets to leave; it has no room only if the peer does not read."""


class TrioPump:
    """One connection. `run` performs a flow in the calling task."""

    def __init__(self, stream: trio.SocketStream, channel: Channel, peer: str | None = None) -> None:
        self._stream = stream
        self._channel = channel
        self._peer = peer
        self._clock = DeadlineClock()
        self._received: list[bytes] = []
        self._receiving: trio.CancelScope | None = None
        self._stopping = False

    async def run(self, flow: flows.Flow[T], source: Source | None = None) -> T:
        try:
            action = next(flow)
            while True:
                try:
                    result = await self._perform(action, source)
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
            await trio.aclose_forcefully(self._stream)
            raise

    def stop(self) -> None:
        """Let a server's flow end at its next `Receive`, or at the one it waits in."""
        self._stopping = True
        if self._receiving is not None:
            self._receiving.cancel()

    async def _perform(self, action: flows.Action, source: Source | None) -> Any:
        match action:
            case flows.Receive(deadline):
                return await self._receive(deadline)
            case flows.Send(data, deadline, and_receive):
                return await self._send(self._channel.outgoing(data), deadline, and_receive)
            case flows.Poll():
                return await self._poll()
            case flows.Ask(question):
                return await self._ask(question)
            case flows.ReadBody(size):
                assert source is not None, "only a submission reads a body"
                return await _result(source.read(size))
            case flows.StartTLS(server_hostname, deadline):
                return await self._start_tls(server_hostname, deadline)
            case flows.Close(linger):
                return await self._close(linger)

    async def _ask(self, question: Any) -> Any:
        try:
            return await _result(question())
        except Exception:
            log_hook_failure(self._peer)
            raise

    def _scope(self, deadline: ehlo.Deadline | None) -> trio.CancelScope:
        expiry = self._clock.expiry(deadline, trio.current_time())
        return trio.CancelScope(deadline=math.inf if expiry is None else expiry)

    async def _raw(self, deadline: ehlo.Deadline | None) -> bytes:
        if self._received:
            return self._received.pop(0)
        if self._stopping:
            raise flows.Shutdown
        with self._scope(deadline) as self._receiving, _connection_errors():
            return bytes(await self._stream.receive_some(_SIZE))
        if self._stopping:
            raise flows.Shutdown
        raise TimeoutError

    async def _receive(self, deadline: ehlo.Deadline | None) -> bytes:
        data = self._channel.buffered()
        while data is None:
            data = self._channel.incoming(await self._raw(deadline))
        return data

    async def _poll(self) -> bytes | None:
        data = self._channel.buffered()
        if data is not None:
            return data
        if not self._received:
            with _Selector() as selector:
                selector.register(self._stream.socket, selectors.EVENT_READ)
                if not selector.select(0):
                    return None
        return self._channel.incoming(await self._raw(None))

    async def _send(self, data: bytes, deadline: ehlo.Deadline | None, and_receive: bool) -> None:
        with self._scope(deadline) as scope, _connection_errors():
            if and_receive:
                await self._send_and_receive(data)
            else:
                await self._stream.send_all(data)
        if scope.cancelled_caught:
            raise TimeoutError

    async def _send_and_receive(self, data: bytes) -> None:
        failure: trio.BrokenResourceError | None = None
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._keep_receiving, nursery.cancel_scope)
            try:
                await self._stream.send_all(data)
            except trio.BrokenResourceError as error:
                failure = error
            nursery.cancel_scope.cancel()
        if failure is not None:
            raise failure
        if sum(map(len, self._received)) > MAX_REPLIES:
            raise ConnectionAbortedError("the peer sends without end")

    async def _keep_receiving(self, sending: trio.CancelScope) -> None:
        size = sum(map(len, self._received))
        with suppress(trio.BrokenResourceError):
            while data := bytes(await self._stream.receive_some(_SIZE)):
                self._received.append(data)
                size += len(data)
                if size > MAX_REPLIES:
                    sending.cancel()
            self._received.append(data)

    async def _start_tls(self, server_hostname: str | None, deadline: ehlo.Deadline | None) -> ehlo.TLSInfo:
        channel = self._channel
        channel.start_tls(server_hostname)
        try:
            info = channel.handshake(None)
            while info is None:
                await self._send(channel.pending(), deadline, False)
                info = channel.handshake(await self._raw(deadline))
        finally:
            # An alert tells the peer why, a last flight ends the handshake.
            with suppress(OSError):
                await self._send(channel.pending(), deadline, False)
        return info

    async def _close(self, linger: float) -> None:
        with trio.move_on_after(linger or _GOODBYE), suppress(OSError), _connection_errors():
            await self._stream.send_all(self._channel.closing())
            await self._stream.send_eof()
            while linger and await self._stream.receive_some(_SIZE):
                pass
        await trio.aclose_forcefully(self._stream)


class _connection_errors:
    """trio's errors of a broken or closed stream as the OSError that flows know."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if isinstance(error, (trio.BrokenResourceError, trio.ClosedResourceError)):
            raise ConnectionResetError("the connection is closed") from error


async def _result(answer: Any) -> Any:
    return await answer if isawaitable(answer) else answer
