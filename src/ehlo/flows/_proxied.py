"""Behind a proxy: whose PROXY header is believed, and how it is received.

"The receiver MUST be configured to only receive the protocol described in this specification and MUST
not try to guess whether the protocol header is present or not" (HAProxy, proxy-protocol.txt section 2).
So an address that is not trusted gets no session at all: not one with its own address either.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

import attrs

from ehlo import _replies as replies
from ehlo._errors import LocalProtocolError
from ehlo._events import Deadline, Wait
from ehlo._limits import Limits
from ehlo._value import Value
from ehlo.flows.actions import Flow, Receive, Shutdown
from ehlo.policy.trust import UNIX, Network, networks_of, trusted, unmapped
from ehlo.server import ServerConnection
from ehlo.wire.proxy import ProxyError, ProxyHeader, parse

UNIX_PEER: Final = UNIX
"""The address of every peer on a UNIX socket."""


@attrs.frozen(repr=False, eq=False)
class TrustedProxies(Value):
    """The peers whose PROXY header is believed; `peer in trusted` for an address as text."""

    networks: tuple[Network, ...] = ()

    @classmethod
    def of(cls, names: Iterable[str]) -> TrustedProxies:
        """From networks or addresses as text, and "unix". Raises LocalProtocolError."""
        networks = networks_of(names)
        if not networks:
            raise LocalProtocolError("behind a proxy some address must be trusted")
        return cls(networks)

    def __contains__(self, peer: object) -> bool:
        return isinstance(peer, str) and trusted(peer, self.networks)


def source_of(header: ProxyHeader) -> str | None:
    """The client's address as text; None: the proxy does not tell, or speaks for itself."""
    return None if header.source is None else str(unmapped(header.source.address))


def receive_header(limits: Limits) -> Flow[tuple[ProxyHeader, bytes] | None]:
    """The header and what came behind it; None: the stream ended without an octet.

    Raises ProxyError, and what is thrown into a flow that receives.
    """
    deadline = Deadline(Wait.PROXY_HEADER, limits.proxy_timeout)
    # Never longer than the limit and one more piece.
    data = b""
    while (found := parse(data, limit=limits.proxy_header)) is None:
        received: bytes = yield Receive(deadline)
        if not received:
            if not data:
                return None
            raise ProxyError("the header is cut off")
        data += received
    header, octets = found
    return header, data[octets:]


def introduced(
    conn: ServerConnection,
    peer: str | None,
    proxies: TrustedProxies,
    warn: Callable[[str], None],
    *,
    implicit_tls: bool,
) -> Flow[tuple[str | None, ProxyHeader | None, bytes]]:
    """The peer from now on, the PROXY header, and what came behind it.

    Without a header, or from an address that is not trusted, the connection is closed.
    """
    if peer in proxies:
        try:
            found = yield from receive_header(conn.config.limits)
        except (ProxyError, TimeoutError) as error:
            why = error if isinstance(error, ProxyError) else "none came in time"
            warn(f"a connection without a PROXY header was closed: {why} (session with {peer})")
        except (OSError, Shutdown):
            pass
        else:
            if found is not None:
                return source_of(found[0]) or peer, *found
        # It is not told why.
        conn.close(None)
    else:
        if peer is not None:
            # Without an address it has gone already.
            warn(f"a connection from {peer}, which is none of the trusted proxies, was closed")
        # In clear it would be noise to a client that begins with TLS.
        conn.close(None if implicit_tls else replies.NOT_THE_PROXY)
    return peer, None, b""
