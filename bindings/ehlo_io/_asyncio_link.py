"""What a pump on asyncio knows of its transport: octets in and out, TLS, one timer."""

from __future__ import annotations

import asyncio
import math
import threading
from contextlib import suppress
from typing import Final, cast

import ehlo
from ehlo_io._alarm import Alarm, Sleeper
from ehlo_io._common import local_address_of, peer_of
from ehlo_io._tls import Channel

_SIZE: Final = 65536
MAX_UNREAD: Final = 262144
"""Octets that are kept while nobody asks for them, before reading pauses."""


class _Shared(threading.local):
    # One buffer for all connections of a thread: a callback copies out what it got before it returns,
    # and asyncio's own buffer of 256 KiB for each read costs more than all the rest of a short
    # message. Loops in other threads read at the same time, so each has its own.
    def __init__(self) -> None:
        self.buffer = memoryview(bytearray(_SIZE))


_SHARED = _Shared()


class AsyncioAlarm(Alarm):
    """One for each server, and for each client."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop.time)
        self._loop = loop
        self._handle: asyncio.TimerHandle | None = None

    def _ring_at(self, when: float) -> None:
        if self._handle is not None:
            self._handle.cancel()
        self._handle = self._loop.call_at(when, self.ring) if when < math.inf else None


class AsyncioLink(asyncio.BufferedProtocol, Sleeper):
    """One transport. What is done about what happens on it is the pump's business."""

    __slots__ = (
        "_buffer",
        "_channel",
        "_eof",
        "_loop",
        "_lost",
        "_paused",
        "_transport",
        "_unread",
        "peer",
    )
    _transport: asyncio.Transport

    def __init__(self, alarm: Alarm) -> None:
        Sleeper.__init__(self, alarm)
        self._loop = asyncio.get_running_loop()
        self._buffer = _SHARED.buffer
        # None while the octets are those of the transport.
        self._channel: Channel | None = None
        self._unread: bytearray | None = None
        self._eof = False
        self._lost: OSError | None = None
        self._paused = False
        self.peer: str | None = None

    @property
    def local_address(self) -> str:
        return local_address_of(self._transport.get_extra_info("sockname"))

    # ---- called by the transport ----

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are none of asyncio's classes.
        self._transport = cast(asyncio.Transport, transport)
        self.peer = peer_of(transport.get_extra_info("peername"))

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._buffer

    def pause_writing(self) -> None:
        self._paused = True

    # ---- octets ----

    def _write(self, data: bytes) -> None:
        if self._lost is not None:
            raise self._lost
        channel = self._channel
        self._transport.write(data if channel is None else channel.outgoing(data))

    def _arrived(self) -> bytes | None:
        """The flow's octets, b"" at the end of the stream, None when nothing is there."""
        channel = self._channel
        data = None if channel is None else channel.buffered()
        while data is None and (raw := self._next_unread()) is not None:
            data = raw if channel is None else channel.incoming(raw)
        return data

    def _next_unread(self) -> bytes | None:
        unread = self._unread
        if unread is not None:
            self._unread = None
            if len(unread) > MAX_UNREAD:
                self._transport.resume_reading()
            return bytes(unread)
        if self._lost is not None:
            raise self._lost
        return b"" if self._eof else None

    def _handshake(self, channel: Channel, raw: bytes | None) -> ehlo.TLSInfo | None:
        try:
            return channel.handshake(raw)
        finally:
            # An alert tells the peer why, a last flight ends the handshake.
            pending = channel.pending()
            if pending and self._lost is None:
                self._transport.write(pending)

    def _rescue(self) -> None:
        """A write that fails ends asyncio's reading, although a server's last words may be there."""
        sock = self._transport.get_extra_info("socket")
        found = self._unread or bytearray()
        # What stands for a socket in another event loop may not have this one.
        with suppress(OSError, TypeError, AttributeError), sock.dup() as rest:
            while len(found) < MAX_UNREAD and (data := rest.recv(_SIZE)):
                found += data
        self._unread = found or None
