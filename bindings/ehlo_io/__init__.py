"""Bindings of `ehlo` to the network: `ehlo_io.asyncio`, `ehlo_io.trio` and `ehlo_io.blocking`.

Each has the same two faces, `connect` for a client and `serve` for a server, with the same
arguments. Import the one that you use; none of them imports another.
"""

from __future__ import annotations

from ehlo_io._tls import client_context, server_context

__all__ = ["client_context", "server_context"]
