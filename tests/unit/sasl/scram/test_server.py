"""What the server says of messages that are wrong, and what it does for users that are not there."""

from __future__ import annotations

import pytest
from tests.helpers.sasl import HERE, server_settings

from ehlo import LocalProtocolError
from ehlo.sasl import (
    SHA_256,
    Authorize,
    Challenge,
    Done,
    FetchSecret,
    Identity,
    Password,
    Refuse,
    ScramKeys,
    ScramSha256Client,
    ScramSha256Server,
    SecretKind,
    ServerSettings,
)
from ehlo.wire import base64

PASSWORDS = server_settings(secrets=frozenset({SecretKind.PASSWORD}), scram_iterations=5000)
KEYS = server_settings(secrets=frozenset({SecretKind.SCRAM_SHA_256}), scram_iterations=5000)
SETTINGS = pytest.mark.parametrize("settings", [PASSWORDS, KEYS], ids=["passwords", "keys"])


def challenged(who: ScramSha256Client, settings: ServerSettings) -> ScramSha256Server:
    """The server, waiting for the secret of the user."""
    ours = ScramSha256Server(settings=settings)
    assert isinstance(ours.start(who.initial()), FetchSecret)
    return ours


def test_a_first_message_that_is_malformed() -> None:
    step = ScramSha256Server(settings=KEYS).start(b"x,,n=alice,r=nonce")
    assert isinstance(step, Refuse)
    assert step.malformed is True
    assert step.reason
    assert step.reason != "None"


@pytest.mark.parametrize("final", [b"", b"c=biws", b"c=biws,r=nonce,p=QQ=="])
def test_a_final_message_that_is_malformed(final: bytes) -> None:
    ours = ScramSha256Server(settings=KEYS)
    ours.start(b"n,,n=alice,r=nonce")
    assert isinstance(ours.answer(None), Challenge)
    step = ours.respond(final)
    assert isinstance(step, Refuse)
    assert step.malformed is True
    assert step.reason
    assert step.reason != "None"


@SETTINGS
@pytest.mark.parametrize("password", ["-", "XX-XX", "secret"])
def test_nobody_has_a_password(settings: ServerSettings, password: str) -> None:
    who = ScramSha256Client(Password("nobody", password), HERE)
    ours = challenged(who, settings)
    step = ours.answer(None)
    assert isinstance(step, Challenge)
    salt = base64.encode(settings.salt("SHA-256", "nobody"))
    assert step.data.endswith(b",s=" + salt + b",i=5000")
    assert ours.respond(who.respond(base64.encode(step.data))) == Refuse("wrong user name or password")


def test_acting_as_another() -> None:
    keys = ScramKeys.of(SHA_256, "secret", bytes(16))
    who = ScramSha256Client(Password("alice", "secret", "boss"), HERE)
    ours = challenged(who, KEYS)
    step = ours.answer(keys)
    assert isinstance(step, Challenge)
    assert ours.respond(who.respond(base64.encode(step.data))) == Authorize("alice", "boss")
    step = ours.answer(True)
    assert isinstance(step, Challenge)
    assert ours.respond(who.respond(base64.encode(step.data))) == Done(
        Identity("alice", "boss", "SCRAM-SHA-256")
    )


@pytest.mark.clause("RFC4013-2.5a")
def test_a_password_that_cannot_be_stored_cannot_be_sent() -> None:
    with pytest.raises(LocalProtocolError):
        ScramSha256Client(Password("alice", "\U0001fae0"), HERE)
