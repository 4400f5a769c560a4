from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.helpers.sasl import HERE
from tests.unit.sasl.helpers import STEPS, STORE, converse, settle

from ehlo import _errors
from ehlo.sasl import (
    Authorize,
    Challenge,
    Done,
    Identity,
    MechanismError,
    Password,
    PlainClient,
    PlainServer,
    Refuse,
    VerifyPassword,
)


@pytest.mark.clause("RFC4616-2a", "RFC4954-4h")
def test_the_message_and_its_two_places() -> None:
    server = PlainServer()
    assert server.start(b"\0tim\0tanstaaftanstaaf") == VerifyPassword("tim", "tanstaaftanstaaf", "")
    assert server.answer(True) == Done(Identity("tim", "tim", "PLAIN"))
    server = PlainServer()
    assert server.start(None) == Challenge(b"")
    assert server.respond(b"\0tim\0pw") == VerifyPassword("tim", "pw", "")


@pytest.mark.clause("RFC4616-2b", "RFC4616-2d", "RFC4954-4j")
@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"\0",
        b"\0\0",
        b"tim",
        b"tim\0pw",
        b"\0tim\0pw\0",
        b"\0\0tim\0pw",
        b"\0tim\0\0pw",
        b"\0\0pw",
        b"\0tim\0",
        b"\0t\xffm\0pw",
        b"\0tim\0p\xc3",
        b"\xff\0tim\0pw",
        b"\0t\xed\xa0\x80m\0pw",
    ],
)
def test_malformed(message: bytes) -> None:
    step = PlainServer().start(message)
    assert isinstance(step, Refuse)
    assert step.malformed


@pytest.mark.clause("RFC4616-2c")
def test_long_fields() -> None:
    name, password = "n" * 255, "p" * 255
    need = PlainServer().start(b"\0".join(x.encode() for x in ("z" * 255, name, password)))
    assert need == VerifyPassword(name, password, "z" * 255)


@pytest.mark.clause("RFC4616-2e")
def test_credentials_are_prepared() -> None:
    need = PlainServer().start("\0I\u00adX\0\u00aa".encode())
    assert need == VerifyPassword("IX", "a", "")
    step = PlainServer().start(b"\0tim\0p\x07w")
    assert isinstance(step, Refuse)
    assert not step.malformed


@pytest.mark.clause("RFC4954-4r")
@pytest.mark.parametrize("authzid", ["\u00ad", "\x07"])
def test_an_authorization_identity_that_cannot_be_prepared(authzid: str) -> None:
    assert isinstance(PlainServer().start(f"{authzid}\0tim\0pw".encode()), Refuse)


@pytest.mark.clause("RFC4616-5b", "RFC4422-3.4.1b", "RFC4422-3.4.1a")
@pytest.mark.parametrize("allowed", [True, False])
def test_acting_as_another(allowed: bool) -> None:
    server = PlainServer()
    assert server.start(b"boss\0tim\0pw") == VerifyPassword("tim", "pw", "boss")
    assert server.answer(True) == Authorize("tim", "boss")
    step = server.answer(allowed)
    if allowed:
        assert step == Done(Identity("tim", "boss", "PLAIN"))
    else:
        assert isinstance(step, Refuse)


def test_acting_as_oneself_asks_nothing() -> None:
    server = PlainServer()
    server.start("t\u00adim\0tim\0pw".encode())
    assert server.answer(True) == Done(Identity("tim", "tim", "PLAIN"))


@pytest.mark.parametrize("answer", [False, None, 1, "yes", b"x", object()])
def test_only_true_is_yes(answer: object) -> None:
    server = PlainServer()
    server.start(b"boss\0tim\0pw")
    assert isinstance(server.answer(answer), Refuse)
    server = PlainServer()
    server.start(b"boss\0tim\0pw")
    server.answer(True)
    assert isinstance(server.answer(answer), Refuse)


def test_a_refusal_names_nobody() -> None:
    server = PlainServer()
    server.start(b"\0tim-o\0s3cret")
    assert not {"tim-o", "s3cret"} & set(repr(server.answer(False)).split())


@given(st.binary(max_size=60) | st.tuples(*[st.binary(max_size=8)] * 3).map(b"\0".join))
def test_any_octets_give_a_step(message: bytes) -> None:
    server = PlainServer()
    step = server.start(message)
    assert isinstance(step, STEPS)
    assert not isinstance(settle(server, step), Done)


@pytest.mark.clause("RFC4616-2f")
@pytest.mark.parametrize(
    "credentials",
    [
        Password("a\0b", "s3cret"),
        Password("a", "s3c\0ret"),
        Password("a", "s3cret", "x\0y"),
        Password("", "s3cret"),
        Password("a", ""),
        Password("a\ud800", "s3cret"),
        Password("a", "s3cret", "\u00ad"),
    ],
)
def test_the_client_refuses(credentials: Password) -> None:
    with pytest.raises(_errors.LocalProtocolError) as caught:
        PlainClient(credentials, HERE)
    assert "s3" not in str(caught.value)


@pytest.mark.clause("RFC4616-2a", "RFC4954-4q")
def test_the_client_sends() -> None:
    assert PlainClient(Password("tim", "pw"), HERE).initial() == b"\0tim\0pw"
    assert PlainClient(Password("tim", "p\u00aa", "I\u00adX"), HERE).initial() == "IX\0tim\0p\u00aa".encode()


def test_the_client_answers_an_empty_challenge_once() -> None:
    client = PlainClient(Password("tim", "pw"), HERE)
    assert client.respond(b"") == b"\0tim\0pw"
    client.succeeded()
    with pytest.raises(MechanismError):
        client.respond(b"")


@pytest.mark.parametrize("text", [b"YQ==", b"go on"])
def test_the_client_takes_no_other_challenge(text: bytes) -> None:
    with pytest.raises(MechanismError):
        PlainClient(Password("tim", "pw"), HERE).respond(text)


def test_the_client_never_sends_twice() -> None:
    client = PlainClient(Password("tim", "pw"), HERE)
    client.initial()
    with pytest.raises(MechanismError):
        client.respond(b"")


def test_success_before_the_credentials() -> None:
    with pytest.raises(MechanismError):
        PlainClient(Password("tim", "pw"), HERE).succeeded()


@pytest.mark.parametrize(("password", "end"), [("secret", Done), ("wrong", Refuse)])
def test_both_roles(password: str, end: type) -> None:
    assert isinstance(converse(PlainClient(Password("alice", password), HERE), PlainServer(), STORE), end)


def test_secrets_are_not_shown() -> None:
    assert "s3cret" not in repr(PlainClient(Password("tim", "s3cret"), HERE))
