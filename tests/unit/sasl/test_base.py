from __future__ import annotations

import hmac
from typing import Any, ClassVar

import pytest

from ehlo.sasl import (
    Challenge,
    Done,
    Identity,
    MechanismError,
    Password,
    Refuse,
    SecretKind,
    ServerMechanism,
    ServerSteps,
    Step,
    VerifyPassword,
    decode_challenge,
)
from ehlo.sasl._base import ServerContext, ServerSettings, proved


class Echo(ServerMechanism):
    name: ClassVar[str] = "ECHO"

    def exchange(self, initial: bytes | None) -> ServerSteps:
        name: bytes = yield Challenge(b"who")
        ok = yield VerifyPassword(name.decode(), "p", "")
        return Done(Identity("a", "a", "ECHO")) if ok is True else Refuse("no")


def test_one_step_for_each_call() -> None:
    echo = Echo()
    assert echo.start(None) == Challenge(b"who")
    assert echo.respond(b"a") == VerifyPassword("a", "p", "")
    assert echo.answer(True) == Done(Identity("a", "a", "ECHO"))


@pytest.mark.parametrize("call", ["respond", "answer"])
def test_nothing_goes_on_before_the_start_or_after_the_end(call: str) -> None:
    echo = Echo()
    method: Any = getattr(echo, call)
    with pytest.raises(RuntimeError):
        method(b"x")
    echo.start(None)
    echo.respond(b"a")
    echo.answer(True)
    with pytest.raises(RuntimeError):
        method(b"x")


def test_a_client_line_is_never_taken_for_the_answer_to_a_need() -> None:
    echo = Echo()
    echo.start(None)
    with pytest.raises(RuntimeError):
        echo.answer(b"a")
    echo.respond(b"a")
    with pytest.raises(RuntimeError):
        echo.respond(b"anything")
    step: Step = echo.answer(False)
    assert step == Refuse("no")


def test_secrets_are_not_shown() -> None:
    assert "s3cret" not in repr(Password("u", "s3cret"))
    assert repr(VerifyPassword("u", "s3cret", "")) == "VerifyPassword(username='u', password=***, authzid='')"
    assert "u" in repr(Password("u", "s3cret"))


@pytest.mark.clause("RFC4954-4m")
@pytest.mark.parametrize("text", [b"NTLM supported", b"YQ", b"YQ==\r", b"Y Q=", b"="])
def test_a_challenge_that_is_not_base64(text: bytes) -> None:
    with pytest.raises(MechanismError) as caught:
        decode_challenge(text)
    assert text.decode().strip() not in str(caught.value) or text == b"="


def test_a_challenge_that_is_base64() -> None:
    assert decode_challenge(b"YQ==") == b"a"
    assert decode_challenge(b"") == b""


@pytest.mark.clause("RFC4505-2c")
def test_nobody_and_anonymous_are_proved_to_be_nobody() -> None:
    assert proved(Identity("a", "b", "PLAIN")) is True
    assert proved(Identity("a", "a", "ANONYMOUS", anonymous=True)) is False
    assert proved(None) is False


def test_what_a_mechanism_is_made_of() -> None:
    context, settings = ServerContext(tls=True), ServerSettings(target="mail.example")
    echo = Echo(context, settings)
    assert echo.context is context
    assert echo.settings is settings
    assert echo.usable() is True
    bare = Echo()
    assert (bare.context, bare.settings) == (ServerContext(), ServerSettings())
    with pytest.raises(NotImplementedError):
        ServerMechanism().start(None)


@pytest.mark.clause("RFC5802-5.1g")
def test_the_salt_of_nobody() -> None:
    asked: list[int] = []

    def random(octets: int) -> bytes:
        asked.append(octets)
        return bytes(octets)

    settings = ServerSettings(random=random, secrets=frozenset({SecretKind.PASSWORD}))
    assert asked == [32]
    salt = hmac.digest(bytes(32), b"SHA-1 alice", "sha256")[:16]
    assert settings.salt("SHA-1", "alice") == settings.salt("SHA-1", "ALICE") == salt
    assert settings.salt("SHA-256", "alice") != salt != settings.salt("SHA-1", "bob")
    # Who fetches no secret needs no source of randomness.
    assert ServerSettings(random=random).salt("x", "y") == hmac.digest(b"", b"x y", "sha256")[:16]
    assert asked == [32]
