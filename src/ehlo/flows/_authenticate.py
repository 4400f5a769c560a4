"""AUTH in a session that is being opened: which mechanisms, one after the other, and their exchanges."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TypeVar

import attrs

from ehlo._commands import Auth
from ehlo._errors import AuthCause, AuthenticationFailed, LocalProtocolError
from ehlo._events import AuthChallenge, AuthFailed, AuthSucceeded
from ehlo.client import ClientConnection
from ehlo.extensions import AUTH
from ehlo.flows._drive import event, refused
from ehlo.flows.actions import Ask, Flow
from ehlo.flows.options import Notice, SessionOptions
from ehlo.sasl import (
    ClientContext,
    ClientMechanism,
    Credentials,
    Kerberos,
    MechanismError,
    Password,
    Token,
    candidates,
    make_client,
    needs_tls,
    still_sensible,
)
from ehlo.wire import base64
from ehlo.wire.reply import Reply

T = TypeVar("T")

# [RFC4954-4i] "AUTH ", a space and CRLF around the mechanism's name and the base64.
_AUTH_ROOM = 512 - 8
# [RFC4954-6a] [RFC4954-6c] [RFC4954-6d] [RFC4954-6g] [EXCH-reply-e] by code only.
_CAUSES = {
    432: AuthCause.TRANSITION,
    504: AuthCause.NO_MECHANISM,
    534: AuthCause.TOO_WEAK,
    535: AuthCause.CREDENTIALS,
    538: AuthCause.NEEDS_TLS,
}
# The server does not want this mechanism from this client; another one may do.
_TRY_ANOTHER = frozenset({504, 534, 538})


def authenticate(conn: ClientConnection, options: SessionOptions, credentials: Credentials) -> Flow[None]:
    # [RFC4954-14a] TLS without a verified certificate protects no password.
    protected = conn.tls is not None and conn.tls.verified
    context = _context(conn, options)
    choose = partial(
        candidates,
        context=context,
        protected=protected,
        allow_cleartext=options.allow_cleartext_auth,
        only=options.mechanisms,
    )
    if not choose(credentials):
        raise AuthenticationFailed(_why_none(conn, context.offered, options), cause=AuthCause.NO_MECHANISM)
    credentials = yield from _complete(credentials)
    names = choose(credentials)
    second_chance = True
    while names:
        name = names.pop(0)
        mechanism = make_client(name, credentials, context)
        refusal = yield from _one_mechanism(conn, mechanism)
        if refusal is None:
            return
        if refusal.code == 535 and second_chance:
            # Only once, and only where it may help: an attempt is what somebody who guesses makes.
            second_chance = False
            names = still_sensible(names, name)
        elif refusal.code == 432 and "PLAIN" in names:
            # [RFC4954-6a] the server takes its new form from the password, when it sees it once.
            names = ["PLAIN"]
        elif refusal.code not in _TRY_ANOTHER:
            names = []
        if not names:
            raise AuthenticationFailed(
                f"the server refused the authentication: {refusal}",
                reply=refusal,
                cause=_cause(refusal),
                detail=mechanism.detail,
            )
    raise AuthenticationFailed(_why_none(conn, context.offered, options), cause=AuthCause.NO_MECHANISM)


def compare(before: frozenset[str], inside: frozenset[str]) -> list[Notice]:
    """[RFC4422-6.1.2b] what somebody on the way may have done to the list that nothing protected."""
    found = []
    # Some have every reason to be there inside only [RFC4954-4y, RFC5802-6a, RFC4422-A-c].
    if any(not needs_tls(name) for name in inside - before):
        found.append(Notice.MECHANISMS_HIDDEN)
    if before - inside:
        found.append(Notice.MECHANISMS_SHRUNK)
    return found


def _context(conn: ClientConnection, options: SessionOptions) -> ClientContext:
    assert options.random is not None, "options with auth have it"
    assert options.clock is not None, "options with auth have it"
    return ClientContext(
        server_name=options.server_name,
        port=options.port,
        random=options.random,
        clock=options.clock,
        channel_bindings={} if conn.tls is None else conn.tls.channel_bindings,
        offered=conn.capabilities.offer(AUTH) or (),
        initial_response=options.initial_response,
        allow_ntlmv1=options.allow_ntlmv1,
        iterations=range(conn.limits.scram_least, conn.limits.scram_most + 1),
    )


def _complete(credentials: Credentials) -> Flow[Credentials]:
    """Ask for the secret, where it is something to ask for."""
    match credentials:
        case Password(password=secret) | Kerberos(password=secret) if callable(secret):
            return attrs.evolve(credentials, password=(yield from _told(secret, "password")))
        case Token(token=secret) if callable(secret):
            return attrs.evolve(credentials, token=(yield from _told(secret, "token")))
        case _:
            return credentials


def _told(ask: Callable[[], object], what: str) -> Flow[str]:
    try:
        answer = yield Ask(ask)
    except Exception as error:
        # In a shape of its own: it may be a TimeoutError or an OSError, and is not the connection's.
        message = f"the {what} could not be had: {type(error).__name__}"
        raise AuthenticationFailed(message, cause=AuthCause.CREDENTIALS) from error
    if not isinstance(answer, str):
        raise AuthenticationFailed(f"there is no {what}", cause=AuthCause.CREDENTIALS)
    return answer


def _cause(refusal: Reply) -> AuthCause:
    # [RFC4954-6b]
    other = AuthCause.TEMPORARY if refusal.is_transient else AuthCause.OTHER
    return _CAUSES.get(refusal.code, other)


def _why_none(conn: ClientConnection, offered: tuple[str, ...], options: SessionOptions) -> str:
    wanted, tls = options.mechanisms, conn.tls
    if not offered:
        hint = "" if tls else "; it may do so only after STARTTLS"
        return f"the server does not offer AUTH{hint}"
    names = " ".join(name for name in offered if name.isprintable())[:200]
    if wanted is not None and not {name.upper() for name in wanted} & set(offered):
        return f"the server does not offer {' or '.join(wanted)}, but {names}"
    if tls is not None and tls.verified:
        return f"no mechanism in common for these credentials; the server offers {names}"
    lacking = "a verified certificate" if tls else "TLS"
    return f"no mechanism that is safe without {lacking}; the server offers {names}"


def _one_mechanism(conn: ClientConnection, mechanism: ClientMechanism) -> Flow[Reply | None]:
    """None when it succeeded, else the server's refusal."""
    try:
        initial = yield from _step(mechanism, mechanism.initial)
    except MechanismError as error:
        # The server has not spoken yet: there is no ticket, for example.
        raise _broken(mechanism, error, AuthCause.CREDENTIALS) from error
    if initial is not None and len(base64.encode(initial)) + 2 > conn.limits.auth_line:
        # [RFC4954-4o] a token longer than any server takes.
        raise _broken(
            mechanism, MechanismError("the credentials do not fit in a line"), AuthCause.CREDENTIALS
        )
    fits = initial is not None and len(mechanism.name) + 4 * ((len(initial) + 2) // 3) <= _AUTH_ROOM
    refusal = yield from _exchange(conn, mechanism, initial, as_initial=fits)
    if refusal is not None and refusal.code == 501 and fits:
        # Some servers take the two-step form only: once more without the initial response.
        refusal = yield from _exchange(conn, mechanism, initial, as_initial=False)
    return refusal


def _step(mechanism: ClientMechanism, method: Callable[..., T], *arguments: object) -> Flow[T]:
    if not mechanism.slow:
        return method(*arguments)
    answer: T = yield Ask(partial(method, *arguments), blocking=True)
    return answer


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
                    # [RFC4954-4h] the first challenge asks for what could have come at once;
                    # [OXSMTP18-2.2.1b] what it says does not matter.
                    conn.auth_respond(held_back)
                    held_back = None
                case AuthChallenge(text):
                    _respond(conn, (yield from _step(mechanism, mechanism.respond, text)))
                case AuthSucceeded():
                    mechanism.succeeded()
                    return None
                case AuthFailed(reply):
                    return reply
                case _:
                    raise refused("AUTH command", found)
        except MechanismError as error:
            if isinstance(found, AuthChallenge):
                conn.auth_cancel()
                yield from event(conn)
            raise _broken(mechanism, error) from error


def _respond(conn: ClientConnection, response: bytes) -> None:
    try:
        conn.auth_respond(response)
    except LocalProtocolError as error:
        # As long as the server made it, by a nonce or target information that come back in it.
        raise MechanismError(str(error)) from None


def _broken(
    mechanism: ClientMechanism, error: MechanismError, cause: AuthCause = AuthCause.SERVER_NOT_PROVED
) -> AuthenticationFailed:
    return AuthenticationFailed(f"{mechanism.name}: {error}", cause=cause, detail=mechanism.detail)
