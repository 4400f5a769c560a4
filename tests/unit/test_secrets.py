"""No secret is shown by anything: every mechanism in both roles, with good, wrong and broken exchanges.

What is looked at is what an application could print or log: each object of ours that can be reached from a
connection, a handler, an action or an event, records of transcripts, errors with their tracebacks.
"""

from __future__ import annotations

import importlib
import pkgutil
import random
import re
from base64 import b64encode
from collections.abc import Callable, Iterator
from typing import Any

import attrs
import pytest
from tests.fuzz.auth import Link, Trial, rehearse
from tests.fuzz.mechanisms import CASES, ITERATIONS, OWNER, SECRET, TLS, TOKEN, USER, Case, fake_kerberos
from tests.helpers.driver import server_config
from tests.helpers.leaks import Watch
from tests.helpers.sasl import SERVER_NAME, session_options

import ehlo
from ehlo import (
    AuthenticationFailed,
    ClientConnection,
    Credentials,
    Error,
    External,
    Kerberos,
    Limits,
    NtHash,
    Password,
    ServerConnection,
    Session,
    StoredSecret,
    TlsMode,
    Token,
    UserStore,
    nt_hash,
)
from ehlo.flows import hooks_of, mechanisms_of, open_session, serve
from ehlo.sasl import SecretKind
from ehlo.sasl.ntlm import crypto
from ehlo.sasl.scram.keys import Hash, ScramKeys
from ehlo.testing import drive, run

WRONG = "Wr0ng-secret.x"
SALT = b"salt" * 4
LIMITS = Limits(scram_least=ITERATIONS.start, scram_most=ITERATIONS.stop - 1)
STORED = [StoredSecret.of(kind, SECRET, SALT, 4) for kind in SecretKind]
KEYS = [stored.value for stored in STORED if isinstance(stored.value, ScramKeys)]
ALL = pytest.mark.parametrize("case", CASES, ids=lambda case: case.title)


class Handler(UserStore):
    """Answers whatever a mechanism may ask."""

    auth_iterations = 4

    def __init__(self) -> None:
        super().__init__({USER: STORED})
        self.told: list[tuple[str, str]] = []

    def on_auth_token(self, session: Session, username: str, token: str, host: str, port: int) -> bool:
        return token == TOKEN

    def on_auth_external(self, session: Session, authzid: str) -> str:
        return OWNER

    def on_auth_kerberos(self, session: Session, principal: str) -> str:
        return principal.partition("@")[0]

    def on_auth_refused(self, session: Session, mechanism: str, reason: str, failures: int) -> None:
        self.told.append((mechanism, reason))


@pytest.fixture
def watch(monkeypatch: pytest.MonkeyPatch) -> Iterator[Watch]:
    """Knows all secrets there are, and those that are made on the way. Checks at the end."""
    watch = Watch(SECRET, WRONG, TOKEN, *(nt_hash(password) for password in (SECRET, WRONG)))
    watch.secrets |= {key for keys in KEYS for key in (keys.stored_key, keys.server_key)}
    assert TLS.tls_exporter is not None
    watch.secrets.add(TLS.tls_exporter)
    for owner, name in ((Hash, "salted"), (crypto, "ntowf_v2"), (crypto, "session_base_key")):
        _note_results(owner, name, watch, monkeypatch)
    with fake_kerberos():
        yield watch
    watch.check()


def _note_results(owner: Any, name: str, watch: Watch, monkeypatch: pytest.MonkeyPatch) -> None:
    true = getattr(owner, name)

    def noting(*arguments: Any, **named: Any) -> bytes:
        made: bytes = true(*arguments, **named)
        watch.secrets.add(made)
        return made

    monkeypatch.setattr(owner, name, noting)


def wrong(credentials: Credentials) -> Credentials:
    match credentials:
        case Password(username=username):
            return Password(username, WRONG)
        case Token(username=username):
            return Token(username, WRONG)
        case NtHash(username=username):
            return NtHash(username, nt_hash(WRONG))
        case External():
            return External("mallory")
        case Kerberos():
            return Kerberos("alice", WRONG, authzid="mallory")
        case _:
            return credentials


def session(case: Case, watch: Watch, credentials: Credentials) -> Handler:
    """Open a session over both flows; raises what the client's raises."""
    handler = Handler()
    hooks = hooks_of(handler)
    clock = (lambda: 1.79e9) if case.stamped else None
    mechanisms = mechanisms_of(hooks, target=SERVER_NAME, random=case.random, clock=clock, only=[case.name])
    server = ServerConnection(server_config(mechanisms=mechanisms), trace=watch.record)
    client = ClientConnection(limits=LIMITS, trace=watch.record)
    options = session_options(tls=TlsMode.STARTTLS, auth=credentials, mechanisms=(case.name,))
    near = watch.flow(open_session(client, options), client, options)
    far = watch.flow(serve(server, hooks), server, handler, mechanisms)
    try:
        drive(near, far, tls=TLS)
    finally:
        watch.texts |= {str(told) for told in handler.told}
    return handler


@pytest.mark.clause("SEC-INJ-both-a", "RFC9266-4a")
@ALL
def test_a_good_exchange(case: Case, watch: Watch) -> None:
    session(case, watch, case.credentials)
    # Both sides were seen with the exchange in their hands.
    assert {"ClientConnection", "ServerConnection", "SessionOptions", "AuthDialogue"} <= watch.kinds
    assert f"{type(case.client(case.client_context)).__name__}" in watch.kinds
    assert any(text.startswith("C: AUTH ") for text in watch.texts)


@pytest.mark.clause("SEC-INJ-both-a")
@ALL
def test_a_wrong_secret(case: Case, watch: Watch) -> None:
    credentials = wrong(case.credentials)
    if credentials == case.credentials:
        session(case, watch, credentials)
        return
    with pytest.raises(AuthenticationFailed):
        session(case, watch, credentials)


@pytest.mark.clause("SEC-INJ-both-a", "NTLM-nlmp-a")
def test_an_nt_hash_in_place_of_the_password(watch: Watch) -> None:
    (case,) = (case for case in CASES if case.title == "NTLM")
    session(case, watch, NtHash(USER, nt_hash(SECRET)))
    with pytest.raises(AuthenticationFailed):
        session(case, watch, NtHash(USER, nt_hash(WRONG)))


@pytest.mark.clause("SEC-INJ-both-a")
@ALL
def test_broken_exchanges(case: Case, watch: Watch) -> None:
    """Somebody on the way changes what either side says."""
    good, mechanisms = rehearse(case), case.mechanisms
    config = server_config(mechanisms=mechanisms)
    for number in range(60):
        trial = Trial(case, mechanisms, good, random.Random(number))  # noqa: S311
        if number % 2:
            trial.server_connection(config, trace=watch.record, watch=watch.look)
            continue
        server = ServerConnection(config, trace=watch.record)
        client = ClientConnection(limits=LIMITS, trace=watch.record)
        link = Link(trial, server)
        try:
            run(watch.flow(open_session(client, trial.options()), client, server), link)
        except Error as error:
            watch.error(error)
    assert any("Error" in text or "Failed" in text for text in watch.texts)


# ---- what would be found, and what can never be shown ----


@attrs.frozen
class Careless:
    password: str


Careless.__module__ = "ehlo.careless"


@pytest.mark.parametrize(
    "look",
    [
        lambda watch: watch.look({"a": [lambda it=Careless(SECRET): it]}),
        lambda watch: watch.look(iter_of(Careless(SECRET))),
        lambda watch: watch.error(ValueError(SECRET.encode().hex())),
        lambda watch: watch.record(ehlo.WireRecord("C", SECRET)),
        lambda watch: watch.texts.add(repr(b"\0alice\0" + SECRET.encode("utf-16-le"))),
        lambda watch: watch.texts.add(b64encode(b"\0alice\0" + SECRET.encode()).decode()),
    ],
)
def test_what_would_be_found(look: Callable[[Watch], object]) -> None:
    watch = Watch(SECRET)
    look(watch)
    with pytest.raises(AssertionError, match="show a secret"):
        watch.check()


def iter_of(thing: object) -> Iterator[None]:
    """A generator that waits, with something in the hands of the one it waits for."""

    def inner(held: object) -> Iterator[None]:
        yield None

    def outer() -> Iterator[None]:
        yield from inner(thing)

    waiting = outer()
    next(waiting)
    return waiting


_NAMES = re.compile(
    r"(?:^|_)(?:passwords?|secrets?|token|proof|hash|keys?|bindings?|signature|nonce|challenge|response|initial)$"
)
_SHOWN = {
    # Yes or no, or kinds.
    *(f"{owner}.initial_response" for owner in ("ClientContext", "SessionOptions")),
    *(f"{owner}.require_channel_binding" for owner in ("ServerSettings", "Exchange")),
    *("ServerSettings.passwords", "ServerSettings.secrets", "Hooks.secrets"),
    # The names of files, and of a type.
    *(
        "Arguments.tls_key",
        "RelayArguments.dkim_key",
        "Arguments.require_channel_binding",
        "Arguments.client_key",
        "ClientFirst.binding",
    ),
    # Of NTLM, sent in clear by the server.
    *("Exchange.challenge", "ServerChallenge.server_challenge"),
}
"""Fields that sound like secrets and are none."""


def _classes() -> Iterator[Any]:
    for package in ("ehlo", "ehlo_io"):
        for module in pkgutil.walk_packages(importlib.import_module(package).__path__, f"{package}."):
            if not module.name.endswith("__main__"):
                for thing in vars(importlib.import_module(module.name)).values():
                    if isinstance(thing, type) and attrs.has(thing) and thing.__module__ == module.name:
                        yield thing


@pytest.mark.clause("SEC-INJ-both-a", "RFC9266-4a")
def test_fields_that_sound_like_secrets_are_not_shown() -> None:
    shown = {
        f"{one.__name__}.{field.name}"
        for one in _classes()
        for field in attrs.fields(one)
        if field.repr is True and _NAMES.search(field.name)
    }
    assert shown == _SHOWN
