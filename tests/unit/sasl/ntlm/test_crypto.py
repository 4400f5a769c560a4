from __future__ import annotations

import hashlib

import pytest
from spnego.channel_bindings import GssChannelBindings
from tests.unit.sasl.ntlm import vectors

from ehlo.sasl.ntlm import crypto


@pytest.mark.parametrize(
    ("text", "digest"),
    [
        ("", "31d6cfe0d16ae931b73c59d7e0c089c0"),
        ("a", "bde52cb31de33e46245e05fbdbd6fb24"),
        ("abc", "a448017aaf21d8525fc10ae87aa6729d"),
        ("message digest", "d9130a8164549fe818874806e1c7014b"),
        ("abcdefghijklmnopqrstuvwxyz", "d79e1c308aa5bbcdeea8ed63df412da9"),
        (
            "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789",
            "043f8582f241db351ce627e153e7f0e4",
        ),
        (
            "12345678901234567890123456789012345678901234567890123456789012345678901234567890",
            "e33b4ddc9c38f2199c3e7b164fcc0536",
        ),
    ],
)
def test_md4_of_rfc_1320(text: str, digest: str) -> None:
    assert crypto.md4(text.encode()).hex() == digest


def test_md4_agrees_with_pyspnego_at_every_padding() -> None:
    oracle = pytest.importorskip("spnego._ntlm_raw.md4").md4
    for size in range(200):
        data = bytes(range(size))
        assert crypto.md4(data) == oracle(data)


@pytest.mark.parametrize(
    ("key", "plain", "cipher"),
    [
        ("Key", "Plaintext", "bbf316e8d940af0ad3"),
        ("Wiki", "pedia", "1021bf0420"),
        ("Secret", "Attack at dawn", "45a01f645fc35b383552544b9bf5"),
    ],
)
def test_rc4(key: str, plain: str, cipher: str) -> None:
    assert crypto.rc4(key.encode(), plain.encode()).hex() == cipher


def test_rc4_of_rfc_6229() -> None:
    assert crypto.rc4(bytes.fromhex("0102030405"), bytes(16)).hex() == "b2396305f03dc027ccc3524a0a1118a8"


def test_the_published_key_exchange() -> None:
    assert crypto.rc4(vectors.SESSION_BASE_KEY, b"\x55" * 16) == vectors.ENCRYPTED_SESSION_KEY


@pytest.mark.clause("NTLM-nlmp-b")
def test_the_published_proof() -> None:
    assert crypto.nt_hash("Password") == vectors.NT_HASH
    key = crypto.ntowf_v2(vectors.NT_HASH, "User", "Domain")
    assert key == vectors.NTOWF_V2
    assert crypto.ntowf_v2(vectors.NT_HASH, "uSER", "Domain") == key
    assert crypto.ntowf_v2(vectors.NT_HASH, "User", "DOMAIN") != key
    assert crypto.nt_proof(key, vectors.SERVER_CHALLENGE, vectors.BLOB) == vectors.NT_PROOF
    assert crypto.session_base_key(key, vectors.NT_PROOF) == vectors.SESSION_BASE_KEY


def test_upper_case_never_grows() -> None:
    assert crypto.upcase("straße") == "STRAßE"
    assert crypto.upcase("äéŉ") == "ÄÉŉ"


def test_a_password_with_half_a_surrogate_pair_has_a_hash() -> None:
    assert crypto.nt_hash("\ud800") == crypto.md4(b"\x00\xd8")


def test_oem_names_are_widened() -> None:
    key = crypto.ntowf_v2(vectors.NT_HASH, "ä", "é", oem=True)
    assert key == crypto.hmac_md5(vectors.NT_HASH, "Ã¤Ã©".encode("utf-16-le"))
    assert crypto.ntowf_v2(vectors.NT_HASH, "User", "Domain", oem=True) == vectors.NTOWF_V2


def test_the_channel_binding_hash_agrees_with_pyspnego() -> None:
    packed = GssChannelBindings(application_data=b"tls-server-end-point:x").pack()
    assert crypto.channel_binding_hash(b"tls-server-end-point:x") == hashlib.md5(packed).digest()  # noqa: S324


def test_des_is_where_it_was() -> None:
    """The one thing from the inside of pyspnego: its name and what it does are pinned here."""
    crypto_module = pytest.importorskip("spnego._ntlm_raw.crypto")
    assert callable(crypto_module.desl)
    # [MS-NLMP] 4.2.2.2.1: NTLMv1.
    answer = crypto.desl(vectors.NT_HASH, vectors.SERVER_CHALLENGE)
    assert answer.hex() == "67c43011f30298a2ad35ece64f16331c44bdbed927841f94"
    # [MS-NLMP] 4.2.3.2: with extended session security.
    asked = crypto.ntlm2_challenge(vectors.SERVER_CHALLENGE, b"\xaa" * 8)
    assert crypto.desl(vectors.NT_HASH, asked).hex() == "7537f803ae367128ca458204bde7caf81e97ed2683267232"


def test_the_binding_that_windows_has() -> None:
    assert crypto.channel_binding({}) is None
    assert crypto.channel_binding({"tls-exporter": b"e"}) == b"tls-exporter:e"
    everything = {"tls-unique": b"u", "tls-exporter": b"e", "tls-server-end-point": b"p"}
    assert crypto.channel_binding(everything) == b"tls-server-end-point:p"
