from __future__ import annotations

import hmac
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from ehlo import TLSInfo
from ehlo.sasl import (
    SHA_1,
    SHA_256,
    ScramKeys,
    SecretKind,
    StoredSecret,
    UserStore,
    nt_hash,
    parse_users,
    store,
)
from ehlo.sasl.scram.keys import Hash

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


# ---- other forms ----

SALT = bytes(range(16))
FORMS = UserStore(
    {
        "plain": "secret",
        "keys": [StoredSecret.of(kind, "secret", SALT, 5000) for kind in (SHA_1.kind, SHA_256.kind)],
        "one": StoredSecret.of(SHA_256.kind, "secret", SALT, 5000),
        "hash": StoredSecret.of(SecretKind.NT_HASH, "secret", SALT),
    }
)


@pytest.mark.parametrize("name", ["plain", "keys", "one", "hash"])
def test_a_password_is_checked_against_each_form(name: str) -> None:
    assert FORMS.on_auth_password(None, name, "secret", "")
    assert FORMS.on_auth_password(None, name.upper(), "secret", "")
    assert not FORMS.on_auth_password(None, name, "Secret", "")
    assert not FORMS.on_auth_password(None, name, "", "")


@pytest.mark.parametrize(
    ("name", "kinds"),
    [
        ("plain", set(SecretKind)),
        ("keys", {SHA_1.kind, SHA_256.kind}),
        ("one", {SHA_256.kind}),
        ("hash", {SecretKind.NT_HASH}),
        ("nobody", set()),
    ],
)
def test_the_secrets_of_each_form(name: str, kinds: set[SecretKind]) -> None:
    found = {kind: FORMS.on_auth_secret(None, name, kind, "") for kind in SecretKind}
    assert {kind for kind, secret in found.items() if secret is not None} == kinds
    if name == "plain":
        # SCRAM makes its keys of the password.
        assert found[SHA_1.kind] == found[SecretKind.PASSWORD] == "secret"
        assert found[SecretKind.NT_HASH] == nt_hash("secret")
    if name == "keys":
        assert found[SHA_256.kind] == ScramKeys.of(SHA_256, "secret", SALT, 5000)


@pytest.mark.parametrize(
    ("users", "kinds", "in_thread", "iterations"),
    [
        ({}, set(), False, 4096),
        ({"a": "x"}, set(SecretKind), False, 4096),
        ({"a": StoredSecret.of(SecretKind.NT_HASH, "x", SALT)}, {SecretKind.NT_HASH}, False, 4096),
        ({"a": StoredSecret.of(SHA_1.kind, "x", SALT, 5000)}, {SHA_1.kind}, True, 5000),
    ],
)
def test_what_the_store_tells_of_itself(
    users: Any, kinds: set[SecretKind], in_thread: bool, iterations: int
) -> None:
    users_store = UserStore(users)
    assert users_store.auth_secrets == kinds
    assert users_store.in_thread == (frozenset({"on_auth_password"}) if in_thread else frozenset())
    assert users_store.auth_iterations == iterations


def test_nobody_takes_the_same_work(monkeypatch: pytest.MonkeyPatch) -> None:
    work: list[str] = []

    def watch(place: object, name: str, shown: Callable[[tuple[Any, ...]], str]) -> None:
        original = getattr(place, name)

        def watching(*arguments: Any) -> Any:
            work.append(shown(arguments))
            return original(*arguments)

        monkeypatch.setattr(place, name, watching)

    watch(store, "_digest", lambda _: "digest")
    watch(store, "nt_hash", lambda _: "nt_hash")
    watch(Hash, "salted", lambda arguments: f"salted {arguments[3]}")
    done = []
    for name in ("plain", "keys", "one", "hash", "nobody", "\a"):
        work.clear()
        FORMS.on_auth_password(None, name, "secret", "")
        done.append(sorted(work))
    assert done[0] == ["digest", "digest", "nt_hash", "salted 5000"]
    assert all(work == done[0] for work in done)


FILE = """\
# accounts
alice:{PLAIN}secret
DOM\\bob:hun:ter2

carol:{NTLM}878d8014606cda29677a44efa1353fc7
alice:{NTLM}878d8014606cda29677a44efa1353fc7
"""


def test_a_file() -> None:
    users = UserStore(parse_users(FILE))
    assert repr(users) == "<UserStore of 3 users>"
    assert users.on_auth_password(None, "alice", "secret", "")
    assert users.on_auth_password(None, "dom\\bob", "hun:ter2", "")
    assert users.on_auth_password(None, "carol", "secret", "")
    assert parse_users("") == {}


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("s3cret", 1),
        ("alice:{X}s3cret", 1),
        ("# x\nalice:", 2),
        ("alice:s3cret\nalice:{PLAIN}s3cret2", 2),
        ("alice:{SCRAM-SHA-1}s3cret", 1),
    ],
)
def test_a_bad_file(text: str, line: int) -> None:
    with pytest.raises(ValueError, match=f"line {line}: ") as caught:
        parse_users(text)
    assert "s3cret" not in str(caught.value)


def test_a_line_without_a_colon() -> None:
    with pytest.raises(ValueError, match="line 2: not NAME:SECRET"):
        parse_users("alice:x\ns3cret\n")


def test_names_in_a_file() -> None:
    for text in (":x", "alice:x\nAlice:y"):
        with pytest.raises(ValueError, match="user name"):
            UserStore(parse_users(text))


def test_users_without_a_secret() -> None:
    with pytest.raises(ValueError, match="no secret"):
        UserStore({"alice": []})


def test_whose_certificate_it_is() -> None:
    users = UserStore({"carol": "x", "dave@example.net": "x"})
    for names, user in (
        (("carol",), "carol"),
        (("www.example.net", "Dave@Example.NET", "carol"), "Dave@Example.NET"),
        (("nobody",), None),
        ((), None),
    ):
        tls = TLSInfo(version="TLSv1.3", cipher="X", peer_names=names)
        assert users.on_auth_external(SimpleNamespace(tls=tls), "") == user
    assert users.on_auth_external(SimpleNamespace(tls=None), "") is None
    assert "CAROL" in users
    assert "nobody" not in users
    assert 5 not in users


def test_a_domain_that_was_not_given_qualifies_nothing() -> None:
    store = UserStore({"\\alice": "other", "alice": "secret"})
    assert store.on_auth_secret(None, "alice", SecretKind.PASSWORD, "") == "secret"


@pytest.mark.parametrize("password", ["\ud800", "XXXX", ""])
def test_passwords_that_nobody_has(password: str) -> None:
    store = UserStore({"alice": "secret"})
    for username in ("alice", "nobody", "\a", ""):
        assert store.on_auth_password(None, username, password, "") is False
