"""Clients and servers on asyncio (uvloop too)."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ehlo_io._asyncio_client import Client, connect, connect_unix
    from ehlo_io._asyncio_pool import Pool
    from ehlo_io._asyncio_server import GRACE, Server, serve, serve_unix

__all__ = ["GRACE", "Client", "Pool", "Server", "connect", "connect_unix", "serve", "serve_unix"]


def __getattr__(name: str) -> object:
    # Imported when it is first asked for: a client needs nothing of the server role.
    if name in ("Client", "connect", "connect_unix"):
        from ehlo_io import _asyncio_client as home  # noqa: PLC0415
    elif name == "Pool":
        from ehlo_io import _asyncio_pool as home  # type: ignore[no-redef]  # noqa: PLC0415
    elif name in ("GRACE", "Server", "serve", "serve_unix"):
        from ehlo_io import _asyncio_server as home  # type: ignore[no-redef]  # noqa: PLC0415
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(home, name)


def __dir__() -> list[str]:
    return [*globals(), *__all__]
