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
    VerifyPassword,
)
from ehlo.wire import base64

STORE = UserStore({"alice": "secret", "DOM\\bob": "hunter2", "straße": "secret"})
STEPS = (Challenge, Done, Refuse, VerifyPassword, FetchSecret, Authorize)


def settle(server: ServerMechanism, step: Step, store: UserStore = STORE) -> Step:
    """Answers what the application is asked, until the client or nobody has to speak."""
    while True:
        match step:
            case VerifyPassword(username, password, authzid):
                step = server.answer(store.on_auth_password(None, username, password, authzid))
            case FetchSecret(username, kind, domain):
                step = server.answer(store.on_auth_secret(None, username, kind, domain))
            case Authorize():
                step = server.answer(False)
            case _:
                return step


def converse(client: ClientMechanism, server: ServerMechanism, store: UserStore = STORE) -> Step:
    """The last step of a whole exchange; tells the client about a success."""
    step = settle(server, server.start(client.initial()), store)
    while isinstance(step, Challenge):
        step = settle(server, server.respond(client.respond(base64.encode(step.data))), store)
    if isinstance(step, Done):
        client.succeeded()
    return step
