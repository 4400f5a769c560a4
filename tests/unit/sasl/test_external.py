from __future__ import annotations

from typing import Any

import pytest
from tests.helpers.sasl import HERE
from tests.unit.sasl.helpers import converse

from ehlo._errors import LocalProtocolError
from ehlo.sasl import (
    Authorize,
    Challenge,
    Done,
    External,
    ExternalClient,
    ExternalServer,
    Identity,
    MechanismError,
    Password,
    Refuse,
    ServerContext,
    VerifyExternal,
)


@pytest.mark.clause("RFC4422-A-d")
def test_the_client() -> None:
    who = ExternalClient(External(), HERE)
    assert who.initial() == b""
    who.succeeded()
    assert ExternalClient(External("b\u00adoss"), HERE).initial() == b"boss"
    who = ExternalClient(External(), HERE)
    with pytest.raises(MechanismError):
        who.succeeded()
    assert who.respond(b"") == b""
    for text in (b"", b"QQ=="):
        with pytest.raises(MechanismError):
            who.respond(text)


@pytest.mark.clause("RFC4422-A-a", "RFC4422-A-b", "RFC4422-3.4.1a")
def test_the_server() -> None:
    ours = ExternalServer()
    assert ours.start(None) == Challenge(b"")
    assert ours.respond(b"") == VerifyExternal("")
    assert ours.answer("carol") == Done(Identity("carol", "carol", "EXTERNAL"))
    ours = ExternalServer()
    assert ours.start(b"boss") == VerifyExternal("boss")
    assert ours.answer("carol") == Authorize("carol", "boss")
    assert ours.answer(True) == Done(Identity("carol", "boss", "EXTERNAL"))
    ours = ExternalServer()
    ours.start(b"boss")
    ours.answer("carol")
    assert isinstance(ours.answer(False), Refuse)
    ours = ExternalServer()
    ours.start(b"carol")
    assert isinstance(ours.answer("carol"), Done)


@pytest.mark.clause("RFC4422-A-a")
@pytest.mark.parametrize("answer", [None, ""])
def test_a_certificate_of_nobody(answer: object) -> None:
    ours = ExternalServer()
    ours.start(b"")
    assert ours.answer(answer) == Refuse("the certificate is nobody's")


@pytest.mark.parametrize("answer", [True, b"carol"])
def test_an_answer_that_is_none(answer: object) -> None:
    ours = ExternalServer()
    ours.start(b"")
    with pytest.raises(LocalProtocolError):
        ours.answer(answer)


@pytest.mark.clause("RFC4422-A-b")
@pytest.mark.parametrize("message", [b"\0", b"a\0b", b"\xff", b"\a", "\u0627\u0031".encode()])
def test_a_malformed_name(message: bytes) -> None:
    step = ExternalServer().start(message)
    assert isinstance(step, Refuse)
    assert step.malformed


@pytest.mark.clause("RFC4422-A-c")
def test_only_with_a_certificate() -> None:
    assert not ExternalServer(ServerContext(tls=True)).usable()
    assert ExternalServer(ServerContext(tls=True, certified=True)).usable()


@pytest.mark.parametrize("credentials", [External("a\0"), External("\a"), Password("alice", "x")])
def test_credentials_that_it_cannot_carry(credentials: Any) -> None:
    with pytest.raises(LocalProtocolError):
        ExternalClient(credentials, HERE)


def test_both_roles() -> None:
    assert isinstance(converse(ExternalClient(External(), HERE), ExternalServer()), Done)
    assert isinstance(converse(ExternalClient(External("boss"), HERE), ExternalServer()), Refuse)
    assert isinstance(converse(ExternalClient(External("boss"), HERE), ExternalServer(), allow=True), Done)
