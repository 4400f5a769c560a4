"""Performs the actions of flows without I/O: against a scripted peer, or of two flows joined."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import repeat
from typing import Final, Generic, Protocol, TypeAlias, TypeVar, assert_never

from ehlo._events import TLSInfo
from ehlo.flows import Action, Ask, Close, Exchange, Flow, Poll, ReadBody, Receive, Send, StartTLS

T = TypeVar("T")

FAKE_TLS: Final = TLSInfo(version="TLSv1.3", cipher="X", verified=True)
"""What every handshake ends with."""

_EVERYTHING: Final = 1 << 62
_Simple: TypeAlias = Ask | Close | Poll | ReadBody | Receive | Send | StartTLS


class Link(Protocol):
    """The connection as a flow sees it. OSError and Shutdown are thrown into the flow."""

    def send(self, data: bytes) -> None: ...

    def receive(self, most: int) -> bytes | None:
        """Up to `most` octets, b"" at the end of the stream, None while there is nothing."""
        ...

    def poll(self) -> bytes | None:
        """What has come already, None for nothing."""
        ...

    def start_tls(self, received: bytes) -> TLSInfo | None:
        """`received` came already. None while the other side is not ready for a handshake."""
        ...

    def close(self) -> None: ...

    def stuck(self) -> AssertionError:
        """Why nothing more can happen."""
        ...


class _Runner(Generic[T]):
    """One flow and what it waits for."""

    def __init__(
        self,
        flow: Flow[T],
        link: Link,
        bodies: Iterable[bytes | Iterable[bytes]],
        sizes: Iterable[int] | None,
    ) -> None:
        self._flow = flow
        self._link = link
        self._bodies = iter(bodies)
        self._pieces: Iterator[bytes] | None = None
        self._sizes = iter(sizes) if sizes is not None else repeat(_EVERYTHING)
        self._action: Action | None = None
        self._result: list[T] = []
        self._error: Exception | None = None
        self._go(None)

    @property
    def done(self) -> bool:
        return self._action is None

    def outcome(self) -> T:
        """What the flow returned; raises what it raised."""
        if self._error is not None:
            raise self._error
        return self._result[0]

    def step(self) -> bool:
        """Perform the action that is due; False while it has to wait for the other side."""
        action = self._action
        if action is None:
            return False
        try:
            if isinstance(action, Exchange):
                self._link.send(action.data)
                self._action = Receive(action.deadline)
                return True
            waits, value = self._perform(action)
        except AssertionError:
            # The test's own business, and none of the flow.
            raise
        except Exception as error:
            self._go(None, error)
            return True
        if not waits:
            self._go(value)
        return not waits

    def _go(self, value: object, error: Exception | None = None) -> None:
        try:
            self._action = self._flow.send(value) if error is None else self._flow.throw(error)
        except StopIteration as stop:
            self._action = None
            self._result.append(stop.value)
        except Exception as raised:
            self._action = None
            self._error = raised

    def _perform(self, action: _Simple) -> tuple[bool, object]:
        match action:
            case Send(data):
                self._link.send(data)
                return False, None
            case Receive():
                received = self._link.receive(next(self._sizes, _EVERYTHING))
                return received is None, received
            case Poll():
                return False, self._link.poll()
            case StartTLS(received=received):
                info = self._link.start_tls(received)
                return info is None, info
            case Ask(question):
                return False, question()
            case ReadBody(size):
                return False, self._read_body(size)
            case Close():
                self._link.close()
                return False, None
            case _:
                assert_never(action)

    def _read_body(self, size: int) -> bytes:
        if self._pieces is None:
            body = next(self._bodies, b"")
            self._pieces = _cut(body, size) if isinstance(body, bytes) else iter(body)
        piece = next(self._pieces, b"")
        if not piece:
            self._pieces = None
        return piece


def _cut(body: bytes, size: int) -> Iterator[bytes]:
    return (body[start : start + size] for start in range(0, len(body), size))


def run(
    flow: Flow[T],
    peer: Link,
    *,
    bodies: Iterable[bytes | Iterable[bytes]] = (),
    sizes: Iterable[int] | None = None,
) -> T:
    """Run a flow against a scripted peer to its end: what it returns, or raises.

    `bodies`: a message, or its pieces, for each submission. `sizes`: how many octets each `Receive`
    gets at most. Raises ScriptError where the script and the flow part ways.
    """
    runner = _Runner(flow, peer, bodies, sizes)
    while not runner.done:
        if not runner.step():
            raise peer.stuck()
    return runner.outcome()


class _End:
    """One end of a connection in memory."""

    def __init__(self, tls: TLSInfo) -> None:
        self.inbox = bytearray()
        self.tls = tls
        self.other: _End
        self.closed = False
        self.waiting = False
        """For the other side to begin the handshake."""
        self.shaken = False
        """The other side ended the handshake."""

    def send(self, data: bytes) -> None:
        if self.closed or self.other.closed:
            raise BrokenPipeError("the other side has closed")
        self.other.inbox += data

    def receive(self, most: int) -> bytes | None:
        if not self.inbox:
            return b"" if self.other.closed else None
        data = bytes(self.inbox[:most])
        del self.inbox[:most]
        return data

    def poll(self) -> bytes | None:
        return self.receive(len(self.inbox)) if self.inbox else None

    def start_tls(self, received: bytes) -> TLSInfo | None:
        if self.shaken:
            self.shaken = self.waiting = False
            return self.tls
        if received or self.inbox or self.other.closed:
            raise ConnectionError("plaintext or nothing where the handshake belongs")
        self.waiting = True
        if not self.other.waiting:
            return None
        # The one that comes second goes on first.
        self.waiting, self.other.shaken = False, True
        return self.tls

    def close(self) -> None:
        self.closed = True

    def stuck(self) -> AssertionError:
        return AssertionError("both sides wait for each other")


def drive(
    client: Flow[T],
    server: Flow[object],
    *,
    bodies: Iterable[bytes | Iterable[bytes]] = (),
    sizes: Iterable[int] | None = None,
    tls: TLSInfo = FAKE_TLS,
) -> T:
    """Run a client's flow against a server's, such as `ehlo.flows.serve`; both run to their end.

    Returns what the client's flow returns, or raises what it raises; what the server's raises comes
    first. `sizes` cuts what either side receives. Handshakes end with `tls` for both.
    """
    left, right = _End(tls), _End(tls)
    left.other, right.other = right, left
    cuts = iter(sizes) if sizes is not None else None
    near = _Runner(client, left, bodies, cuts)
    far = _Runner(server, right, (), cuts)
    while not (near.done and far.done):
        moved = near.step()
        if near.done:
            left.closed = True
        moved |= far.step()
        if far.done:
            right.closed = True
        if not moved and not (near.done and far.done):
            raise left.stuck()
    far.outcome()
    return near.outcome()
