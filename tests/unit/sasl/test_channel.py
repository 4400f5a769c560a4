from __future__ import annotations

import datetime
import hashlib
from collections.abc import Callable
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, padding, rsa
from cryptography.x509.oid import NameOID

from ehlo import TLSInfo
from ehlo.sasl import tls_server_end_point
from ehlo.sasl.channel import _oid

_KEYS: dict[str, Callable[[], Any]] = {
    "rsa": lambda: rsa.generate_private_key(65537, 2048),
    "ec": lambda: ec.generate_private_key(ec.SECP256R1()),
    "dsa": lambda: dsa.generate_private_key(1024),  # noqa: S505 (its size does not matter)  # noqa: S505 (its size does not matter)
    "ed25519": ed25519.Ed25519PrivateKey.generate,
}
_PSS = padding.PSS(padding.MGF1(hashes.SHA256()), padding.PSS.DIGEST_LENGTH)


def certificate(key: str, hash: Any, pss: bool = False) -> bytes:
    private = _KEYS[key]()
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "mail.example")])
    start = datetime.datetime(2026, 1, 1)
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(private.public_key())
        .serial_number(1)
        .not_valid_before(start)
        .not_valid_after(start + datetime.timedelta(days=1))
    )
    made = builder.sign(private, hash, rsa_padding=_PSS if pss else None)
    return made.public_bytes(serialization.Encoding.DER)


@pytest.mark.clause("RFC5929-4.1a")
@pytest.mark.parametrize(
    ("key", "hash", "pss", "digest"),
    [
        ("rsa", hashes.SHA224(), False, "sha224"),
        ("rsa", hashes.SHA256(), False, "sha256"),
        ("rsa", hashes.SHA384(), False, "sha384"),
        ("rsa", hashes.SHA512(), False, "sha512"),
        ("rsa", hashes.SHA256(), True, "sha256"),
        ("rsa", hashes.SHA384(), True, "sha384"),
        ("rsa", hashes.SHA512(), True, "sha512"),
        ("ec", hashes.SHA224(), False, "sha224"),
        ("ec", hashes.SHA256(), False, "sha256"),
        ("ec", hashes.SHA384(), False, "sha384"),
        ("ec", hashes.SHA512(), False, "sha512"),
        ("dsa", hashes.SHA256(), False, "sha256"),
    ],
)
def test_the_hash_of_the_signature(key: str, hash: hashes.HashAlgorithm, pss: bool, digest: str) -> None:
    der = certificate(key, hash, pss)
    assert tls_server_end_point(der) == hashlib.new(digest, der).digest()


# "MD5 with RSA" and "SHA-1 with RSA" in place of "SHA-256 with RSA": nobody signs so any more.
@pytest.mark.clause("RFC5929-4.1a")
@pytest.mark.parametrize("last", [4, 5])
def test_a_weak_hash_is_replaced(last: int) -> None:
    oid = bytes.fromhex("2a864886f70d0101")
    der = certificate("rsa", hashes.SHA256()).replace(oid + b"\x0b", oid + bytes([last]))
    assert tls_server_end_point(der) == hashlib.sha256(der).digest()


def test_a_signature_without_a_hash() -> None:
    assert tls_server_end_point(certificate("ed25519", None)) is None


def test_what_is_no_certificate() -> None:
    der = certificate("ec", hashes.SHA256())
    for size in range(len(der)):
        assert tls_server_end_point(der[:size]) is None
    for octets in (b"", b"\x30", b"\x30\x80", b"\x30\x84\xff\xff\xff\xff", b"\x31" + der[1:]):
        assert tls_server_end_point(octets) is None


@pytest.mark.clause("RFC5929-3a", "RFC9266-2a", "RFC9266-4a", "RFC7677-4a")
def test_what_tls_has_to_offer() -> None:
    der = certificate("ec", hashes.SHA256())
    end_point = hashlib.sha256(der).digest()
    info = TLSInfo(
        version="TLSv1.3", cipher="X", server_certificate=der, tls_unique=b"u" * 12, tls_exporter=b"e" * 32
    )
    assert info.channel_bindings == {"tls-exporter": b"e" * 32, "tls-server-end-point": end_point}
    assert "eeee" not in repr(info)
    assert "uuuu" not in repr(info)
    info = TLSInfo(version="TLSv1.2", cipher="X", server_certificate=der, tls_unique=b"u")
    assert info.channel_bindings == {"tls-unique": b"u", "tls-server-end-point": end_point}
    assert TLSInfo(version="TLSv1.3", cipher="X").channel_bindings == {}
    assert TLSInfo(version="TLSv1.3", cipher="X", server_certificate=b"x").channel_bindings == {}


@pytest.mark.parametrize(
    ("text", "octets"),
    [
        ("1.2", "2a"),
        ("0.39", "27"),
        ("2.5.4.3", "550403"),
        ("1.2.127.128.255", "2a7f8100817f"),
        ("1.2.840.113549.1.1.11", "2a864886f70d01010b"),
        ("1.3.16383.16384.2097152", "2bff7f81800081808000"),
    ],
)
def test_object_identifiers(text: str, octets: str) -> None:
    assert _oid(text) == bytes.fromhex(octets)


def der(tag: int, *parts: bytes) -> bytes:
    content = b"".join(parts)
    assert len(content) < 128
    return bytes([tag, len(content)]) + content


@pytest.mark.clause("RFC5929-4.1a")
@pytest.mark.parametrize("behind", [b"", der(0x03, b"\0")])
def test_pss_without_a_hash_means_sha_1_and_that_is_replaced(behind: bytes) -> None:
    algorithm = der(0x30, der(0x06, _oid("1.2.840.113549.1.1.10")), der(0x30))
    octets = der(0x30, der(0x30), algorithm, behind)
    tls_server_end_point.cache_clear()
    assert tls_server_end_point(octets) == hashlib.sha256(octets).digest()
