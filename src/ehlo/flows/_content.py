"""A message that is collected for a handler without `on_body`."""

from __future__ import annotations

from io import BytesIO
from typing import Final

_JOINED: Final = 4 * 1024 * 1024


class Content:
    """Pieces are joined once; those of a long message are collected in one place instead, so that it is never
    there twice."""

    __slots__ = ("_pieces", "_size", "_whole")

    def __init__(self) -> None:
        self._pieces: list[bytes] | None = None
        self._size = 0
        self._whole: BytesIO | None = None

    def keep(self, data: bytes) -> None:
        if self._whole is not None:
            self._whole.write(data)
        elif self._pieces is None:
            self._pieces = [data]
        else:
            self._pieces.append(data)
            self._size += len(data)
            if self._size > _JOINED:
                self._whole = BytesIO()
                self._whole.writelines(self._pieces)
                self._pieces = None

    def take(self) -> bytes:
        """All of it; it is empty then."""
        content = b"".join(self._pieces or ()) if self._whole is None else self._whole.getvalue()
        self.drop()
        return content

    def drop(self) -> None:
        self._pieces = None
        self._size = 0
        self._whole = None
