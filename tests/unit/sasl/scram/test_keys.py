from __future__ import annotations

import pytest
import scramp

from ehlo._errors import LocalProtocolError
from ehlo.sasl import SHA_1, SHA_256, ScramKeys
from ehlo.sasl.scram.keys import HASHES, Hash, xor

SALT = bytes(range(16))


@pytest.mark.clause("RFC5802-3a", "RFC5802-7b")
def test_the_keys_of_rfc_5802() -> None:
    """Section 5 gives the messages only: the salted password is what two others have of it."""
    salt = bytes.fromhex("4125c247e43ab1e93c6dff76")
    salted = SHA_1.salted("pencil", salt, 4096)
    assert salted.hex() == "1d96ee3a529b5a5f9e47c01f229a2cb8a6e15f7d"
    keys = ScramKeys.of(SHA_1, "pencil", salt)
    assert keys.stored_key.hex() == "e9d94660c39d65c38fbad91c358f14da0eef2bd6"
    assert keys.server_key.hex() == "0fe09258b3ac852ba502cc62ba903eaacdbf7d31"


@pytest.mark.parametrize("hash", HASHES, ids=lambda hash: hash.name)
@pytest.mark.parametrize("password", ["pencil", "IX\u00ad", "pässword", "x" * 200])
def test_scramp_makes_the_same(hash: Hash, password: str) -> None:
    mechanism = scramp.ScramMechanism(mechanism=f"SCRAM-{hash.name}")
    salt, stored_key, server_key, iterations = mechanism.make_auth_info(password, 4096, SALT)
    assert ScramKeys.of(hash, password, SALT) == ScramKeys(salt, iterations, stored_key, server_key)


def test_what_belongs_to_a_password() -> None:
    keys = ScramKeys.of(SHA_256, "pencil", SALT, 10)
    assert keys.belongs_to(SHA_256, "pencil")
    assert not keys.belongs_to(SHA_256, "pencils")
    assert not keys.belongs_to(SHA_256, "")
    assert not keys.belongs_to(SHA_256, "\a")


@pytest.mark.clause("RFC5802-2.2a")
def test_passwords_are_prepared() -> None:
    assert ScramKeys.of(SHA_1, "I\u00adX", SALT, 1) == ScramKeys.of(SHA_1, "IX", SALT, 1)
    for password in ("\a", "\U0001fae0"):
        with pytest.raises(LocalProtocolError):
            ScramKeys.of(SHA_1, password, SALT, 1)


@pytest.mark.parametrize(
    ("salt", "iterations", "stored", "server"),
    [(b"", 4096, 20, 20), (SALT, 0, 20, 20), (SALT, -1, 20, 20), (SALT, 1, 20, 32)],
)
def test_keys_that_fit_no_exchange(salt: bytes, iterations: int, stored: int, server: int) -> None:
    with pytest.raises(LocalProtocolError):
        ScramKeys(salt, iterations, bytes(stored), bytes(server))


def test_keys_are_not_shown() -> None:
    keys = ScramKeys.of(SHA_1, "pencil", SALT)
    assert repr(keys).endswith("iterations=4096, stored_key=***, server_key=***)")
    assert keys.stored_key.hex() not in repr(keys)
    assert repr(keys.stored_key) not in repr(keys)
    assert repr(keys.server_key) not in repr(keys)


def test_xor() -> None:
    assert xor(b"\x0f\xf0", b"\xff\xff") == b"\xf0\x0f"
    with pytest.raises(ValueError, match="argument 2"):
        xor(b"a", b"ab")
