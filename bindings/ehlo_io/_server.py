"""What servers share beside I/O: arguments to values, before anything is listened to."""

from __future__ import annotations

import secrets
import socket
import ssl
import time
from typing import TypedDict

import attrs

import ehlo
from ehlo import flows
from ehlo_io._tls import Channel


class ServeOptions(TypedDict, total=False):
    """The keyword arguments of `serve`, the same in each binding."""

    tls: ssl.SSLContext | None
    """A server context; without one STARTTLS is not offered."""
    implicit_tls: bool
    """TLS from the first octet, as on port 465."""
    hostname: str | None
    """What the server calls itself; by default the host's name."""
    policy: ehlo.SubmissionPolicy
    limits: ehlo.Limits
    trace: ehlo.Trace | None
    """Called with each record of the redacted transcript."""


@attrs.frozen(kw_only=True)
class ServerSetup:
    """What all connections of a server share."""

    config: ehlo.ServerConfig
    hooks: flows.Hooks
    tls: ssl.SSLContext | None
    implicit_tls: bool
    trace: ehlo.Trace | None

    @classmethod
    def of(cls, handler: object, options: ServeOptions) -> ServerSetup:
        """Raises LocalProtocolError or TypeError for what could never work."""
        unknown = set(options) - set(ServeOptions.__annotations__)
        if unknown:
            raise TypeError(f"serve() got an unexpected keyword argument {min(unknown)!r}")
        hooks = flows.hooks_of(handler)
        tls = options.get("tls")
        implicit = options.get("implicit_tls", False)
        policy = options.get("policy", ehlo.OXSMTP_2008)
        hostname = options.get("hostname") or _own_name()
        mechanisms = flows.mechanisms_of(
            hooks,
            target=hostname.partition(".")[0],
            nonce=lambda: secrets.token_bytes(8),
            now=lambda: int(time.time()),
        )
        if implicit and tls is None:
            raise ehlo.LocalProtocolError("implicit_tls needs a TLS context")
        if policy.require_auth and not mechanisms:
            raise ehlo.LocalProtocolError(
                "the policy requires authentication and the handler has no on_auth_... hook"
            )
        config = ehlo.ServerConfig(
            hostname=hostname,
            policy=policy,
            limits=options.get("limits", ehlo.Limits()),
            mechanisms=mechanisms,
            tls_available=tls is not None,
        )
        return cls(config=config, hooks=hooks, tls=tls, implicit_tls=implicit, trace=options.get("trace"))

    def flow(self, peer: str | None) -> flows.Flow[None]:
        conn = ehlo.ServerConnection(self.config, trace=self.trace)
        return flows.serve(conn, self.hooks, peer=peer, implicit_tls=self.implicit_tls)

    def channel(self) -> Channel:
        return Channel(self.tls, server_side=True)


def _own_name() -> str:
    name = socket.gethostname()
    try:
        ehlo.ServerConfig(hostname=name)
    except ehlo.LocalProtocolError:
        # Names with underscores and the like are no domains, and no reason to refuse to run.
        return "localhost"
    return name
