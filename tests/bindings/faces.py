"""One face for the three bindings, so that a scenario is written once.

A scenario is an `async def` over an `Io`. For asyncio and trio it runs in their loop; for blocking
sockets nothing in it ever suspends, and `drive` runs it as if it were a function.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import importlib
import logging
import ssl
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Generator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from types import ModuleType
from typing import Any, Protocol, TypeVar

import attrs
import trio
from tests.bindings.peers import Address, Peer, Scripted

import ehlo
import ehlo_io.asyncio
import ehlo_io.blocking
import ehlo_io.trio
from ehlo import flows

T = TypeVar("T")
HOSTNAME = "mail.test"
PATIENCE = 8.0
"""Seconds after which a condition that does not come true is a failure."""


@attrs.frozen
class Certificates:
    """A server that clients trust, and a server that they do not."""

    server: ssl.SSLContext
    client: ssl.SSLContext
    stranger: ssl.SSLContext
    authority: str
    """The file of whom both sides trust."""
    of_client: str
    """The file of a client's certificate and key."""
    other_pem: str
    """The stranger's."""


class Running(Protocol):
    """A server that runs."""

    @property
    def address(self) -> tuple[str, int]: ...
    @property
    def path(self) -> str | None: ...
    async def close(self) -> None: ...


class Client(Protocol):
    """An open session."""

    facts: ehlo.HostFacts
    notices: tuple[ehlo.Notice, ...]

    @property
    def is_ready(self) -> bool: ...
    @property
    def capabilities(self) -> ehlo.Capabilities: ...
    @property
    def tls(self) -> ehlo.TLSInfo | None: ...
    async def submit(self, message: Any, **options: Any) -> ehlo.SubmissionResult: ...
    async def submit_many(self, messages: Any) -> list[flows.Delivery]: ...
    async def still_open(self) -> bool: ...
    async def close(self) -> None: ...


class Pool(Protocol):
    """Sessions with one server."""

    async def submit(self, message: Any, **options: Any) -> ehlo.SubmissionResult: ...
    async def submit_many(self, messages: Any) -> list[flows.Delivery]: ...
    def session(self) -> AbstractAsyncContextManager[Client]: ...


class Connecting(AbstractAsyncContextManager[Client], Awaitable[Client]):
    """What connect gives in each binding; never made, only named."""


class Io(ABC):
    """What a scenario may do."""

    name: str
    module: ModuleType

    def __init__(self, certificates: Certificates) -> None:
        self.certificates = certificates
        self.log: list[logging.LogRecord] = []
        """Records of the bindings; a scenario that expects some takes them out."""

    def serve(self, handler: object, **options: Any) -> AbstractAsyncContextManager[Running]:
        """A server with TLS on a free port."""
        settings = {"port": 0, "hostname": HOSTNAME, "tls": self.certificates.server}
        return self._serve(handler, **settings | options)

    def serve_open(self, handler: object, **options: Any) -> AbstractAsyncContextManager[Running]:
        """A server that takes mail from anybody and has no TLS."""
        return self.serve(handler, **{"tls": None, "policy": ehlo.OPEN_TEST} | options)

    def serve_unix(
        self, handler: object, path: object, **options: Any
    ) -> AbstractAsyncContextManager[Running]:
        """`serve_open` on a UNIX socket."""
        settings = {"hostname": HOSTNAME, "tls": None, "policy": ehlo.OPEN_TEST}
        return self._serve(handler, path=path, **settings | options)

    def connect(self, address: Address, **options: Any) -> Connecting:
        """To a host and port, or to the path of a UNIX socket."""
        settings = {
            "context": self.certificates.client,
            "server_name": HOSTNAME,
            "client_name": "client.test",
        }
        return self._connect(address, **settings | options)

    def connect_open(self, address: Address, **options: Any) -> Connecting:
        return self.connect(address, **{"tls": "none"} | options)

    def pool(self, address: Address, *, size: int = 4, idle: float = 10.0, **options: Any) -> Any:
        """A pool of sessions such as `connect` gives."""
        return self._pool(lambda: self.connect(address, **options), size=size, idle=idle)

    def _pool(self, connect: Callable[[], Connecting], **settings: Any) -> Any:
        return self.module.Pool(connect, **settings)

    @asynccontextmanager
    async def scripted(
        self, script: Callable[[Peer], None], *, small_buffers: bool = False
    ) -> AsyncIterator[tuple[str, int]]:
        """A server that plays `script` with each client; gives its address."""
        server = Scripted(script, small_buffers=small_buffers)
        try:
            yield server.address
        finally:
            # Not in the way of the loop, which may have connections to close.
            await self.thread(server.close)
        server.check()

    def logged(self) -> str:
        """The texts and exceptions of the log, which is empty then."""
        formatter = logging.Formatter("%(message)s")
        text = "\n".join(formatter.format(record) for record in self.log)
        self.log.clear()
        return text

    async def until(self, condition: Callable[[], object], patience: float = PATIENCE) -> None:
        """Wait until the condition holds."""
        end = time.monotonic() + patience
        while not condition():
            assert time.monotonic() < end, "the condition never came true"
            await self.sleep(0.002)

    @abstractmethod
    def run(self, scenario: Callable[[Io], Coroutine[Any, Any, None]], limit: float) -> None:
        """Run a scenario to its end, or fail after `limit` seconds."""

    @abstractmethod
    def _serve(
        self, handler: object, *, path: Any = None, **options: Any
    ) -> AbstractAsyncContextManager[Running]: ...

    @abstractmethod
    def _connect(self, address: Address, **options: Any) -> Connecting: ...

    @abstractmethod
    async def sleep(self, seconds: float) -> None: ...

    @abstractmethod
    async def thread(self, work: Callable[[], T]) -> T:
        """Run a function that blocks, such as a peer on plain sockets, and wait for it."""

    @abstractmethod
    async def together(self, *jobs: Coroutine[Any, Any, T]) -> list[T]:
        """Run all at the same time."""

    @abstractmethod
    async def cancel_when(self, condition: Callable[[], object], job: Coroutine[Any, Any, Any]) -> None:
        """Begin the job, and cancel it when the condition holds."""


class AsyncioIo(Io):
    name = "asyncio"
    module = ehlo_io.asyncio

    def run(self, scenario: Callable[[Io], Coroutine[Any, Any, None]], limit: float) -> None:
        async def bounded() -> None:
            async with asyncio.timeout(limit):
                await scenario(self)
            left = asyncio.all_tasks() - {asyncio.current_task()}
            assert not left, f"tasks are left: {left}"

        with asyncio.Runner(loop_factory=self._loop_factory()) as runner:
            runner.run(bounded())

    def _loop_factory(self) -> Callable[[], asyncio.AbstractEventLoop] | None:
        return None

    def _serve(
        self, handler: object, *, path: Any = None, **options: Any
    ) -> AbstractAsyncContextManager[Running]:
        if path is not None:
            return ehlo_io.asyncio.serve_unix(handler, path, **options)
        return ehlo_io.asyncio.serve(handler, **options)

    def _connect(self, address: Address, **options: Any) -> Any:
        if isinstance(address, str):
            return ehlo_io.asyncio.connect_unix(address, **options)
        return ehlo_io.asyncio.connect(*address, **options)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def thread(self, work: Callable[[], T]) -> T:
        # Not the loop's executor, which has few threads.
        thread, outcome = _start(work)
        while thread.is_alive():
            await asyncio.sleep(0.001)
        return outcome()

    async def together(self, *jobs: Coroutine[Any, Any, T]) -> list[T]:
        return await asyncio.gather(*jobs)

    async def cancel_when(self, condition: Callable[[], object], job: Coroutine[Any, Any, Any]) -> None:
        task = asyncio.ensure_future(job)
        await self.until(condition)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        assert task.cancelled(), "the job ended by itself"


class UvloopIo(AsyncioIo):
    name = "uvloop"

    def _loop_factory(self) -> Callable[[], asyncio.AbstractEventLoop]:
        factory: Callable[[], asyncio.AbstractEventLoop] = importlib.import_module("uvloop").new_event_loop
        return factory


class TrioIo(Io):
    name = "trio"
    module = ehlo_io.trio

    def run(self, scenario: Callable[[Io], Coroutine[Any, Any, None]], limit: float) -> None:
        async def bounded() -> None:
            with trio.fail_after(limit):
                await scenario(self)

        trio.run(bounded)

    def _serve(
        self, handler: object, *, path: Any = None, **options: Any
    ) -> AbstractAsyncContextManager[Running]:
        if path is not None:
            return ehlo_io.trio.serve_unix(handler, path, **options)
        return ehlo_io.trio.serve(handler, **options)

    def _connect(self, address: Address, **options: Any) -> Any:
        if isinstance(address, str):
            return ehlo_io.trio.connect_unix(address, **options)
        return ehlo_io.trio.connect(*address, **options)

    async def sleep(self, seconds: float) -> None:
        await trio.sleep(seconds)

    async def thread(self, work: Callable[[], T]) -> T:
        thread, outcome = _start(work)
        while thread.is_alive():
            await trio.sleep(0.001)
        return outcome()

    async def together(self, *jobs: Coroutine[Any, Any, T]) -> list[T]:
        results: dict[int, T] = {}

        async def one(index: int, job: Coroutine[Any, Any, T]) -> None:
            results[index] = await job

        async with trio.open_nursery() as nursery:
            for index, job in enumerate(jobs):
                nursery.start_soon(one, index, job)
        return [results[index] for index in range(len(jobs))]

    async def cancel_when(self, condition: Callable[[], object], job: Coroutine[Any, Any, Any]) -> None:
        scope = trio.CancelScope()

        async def one() -> None:
            with scope:
                await job

        async with trio.open_nursery() as nursery:
            nursery.start_soon(one)
            await self.until(condition)
            scope.cancel()
        assert scope.cancelled_caught, "the job ended by itself"


class _BlockingClient:
    def __init__(self, client: ehlo_io.blocking.Client) -> None:
        self._client = client
        self.facts = client.facts
        self.notices = client.notices

    @property
    def is_ready(self) -> bool:
        return self._client.is_ready

    @property
    def capabilities(self) -> ehlo.Capabilities:
        return self._client.capabilities

    @property
    def tls(self) -> ehlo.TLSInfo | None:
        return self._client.tls

    async def submit(self, message: Any, **options: Any) -> ehlo.SubmissionResult:
        return self._client.submit(message, **options)

    async def submit_many(self, messages: Any) -> list[flows.Delivery]:
        return self._client.submit_many(messages)

    async def still_open(self) -> bool:
        return self._client.still_open()

    async def close(self) -> None:
        self._client.close()


class _BlockingPool:
    def __init__(self, pool: ehlo_io.blocking.Pool) -> None:
        self._pool = pool

    async def submit(self, message: Any, **options: Any) -> ehlo.SubmissionResult:
        return self._pool.submit(message, **options)

    async def submit_many(self, messages: Any) -> list[flows.Delivery]:
        return self._pool.submit_many(messages)

    @asynccontextmanager
    async def session(self) -> AsyncIterator[Client]:
        with self._pool.session() as client:
            yield _BlockingClient(client)


class _BlockingServer:
    def __init__(self, server: ehlo_io.blocking.Server) -> None:
        self._server = server

    @property
    def address(self) -> tuple[str, int]:
        return self._server.address

    @property
    def path(self) -> str | None:
        return self._server.path

    async def close(self) -> None:
        self._server.close()


class _BlockingConnecting(Connecting):
    def __init__(self, address: Address, options: dict[str, Any]) -> None:
        self._address = address
        self._options = options
        self._client: ehlo_io.blocking.Client | None = None

    def open(self) -> ehlo_io.blocking.Client:
        if isinstance(self._address, str):
            return ehlo_io.blocking.connect_unix(self._address, **self._options)
        return ehlo_io.blocking.connect(*self._address, **self._options)

    async def _open(self) -> Client:
        self._client = self.open()
        return _BlockingClient(self._client)

    def __await__(self) -> Generator[Any, None, Client]:
        return self._open().__await__()

    async def __aenter__(self) -> Client:
        return await self

    async def __aexit__(self, *error: Any) -> None:
        assert self._client is not None, "it was entered"
        self._client.__exit__(*error)


class BlockingIo(Io):
    name = "blocking"
    module = ehlo_io.blocking

    def run(self, scenario: Callable[[Io], Coroutine[Any, Any, None]], limit: float) -> None:
        thread, outcome = _start(lambda: drive(scenario(self)))
        thread.join(limit)
        assert not thread.is_alive(), "the scenario does not end"
        outcome()

    @asynccontextmanager
    async def _serve(self, handler: object, *, path: Any = None, **options: Any) -> AsyncIterator[Running]:
        if path is not None:
            server = ehlo_io.blocking.serve_unix(handler, path, **options)
        else:
            server = ehlo_io.blocking.serve(handler, **options)
        with server:
            yield _BlockingServer(server)

    def _connect(self, address: Address, **options: Any) -> _BlockingConnecting:
        return _BlockingConnecting(address, options)

    @asynccontextmanager
    async def _pool(self, connect: Callable[[], Connecting], **settings: Any) -> AsyncIterator[Pool]:
        def blocking() -> ehlo_io.blocking.Client:
            connecting = connect()
            assert isinstance(connecting, _BlockingConnecting)
            return connecting.open()

        with ehlo_io.blocking.Pool(blocking, **settings) as pool:
            yield _BlockingPool(pool)

    async def sleep(self, seconds: float) -> None:
        time.sleep(seconds)

    async def thread(self, work: Callable[[], T]) -> T:
        return work()

    async def together(self, *jobs: Coroutine[Any, Any, T]) -> list[T]:
        started = [_start(lambda job=job: drive(job)) for job in jobs]  # type: ignore[misc]
        for thread, _ in started:
            thread.join()
        return [outcome() for _, outcome in started]

    async def cancel_when(self, condition: Callable[[], object], job: Coroutine[Any, Any, Any]) -> None:
        job.close()
        raise NotImplementedError("a thread cannot be cancelled")


def drive(job: Coroutine[Any, Any, T]) -> T:
    """The result of a coroutine that never suspends."""
    try:
        job.send(None)
    except StopIteration as stop:
        value: T = stop.value
        return value
    job.close()
    raise AssertionError("the coroutine suspended")


def _start(work: Callable[[], T]) -> tuple[threading.Thread, Callable[[], T]]:
    """A thread that runs `work`, and a function that gives its result when it has ended."""
    results: list[T] = []
    errors: list[BaseException] = []

    def target() -> None:
        try:
            results.append(work())
        except BaseException as error:
            errors.append(error)

    def outcome() -> T:
        if errors:
            raise errors.pop()
        return results[0]

    thread = threading.Thread(target=target, name="scenario", daemon=True)
    thread.start()
    return thread, outcome


class _Collector(logging.Handler):
    def __init__(self, records: list[logging.LogRecord]) -> None:
        super().__init__()
        self._records = records

    def emit(self, record: logging.LogRecord) -> None:
        self._records.append(record)


def _threads() -> list[threading.Thread]:
    # Trio keeps those that worked for it a while.
    return [thread for thread in threading.enumerate() if not thread.name.startswith("Trio thread")]


def perform(io: Io, scenario: Callable[[Io], Coroutine[Any, Any, None]], limit: float) -> None:
    """Run a scenario and see that it leaves nothing behind: no log, no thread, no open socket."""
    collector = _Collector(io.log)
    loggers = [logging.getLogger("ehlo_io"), logging.getLogger("asyncio")]
    before = len(_threads())
    for logger in loggers:
        logger.addHandler(collector)
    try:
        io.run(scenario, limit)
    finally:
        for logger in loggers:
            logger.removeHandler(collector)
    end = time.monotonic() + PATIENCE
    while len(_threads()) > before and time.monotonic() < end:
        time.sleep(0.002)
    assert len(_threads()) <= before, f"threads are left: {_threads()}"
    # What was not closed says so when it is collected, and pytest makes an error of it.
    gc.collect()
    assert not io.log, io.logged()
