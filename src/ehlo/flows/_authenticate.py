"""AUTH in a session that is being opened: which mechanism, and its exchange."""

from __future__ import annotations

from ehlo._commands import Auth
from ehlo._errors import AuthenticationFailed
from ehlo._events import AuthChallenge, AuthFailed, AuthSucceeded
from ehlo.client import ClientConnection
from ehlo.extensions import AUTH
from ehlo.flows._drive import event, refused
from ehlo.flows.actions import Flow
from ehlo.flows.options import SessionOptions
from ehlo.sasl import ClientContext, ClientMechanism, Credentials, MechanismError, candidates, make_client
from ehlo.wire.reply import Reply

# [RFC4954-4i] "AUTH ", a space and CRLF around the mechanism's name and the base64.
_AUTH_ROOM = 512 - 8
# The server does not want this mechanism from this client; another one may do.
_TRY_ANOTHER = frozenset({504, 534, 538})


def authenticate(conn: ClientConnection, options: SessionOptions, credentials: Credentials) -> Flow[None]:
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
                    raise refused("AUTH command", found)
        except MechanismError as error:
            if isinstance(found, AuthChallenge):
                conn.auth_cancel()
                yield from event(conn)
            raise AuthenticationFailed(f"{mechanism.name}: {error}") from error
