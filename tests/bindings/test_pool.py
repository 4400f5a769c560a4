"""The shelf of a pool, with a clock of the test's own."""

from __future__ import annotations

import io
from email.message import EmailMessage
from typing import Any, cast

import pytest

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
    assert kept.expired(9.9) == []
    assert kept.expired(11.0) == ["a", "b"]
    assert kept.take() == "c"


def test_the_pause_ends_no_later_than_one_is_due() -> None:
    kept = shelf()
    # One that is put there just now is due when this pause is over, and not before.
    assert kept.pause(5.0) == 10.0
    kept = shelf("a", "b")
    assert kept.pause(4.0) == 6.0
    assert kept.pause(99.0) == 0.0


def test_all_can_be_had_at_once() -> None:
    kept = shelf("a", "b")
    assert kept.clear() == ["a", "b"]
    assert kept.take() is None


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
