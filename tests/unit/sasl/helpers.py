"""Runs the mechanisms of both roles against each other, as two connections would."""

from __future__ import annotations

from ehlo.sasl import (
    Authorize,
    Challenge,
    ClientMechanism,
    Done,
    FetchSecret,
    Refuse,
    ServerMechanism,
    Step,
    UserStore,
    VerifyExternal,
    VerifyPassword,
    VerifyPrincipal,
    VerifyToken,
    Work,
)
from ehlo.wire import base64

STORE = UserStore({"alice": "secret", "DOM\\bob": "hunter2", "straße": "secret"})
STEPS = (
    Challenge,
    Done,
    Refuse,
    VerifyPassword,
    FetchSecret,
    VerifyToken,
    VerifyExternal,
    VerifyPrincipal,
    Authorize,
    Work,
)
TOKEN = "good.token-1"


def settle(server: ServerMechanism, step: Step, store: UserStore = STORE, *, allow: bool = False) -> Step:
    """Answers what the application is asked, until the client or nobody has to speak.

    The one good token is alice's, every certificate carol's and every principal named after its user.
    """
    while True:
        match step:
            case VerifyPassword(username, password, authzid):
                step = server.answer(store.on_auth_password(None, username, password, authzid))
            case FetchSecret(username, kind, domain):
                step = server.answer(store.on_auth_secret(None, username, kind, domain))
            case VerifyToken(username, token):
                step = server.answer(token == TOKEN and username in ("alice", ""))
            case VerifyExternal():
                step = server.answer("carol")
            case VerifyPrincipal(principal):
                step = server.answer(principal.partition("@")[0])
            case Authorize():
                step = server.answer(allow)
            case Work(work):
                step = server.answer(work())
            case _:
                return step


def converse(
    client: ClientMechanism, server: ServerMechanism, store: UserStore = STORE, *, allow: bool = False
) -> Step:
    """The last step of a whole exchange; tells the client about a success."""
    step = settle(server, server.start(client.initial()), store, allow=allow)
    while isinstance(step, Challenge):
        step = settle(server, server.respond(client.respond(base64.encode(step.data))), store, allow=allow)
    if isinstance(step, Done):
        client.succeeded()
    return step
