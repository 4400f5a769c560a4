"""What servers share beside I/O: arguments to values, before anything is listened to."""

from __future__ import annotations

import secrets
import socket
import ssl
import threading
import time
from collections.abc import Sequence
from functools import partial
from typing import TypedDict

import attrs

import ehlo
import ehlo.extensions
from ehlo import flows
from ehlo_io._common import LOGGER, fields
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
    salt_key: bytes
    """Servers that ask the same accounts have the same 16 octets or more here, that nobody else knows: SCRAM
    gives users that are not there salts made of it. By default at random; `Server.renew` keeps it."""
    lmtp: bool
    """Speak LMTP: a message may have an outcome for each recipient."""
    xclient_from: Sequence[str]
    """Addresses and networks of proxies, and "unix" for all on a Unix socket, that may say for whom they
    speak (XCLIENT); by default nobody may. They are believed in every word, AUTH included."""
    extensions: Sequence[ehlo.Extension]
    """What is offered, and what of it is the handler's to keep; by default `ehlo.STANDARD`."""
    policy: ehlo.SubmissionPolicy
    limits: ehlo.Limits
    message_policy: ehlo.MessagePolicy | None
    """What is mended in messages, and refused of them, before the handler gets them; by default nothing."""
    trace: ehlo.Trace | None
    """Called with each record of the redacted transcript."""
    connections: int | None
    """How many are open at once; one more is told 421 and closed. By default any number."""
    connections_per_peer: int | None
    """The same of one address, but for UNIX sockets. Behind a proxy that is the source in its header, and
    a connection counts, here and in all, when its header has come."""
    observers: Sequence[flows.Observe]
    """Called with the session and each fact of `ehlo.flows.facts`: counters, logs. What one raises is logged
    and changes nothing. With blocking sockets they are called in the thread of the session."""


@attrs.frozen(kw_only=True)
class ServerSetup:
    """What all connections of a server share."""

    config: ehlo.ServerConfig
    hooks: flows.Hooks
    tls: ssl.SSLContext | None
    implicit_tls: bool
    proxied_from: flows.TrustedProxies | None
    certificate: bytes | None
    fixups: flows.Fixups | None
    trace: ehlo.Trace | None
    proxies: tuple[ehlo.Network, ...]
    """Who may say for whom it speaks."""
    crowd: flows.Crowd | None
    observe: flows.Observe | None
    options: ServeOptions = attrs.field(repr=False)
    """As they were given."""

    @classmethod
    def of(cls, handler: object, options: ServeOptions) -> ServerSetup:
        """Raises LocalProtocolError or TypeError for what could never work."""
        _check_names(options)
        hooks = flows.hooks_of(handler)
        # [RFC5802-5.1g] the same for as long as the server runs, whatever is renewed.
        options = {"salt_key": secrets.token_bytes(32), **options}
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
            salt_key=options["salt_key"],
        )
        if implicit and tls is None:
            raise ehlo.LocalProtocolError("implicit_tls needs a TLS context")
        proxies = ehlo.networks_of(options.get("xclient_from", ()))
        if policy.require_tls and tls is None:
            raise ehlo.LocalProtocolError("the policy requires TLS and there is no TLS context")
        if policy.require_auth and not (mechanisms or proxies):
            raise ehlo.LocalProtocolError(
                "the policy requires authentication and the handler has no on_auth_... hook"
            )
        config = ehlo.ServerConfig(
            hostname=hostname,
            policy=policy,
            limits=options.get("limits", ehlo.Limits()),
            extensions=(_to_proxies if proxies else tuple)(options.get("extensions", ehlo.STANDARD)),
            mechanisms=mechanisms,
            lmtp=options.get("lmtp", False),
            tls_available=tls is not None,
        )
        if config.burl is not None and "on_burl" not in hooks:
            raise ehlo.LocalProtocolError("the handler of a server that offers BURL has a hook on_burl")
        return cls(
            config=config,
            hooks=hooks,
            tls=tls,
            implicit_tls=implicit,
            proxied_from=None if proxied_from is None else flows.TrustedProxies.of(proxied_from),
            certificate=own_certificate(tls, options.get("certificate")),
            fixups=_fixups(options.get("message_policy")),
            trace=options.get("trace"),
            proxies=proxies,
            crowd=_crowd(options.get("connections"), options.get("connections_per_peer")),
            observe=_observe(tuple(options.get("observers", ()))),
            options=options,
        )

    def flow(self, peer: str | None) -> flows.Flow[None]:
        conn = ehlo.ServerConnection(self.config, xclient=ehlo.trusted(peer, self.proxies), trace=self.trace)
        return flows.serve(
            conn,
            self.hooks,
            peer=peer,
            implicit_tls=self.implicit_tls,
            proxied_from=self.proxied_from,
            warn=partial(_warn, peer),
            fixups=self.fixups,
            crowd=self.crowd,
            observe=self.observe,
        )

    def channel(self) -> Channel:
        return Channel(self.tls, server_side=True, certificate=self.certificate)


class CurrentSetup:
    """The setup of a running server, which may be another one for the connections to come."""

    def __init__(self, setup: ServerSetup) -> None:
        self.setup = setup

    def flow(self, peer: str | None) -> flows.Flow[None]:
        return self.setup.flow(peer)

    def channel(self) -> Channel:
        """Made for a handshake: a connection that was there before has the new certificate, too."""
        return self.setup.channel()

    def renew(self, handler: object, tls: ssl.SSLContext | None, certificate: str | None) -> None:
        """Raises what `ServerSetup.of` raises, and then nothing has changed."""
        options = self.setup.options.copy()
        options["tls"], options["certificate"] = tls, certificate
        self.setup = attrs.evolve(ServerSetup.of(handler, options), crowd=self.setup.crowd)


def _to_proxies(extensions: Sequence[ehlo.Extension]) -> tuple[ehlo.Extension, ...]:
    """With all that a proxy may say, unless the caller has chosen."""
    every = ehlo.extensions.xclient(*(field.name.upper() for field in attrs.fields(ehlo.XClient)))
    others = [extension for extension in extensions if extension.keyword != every.keyword]
    chosen = [extension for extension in extensions if extension not in others]
    proxy = ehlo.OfferFacts(xclient=True)
    return (*others, *([extension for extension in chosen if extension.offer(proxy)] or [every]))


def _crowd(connections: int | None, per_peer: int | None) -> flows.Crowd | None:
    if connections is None and per_peer is None:
        return None
    # Taken twice where a collection in the midst of it ends a flow that was given up.
    return flows.Crowd(connections=connections, per_peer=per_peer, guard=threading.RLock())


def _warn(peer: str | None, text: str) -> None:
    """`peer` is the transport's: behind a proxy, the text names its client."""
    LOGGER.warning("%s", text, extra=fields("connection refused", peer=peer))


def _observe(observers: tuple[flows.Observe, ...]) -> flows.Observe | None:
    """All of them as one that does not raise."""
    if not observers:
        return None
    for one in observers:
        if not callable(one):
            raise TypeError(f"{type(one).__name__} is no observer: it cannot be called")

    def observe(session: ehlo.Session, fact: flows.Fact) -> None:
        for one in observers:
            try:
                one(session, fact)
            except Exception:
                LOGGER.exception(
                    "an observer failed (session with %s)",
                    session.peer,
                    extra=fields("observer failed", peer=session.peer),
                )

    return observe


def _fixups(policy: ehlo.MessagePolicy | None) -> flows.Fixups | None:
    if policy is None:
        return None
    return flows.Fixups(policy=policy, clock=time.time, random=secrets.token_bytes, utc_offset=_utc_offset)


def _utc_offset(timestamp: float) -> int:
    return time.localtime(timestamp).tm_gmtoff // 60


def _check_names(options: ServeOptions) -> None:
    unknown = set(options) - set(ServeOptions.__annotations__)
    if unknown:
        raise TypeError(f"serve() got an unexpected keyword argument {min(unknown)!r}")


def _own_name() -> str:
    name = socket.gethostname()
    try:
        ehlo.ServerConfig(hostname=name)
    except ehlo.LocalProtocolError:
        # Names with underscores and the like are no domains, and no reason to refuse to run.
        return "localhost"
    return name
