"""GSSAPI and GSS-SPNEGO over contexts that play their part; real tickets are for tests/interop."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import attrs
import pytest
import spnego
from tests.helpers.sasl import HERE, server_settings
from tests.unit.sasl.helpers import settle

from ehlo._errors import LocalProtocolError
from ehlo.sasl import (
    Authorize,
    Challenge,
    Done,
    GssapiClient,
    GssapiServer,
    GssSpnegoClient,
    GssSpnegoServer,
    Identity,
    Kerberos,
    MechanismError,
    Password,
    Refuse,
    ServerContext,
    VerifyPrincipal,
    Work,
    gssapi,
)
from ehlo.wire import base64

SETTINGS = server_settings(principals=True)
PAIRS = pytest.mark.parametrize(
    ("client", "server"),
    [(GssapiClient, GssapiServer), (GssSpnegoClient, GssSpnegoServer)],
    ids=["GSSAPI", "GSS-SPNEGO"],
)


@attrs.frozen
class Wrapped:
    data: bytes


@attrs.define
class Context:
    """As much of a spnego.ContextProxy as is used: tokens in the order given, `wrap` puts brackets around."""

    tokens: Iterator[bytes | None]
    left: int
    negotiated_protocol: str | None = "kerberos"
    client_principal: str | None = "alice@TEST.EXAMPLE"
    taken: list[bytes | None] = attrs.field(factory=list)

    @property
    def complete(self) -> bool:
        return self.left == 0

    def step(self, token: bytes | None) -> bytes | None:
        self.left -= 1
        self.taken.append(token)
        return next(self.tokens)

    def wrap(self, data: bytes, encrypt: bool) -> Wrapped:
        assert encrypt is False
        return Wrapped(b"[" + data + b"]")

    def unwrap(self, data: bytes) -> Wrapped:
        if data[:1] != b"[" or data[-1:] != b"]":
            raise ValueError("s3cret octets")
        return Wrapped(data[1:-1])


def context(*tokens: bytes | None, **changes: Any) -> Context:
    return Context(iter(tokens), len(tokens), **changes)


@pytest.fixture(autouse=True)
def _installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gssapi, "available", lambda: True)


def serving(monkeypatch: pytest.MonkeyPatch, gss: Context) -> None:
    def acceptor(hostname: str, protocol: str) -> Context:
        assert hostname == "mail.example"
        assert protocol in ("kerberos", "negotiate")
        return gss

    monkeypatch.setattr(gssapi, "_acceptor", acceptor)


def connecting(monkeypatch: pytest.MonkeyPatch, gss: Context) -> list[tuple[Any, ...]]:
    asked: list[tuple[Any, ...]] = []

    def initiator(*arguments: Any) -> Context:
        asked.append(arguments)
        return gss

    monkeypatch.setattr(gssapi, "_initiator", initiator)
    return asked


@pytest.mark.clause("RFC4752-3.1a", "RFC4752-3.1b", "RFC4752-3.1c", "RFC4954-4w")
def test_the_client(monkeypatch: pytest.MonkeyPatch) -> None:
    gss = context(b"one", None)
    asked = connecting(monkeypatch, gss)
    credentials = Kerberos("alice@TEST.EXAMPLE", "secret", authzid="boss")
    who = GssapiClient(credentials, HERE)
    with pytest.raises(MechanismError):
        who.succeeded()
    assert credentials.service == "smtp"
    assert who.initial() == b"one"
    assert asked == [(credentials, "mail.example", "kerberos")]
    with pytest.raises(MechanismError):
        who.succeeded()
    assert who.respond(base64.encode(b"two")) == b""
    assert gss.taken == [None, b"two"]
    with pytest.raises(MechanismError):
        who.succeeded()
    assert who.respond(base64.encode(b"[\x07\x00\x10\x00]")) == b"[\x01\x00\x00\x00boss]"
    who.succeeded()
    with pytest.raises(MechanismError):
        who.respond(base64.encode(b"[\x01\x00\x00\x00]"))


@pytest.mark.clause("OXSMTP18-2.2.1b")
def test_prose_in_place_of_the_first_challenge(monkeypatch: pytest.MonkeyPatch) -> None:
    connecting(monkeypatch, context(b"one", None))
    assert GssapiClient(Kerberos(), HERE).respond(b"GSSAPI supported") == b"one"


@pytest.mark.clause("RFC4752-3.1b", "RFC4752-3.3a")
@pytest.mark.parametrize("offer", [b"[\x06\x00\x10\x00]", b"[\x01\x00\x00]", b"\x01\x00\x00\x00", b"[]", b""])
def test_an_offer_that_cannot_be_taken(offer: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    connecting(monkeypatch, context(b"one"))
    who = GssapiClient(Kerberos(), HERE)
    who.initial()
    with pytest.raises(MechanismError) as caught:
        who.respond(base64.encode(offer))
    assert "s3cret" not in str(caught.value)


def test_a_choice_that_cannot_be_wrapped(monkeypatch: pytest.MonkeyPatch) -> None:
    def wrap(*_: Any, **__: Any) -> Wrapped:
        raise OSError("s3cret")

    monkeypatch.setattr(Context, "wrap", wrap)
    connecting(monkeypatch, context(b"one"))
    who = GssapiClient(Kerberos(), HERE)
    who.initial()
    with pytest.raises(MechanismError, match="OSError") as caught:
        who.respond(base64.encode(b"[\x01\x00\x00\x00]"))
    assert "s3cret" not in str(caught.value)


def test_an_exchange_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each side gives up when the other goes on."""
    connecting(monkeypatch, context(*[b"more"] * 100))
    who = GssapiClient(Kerberos(), HERE)
    assert who.initial() == b"more"
    for _ in range(7):
        assert who.respond(base64.encode(b"more")) == b"more"
    with pytest.raises(MechanismError, match="more tokens"):
        who.respond(base64.encode(b"more"))
    serving(monkeypatch, context(*[b"more"] * 100))
    ours = GssapiServer(settings=SETTINGS)
    step = settle(ours, ours.start(b"more"))
    for _ in range(7):
        assert step == Challenge(b"more")
        step = settle(ours, ours.respond(b"more"))
    assert isinstance(step, Challenge)
    assert settle(ours, ours.respond(b"more")) == Refuse("more tokens than any exchange has")


def test_no_ticket(monkeypatch: pytest.MonkeyPatch) -> None:
    def initiator(*_: Any) -> Context:
        raise KeyError("s3cret")

    monkeypatch.setattr(gssapi, "_initiator", initiator)
    with pytest.raises(MechanismError, match="KeyError") as caught:
        GssapiClient(Kerberos(), HERE).initial()
    assert "s3cret" not in str(caught.value)


def test_spnego_that_fell_back_to_ntlm(monkeypatch: pytest.MonkeyPatch) -> None:
    connecting(monkeypatch, context(b"NTLMSSP", None, negotiated_protocol="ntlm"))
    with pytest.raises(MechanismError):
        GssSpnegoClient(Kerberos(), HERE).initial()


def test_the_client_of_spnego(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = connecting(monkeypatch, context(b"one", None))
    who = GssSpnegoClient(Kerberos(), HERE)
    assert who.initial() == b"one"
    assert asked[0][2] == "negotiate"
    with pytest.raises(MechanismError):
        who.succeeded()
    assert who.respond(base64.encode(b"two")) == b""
    who.succeeded()
    with pytest.raises(MechanismError):
        GssSpnegoClient(Kerberos(), HERE).succeeded()
    # There are servers that agree on a layer here, too.
    assert who.respond(base64.encode(b"[\x01\x00\x00\x00]")) == b"[\x01\x00\x00\x00]"
    with pytest.raises(MechanismError):
        who.respond(base64.encode(b"[\x01\x00\x00\x00]"))


@pytest.mark.parametrize(
    ("credentials", "fault"),
    [
        (Password("alice", "x"), "GSSAPI needs Kerberos credentials"),
        (Kerberos("", "x"), "the user name is empty"),
        (Kerberos("a", ""), "the password is empty"),
        (Kerberos(authzid="\a"), "SASLprep refuses the authorization identity"),
    ],
)
def test_credentials_that_it_cannot_carry(credentials: Any, fault: str) -> None:
    with pytest.raises(LocalProtocolError, match=fault):
        GssapiClient(credentials, HERE)


def test_without_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gssapi, "available", lambda: False)
    with pytest.raises(LocalProtocolError, match="extra kerberos"):
        GssapiClient(Kerberos(), HERE)
    with pytest.raises(LocalProtocolError, match="extra kerberos"):
        GssapiServer.check(SETTINGS)


@pytest.mark.clause("RFC4752-3.2a")
def test_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    gss = context(b"two", None)
    serving(monkeypatch, gss)
    here = ServerContext(tls=True)
    ours = GssapiServer(here, SETTINGS)
    assert ours.context is here
    assert ours.settings is SETTINGS
    step = ours.start(b"one")
    # Keytabs and caches are files: nothing is done beside an event loop.
    assert isinstance(step, Work)
    assert settle(ours, step) == Challenge(b"two")
    assert settle(ours, ours.respond(b"three")) == Challenge(b"[\x01\x00\x00\x00]")
    assert gss.taken == [b"one", b"three"]
    step = ours.respond(b"[\x01\x00\x00\x00]")
    while isinstance(step, Work):
        step = ours.answer(step.work())
    assert step == VerifyPrincipal("alice@TEST.EXAMPLE")
    assert ours.answer("alice") == Done(Identity("alice", "alice", "GSSAPI"))


@pytest.mark.clause("RFC4752-3.1c")
def test_a_last_token_is_answered_by_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    serving(monkeypatch, context(b"two"))
    ours = GssapiServer(settings=SETTINGS)
    assert settle(ours, ours.start(b"one")) == Challenge(b"two")
    assert isinstance(settle(ours, ours.respond(b"")), Challenge)
    serving(monkeypatch, context(b"two"))
    ours = GssapiServer(settings=SETTINGS)
    settle(ours, ours.start(b"one"))
    step = ours.respond(b"x")
    assert isinstance(step, Refuse)
    assert step.malformed


@pytest.mark.clause("RFC4752-3.2c", "RFC4752-3.3a")
@pytest.mark.parametrize(
    ("choice", "reason"),
    [
        (b"[\x02\x00\x00\x00]", "the client wants a security layer"),
        (b"[\x01\x00\x10\x00]", "the client wants a security layer"),
        (b"[\x01\x00\x00]", "the client wants a security layer"),
        (b"\x01\x00\x00\x00", "the choice could not be unwrapped: ValueError"),
        (b"[\x01\x00\x00\x00\xff]", "the authorization identity is not text"),
        (b"[\x01\x00\x00\x00\x07]", "the authorization identity is not text"),
    ],
)
def test_a_choice_that_cannot_be_taken(choice: bytes, reason: str, monkeypatch: pytest.MonkeyPatch) -> None:
    serving(monkeypatch, context(None))
    ours = GssapiServer(settings=SETTINGS)
    assert isinstance(settle(ours, ours.start(b"one")), Challenge)
    step = settle(ours, ours.respond(choice))
    assert step == Refuse(reason, malformed="text" in reason)


@pytest.mark.clause("RFC4752-3.2c")
@pytest.mark.parametrize(("allow", "end"), [(True, Done), (False, Refuse)])
def test_acting_as_another(allow: bool, end: type, monkeypatch: pytest.MonkeyPatch) -> None:
    serving(monkeypatch, context(None))
    ours = GssapiServer(settings=SETTINGS)
    settle(ours, ours.start(b"one"))
    step = ours.respond(b"[\x01\x00\x00\x00boss]")
    while isinstance(step, Work):
        step = ours.answer(step.work())
    assert ours.answer("alice") == Authorize("alice", "boss")
    assert isinstance(ours.answer(allow), end)


@pytest.mark.parametrize(
    ("changes", "answer"),
    [
        ({"client_principal": None}, "alice"),
        ({"negotiated_protocol": "ntlm"}, "alice"),
        ({}, None),
        ({}, ""),
    ],
)
def test_nobodys_ticket(changes: dict[str, Any], answer: object, monkeypatch: pytest.MonkeyPatch) -> None:
    serving(monkeypatch, context(b"", **changes))
    ours = GssapiServer(settings=SETTINGS)
    settle(ours, ours.start(b"one"))
    step = ours.respond(b"[\x01\x00\x00\x00]")
    while isinstance(step, Work):
        step = ours.answer(step.work())
    if changes:
        assert step == Refuse("nobody's ticket: no Kerberos")
    else:
        assert isinstance(step, VerifyPrincipal)
        assert ours.answer(answer) == Refuse("the principal is no user")


@pytest.mark.parametrize("answer", [True, b"alice"])
def test_an_answer_that_is_none(answer: object, monkeypatch: pytest.MonkeyPatch) -> None:
    serving(monkeypatch, context(None))
    ours = GssapiServer(settings=SETTINGS)
    settle(ours, ours.start(b"one"))
    step = ours.respond(b"[\x01\x00\x00\x00]")
    while isinstance(step, Work):
        step = ours.answer(step.work())
    with pytest.raises(LocalProtocolError):
        ours.answer(answer)


@PAIRS
def test_a_bad_ticket(client: Any, server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def acceptor(*_: Any) -> Context:
        raise OSError("s3cret")

    monkeypatch.setattr(gssapi, "_acceptor", acceptor)
    ours = server(settings=SETTINGS)
    assert ours.start(None) == Challenge(b"")
    assert settle(ours, ours.respond(b"one")) == Refuse("the ticket was not accepted: OSError")


@pytest.mark.clause("RFC4752-3.2b")
def test_no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    def acceptor(*_: Any) -> Context:
        raise OSError("s3cret")

    monkeypatch.setattr(gssapi, "_acceptor", acceptor)
    with pytest.raises(LocalProtocolError, match=r"GSSAPI has no key for mail\.example: OSError"):
        GssapiServer.check(SETTINGS)
    serving(monkeypatch, context(None))
    GssapiServer.check(SETTINGS)


@PAIRS
def test_both_roles(client: Any, server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    connecting(monkeypatch, context(b"one", None))
    serving(monkeypatch, context(b"two"))
    who, ours = client(Kerberos(), HERE), server(settings=SETTINGS)
    step = settle(ours, ours.start(who.initial()))
    while isinstance(step, Challenge):
        step = settle(ours, ours.respond(who.respond(base64.encode(step.data))))
    assert step == Done(Identity("alice", "alice", server.name))
    who.succeeded()


def test_secrets_are_not_shown() -> None:
    shown = "Kerberos(username='alice', password=***, authzid='', service='smtp')"
    assert repr(Kerberos("alice", "s3cret")) == shown
    assert "s3cret" not in repr(GssapiClient(Kerberos("alice", "s3cret"), HERE))


def test_what_the_library_cannot_do_is_a_refusal(monkeypatch: pytest.MonkeyPatch) -> None:
    @attrs.define
    class Broken(Context):
        def wrap(self, data: bytes, encrypt: bool) -> Wrapped:
            raise OSError("s3cret")

    serving(monkeypatch, Broken(iter([None]), 1))
    ours = GssapiServer(settings=SETTINGS)
    assert settle(ours, ours.start(b"one")) == Refuse("the offer could not be wrapped: OSError")
    serving(monkeypatch, context(None, client_principal="\ud800"))
    ours = GssapiServer(settings=SETTINGS)
    settle(ours, ours.start(b"one"))
    step = settle(ours, ours.respond(b"[\x01\x00\x00\x00]"))
    assert step == Refuse("nobody's ticket: UnicodeEncodeError")


# ---- what is asked of pyspnego ----


@pytest.mark.parametrize("missing", [None, "gssapi", "krb5"])
def test_the_extra_is_two_packages(missing: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    there = {"gssapi", "krb5"} - {missing}
    monkeypatch.setattr(gssapi, "find_spec", lambda name: object() if name in there else None)
    assert gssapi.available() is (missing is None)


KERBEROS = spnego.NegotiateOptions.use_gssapi
NEGOTIATE = spnego.NegotiateOptions.use_negotiate | spnego.NegotiateOptions.negotiate_kerberos


@pytest.mark.parametrize(("protocol", "options"), [("kerberos", KERBEROS), ("negotiate", NEGOTIATE)])
def test_contexts(protocol: str, options: object, monkeypatch: pytest.MonkeyPatch) -> None:
    def make(*arguments: object, **named: object) -> tuple[object, ...]:
        return arguments, named

    monkeypatch.setattr(spnego, "server", make)
    monkeypatch.setattr(spnego, "client", make)
    acceptor: Any = gssapi._acceptor("mail.example", protocol)
    named = {"hostname": "mail.example", "protocol": protocol, "options": options}
    assert acceptor == ((), {**named, "service": "smtp"})
    for credentials, given in (
        (Kerberos("alice", "secret"), spnego.Password("alice", "secret")),
        (Kerberos("alice", service="imap"), spnego.CredentialCache("alice")),
        (Kerberos(), spnego.CredentialCache(None)),
    ):
        initiator: Any = gssapi._initiator(credentials, "mail.example", protocol)
        assert initiator == ((given,), {**named, "service": credentials.service})
