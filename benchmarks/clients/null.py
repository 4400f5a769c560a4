"""Clients that know what comes: what the transport alone costs. Of a reply they see that it is there."""

from __future__ import annotations

import asyncio
import socket

from benchmarks.clients.jobs import Job
from benchmarks.clients.ours import in_threads
from benchmarks.messages import CLIENT_NAME, DATA, MAIL, QUIT, RCPT, chunk, stuffed
from benchmarks.processes import HOST

_SIZE = 65536
_EHLO = f"EHLO {CLIENT_NAME}\r\n".encode()


def _body(job: Job) -> bytes:
    content = job.body()
    assert isinstance(content, bytes)
    return MAIL + RCPT + chunk(content) if job.chunking else stuffed(content)


class _Protocol(asyncio.BufferedProtocol):
    """Counts the lines that end a reply."""

    def __init__(self) -> None:
        self._view = memoryview(bytearray(_SIZE))
        self._wanted = 1
        self._loop = asyncio.get_running_loop()
        self._waiter = self._loop.create_future()
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._view

    def buffer_updated(self, nbytes: int) -> None:
        data = bytes(self._view[:nbytes])
        self._wanted -= data.count(b"\n") - data.count(b"-", 3, 4)
        if self._wanted <= 0 and not self._waiter.done():
            self._waiter.set_result(None)

    async def greeted(self) -> None:
        await self._waiter

    async def say(self, octets: bytes, replies: int = 1) -> None:
        self._wanted = replies
        self._waiter = self._loop.create_future()
        self._transport.write(octets)
        await self._waiter

    async def hello(self) -> None:
        # The reply has several lines, which come at once.
        await self.greeted()
        await self.say(_EHLO)

    def close(self) -> None:
        self._transport.close()


async def run_asyncio(job: Job) -> None:
    body = _body(job)

    async def turn(share: int) -> None:
        for messages in job.sessions(share):
            _, peer = await asyncio.get_running_loop().create_connection(_Protocol, HOST, job.port)
            await peer.hello()
            for _ in range(messages):
                if job.chunking:
                    await peer.say(body, 3)
                    continue
                if job.pipelining:
                    await peer.say(MAIL + RCPT + DATA, 3)
                else:
                    for line in (MAIL, RCPT, DATA):
                        await peer.say(line)
                await peer.say(body)
            await peer.say(QUIT)
            peer.close()

    await asyncio.gather(*(turn(share) for share in job.shares()))


def run_blocking(job: Job) -> None:
    body = _body(job)

    def turn(share: int) -> None:
        for messages in job.sessions(share):
            with socket.create_connection((HOST, job.port)) as sock:
                sock.recv(_SIZE)
                for octets in (_EHLO, *((MAIL, RCPT, DATA, body) * messages), QUIT):
                    sock.sendall(octets)
                    sock.recv(_SIZE)

    def flights(share: int) -> None:
        for messages in job.sessions(share):
            with socket.create_connection((HOST, job.port)) as sock:
                sock.recv(_SIZE)
                sock.sendall(_EHLO)
                sock.recv(_SIZE)
                for _ in range(messages):
                    sock.sendall(MAIL + RCPT + DATA)
                    replies = 0
                    while replies < 3:
                        replies += sock.recv(_SIZE).count(b"\n")
                    sock.sendall(body)
                    sock.recv(_SIZE)
                sock.sendall(QUIT)
                sock.recv(_SIZE)

    in_threads(flights if job.pipelining else turn, job)
