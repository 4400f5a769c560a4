"""Values are what attrs would have made of them."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

import ehlo
from ehlo._value import Value


@attrs.frozen(repr=False, eq=False)
class Ours(Value):
    number: int
    name: str = attrs.field(default="A", eq=str.lower)
    secret: str = attrs.field(default="", repr=lambda _: "***")
    hidden: int = attrs.field(default=0, repr=False, eq=False)
    _private: int = 1


@attrs.frozen
class Theirs:
    number: int
    name: str = attrs.field(default="A", eq=str.lower)
    secret: str = attrs.field(default="", repr=lambda _: "***")
    hidden: int = attrs.field(default=0, repr=False, eq=False)
    _private: int = 1


def made(cls: Any) -> list[Any]:
    return [
        cls(1),
        cls(1, "a"),
        cls(1, "b"),
        cls(2),
        cls(1, secret="x"),
        cls(1, hidden=5),
        cls(1, private=2),
    ]


def test_equality_is_that_of_attrs() -> None:
    ours, theirs = made(Ours), made(Theirs)
    same = [[a == b for b in theirs] for a in theirs]
    assert [[a == b for b in ours] for a in ours] == same
    assert [[a != b for b in ours] for a in ours] == [[not equal for equal in row] for row in same]
    assert len(set(ours)) == len(set(theirs))
    for a in ours:
        assert all(hash(a) == hash(b) for b in ours if a == b)


def test_another_class_is_another_value() -> None:
    @attrs.frozen(repr=False, eq=False)
    class More(Ours):
        pass

    assert Ours(1) != More(1)
    assert Ours(1) != Theirs(1)
    assert Ours(1) != 1
    assert ehlo.Rset() != ehlo.Noop()
    assert hash(ehlo.Rset()) == hash(ehlo.Rset())


def test_the_repr_is_that_of_attrs() -> None:
    for a, b in zip(made(Ours), made(Theirs), strict=True):
        assert repr(a).removeprefix("Ours") == repr(b).removeprefix("Theirs")


def test_values_are_frozen() -> None:
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        Ours(1).number = 2  # type: ignore[misc]
