from __future__ import annotations

import hmac
from typing import Any

import pytest

from ehlo.sasl import SecretKind, UserStore, nt_hash, store

USERS = UserStore({"alice": "secret", "DOM\\bob": "hunter2", "carol@corp.example": "\u00aa", "bob": "other"})


@pytest.mark.parametrize(
    ("name", "password", "right"),
    [
        ("alice", "secret", True),
        ("Alice", "secret", True),
        ("alice", "Secret", False),
        ("alice", "", False),
        ("nobody", "secret", False),
        ("", "", False),
        ("\x07", "secret", False),
        ("DOM\\bob", "hunter2", True),
        ("bob", "hunter2", False),
        ("carol@corp.example", "a", True),
    ],
)
def test_passwords(name: str, password: str, right: bool) -> None:
    assert USERS.on_auth_password(None, name, password, "") is right


@pytest.mark.parametrize(
    ("name", "domain", "password"),
    [
        ("alice", "", "secret"),
        ("ALICE", "ANY", "secret"),
        ("bob", "DOM", "hunter2"),
        ("bob", "dom", "hunter2"),
        ("bob", "", "other"),
        ("bob", "ELSE", "other"),
        ("nobody", "DOM", None),
        ("", "", None),
        ("\ud800", "", None),
    ],
)
def test_nt_hashes(name: str, domain: str, password: str | None) -> None:
    expected = None if password is None else nt_hash(password)
    assert USERS.on_auth_secret(None, name, SecretKind.NT_HASH, domain) == expected


@pytest.mark.parametrize(
    "users",
    [{"alice": "a", "Alice": "b"}, {"": "x"}, {"a": ""}, {"a": "s3\x07"}, {"a\x07": "s3"}],
)
def test_what_cannot_be_stored(users: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=r"password|user name") as caught:
        UserStore(users)
    assert "s3" not in str(caught.value)


def test_equal_work_for_known_and_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[tuple[int, int]] = []

    def spy(left: bytes, right: bytes) -> bool:
        compared.append((len(left), len(right)))
        return hmac.compare_digest(left, right)

    fake: Any = type("fake", (), {"compare_digest": staticmethod(spy)})
    monkeypatch.setattr(store, "hmac", fake)
    for name in ("alice", "nobody", ""):
        USERS.on_auth_password(None, name, "x" * 50, "")
    assert compared == [(32, 32)] * 3


def test_secrets_are_not_shown() -> None:
    assert "secret" not in repr(USERS)
    assert "secret" not in repr(vars(USERS))
    assert nt_hash("secret").hex() not in repr(vars(USERS))
    assert repr(nt_hash("secret")) not in repr(vars(USERS))
