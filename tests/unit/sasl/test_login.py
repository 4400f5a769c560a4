from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.helpers.sasl import FIRST, HERE
from tests.unit.sasl.helpers import STEPS, converse, settle

from ehlo._errors import LocalProtocolError
from ehlo.sasl import (
    Challenge,
    ClientContext,
    Done,
    Identity,
    LoginClient,
    LoginServer,
    MechanismError,
    Password,
    Refuse,
    VerifyPassword,
)
from ehlo.wire import base64

USER, PASS = b"VXNlcm5hbWU6", b"UGFzc3dvcmQ6"


@pytest.mark.clause("XLOGIN-2.2.2b", "XLOGIN-2.2.2c", "XLOGIN-3.2.5.1b", "XLOGIN-3.2.5.2a", "XLOGIN-3.2.5.3a")
def test_two_prompts() -> None:
    server = LoginServer()
    step = server.start(None)
    assert isinstance(step, Challenge)
    assert base64.encode(step.data) == USER
    step = server.respond(b"nobody")
    assert isinstance(step, Challenge)
    assert base64.encode(step.data) == PASS
    assert server.respond(b"pw") == VerifyPassword("nobody", "pw", "")
    assert server.answer(True) == Done(Identity("nobody", "nobody", "LOGIN"))


@pytest.mark.clause("XLOGIN-3.2.5.1a")
def test_the_initial_response_is_the_name() -> None:
    server = LoginServer()
    assert server.start(b"tim") == Challenge(b"Password:")
    assert server.respond(b"pw") == VerifyPassword("tim", "pw", "")


@pytest.mark.clause("XLOGIN-3.2.5b")
@pytest.mark.parametrize(("name", "password"), [(b"", b"pw"), (b"tim", b""), (b"", b"")])
def test_empty_is_wrong_and_not_malformed(name: bytes, password: bytes) -> None:
    server = LoginServer()
    assert server.start(name) == Challenge(b"Password:")
    step = server.respond(password)
    assert isinstance(step, Refuse)
    assert not step.malformed


@pytest.mark.parametrize(("name", "password"), [(b"\xff", b"pw"), (b"tim", b"\xff")])
def test_not_utf_8(name: bytes, password: bytes) -> None:
    server = LoginServer()
    server.start(name)
    assert server.respond(password) == Refuse("not UTF-8", malformed=True)


@pytest.mark.parametrize("name", [b"ti\0m", b"ti\r\nm", b"ti\x1bm"])
def test_control_characters_reach_nobody(name: bytes) -> None:
    server = LoginServer()
    server.start(name)
    assert isinstance(server.respond(b"pw"), Refuse)


@pytest.mark.parametrize("answer", [False, None, 1, "yes"])
def test_only_true_is_yes(answer: object) -> None:
    server = LoginServer()
    server.start(b"tim")
    server.respond(b"pw")
    assert isinstance(server.answer(answer), Refuse)


@given(st.none() | st.binary(max_size=20), st.binary(max_size=20), st.binary(max_size=20))
def test_any_octets_give_a_step(initial: bytes | None, one: bytes, two: bytes) -> None:
    server = LoginServer()
    step = settle(server, server.start(initial))
    for line in (one, two):
        assert isinstance(step, STEPS)
        if isinstance(step, Challenge):
            step = settle(server, server.respond(line))
    assert isinstance(step, Refuse)


@pytest.mark.clause("XLOGIN-3.1.5.1b", "XLOGIN-2.2.2d")
@pytest.mark.parametrize("prompts", [(USER, PASS), (b"", b""), (b"VXNlciBOYW1lAA==", b"?"), (b"hi", b"yo")])
def test_the_client_answers_by_position(prompts: tuple[bytes, bytes]) -> None:
    client = LoginClient(Password("tim", "pw"), HERE)
    assert client.initial() is None
    assert [client.respond(prompt) for prompt in prompts] == [b"tim", b"pw"]
    client.succeeded()


@pytest.mark.clause("XLOGIN-3.1.5.1c")
def test_the_client_answers_what_is_asked() -> None:
    client = LoginClient(Password("tim", "pw"), HERE)
    assert [client.respond(prompt) for prompt in (PASS, USER)] == [b"pw", b"tim"]
    client = LoginClient(Password("tim", "pw"), HERE)
    assert [client.respond(prompt) for prompt in (PASS, b"")] == [b"pw", b"tim"]
    for words in (b"Login", b"LOGIN NAME:", b"your login, please"):
        client = LoginClient(Password("tim", "pw"), FIRST)
        client.initial()
        assert client.respond(base64.encode(words)) == b"tim"
        assert client.respond(b"") == b"pw"


@pytest.mark.clause("XLOGIN-3.1.5.1c", "XLOGIN-3.1.5.1d")
@pytest.mark.parametrize("prompts", [(USER, USER), (PASS, PASS), (USER, PASS, b""), (USER, PASS, PASS)])
def test_a_surplus_prompt(prompts: tuple[bytes, ...]) -> None:
    client = LoginClient(Password("tim", "pw"), HERE)
    for prompt in prompts[:-1]:
        client.respond(prompt)
    with pytest.raises(MechanismError):
        client.respond(prompts[-1])


@pytest.mark.clause("XLOGIN-2.2.2a", "XLOGIN-3.1.5.1b", "XLOGIN-3.1.5.1d")
@pytest.mark.parametrize("prompts", [(PASS,), (b"",), (USER, PASS)])
def test_the_client_speaks_first(prompts: tuple[bytes, ...]) -> None:
    client = LoginClient(Password("tim", "pw"), FIRST)
    assert client.initial() == b"tim"
    assert [client.respond(prompt) for prompt in prompts][-1] == b"pw"
    client.succeeded()
    with pytest.raises(MechanismError):
        client.respond(b"")


@pytest.mark.parametrize("context", [HERE, FIRST])
def test_success_before_the_password(context: ClientContext) -> None:
    client = LoginClient(Password("tim", "pw"), context)
    if client.initial() is None:
        client.respond(USER)
    with pytest.raises(MechanismError):
        client.succeeded()


@pytest.mark.clause("XLOGIN-2.2.2d")
@pytest.mark.parametrize(
    "credentials",
    [Password("", "s3"), Password("tim", ""), Password("t\0m", "s3"), Password("tim", "s3", "boss")],
)
def test_the_client_refuses(credentials: Password) -> None:
    with pytest.raises(LocalProtocolError) as caught:
        LoginClient(credentials, HERE)
    assert "s3" not in str(caught.value)


@pytest.mark.parametrize("context", [HERE, FIRST])
@pytest.mark.parametrize(("password", "end"), [("secret", Done), ("wrong", Refuse)])
def test_both_roles(context: ClientContext, password: str, end: type) -> None:
    assert isinstance(converse(LoginClient(Password("alice", password), context), LoginServer()), end)


def test_secrets_are_not_shown() -> None:
    assert "s3cret" not in repr(LoginClient(Password("tim", "s3cret"), HERE))
