"""Runs a codec over the same octets cut in every manner; what comes out may not depend on the cuts."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import TypeVar

T = TypeVar("T")

TAILS = (b"", b"\r\n", b".\r\n", b"\n.\r\nQUIT\r\n", b"\0\xff")
"""What a peer may have sent behind the end of what a codec reads."""


def ways(data: bytes, *, random_cuts: int = 3) -> Iterator[list[bytes]]:
    """Whole, octet by octet, and at random cuts, with empty pieces among them."""
    yield [data]
    yield [data[i : i + 1] for i in range(len(data))]
    source = random.Random(len(data))  # noqa: S311
    for _ in range(random_cuts):
        cuts = sorted(source.randrange(len(data) + 1) for _ in range(source.randrange(1, 8)))
        yield [data[a:b] for a, b in zip([0, *cuts], [*cuts, len(data)], strict=True)]


def every_cut(data: bytes) -> Iterator[list[bytes]]:
    """Two pieces, cut at each octet in turn."""
    return ([data[:i], data[i:]] for i in range(len(data) + 1))


def agreed(run: Callable[[list[bytes]], T], data: bytes) -> T:
    """The one result of `run`, however `data` is cut."""
    expected = run([data])
    for pieces in (*ways(data), *every_cut(data)):
        found = run(pieces)
        assert found == expected, f"cut as {pieces}: {found!r}, not {expected!r}"
    return expected


def agreed_before_tail(run: Callable[[list[bytes]], tuple[T, bytes | None]], data: bytes) -> T:
    """The one value of `run`, which also gives the octets it left: exactly those behind `data`."""
    values = []
    for tail in TAILS:
        value, rest = agreed(run, data + tail)
        assert rest == tail, f"{rest!r} was left, not {tail!r}"
        values.append(value)
    assert all(value == values[0] for value in values), "what follows the end changes the value"
    return values[0]
