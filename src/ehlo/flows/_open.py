"""From a fresh connection to a session that mail can be submitted on.

Greeting, EHLO (or HELO), STARTTLS and EHLO again, AUTH: each step as the options demand it, and
nothing of value before TLS when TLS is demanded [SEC-TLS-cli-b].
"""

from __future__ import annotations

from enum import Enum

import attrs

from ehlo._commands import Auth, Ehlo, Helo, StartTls
from ehlo._errors import AuthenticationFailed, LocalProtocolError, ServiceRefused, SessionError, TlsFailed
from ehlo._events import (
    AuthChallenge,
    AuthFailed,
    AuthSucceeded,
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
from ehlo.flows._drive import event, guarded
from ehlo.flows.actions import Close, Flow, StartTLS
from ehlo.sasl import (
    CLIENT_MECHANISMS,
    ClientContext,
    ClientMechanism,
    Credentials,
    MechanismError,
    Password,
    candidates,
    make_client,
)
from ehlo.wire.address import AddressError, check_domain
from ehlo.wire.reply import Reply

# [RFC4954-4i] "AUTH ", a space and CRLF around the mechanism's name and the base64.
_AUTH_ROOM = 512 - 8
# The server does not want this mechanism from this client; another one may do.
_TRY_ANOTHER = frozenset({504, 534, 538})


class TlsMode(Enum):
    """How a session gets its TLS."""

    STARTTLS = "starttls"
    """STARTTLS or nothing."""
    IMPLICIT = "implicit"
    """TLS from the first octet (RFC 8314)."""
    OPPORTUNISTIC = "opportunistic"
    """STARTTLS where it is offered, else in clear: no protection against an active attacker."""
    NONE = "none"
    """In clear."""


@attrs.frozen(kw_only=True)
class SessionOptions:
    """What `open_session` shall reach. Raises LocalProtocolError for what it never could."""

    client_name: str
    """The argument of EHLO: a domain or an address literal."""
    server_name: str
    """The name that the connection was made to: what the certificate is verified against
    [RFC4954-14b]."""
    tls: TlsMode = TlsMode.STARTTLS
    auth: Credentials | None = None
    """None: submit without authentication, where the server lets one."""
    mechanisms: tuple[str, ...] | None = None
    """Only these mechanisms, in this order; None: any safe one."""
    allow_cleartext_auth: bool = False
    """PLAIN and LOGIN may be used without TLS, or without a verified certificate."""

    def __attrs_post_init__(self) -> None:
        try:
            check_domain(self.client_name)
        except AddressError as error:
            raise LocalProtocolError(f"client_name: {error}") from None
        if self.auth is not None and not isinstance(self.auth, Password):
            raise LocalProtocolError("auth is an ehlo.Password")
        for name in self.mechanisms or ():
            if name.upper() not in CLIENT_MECHANISMS:
                known = ", ".join(CLIENT_MECHANISMS)
                raise LocalProtocolError(f"mechanisms: there are {known}")


def open_session(conn: ClientConnection, options: SessionOptions) -> Flow[None]:
    """Raises SessionError or RemoteProtocolError; the connection is then closed."""
    try:
        yield from guarded(conn, _open(conn, options))
    except (ServiceRefused, AuthenticationFailed):
        yield from close(conn)
        raise
    except TlsFailed as error:
        # [RFC3207-4e] no QUIT behind a handshake that failed; [RFC3207-4f] but behind a refusal.
        yield from close(conn) if error.__cause__ is None else _drop()
        raise


def _drop() -> Flow[None]:
    yield Close()


def _open(conn: ClientConnection, options: SessionOptions) -> Flow[None]:
    if options.tls is TlsMode.IMPLICIT:
        yield from _handshake(conn, options)
    greeting = yield from event(conn)
    if not isinstance(greeting, GreetingReceived) or not greeting.reply.is_success:
        raise _refused("greeting", greeting)
    yield from _hello(conn, options)
    if options.tls in (TlsMode.STARTTLS, TlsMode.OPPORTUNISTIC):
        yield from _start_tls(conn, options)
    if options.auth is not None:
        yield from _authenticate(conn, options, options.auth)


def _refused(what: str, found: object) -> SessionError:
    reply: Reply | None = getattr(found, "reply", None)
    return ServiceRefused(f"the server refused the {what}: {reply}", reply=reply)


def _hello(conn: ClientConnection, options: SessionOptions) -> Flow[None]:
    conn.send(Ehlo(options.client_name))
    found = yield from event(conn)
    if isinstance(found, EhloReceived):
        return
    # [RFC5321-3.2b] only for servers that do not know EHLO, and never when HELO would cost the
    # TLS or the authentication that was asked for.
    needs_ehlo = options.tls is TlsMode.STARTTLS or options.auth is not None
    unknown = isinstance(found, ReplyReceived) and found.reply.code in (500, 501, 502, 504)
    if not unknown or needs_ehlo:
        raise _refused("EHLO command", found)
    conn.send(Helo(options.client_name))
    found = yield from event(conn)
    if not isinstance(found, EhloReceived):
        raise _refused("HELO command", found)


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


# ---- AUTH ----


def _authenticate(conn: ClientConnection, options: SessionOptions, credentials: Credentials) -> Flow[None]:
    # [RFC4954-14a] TLS without a verified certificate protects no password.
    protected = conn.tls is not None and conn.tls.verified
    offered: tuple[str, ...] = conn.capabilities.offer(AUTH) or ()
    names = candidates(
        offered,
        credentials,
        protected=protected,
        allow_cleartext=options.allow_cleartext_auth,
        only=options.mechanisms,
    )
    if not names:
        wanted = options.mechanisms
        raise AuthenticationFailed(_why_none(offered, wanted, protected=protected, tls=conn.tls is not None))
    context = ClientContext(server_name=options.server_name)
    refusal: Reply | None = None
    for name in names:
        refusal = yield from _one_mechanism(conn, make_client(name, credentials, context))
        if refusal is None:
            return
        if refusal.code not in _TRY_ANOTHER:
            break
    raise AuthenticationFailed(f"the server refused the authentication: {refusal}", reply=refusal)


def _why_none(offered: tuple[str, ...], wanted: tuple[str, ...] | None, *, protected: bool, tls: bool) -> str:
    if not offered:
        hint = "" if tls else "; it may do so only after STARTTLS"
        return f"the server does not offer AUTH{hint}"
    names = " ".join(name for name in offered if name.isprintable())[:200]
    if wanted is not None and not {name.upper() for name in wanted} & set(offered):
        return f"the server does not offer {' or '.join(wanted)}, but {names}"
    if protected:
        return f"no mechanism in common; the server offers {names}"
    lacking = "a verified certificate" if tls else "TLS"
    return f"no mechanism that is safe without {lacking}; the server offers {names}"


def _one_mechanism(conn: ClientConnection, mechanism: ClientMechanism) -> Flow[Reply | None]:
    """None when it succeeded, else the server's refusal."""
    try:
        initial = mechanism.initial()
    except MechanismError as error:
        raise AuthenticationFailed(f"{mechanism.name}: {error}") from error
    fits = initial is not None and len(mechanism.name) + 4 * ((len(initial) + 2) // 3) <= _AUTH_ROOM
    refusal = yield from _exchange(conn, mechanism, initial, as_initial=fits)
    if refusal is not None and refusal.code == 501 and fits:
        # Some servers take the two-step form only: once more without the initial response.
        refusal = yield from _exchange(conn, mechanism, initial, as_initial=False)
    return refusal


def _exchange(
    conn: ClientConnection, mechanism: ClientMechanism, initial: bytes | None, *, as_initial: bool
) -> Flow[Reply | None]:
    conn.send(Auth(mechanism.name, initial if as_initial else None))
    held_back = None if as_initial else initial
    while True:
        found = yield from event(conn)
        try:
            match found:
                case AuthChallenge() if held_back is not None:
                    # [RFC4954-4h] the first challenge asks for what could have come at once.
                    conn.auth_respond(held_back)
                    held_back = None
                case AuthChallenge(text):
                    conn.auth_respond(mechanism.respond(text))
                case AuthSucceeded():
                    mechanism.succeeded()
                    return None
                case AuthFailed(reply):
                    return reply
                case _:
                    raise _refused("AUTH command", found)
        except MechanismError as error:
            if isinstance(found, AuthChallenge):
                conn.auth_cancel()
                yield from event(conn)
            raise AuthenticationFailed(f"{mechanism.name}: {error}") from error
