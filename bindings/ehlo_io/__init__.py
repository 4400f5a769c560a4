"""Bindings of `ehlo` to the network: `ehlo_io.asyncio`, `ehlo_io.trio` and `ehlo_io.blocking`.

Each has the same two faces, `connect` for a client and `serve` for a server, with the same
arguments, and `connect_unix` and `serve_unix` for UNIX sockets. Import the one that you use; none of
them imports another.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ehlo_io._tls import client_context, server_context

__all__ = ["client_context", "server_context"]


def __getattr__(name: str) -> object:
    if name in __all__:
        from ehlo_io import _tls  # noqa: PLC0415 (not every program needs TLS)

        return getattr(_tls, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*globals(), *__all__]
