"""What a fuzz target is, and how an input is read: a few octets of choices, then what the peer says."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator
from typing import Final, TypeVar

import attrs

T = TypeVar("T")

OCTET_BY_OCTET: Final = 2000
"""So many octets are fed one by one; of more, pieces of random length."""


@attrs.frozen
class Target:
    """A function that takes any octets, and raises what is no defect of the input but of the engine."""

    name: str
    check: Callable[[bytes], None]
    """Its docstring is the invariant, in one sentence."""
    seeds: Callable[[], Iterable[bytes]]
    """Good inputs, or nearly good ones."""
    words: tuple[bytes, ...] = ()
    """What a mutation may put in: a dictionary."""
    longest: int = 4096
    """Octets of an input."""

    @property
    def invariant(self) -> str:
        return " ".join((self.check.__doc__ or "").split())


class Choices:
    """The first octets of an input decide; `rest` is what is behind them. Missing ones are 0."""

    def __init__(self, data: bytes, size: int) -> None:
        self._head = data[:size].ljust(size, b"\0")
        self._next = 0
        self.rest = data[size:]

    def below(self, bound: int) -> int:
        """The next octet as a number from 0 up to this bound."""
        self._next += 1
        return self._head[self._next - 1] % bound

    def one_of(self, values: list[T] | tuple[T, ...]) -> T:
        return values[self.below(len(values))]

    def ring(self, size: int) -> bytes:
        """The next octets, to be read round and round."""
        self._next += size
        return self._head[self._next - size : self._next]


def cut(data: bytes, seed: int) -> Iterator[bytes]:
    """The same octets in pieces: one by one for 0, else of random lengths."""
    if seed == 0 and len(data) <= OCTET_BY_OCTET:
        yield from (data[i : i + 1] for i in range(len(data)))
        return
    source = random.Random(seed)  # noqa: S311
    longest = source.choice((2, 9, 70)) if len(data) <= OCTET_BY_OCTET else 700
    place = 0
    while place < len(data):
        size = source.randrange(1, longest)
        yield data[place : place + size]
        place += size


def lines(*words: bytes) -> bytes:
    return b"".join(word + b"\r\n" for word in words)


def same(what: str, found: object, expected: object) -> None:
    """Raises AssertionError, with the first difference, unless both are equal."""
    if found == expected:
        return
    if isinstance(found, tuple | list) and isinstance(expected, tuple | list):
        for number, (one, other) in enumerate(zip(found, expected, strict=False)):
            same(f"{what}, number {number}", one, other)
        raise AssertionError(f"{what}: {len(found)} of them, and not {len(expected)}")
    if isinstance(found, bytes) and isinstance(expected, bytes):
        pairs = enumerate(zip(found, expected, strict=False))
        at = max(next((n for n, (a, b) in pairs if a != b), min(len(found), len(expected))) - 40, 0)
        what, found, expected = f"{what}, from octet {at}", found[at : at + 90], expected[at : at + 90]
    raise AssertionError(f"{what}: {found!r}, and not {expected!r}")
