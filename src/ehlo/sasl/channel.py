"""The channel binding `tls-server-end-point` (RFC 5929 section 4): the hash of the server's certificate."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from typing import Final


def _oid(text: str) -> bytes:
    """As DER has it, without tag and length."""
    first, second, *rest = (int(part) for part in text.split("."))
    octets = bytearray([40 * first + second])
    for number in rest:
        groups = [number & 0x7F]
        while number := number >> 7:
            groups.append(number & 0x7F | 0x80)
        octets += bytes(reversed(groups))
    return bytes(octets)


# [RFC5929-4.1a] the hash of the signature, but never one as weak as MD5 and SHA-1.
_PSS: Final = _oid("1.2.840.113549.1.1.10")
_HASH_OF: Final = {
    _oid(oid): digest
    for digest, oids in {
        "sha224": ("1.2.840.113549.1.1.14", "1.2.840.10045.4.3.1", "2.16.840.1.101.3.4.2.4"),
        "sha256": (
            "1.2.840.113549.1.1.4",  # MD5 with RSA
            "1.2.840.113549.1.1.5",  # SHA-1 with RSA
            "1.2.840.10045.4.1",  # SHA-1 with ECDSA
            "1.2.840.10040.4.3",  # SHA-1 with DSA
            "1.3.14.3.2.26",  # SHA-1
            "1.2.840.113549.1.1.11",
            "1.2.840.10045.4.3.2",
            "2.16.840.1.101.3.4.3.2",
            "2.16.840.1.101.3.4.2.1",
        ),
        "sha384": ("1.2.840.113549.1.1.12", "1.2.840.10045.4.3.3", "2.16.840.1.101.3.4.2.2"),
        "sha512": ("1.2.840.113549.1.1.13", "1.2.840.10045.4.3.4", "2.16.840.1.101.3.4.2.3"),
    }.items()
    for oid in oids
}
_SEQUENCE: Final = 0x30
_OBJECT_IDENTIFIER: Final = 0x06
_FIRST_PARAMETER: Final = 0xA0


@lru_cache(maxsize=64)
def tls_server_end_point(certificate: bytes) -> bytes | None:
    """The data of the binding for a certificate in DER.

    None where RFC 5929 defines none (a signature without a hash of its own, such as Ed25519), and for
    octets that are no certificate.
    """
    try:
        digest = _digest(certificate)
    except (IndexError, ValueError):
        return None
    return None if digest is None else hashlib.new(digest, certificate).digest()


def _digest(certificate: bytes) -> str | None:
    """Raises IndexError or ValueError for what is no certificate."""
    body = _enter(certificate, 0, _SEQUENCE)
    _, after_tbs = _element(certificate, body)
    algorithm = _enter(certificate, after_tbs, _SEQUENCE)
    oid, end = _value(certificate, algorithm, _OBJECT_IDENTIFIER)
    if oid != _PSS:
        return _HASH_OF.get(oid)
    # RSASSA-PSS-params: the hash is the first of them; SHA-1 when it is left out.
    parameters = _enter(certificate, end, _SEQUENCE)
    if parameters == len(certificate) or certificate[parameters] != _FIRST_PARAMETER:
        return "sha256"
    tagged = _enter(certificate, parameters, _FIRST_PARAMETER)
    oid, _ = _value(certificate, _enter(certificate, tagged, _SEQUENCE), _OBJECT_IDENTIFIER)
    return _HASH_OF.get(oid)


def _element(data: bytes, at: int) -> tuple[int, int]:
    """Where the content of an element begins and ends."""
    length = data[at + 1]
    begin = at + 2
    if length & 0x80:
        size = length & 0x7F
        length = int.from_bytes(data[begin : begin + size], "big")
        begin += size
    if begin + length > len(data):
        raise ValueError("an element is longer than what holds it")
    return begin, begin + length


def _enter(data: bytes, at: int, tag: int) -> int:
    if data[at] != tag:
        raise ValueError("an element of another kind")
    return _element(data, at)[0]


def _value(data: bytes, at: int, tag: int) -> tuple[bytes, int]:
    _enter(data, at, tag)
    begin, end = _element(data, at)
    return data[begin:end], end
