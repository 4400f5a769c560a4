from __future__ import annotations

import socket
import struct
from typing import Any

import pytest
import spnego
from tests.unit.sasl.helpers import converse
from tests.unit.sasl.ntlm import vectors
from tests.unit.sasl.ntlm.recorded import BY_CLIENT, server

from ehlo._errors import LocalProtocolError
from ehlo.sasl import (
    ClientContext,
    Done,
    MechanismError,
    NtlmClient,
    Password,
    Refuse,
    SecretKind,
    UserStore,
    nt_hash,
)
from ehlo.sasl.ntlm import messages
from ehlo.sasl.ntlm.messages import AvId, Flag
from ehlo.wire import base64

HERE = ClientContext("mail.example")
FIRST = ClientContext("mail.example", initial_response=True)
CHALLENGE = base64.encode(BY_CLIENT["pyspnego to Samba"].challenge)
SECRET = "s3cret"
HASHES = "0" * 32 + ":" + "1" * 32


def client(username: str = "alice", password: str = SECRET, context: ClientContext = HERE) -> NtlmClient:
    return NtlmClient(Password(username, password), context)


@pytest.mark.clause("NTLM-3.1.5.1a", "NTLM-3.1.1.1a", "NTLM-2.2.1.6a")
@pytest.mark.parametrize("text", [b"", b"NTLM supported", b"=", CHALLENGE])
def test_the_first_challenge_is_not_read(text: bytes) -> None:
    who = client()
    assert who.initial() is None
    messages.parse_negotiate(who.respond(text))
    with pytest.raises(MechanismError):
        who.succeeded()
    message = messages.parse_authenticate(who.respond(CHALLENGE))
    assert (message.user, message.domain) == ("alice", "")
    who.succeeded()
    with pytest.raises(MechanismError):
        who.respond(CHALLENGE)


@pytest.mark.clause("NTLM-3.1.5.1b")
def test_after_an_initial_response_the_first_challenge_is_read() -> None:
    who = client(context=FIRST)
    negotiate = who.initial()
    assert negotiate is not None
    messages.parse_negotiate(negotiate)
    messages.parse_authenticate(who.respond(CHALLENGE))
    who = client(context=FIRST)
    who.initial()
    with pytest.raises(MechanismError):
        who.respond(b"")


@pytest.mark.clause("NTLM-3.1.5a", "NTLM-nlmp-a")
@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"NTLM supported",
        base64.encode(b"NTLMSSP\0"),
        base64.encode(BY_CLIENT["curl"].negotiate),
        base64.encode(vectors.AUTHENTICATE),
        CHALLENGE[:64],
    ],
)
def test_a_bad_challenge(text: bytes) -> None:
    who = client()
    who.respond(b"")
    with pytest.raises(MechanismError) as caught:
        who.respond(text)
    assert "s3cret" not in str(caught.value)
    with pytest.raises(MechanismError):
        who.succeeded()


@pytest.mark.parametrize("context", [HERE, FIRST])
@pytest.mark.parametrize("password", ["secret", HASHES, "", "pässwörd", "\U0001f511", "x" * 300])
def test_every_password_is_a_password(password: str, context: ClientContext) -> None:
    """One that looks like `LM:NT` hashes too, which pyspnego would take apart."""

    class OneUser(UserStore):
        def on_auth_secret(self, session: object, username: str, kind: SecretKind, domain: str) -> bytes:
            return nt_hash(password)

    assert isinstance(converse(client("alice", password, context), server(), OneUser({})), Done)
    step = converse(client("alice", password + "x", context), server(), OneUser({}))
    assert isinstance(step, Refuse)


@pytest.mark.clause("XLOGIN-2.2.2d")
@pytest.mark.parametrize(
    "credentials",
    [
        Password("", "s3cret"),
        Password("DOM\\", "s3cret"),
        Password("A\\B\\c", "s3cret"),
        Password("a\0b", "s3cret"),
        Password("a\nb", "s3cret"),
        Password("a\ud800", "s3cret"),
        Password("straße", "s3cret"),
        Password("alice", "s3cret", "boss"),
    ],
)
def test_credentials_that_ntlm_cannot_carry(credentials: Password) -> None:
    assert not NtlmClient.serves(credentials)
    with pytest.raises(LocalProtocolError) as caught:
        NtlmClient(credentials, HERE)
    assert "s3cret" not in str(caught.value)


def test_the_name_of_this_host_stays_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: "SECRET-HOST")
    who = client()
    sent = who.respond(b"") + who.respond(CHALLENGE)
    assert messages.parse_challenge(base64.decode(CHALLENGE)).flags & Flag.VERSION
    assert "SECRET-HOST".encode("utf-16-le") not in sent
    assert b"SECRET-HOST" not in sent
    assert messages.parse_authenticate(sent[40:]).workstation == b""


@pytest.mark.clause("NTLM-nlmp-d", "NTLM-nlmp-e")
def test_what_the_proof_covers() -> None:
    who = client(context=ClientContext("mail.example", b"tls-server-end-point:x"))
    who.respond(b"")
    message = messages.parse_authenticate(who.respond(CHALLENGE))
    pairs = messages.parse_client_blob(message.nt_response).av_pairs
    assert pairs[AvId.TARGET_NAME].decode("utf-16-le") == "SMTPSVC/mail.example"
    assert len(pairs[AvId.CHANNEL_BINDINGS]) == 16
    assert messages.parse_client_blob(message.nt_response).announces_mic
    assert message.mic_at == 72


@pytest.mark.clause("NTLM-nlmp-b")
@pytest.mark.parametrize("level", ["0", "1", "2", "9", "x"])
def test_an_environment_that_asks_for_ntlmv1(level: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LM_COMPAT_LEVEL", level)
    who = client()

    def answer() -> bytes:
        who.respond(b"")
        return who.respond(CHALLENGE)

    with pytest.raises(MechanismError):
        answer()


def test_a_file_of_users_is_never_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    users = tmp_path / "users"
    users.write_text("DOM:mallory:secret\n")
    monkeypatch.setenv("NTLM_USER_FILE", str(users))
    who = client("alice", "")
    who.respond(b"")
    assert messages.parse_authenticate(who.respond(CHALLENGE)).user == "alice"


@pytest.mark.parametrize("error", [KeyError("s3cret"), struct.error("s3cret"), OverflowError("s3cret")])
def test_whatever_pyspnego_raises(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken:
        def step(self, token: bytes | None) -> bytes:
            if token is None:
                return b"x"
            raise error

    monkeypatch.setattr(spnego, "client", lambda *args, **kwargs: Broken())
    who = client()
    who.respond(b"")
    with pytest.raises(MechanismError) as caught:
        who.respond(CHALLENGE)
    assert "s3cret" not in str(caught.value)
    assert type(error).__name__ in str(caught.value)
    assert caught.value.__context__ is None


def test_pyspnego_is_asked_for_its_own_ntlm(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[dict[str, Any]] = []
    original = spnego.client

    def spy(*args: Any, **kwargs: Any) -> Any:
        seen.append(kwargs)
        return original(*args, **kwargs)

    monkeypatch.setattr(spnego, "client", spy)
    client().respond(b"")
    assert seen[0]["options"] == spnego.NegotiateOptions.use_ntlm
    assert seen[0]["protocol"] == "ntlm"


def test_secrets_are_not_shown() -> None:
    who = client()
    who.respond(b"")
    who.respond(CHALLENGE)
    assert "s3cret" not in repr(who)
    assert "s3cret" not in repr(vars(who))
