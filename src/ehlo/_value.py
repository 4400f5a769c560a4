"""What frozen values have in common.

attrs would write and compile `__repr__`, `__eq__` and `__hash__` for each class: two thirds of what the
import of a class costs, and there are many. Here they are once, by the same fields and the same options.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import attrs

_COMPARED: Final[dict[Any, tuple[tuple[str, Callable[[Any], object] | None], ...]]] = {}


def _compared(cls: Any) -> tuple[tuple[str, Callable[[Any], object] | None], ...]:
    """The fields that equality looks at, and what it makes of each."""
    found = _COMPARED.get(cls)
    if found is None:
        fields: Any = attrs.fields(cls)
        found = _COMPARED[cls] = tuple((field.name, field.eq_key) for field in fields if field.eq)
    return found


class Value:
    """Base of classes made with `@attrs.frozen(repr=False, eq=False)`."""

    __slots__ = ()

    def _key(self) -> tuple[object, ...]:
        return tuple(
            getattr(self, name) if key is None else key(getattr(self, name))
            for name, key in _compared(type(self))
        )

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return self is other or self._key() == other._key()

    def __hash__(self) -> int:
        return hash((type(self), self._key()))

    def __repr__(self) -> str:
        cls: Any = type(self)
        shown = []
        for field in attrs.fields(cls):
            if field.repr:
                show: Any = repr if field.repr is True else field.repr
                shown.append(f"{field.name}={show(getattr(self, field.name))}")
        return f"{cls.__qualname__}({', '.join(shown)})"
