"""The shelf of a pool, with a clock of the test's own, and pools of sessions with nobody."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Callable
from contextlib import ExitStack
from email.message import EmailMessage
from typing import Any, cast

import pytest

import ehlo_io.asyncio
import ehlo_io.blocking
from ehlo_io._message import rewinder
from ehlo_io._pool import Shelf


def shelf(*names: str, idle: float = 10.0) -> Shelf[Any]:
    """Put there one second after another."""
    made: Shelf[Any] = Shelf(idle)
    for second, name in enumerate(names):
        made.put(name, float(second))
    return made


def test_the_newest_is_taken_first() -> None:
    kept = shelf("a", "b")
    assert [kept.take(), kept.take(), kept.take()] == ["b", "a", None]


def test_the_oldest_goes_first() -> None:
    kept = shelf("a", "b", "c")
    assert kept.expired(9.9) is None
    assert [kept.expired(11.0) for _ in range(3)] == ["a", "b", None]
    assert kept.take() == "c"


def test_the_pause_ends_no_later_than_one_is_due() -> None:
    kept = shelf()
    # One that is put there just now is due when this pause is over, and not before.
    assert kept.pause(5.0) == 10.0
    kept = shelf("a", "b")
    assert kept.pause(4.0) == 6.0
    assert kept.pause(99.0) == 0.0


def test_what_can_be_read_twice() -> None:
    for message in (b"x", bytearray(b"x"), memoryview(b"x"), [b"x"], (b"x",), EmailMessage()):
        rewind = rewinder(message)
        assert rewind is not None
        rewind()


def test_a_file_goes_back_to_where_it_was() -> None:
    file = io.BytesIO(b"behind this")
    file.seek(7)
    rewind = rewinder(file)
    assert rewind is not None
    assert file.read() == b"this"
    rewind()
    assert file.read() == b"this"


class _Pipe(io.RawIOBase):
    def seekable(self) -> bool:
        return False


@pytest.mark.parametrize("message", [_Pipe(), iter([b"x"]), (piece for piece in [b"x"])])
def test_what_can_be_read_once(message: object) -> None:
    assert rewinder(cast("Any", message)) is None


class _Session:
    """As much of a client as a pool needs."""

    is_ready = True

    def __init__(self, at_close: Callable[[], object] = lambda: None) -> None:
        self.at_close = at_close
        self.closed = False

    def still_open(self) -> bool:
        return True

    def close(self) -> None:
        self.closed = True
        self.at_close()


def test_a_fresh_session_has_not_served() -> None:
    """Not even one that comes back while those that have are ended."""
    made = [_Session(), _Session(), _Session()]
    left = iter(made)
    with ehlo_io.blocking.Pool(cast("Any", lambda: next(left)), size=3) as pool, ExitStack() as second:
        with pool.lease():
            second.enter_context(pool.lease())
        made[0].at_close = second.close
        with pool.lease(fresh=True) as (client, used):
            assert client is cast("object", made[2])
            assert not used
            assert [session.closed for session in made] == [True, True, False]


def test_a_session_that_cannot_be_looked_at_is_closed() -> None:
    class Broken(_Session):
        def still_open(self) -> bool:
            raise KeyboardInterrupt

    session = Broken()
    with ehlo_io.blocking.Pool(cast("Any", lambda: session)) as pool:
        with pool.lease():
            pass
        with pytest.raises(KeyboardInterrupt), pool.lease():
            raise AssertionError("there is none")
        assert session.closed


def test_what_is_due_when_a_pool_ends_is_closed() -> None:
    """The one whose end takes long does not keep the others open."""

    class Session:
        is_ready = True

        def __init__(self, *, slow: bool) -> None:
            self.slow = slow
            self.closing = asyncio.Event()

        async def close(self) -> None:
            self.closing.set()
            if self.slow:
                await asyncio.Event().wait()

    async def run() -> None:
        slow, quick = Session(slow=True), Session(slow=False)
        left = iter([quick, slow])

        async def connect() -> Any:
            return next(left)

        async with ehlo_io.asyncio.Pool(connect, idle=0.01) as pool:
            # The slow one is given back first, and is the first to go.
            async with pool.lease(), pool.lease():
                pass
            await slow.closing.wait()
        assert quick.closing.is_set()

    asyncio.run(run())
