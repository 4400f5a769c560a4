from __future__ import annotations

import pytest

from ehlo._errors import LocalProtocolError
from ehlo.sasl import SHA_1, SHA_256, ScramKeys, SecretKind, StoredSecret, nt_hash

SALT = bytes(range(16))


@pytest.mark.parametrize("kind", list(SecretKind))
@pytest.mark.parametrize("password", ["secret", "pässwörd", "{PLAIN}x", " x ", "a:b"])
def test_each_form_as_text(kind: SecretKind, password: str) -> None:
    stored = StoredSecret.of(kind, password, SALT)
    assert StoredSecret.parse(stored.text()) == stored
    assert StoredSecret.parse(stored.text()).kind is kind


def test_the_text_of_each_form() -> None:
    assert StoredSecret.of(SecretKind.PASSWORD, "secret", b"").text() == "{PLAIN}secret"
    assert StoredSecret.of(SecretKind.NT_HASH, "secret", b"").text() == "{NTLM}" + nt_hash("secret").hex()
    keys = ScramKeys.of(SHA_256, "pencil", SALT)
    text = StoredSecret(SecretKind.SCRAM_SHA_256, keys).text()
    assert text.startswith("{SCRAM-SHA-256}4096,AAECAwQFBgcICQoLDA0ODw==,")
    assert text.count(",") == 3


@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [
        ("secret", SecretKind.PASSWORD, "secret"),
        ("{plain}{x}", SecretKind.PASSWORD, "{x}"),
        ("{NTLM}" + "AB" * 16, SecretKind.NT_HASH, b"\xab" * 16),
        ("{secret", SecretKind.PASSWORD, "{secret"),
    ],
)
def test_what_is_read(text: str, kind: SecretKind, value: object) -> None:
    stored = StoredSecret.parse(text)
    assert stored.kind is kind
    assert stored.value == value


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{PLAIN}",
        "\a",
        "{SHA512}s3cret",
        "{NTLM}s3cret",
        "{NTLM}" + "a" * 30,
        "{SCRAM-SHA-1}s3cret",
        "{SCRAM-SHA-1}4096,s3cret,s3cret,s3cret",
        "{SCRAM-SHA-1}0,QQ==,QQ==,QQ==",
        "{SCRAM-SHA-1}4096,QQ==,QQ==,QQ==",
        "{SCRAM-SHA-256}" + StoredSecret.of(SecretKind.SCRAM_SHA_1, "x", SALT).text()[13:],
    ],
)
def test_what_is_no_secret(text: str) -> None:
    with pytest.raises(LocalProtocolError) as caught:
        StoredSecret.parse(text)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (SecretKind.PASSWORD, b"secret"),
        (SecretKind.PASSWORD, ""),
        (SecretKind.NT_HASH, "secret"),
        (SecretKind.NT_HASH, bytes(15)),
        (SecretKind.SCRAM_SHA_1, "secret"),
        (SecretKind.SCRAM_SHA_1, ScramKeys.of(SHA_256, "x", SALT, 1)),
        (SecretKind.SCRAM_SHA_256, ScramKeys.of(SHA_1, "x", SALT, 1)),
    ],
)
def test_values_of_another_kind(kind: SecretKind, value: str | bytes | ScramKeys) -> None:
    with pytest.raises(LocalProtocolError):
        StoredSecret(kind, value)


@pytest.mark.parametrize("kind", list(SecretKind))
@pytest.mark.parametrize("password", ["", "\a", "\u00ad"])
def test_passwords_of_which_nothing_is_made(kind: SecretKind, password: str) -> None:
    with pytest.raises(LocalProtocolError):
        StoredSecret.of(kind, password, SALT)


@pytest.mark.parametrize("kind", list(SecretKind))
def test_secrets_are_not_shown(kind: SecretKind) -> None:
    stored = StoredSecret.of(kind, "s3cret", SALT)
    assert "s3cret" not in repr(stored)
    assert repr(stored.value) not in repr(stored)


@pytest.mark.clause("RFC4013-2.5a")
@pytest.mark.parametrize("kind", list(SecretKind))
def test_what_unicode_had_not_assigned_is_not_stored(kind: SecretKind) -> None:
    with pytest.raises(LocalProtocolError):
        StoredSecret.of(kind, "\U0001fae0", SALT)
    with pytest.raises(LocalProtocolError):
        StoredSecret(SecretKind.PASSWORD, "\U0001fae0")


def test_iterations_are_those_asked_for() -> None:
    for kind, hash in ((SecretKind.SCRAM_SHA_1, SHA_1), (SecretKind.SCRAM_SHA_256, SHA_256)):
        stored = StoredSecret.of(kind, "secret", SALT, 5000)
        assert stored.value == ScramKeys.of(hash, "secret", SALT, 5000)
        assert stored.text().startswith(f"{{SCRAM-{hash.name}}}5000,")
