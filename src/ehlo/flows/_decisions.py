"""Which hook decides which event, and what it is told."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any, Final

from ehlo._events import (
    BodyStarted,
    ConnectionOpened,
    HelloReceived,
    MailReceived,
    RcptReceived,
    VrfyReceived,
    XClientReceived,
)
from ehlo.sasl import (
    Authorize,
    FetchSecret,
    Need,
    VerifyExternal,
    VerifyPassword,
    VerifyPrincipal,
    VerifyToken,
    Work,
)

# The events that one hook decides, and what it is told.
DECISIONS: Final[dict[type[object], tuple[str, Callable[[Any], tuple[object, ...]]]]] = {
    ConnectionOpened: ("on_connect", lambda _: ()),
    XClientReceived: ("on_connect", lambda _: ()),
    HelloReceived: ("on_hello", lambda event: (event.name,)),
    MailReceived: ("on_mail", lambda event: (event.reverse_path, event.parameters)),
    RcptReceived: ("on_rcpt", lambda event: (event.forward_path, event.parameters)),
    BodyStarted: ("on_data", lambda event: (event.envelope,)),
    VrfyReceived: ("on_vrfy", lambda event: (event.text,)),
}


@lru_cache(maxsize=64)
def undecided_events(names: frozenset[str], rights: bool, pause: bool) -> frozenset[type[object]]:
    """The events that nothing decides: they are accepted."""
    decided = {kind for kind, (hook, _) in DECISIONS.items() if hook in names}
    if rights:
        decided.add(MailReceived)
    if pause:
        decided.add(ConnectionOpened)
    return frozenset(DECISIONS) - decided


def asked(need: Need) -> tuple[str, tuple[object, ...]] | Work:
    """The hook that answers the need of a mechanism, and what it is told; Work is done without one."""
    match need:
        case VerifyPassword(username, password, authzid):
            return "on_auth_password", (username, password, authzid)
        case FetchSecret(username, kind, domain):
            return "on_auth_secret", (username, kind, domain)
        case VerifyToken(username, token, host, port):
            return "on_auth_token", (username, token, host, port)
        case VerifyExternal(authzid):
            return "on_auth_external", (authzid,)
        case VerifyPrincipal(principal):
            return "on_auth_kerberos", (principal,)
        case Authorize(authcid, authzid):
            return "on_auth_authorize", (authcid, authzid)
        case Work():
            return need


def complain(hook: str, answer: object) -> None:
    raise TypeError(f"{hook} answered {type(answer).__name__}, which is no decision")


def reraise(error: Exception) -> None:
    raise error
