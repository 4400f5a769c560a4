"""The whole of a connection's state as one value, to see that nothing of it changed."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from enum import Enum

from ehlo.wire.buffer import ReceiveBuffer
from ehlo.wire.reply import ReplyParser
from ehlo.wire.text import TextEncoder

_OPENED = (ReplyParser, ReceiveBuffer, TextEncoder)


def _slots(value: object) -> Iterator[str]:
    for kind in type(value).__mro__:
        yield from getattr(kind, "__slots__", ())


def frozen(value: object) -> object:
    """Equal when nothing differs; what is immutable or not the connection's own counts by identity."""
    match value:
        case None | bool() | int() | float() | str() | bytes() | Enum():
            return value
        case bytearray():
            return bytes(value)
        case list() | tuple() | deque():
            return tuple(map(frozen, value))
        case Mapping():
            return {key: frozen(held) for key, held in value.items()}
        case _ if isinstance(value, _OPENED):
            return {name: frozen(getattr(value, name)) for name in _slots(value)}
        case _:
            return id(value)


def frozen_client(conn: object) -> object:
    """Of an object with a dictionary."""
    return frozen(vars(conn))
