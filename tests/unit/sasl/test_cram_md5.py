from __future__ import annotations

import pytest
from tests.helpers.sasl import HERE, server_settings
from tests.unit.sasl.helpers import converse

from ehlo._errors import LocalProtocolError
from ehlo.sasl import (
    Challenge,
    CramMd5Client,
    CramMd5Server,
    Done,
    FetchSecret,
    Identity,
    MechanismError,
    Password,
    Refuse,
    SecretKind,
)
from ehlo.sasl.cram_md5 import _digest
from ehlo.wire import base64

# RFC 2195 section 2.
CHALLENGE = b"<1896.697170952@postoffice.reston.mci.net>"
ANSWER = b"tim b913a602c7eda7a495b4e6e7334d3890"
SETTINGS = server_settings(secrets=frozenset({SecretKind.PASSWORD}))


def asked() -> tuple[CramMd5Server, bytes]:
    server = CramMd5Server(settings=SETTINGS)
    step = server.start(None)
    assert isinstance(step, Challenge)
    return server, step.data


@pytest.mark.clause("RFC2195-2b", "RFC2195-2d", "RFC4422-5a", "RFC4422-3.3a", "RFC4954-4ab")
def test_the_client_of_rfc_2195() -> None:
    client = CramMd5Client(Password("tim", "tanstaaftanstaaf"), HERE)
    assert client.initial() is None
    with pytest.raises(MechanismError):
        client.succeeded()
    assert client.respond(base64.encode(CHALLENGE)) == ANSWER
    client.succeeded()
    with pytest.raises(MechanismError):
        client.respond(base64.encode(CHALLENGE))


@pytest.mark.clause("RFC2195-2a", "RFC2195-2c")
def test_the_server() -> None:
    server, challenge = asked()
    assert challenge.startswith(b"<")
    assert challenge.endswith(b"@mail.example>")
    answer = b"a name " + _digest(b"secret", challenge)
    assert server.respond(answer) == FetchSecret("a name", SecretKind.PASSWORD, "")
    assert server.answer("secret") == Done(Identity("a name", "a name", "CRAM-MD5"))
    assert asked()[1] != asked()[1]


@pytest.mark.clause("RFC2195-2e")
def test_the_server_speaks_first() -> None:
    assert CramMd5Server.server_first


@pytest.mark.parametrize("stored", ["other", "", None])
def test_a_wrong_password(stored: str | None) -> None:
    server, challenge = asked()
    server.respond(b"alice " + _digest(b"secret", challenge))
    assert server.answer(stored) == Refuse("wrong user name or password")


def test_nobody_has_the_empty_password() -> None:
    server, challenge = asked()
    server.respond(b"alice " + _digest(b"", challenge))
    assert server.answer(None) == Refuse("wrong user name or password")


@pytest.mark.clause("RFC2195-2c")
@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"alice",
        b"alice ",
        b" " + b"0" * 32,
        b"alice " + b"0" * 31,
        b"alice " + b"0" * 33,
        b"alice " + b"A" * 32,
        b"alice " + b"g" * 32,
        b"\xff " + b"0" * 32,
    ],
)
def test_a_malformed_answer(answer: bytes) -> None:
    step = asked()[0].respond(answer)
    assert isinstance(step, Refuse)
    assert step.malformed


def test_a_name_that_cannot_be_prepared() -> None:
    assert isinstance(asked()[0].respond(b"\a " + b"0" * 32), Refuse)


@pytest.mark.parametrize("answer", [b"secret", 1, True])
def test_an_answer_that_is_none(answer: object) -> None:
    server, _ = asked()
    server.respond(b"alice " + b"0" * 32)
    with pytest.raises(LocalProtocolError):
        server.answer(answer)


@pytest.mark.parametrize("text", [b"", b"=", b"not base64"])
def test_a_bad_challenge(text: bytes) -> None:
    with pytest.raises(MechanismError):
        CramMd5Client(Password("tim", "pw"), HERE).respond(text)


@pytest.mark.parametrize(
    "credentials", [Password("", "x"), Password("a", ""), Password("a", "x", "b"), Password("a\0", "x")]
)
def test_credentials_that_it_cannot_carry(credentials: Password) -> None:
    with pytest.raises(LocalProtocolError):
        CramMd5Client(credentials, HERE)


@pytest.mark.parametrize(("password", "end"), [("secret", Done), ("Secret", Refuse)])
def test_both_roles(password: str, end: type) -> None:
    client = CramMd5Client(Password("alice", password), HERE)
    assert isinstance(converse(client, CramMd5Server(settings=SETTINGS)), end)


def test_secrets_are_not_shown() -> None:
    assert "s3cret" not in repr(CramMd5Client(Password("tim", "s3cret"), HERE))


@pytest.mark.parametrize(
    ("password", "given"), [("\ud800", "\ud800"), ("\udcff", "?"), ("", ""), (None, ""), (None, "XXXX")]
)
def test_secrets_that_nobody_can_send(password: str | None, given: str) -> None:
    ours = CramMd5Server(settings=SETTINGS)
    step = ours.start(None)
    assert isinstance(step, Challenge)
    digest = _digest(given.encode("utf-8", "surrogatepass"), step.data)
    assert ours.respond(b"alice " + digest) == FetchSecret("alice", SecretKind.PASSWORD, "")
    good = password == given != ""
    assert isinstance(ours.answer(password), Done if good else Refuse)
