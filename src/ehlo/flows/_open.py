"""From a fresh connection to a session that mail can be submitted on.

Greeting, EHLO (or HELO), STARTTLS and EHLO again, AUTH: each step as the options demand it, and
nothing of value before TLS when TLS is demanded [SEC-TLS-cli-b].
"""

from __future__ import annotations

from ehlo._commands import Ehlo, Helo, Lhlo, StartTls
from ehlo._errors import AuthenticationFailed, ServiceRefused, TlsFailed
from ehlo._events import (
    Deadline,
    EhloReceived,
    GreetingReceived,
    ReplyReceived,
    TLSInfo,
    TlsReady,
    Wait,
)
from ehlo.client import ClientConnection
from ehlo.extensions import AUTH, STARTTLS
from ehlo.flows._close import close
from ehlo.flows._drive import event, guarded, refused
from ehlo.flows.actions import Close, Flow, StartTLS
from ehlo.flows.options import HostFacts, Notice, Opened, SessionOptions, TlsMode
from ehlo.wire.reply import Reply


def open_session(conn: ClientConnection, options: SessionOptions) -> Flow[Opened]:
    """Raises SessionError or RemoteProtocolError; the connection is then closed."""
    try:
        return (yield from guarded(conn, _open(conn, options)))
    except (ServiceRefused, AuthenticationFailed):
        yield from close(conn)
        raise
    except TlsFailed as error:
        # [RFC3207-4e] no QUIT behind a handshake that failed; [RFC3207-4f] but behind a refusal.
        yield from close(conn) if error.__cause__ is None else _drop()
        raise


def _drop() -> Flow[None]:
    yield Close()


def _open(conn: ClientConnection, options: SessionOptions) -> Flow[Opened]:
    if options.tls is TlsMode.IMPLICIT:
        yield from _handshake(conn, options)
    greeting = yield from event(conn)
    if not isinstance(greeting, GreetingReceived) or not greeting.reply.is_success:
        raise refused("greeting", greeting)
    yield from _hello(conn, options)
    in_clear = _facts(conn)
    if options.tls in (TlsMode.STARTTLS, TlsMode.OPPORTUNISTIC):
        yield from _start_tls(conn, options)
    facts = HostFacts(in_clear.starttls, _facts(conn).mechanisms)
    known = options.known or HostFacts()
    notices = []
    if known.starttls and not facts.starttls and options.tls is not TlsMode.IMPLICIT:
        notices.append(Notice.STARTTLS_GONE)
    if options.auth is not None:
        # With all mechanisms, so it comes with them.
        from ehlo.flows._authenticate import authenticate, compare  # noqa: PLC0415

        if conn.tls is not None and in_clear.mechanisms:
            notices += compare(in_clear.mechanisms, facts.mechanisms)
        if known.mechanisms - facts.mechanisms:
            notices.append(Notice.MECHANISMS_GONE)
        yield from authenticate(conn, options, options.auth)
        if options.ehlo_after_auth:
            yield from _hello(conn, options)
    return Opened(facts, tuple(notices))


def _facts(conn: ClientConnection) -> HostFacts:
    mechanisms = conn.capabilities.offer(AUTH) or ()
    return HostFacts(conn.capabilities.supports(STARTTLS), frozenset(mechanisms))


def _hello(conn: ClientConnection, options: SessionOptions) -> Flow[None]:
    # [RFC2033-4.1a]
    conn.send(Lhlo(options.client_name) if conn.lmtp else Ehlo(options.client_name))
    found = yield from event(conn)
    if isinstance(found, EhloReceived):
        return
    # [RFC5321-3.2b] only for servers that do not know EHLO, and never when HELO would cost the
    # TLS or the authentication that was asked for.
    needs_ehlo = options.tls is TlsMode.STARTTLS or options.auth is not None
    unknown = isinstance(found, ReplyReceived) and found.reply.code in (500, 501, 502, 504)
    if not unknown or needs_ehlo or conn.lmtp:
        raise refused("LHLO command" if conn.lmtp else "EHLO command", found)
    conn.send(Helo(options.client_name))
    found = yield from event(conn)
    if not isinstance(found, EhloReceived):
        raise refused("HELO command", found)


# ---- TLS ----


def _handshake(conn: ClientConnection, options: SessionOptions) -> Flow[None]:
    deadline = Deadline(Wait.HANDSHAKE, conn.limits.tls_timeout)
    try:
        info: TLSInfo = yield StartTLS(options.server_name, deadline)
    except TimeoutError as error:
        raise TlsFailed("out of time in the TLS handshake", temporary=True) from error
    except OSError as error:
        raise TlsFailed(f"the TLS handshake failed: {error}") from error
    conn.start_tls_done(info)


def _start_tls(conn: ClientConnection, options: SessionOptions) -> Flow[None]:
    required = options.tls is TlsMode.STARTTLS
    if not conn.capabilities.supports(STARTTLS):
        if required:
            raise TlsFailed("the server does not offer STARTTLS")
        return
    conn.send(StartTls())
    found = yield from event(conn)
    if not isinstance(found, TlsReady):
        reply: Reply | None = getattr(found, "reply", None)
        if required:
            raise TlsFailed(f"the server refused STARTTLS: {reply}", reply=reply)
        return
    yield from _handshake(conn, options)
    # [RFC3207-4.2e] what was said in clear does not count any more.
    yield from _hello(conn, options)
