"""Both roles: the published exchanges, scramp as the other side, and what must fail."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import attrs
import pytest
import scramp
from tests.helpers.sasl import HERE, client_context, constant, server_settings
from tests.unit.sasl.helpers import STORE, converse, settle

from ehlo._errors import LocalProtocolError
from ehlo.sasl import (
    SHA_1,
    SHA_256,
    Challenge,
    Done,
    External,
    FetchSecret,
    Identity,
    MechanismError,
    Password,
    Refuse,
    ScramKeys,
    ScramSha1Client,
    ScramSha1PlusServer,
    ScramSha1Server,
    ScramSha256Client,
    ScramSha256PlusClient,
    ScramSha256PlusServer,
    ScramSha256Server,
    SecretKind,
    ServerContext,
    StoredSecret,
    UserStore,
)
from ehlo.sasl.scram import client as client_module
from ehlo.sasl.scram.client import ScramClient
from ehlo.sasl.scram.keys import Hash
from ehlo.sasl.scram.server import ScramServer
from ehlo.wire import base64

END_POINT = {"tls-server-end-point": b"end point"}
BINDINGS = {"tls-exporter": b"exporter", "tls-unique": b"unique", **END_POINT}
PASSWORDS = server_settings(secrets=frozenset({SecretKind.PASSWORD}))
KEYS = server_settings(secrets=frozenset({SecretKind.SCRAM_SHA_1, SecretKind.SCRAM_SHA_256}))
WRONG = Refuse("wrong user name or password")
ROLES = [(ScramSha1Client, ScramSha1Server), (ScramSha256Client, ScramSha256Server)]
PAIRS = pytest.mark.parametrize(("client", "server"), ROLES, ids=["SHA-1", "SHA-256"])


def fixed(text: str) -> Callable[[int], bytes]:
    """A source that gives what base64 makes this nonce of."""
    octets = base64.decode(text.encode())
    return lambda _: octets


# RFC 5802 section 5, RFC 7677 section 3, with nonces that are base64 as ours are: the published ones are not.
SALTS = {"SHA-1": "QSXCR+Q6sek8bf92", "SHA-256": "W22ZaJ0SNY7soEsUEjb6gQ=="}
RFC_5802 = (
    "n,,n=user,r=fyko+d2lbbFgONRv9qkxdawL",
    "r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096",
    "c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=",
    "v=rmF9pqV8S7suAoZWja4dJRkFsKQ=",
)
RFC_7677 = (
    "n,,n=user,r=rOprNGfwEbeRWgbNEkqO",
    "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
    "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,"
    "p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
    "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=",
)
PUBLISHED = [(ScramSha1Client, RFC_5802), (ScramSha256Client, RFC_7677)]


@pytest.mark.clause("RFC5802-7b", "RFC7677-3a", "RFC5802-5b", "RFC5802-5c")
@pytest.mark.parametrize(("kind", "messages"), PUBLISHED, ids=["RFC 5802", "RFC 7677"])
def test_the_client_of_the_published_exchanges(
    kind: type[ScramClient], messages: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    nonce = messages[0].rpartition("r=")[2]
    monkeypatch.setattr(
        client_module, "encoded", lambda data: nonce if data == b"the nonce" else base64.encode(data).decode()
    )
    who = kind(Password("user", "pencil"), client_context(random=lambda _: b"the nonce"))
    assert who.initial() == messages[0].encode()
    assert who.respond(base64.encode(messages[1].encode())) == messages[2].encode()
    with pytest.raises(MechanismError):
        who.succeeded()
    assert who.respond(base64.encode(messages[3].encode())) == b""
    who.succeeded()


@pytest.mark.clause("RFC5802-7b", "RFC7677-3a", "RFC5802-5.1e")
@pytest.mark.parametrize(
    ("kind", "hash", "messages"),
    [(ScramSha1Server, SHA_1, RFC_5802), (ScramSha256Server, SHA_256, RFC_7677)],
    ids=["RFC 5802", "RFC 7677"],
)
def test_the_server_of_the_published_exchanges(
    kind: type[ScramServer], hash: Hash, messages: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = messages[1].partition(",")[0].removeprefix(messages[0].rpartition(",")[2])
    monkeypatch.setattr(
        "ehlo.sasl.scram.server.encoded",
        lambda data: ours if data == b"the nonce" else base64.encode(data).decode(),
    )
    settings = server_settings(random=lambda _: b"the nonce", secrets=frozenset({hash.kind}))
    who = kind(settings=settings)
    assert who.start(messages[0].encode()) == FetchSecret("user", hash.kind, "")
    salt = base64.decode(SALTS[hash.name].encode())
    assert who.answer(ScramKeys.of(hash, "pencil", salt)) == Challenge(messages[1].encode())
    assert who.respond(messages[2].encode()) == Challenge(messages[3].encode())
    assert who.respond(b"") == Done(Identity("user", "user", kind.name))


# ---- both of ours ----


@PAIRS
@pytest.mark.parametrize("settings", [PASSWORDS, KEYS], ids=["passwords", "keys"])
@pytest.mark.parametrize(
    ("username", "password", "end"),
    [
        ("alice", "secret", Done),
        ("ALICE", "secret", Done),
        ("alice", "Secret", Refuse),
        ("nobody", "secret", Refuse),
        ("a,b=c", "p,w=x", Done),
        ("straße", "\u00aa", Done),
    ],
)
def test_both_roles(
    client: type[ScramClient],
    server: type[ScramServer],
    settings: Any,
    username: str,
    password: str,
    end: type,
) -> None:
    users = {"alice": "secret", "a,b=c": "p,w=x", "straße": "a"}
    kinds = (SecretKind.SCRAM_SHA_1, SecretKind.SCRAM_SHA_256)
    store = UserStore(
        users
        if settings is PASSWORDS
        else {
            name: [StoredSecret.of(kind, secret, bytes(16), 4096) for kind in kinds]
            for name, secret in users.items()
        }
    )
    step = converse(client(Password(username, password), HERE), server(settings=settings), store)
    assert isinstance(step, end)
    if isinstance(step, Done):
        assert step.identity == Identity(username, username, server.name)
    else:
        assert step == WRONG


@PAIRS
def test_without_an_initial_response(client: type[ScramClient], server: type[ScramServer]) -> None:
    who, ours = client(Password("alice", "secret"), HERE), server(settings=PASSWORDS)
    assert ours.start(None) == Challenge(b"")
    step = settle(ours, ours.respond(who.initial() or b""))
    assert isinstance(step, Challenge)
    assert step.data.startswith(b"r=")


@PAIRS
@pytest.mark.parametrize(
    ("authzid", "allow", "end"),
    [("boss", True, Done), ("boss", False, Refuse), ("alice", False, Done), ("", False, Done)],
)
@pytest.mark.clause("RFC4422-3.4.1a", "RFC4422-3.4.1b")
def test_acting_as_another(
    client: type[ScramClient], server: type[ScramServer], authzid: str, allow: bool, end: type
) -> None:
    who = client(Password("alice", "secret", authzid), HERE)
    step = converse(who, server(settings=PASSWORDS), allow=allow)
    assert isinstance(step, end)
    if isinstance(step, Done):
        assert step.identity.authzid == (authzid or "alice")


# ---- channel bindings ----


@pytest.mark.clause("RFC5802-6b", "RFC5802-6c", "RFC9266-3a", "RFC9266-3b")
def test_the_binding_that_is_chosen() -> None:
    for bindings, kind in (
        (BINDINGS, b"p=tls-exporter,,"),
        ({"tls-unique": b"u", **END_POINT}, b"p=tls-unique,,"),
        (END_POINT, b"p=tls-server-end-point,,"),
    ):
        context = client_context(channel_bindings=bindings)
        who = ScramSha256PlusClient(Password("alice", "secret"), context)
        assert (who.initial() or b"").startswith(kind)
        ours = ScramSha256PlusServer(ServerContext(tls=True, channel_bindings=bindings), PASSWORDS)
        who = ScramSha256PlusClient(Password("alice", "secret"), context)
        assert isinstance(converse(who, ours), Done)


@pytest.mark.clause("RFC5802-6a")
def test_plus_needs_a_channel() -> None:
    with pytest.raises(LocalProtocolError):
        ScramSha256PlusClient(Password("alice", "secret"), HERE)
    assert not ScramSha256PlusClient.serves(Password("alice", "secret"), HERE)
    assert not ScramSha1PlusServer(settings=PASSWORDS).usable()
    assert ScramSha1PlusServer(ServerContext(tls=True, channel_bindings=END_POINT), PASSWORDS).usable()
    assert ScramSha1Server(settings=PASSWORDS).usable()


@pytest.mark.clause("RFC5802-6b")
@pytest.mark.parametrize(
    ("bindings", "offered", "flag"),
    [
        ({}, ("SCRAM-SHA-256",), b"n"),
        (END_POINT, ("SCRAM-SHA-256",), b"y"),
        (END_POINT, ("SCRAM-SHA-256", "SCRAM-SHA-1-PLUS"), b"n"),
    ],
)
def test_the_flag_without_a_binding(bindings: Any, offered: tuple[str, ...], flag: bytes) -> None:
    context = client_context(channel_bindings=bindings, offered=offered)
    assert (ScramSha256Client(Password("alice", "secret"), context).initial() or b"")[:1] == flag


@pytest.mark.clause("RFC5802-6c")
@pytest.mark.parametrize(
    ("kind", "bindings", "first", "reason"),
    [
        (ScramSha256PlusServer, END_POINT, b"n,,n=a,r=x", "the client binds no channel"),
        (ScramSha256PlusServer, END_POINT, b"y,,n=a,r=x", "the client binds no channel"),
        (
            ScramSha256PlusServer,
            END_POINT,
            b"p=tls-unique,,n=a,r=x",
            "there is no channel binding",
        ),
        (
            ScramSha256Server,
            END_POINT,
            b"p=tls-server-end-point,,n=a,r=x",
            "a channel binding in",
        ),
        (ScramSha256Server, END_POINT, b"y,,n=a,r=x", "the client has not seen that -PLUS is offered"),
    ],
)
def test_a_binding_that_does_not_fit(
    kind: type[ScramServer], bindings: Any, first: bytes, reason: str
) -> None:
    offered = ("SCRAM-SHA-1-PLUS", "SCRAM-SHA-1")
    context = ServerContext(tls=True, channel_bindings=bindings, offered=offered)
    step = kind(context, PASSWORDS).start(first)
    assert isinstance(step, Refuse)
    assert step.reason.startswith(reason)
    assert not step.malformed


def test_y_where_nothing_could_be_bound() -> None:
    context = ServerContext(tls=True, channel_bindings=END_POINT, offered=("SCRAM-SHA-256",))
    assert isinstance(ScramSha256Server(context, PASSWORDS).start(b"y,,n=a,r=x"), FetchSecret)


@pytest.mark.clause("RFC5802-6c")
def test_another_channel() -> None:
    """A man in the middle has a channel to each side."""
    who = ScramSha256PlusClient(Password("alice", "secret"), client_context(channel_bindings=END_POINT))
    theirs = ServerContext(tls=True, channel_bindings={"tls-server-end-point": b"another"})
    step = converse(who, ScramSha256PlusServer(theirs, PASSWORDS))
    assert step == Refuse("the channel binding is of another channel")


# ---- the client against bad servers ----


def started(kind: type[ScramClient] = ScramSha256Client, **context: Any) -> ScramClient:
    who = kind(Password("alice", "secret"), client_context(random=constant(b"nonce"), **context))
    who.initial()
    return who


def challenge(text: str) -> bytes:
    return base64.encode(text.encode())


NONCE = base64.encode(constant(b"nonce")(18)).decode()


@pytest.mark.clause("RFC5802-5.1c", "RFC5802-5.1d", "RFC5802-5.1b")
@pytest.mark.parametrize(
    "text",
    [
        f"r={NONCE},s=QQ==,i=4096",
        "r=another,s=QQ==,i=4096",
        f"r=x{NONCE},s=QQ==,i=4096",
        f"r={NONCE}x,s=QQ==,i=4095",
        f"r={NONCE}x,s=QQ==,i=1",
        f"r={NONCE}x,s=QQ==,i=1000001",
        f"r={NONCE}x,s=QQ==,i=999999999",
        f"m=x,r={NONCE}x,s=QQ==,i=4096",
        f"r={NONCE}x,s=QQ==",
        "e=other-error",
        "",
    ],
)
def test_a_bad_server_first(text: str) -> None:
    who = started()
    with pytest.raises(MechanismError) as caught:
        who.respond(challenge(text))
    assert "secret" not in str(caught.value)
    with pytest.raises(MechanismError):
        who.succeeded()


def test_a_challenge_that_is_not_base64() -> None:
    with pytest.raises(MechanismError):
        started().respond(b"r=x")


def test_the_caller_may_allow_other_iterations() -> None:
    who = started(iterations=range(1, 3))
    assert who.respond(challenge(f"r={NONCE}x,s=QQ==,i=2")).startswith(b"c=")


@pytest.mark.clause("RFC5802-5b", "RFC5802-5c")
@pytest.mark.parametrize("text", ["v=QQ==", "v=", "", f"v={base64.encode(bytes(32)).decode()}", "x=y"])
def test_a_server_that_does_not_prove_itself(text: str) -> None:
    who = started()
    who.respond(challenge(f"r={NONCE}x,s=QQ==,i=4096"))
    with pytest.raises(MechanismError):
        who.succeeded()
    with pytest.raises(MechanismError):
        who.respond(challenge(text))
    with pytest.raises(MechanismError):
        who.succeeded()


@pytest.mark.clause("RFC5802-5.1f")
def test_the_server_says_what_is_wrong() -> None:
    who = started()
    who.respond(challenge(f"r={NONCE}x,s=QQ==,i=4096"))
    assert who.respond(challenge("e=invalid-proof")) == b""
    assert who.detail == {"error": "invalid-proof"}
    with pytest.raises(MechanismError):
        who.succeeded()
    with pytest.raises(MechanismError):
        who.respond(b"")


@pytest.mark.parametrize(
    "credentials",
    [
        Password("", "secret"),
        Password("alice", ""),
        Password("a\0", "secret"),
        Password("alice", "\a"),
        Password("alice", "secret", "\a"),
        Password("\a", "secret"),
        External(),
    ],
)
def test_credentials_that_scram_cannot_carry(credentials: Any) -> None:
    with pytest.raises(LocalProtocolError) as caught:
        ScramSha1Client(credentials, HERE)
    assert "secret" not in str(caught.value)


# ---- the server against bad clients ----


@PAIRS
@pytest.mark.clause("RFC5802-7a", "RFC5802-5.1c")
def test_bad_finals(client: type[ScramClient], server: type[ScramServer]) -> None:
    def final(change: Callable[[bytes], bytes]) -> Any:
        who, ours = client(Password("alice", "secret"), HERE), server(settings=PASSWORDS)
        step = settle(ours, ours.start(who.initial()))
        assert isinstance(step, Challenge)
        return settle(ours, ours.respond(change(who.respond(base64.encode(step.data)))))

    assert isinstance(final(lambda octets: octets), Challenge)
    for change in (
        lambda octets: b"",
        lambda octets: octets[:-1],
        lambda octets: octets[:-4],
        lambda octets: octets + b",z=y",
        lambda octets: octets.replace(b",r=", b",m=x,r="),
        lambda octets: octets.replace(b"c=biws", b"c=bi"),
        lambda octets: b"\xff" + octets,
    ):
        step = final(change)
        assert isinstance(step, Refuse)
        assert step.malformed, octets_of(change)
    for change in (
        lambda octets: octets.replace(b",r=", b",r=x"),
        lambda octets: octets.replace(b"c=biws", b"c=eSws"),
        lambda octets: octets[:-8] + b"AAAAAAA=",
    ):
        step = final(change)
        assert isinstance(step, Refuse)
        assert not step.malformed


def octets_of(change: Any) -> bytes:
    return bytes(change(b"c=biws,r=x,p=QQ=="))


@PAIRS
@pytest.mark.clause("RFC4422-3.6a")
def test_something_behind_the_end(client: type[ScramClient], server: type[ScramServer]) -> None:
    who, ours = client(Password("alice", "secret"), HERE), server(settings=PASSWORDS)
    step = settle(ours, ours.start(who.initial()))
    assert isinstance(step, Challenge)
    step = settle(ours, ours.respond(who.respond(base64.encode(step.data))))
    assert isinstance(step, Challenge)
    step = ours.respond(b"x")
    assert isinstance(step, Refuse)
    assert step.malformed


@PAIRS
@pytest.mark.clause("RFC5802-5.1g")
@pytest.mark.parametrize("settings", [PASSWORDS, KEYS], ids=["passwords", "keys"])
def test_nobody_looks_like_somebody(
    client: type[ScramClient], server: type[ScramServer], settings: Any
) -> None:
    """The same salt each time, in any letter case, and another for another name."""

    def server_first(username: str) -> bytes:
        ours = server(settings=settings)
        ours.start(f"n,,n={username},r=x".encode())
        step = ours.answer(None)
        assert isinstance(step, Challenge)
        return step.data.partition(b",")[2]

    assert server_first("nobody") == server_first("nobody") == server_first("NOBODY")
    assert server_first("nobody") != server_first("somebody")
    assert server_first("nobody").endswith(b",i=4096")
    assert len(server_first("nobody")) == len(b"s=,i=4096") + 24


@pytest.mark.clause("RFC5802-5.1g")
def test_servers_with_one_key_give_nobody_one_salt() -> None:
    key = bytes(range(16))
    same = [attrs.evolve(KEYS, salt_key=key, random=os.urandom).salt("SHA-256", "nobody") for _ in range(2)]
    assert same[0] == same[1]
    other = [attrs.evolve(KEYS, salt_key=None, random=os.urandom).salt("SHA-256", "nobody") for _ in range(2)]
    assert len({*same, *other}) == 3
    assert "salt_key" not in repr(KEYS)
    with pytest.raises(LocalProtocolError, match="salt_key"):
        attrs.evolve(KEYS, salt_key=bytes(15))


@pytest.mark.parametrize("answer", [b"", "x", 1, True, ScramKeys.of(SHA_1, "pencil", b"salt", 1)])
def test_an_answer_that_is_none(answer: object) -> None:
    ours = ScramSha256Server(settings=KEYS)
    ours.start(b"n,,n=alice,r=x")
    with pytest.raises(LocalProtocolError):
        ours.answer(answer)


@pytest.mark.parametrize("username", ["a\u0007", "\u0627\u0031"])
def test_a_name_that_cannot_be_prepared(username: str) -> None:
    step = ScramSha1Server(settings=KEYS).start(f"n,,n={username},r=x".encode())
    assert isinstance(step, Refuse)


def test_stored_passwords_are_hashed_for_everybody(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who is not there takes as much work."""
    made = 0
    original = Hash.salted

    def counting(self: Hash, *arguments: Any) -> bytes:
        nonlocal made
        made += 1
        return original(self, *arguments)

    monkeypatch.setattr(Hash, "salted", counting)
    for answer in ("secret", None, ScramKeys.of(SHA_256, "secret", b"salt", 1)):
        made = 0
        ours = ScramSha256Server(settings=PASSWORDS)
        ours.start(b"n,,n=alice,r=x")
        ours.answer(answer)
        assert made == 1


# ---- scramp ----


@PAIRS
@pytest.mark.parametrize("password", ["secret", "wrong"])
def test_the_client_of_scramp(client: type[ScramClient], server: type[ScramServer], password: str) -> None:
    theirs = scramp.ScramClient([server.name], "alice", password)
    ours = server(settings=PASSWORDS)
    step = settle(ours, ours.start(theirs.get_client_first().encode()))
    assert isinstance(step, Challenge)
    theirs.set_server_first(step.data.decode())
    step = settle(ours, ours.respond(theirs.get_client_final().encode()))
    if password == "wrong":
        assert step == WRONG
        return
    assert isinstance(step, Challenge)
    theirs.set_server_final(step.data.decode())
    assert isinstance(ours.respond(b""), Done)


@PAIRS
@pytest.mark.parametrize("password", ["secret", "wrong"])
def test_the_server_of_scramp(client: type[ScramClient], server: type[ScramServer], password: str) -> None:
    mechanism = scramp.ScramMechanism(mechanism=server.name)
    info = mechanism.make_auth_info("secret")
    theirs = mechanism.make_server(lambda _: info)
    who = client(Password("alice", password), HERE)
    theirs.set_client_first((who.initial() or b"").decode())
    final = who.respond(base64.encode(theirs.get_server_first().encode()))
    if password == "wrong":
        with pytest.raises(scramp.ScramException):
            theirs.set_client_final(final.decode())
        who.respond(base64.encode(theirs.get_server_final().encode()))
        assert who.detail == {"error": "invalid-proof"}
        return
    theirs.set_client_final(final.decode())
    assert who.respond(base64.encode(theirs.get_server_final().encode())) == b""
    who.succeeded()


def test_secrets_are_not_shown() -> None:
    who = ScramSha256Client(Password("alice", "s3cret"), HERE)
    who.initial()
    assert "s3cret" not in repr(who)
    assert "secret" not in repr(STORE)
