"""What servers share beside I/O: arguments to values, before anything is listened to."""

from __future__ import annotations

import secrets
import socket
import ssl
import time
from collections.abc import Sequence
from typing import TypedDict

import attrs

import ehlo
from ehlo import flows
from ehlo_io._common import LOGGER
from ehlo_io._tls import Channel, own_certificate


class ServeOptions(TypedDict, total=False):
    """The keyword arguments of `serve`, the same in each binding."""

    tls: ssl.SSLContext | None
    """A server context; without one STARTTLS is not offered."""
    implicit_tls: bool
    """TLS from the first octet, as on port 465."""
    proxied_from: Sequence[str] | None
    """Behind a proxy: the networks or addresses whose PROXY header is taken, "unix" for UNIX sockets. Each
    connection must come from one of them and begin with the header; its source is the session's peer."""
    hostname: str | None
    """What the server calls itself; by default the host's name."""
    certificate: str | None
    """The PEM file of the certificate in `tls`, for channel bindings; a context of `server_context`
    knows it by itself."""
    mechanisms: Sequence[str] | None
    """Only these SASL mechanisms, in this order; by default all that the handler can answer for."""
    allow_ntlmv1: bool
    """Take the answers of old NTLM clients: whoever records one can compute the password from it."""
    require_channel_binding: bool
    """Refuse NTLM clients that do not bind to the TLS channel."""
    token_scope: str
    """What an OAuth token has to be good for; told to clients whose token is not."""
    lmtp: bool
    """Speak LMTP: a message may have an outcome for each recipient."""
    extensions: Sequence[ehlo.Extension]
    """What is offered, and what of it is the handler's to keep; by default `ehlo.STANDARD`."""
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
    proxied_from: flows.TrustedProxies | None
    certificate: bytes | None
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
        proxied_from = options.get("proxied_from")
        policy = options.get("policy", ehlo.OXSMTP_2008)
        hostname = options.get("hostname") or _own_name()
        ehlo.ServerConfig(hostname=hostname)
        only = options.get("mechanisms")
        if isinstance(only, str):
            raise ehlo.LocalProtocolError("mechanisms is a list of names, not one name")
        mechanisms = flows.mechanisms_of(
            hooks,
            target=hostname,
            random=secrets.token_bytes,
            clock=time.time,
            only=only,
            allow_ntlmv1=options.get("allow_ntlmv1", False),
            require_channel_binding=options.get("require_channel_binding", False),
            token_scope=options.get("token_scope", ""),
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
            extensions=tuple(options.get("extensions", ehlo.STANDARD)),
            mechanisms=mechanisms,
            lmtp=options.get("lmtp", False),
            tls_available=tls is not None,
        )
        return cls(
            config=config,
            hooks=hooks,
            tls=tls,
            implicit_tls=implicit,
            proxied_from=None if proxied_from is None else flows.TrustedProxies.of(proxied_from),
            certificate=own_certificate(tls, options.get("certificate")),
            trace=options.get("trace"),
        )

    def flow(self, peer: str | None) -> flows.Flow[None]:
        conn = ehlo.ServerConnection(self.config, trace=self.trace)
        return flows.serve(
            conn,
            self.hooks,
            peer=peer,
            implicit_tls=self.implicit_tls,
            proxied_from=self.proxied_from,
            warn=LOGGER.warning,
        )

    def channel(self) -> Channel:
        return Channel(self.tls, server_side=True, certificate=self.certificate)


def _own_name() -> str:
    name = socket.gethostname()
    try:
        ehlo.ServerConfig(hostname=name)
    except ehlo.LocalProtocolError:
        # Names with underscores and the like are no domains, and no reason to refuse to run.
        return "localhost"
    return name
