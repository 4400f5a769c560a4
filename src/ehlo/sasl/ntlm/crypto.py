"""The functions of [MS-NLMP] 3.3.2 and 3.4, with the two old algorithms that OpenSSL 3 has dropped."""

from __future__ import annotations

import hashlib
import hmac
import struct
from collections.abc import Callable, Mapping
from typing import Final

_MASK: Final = 0xFFFFFFFF
_Mix = Callable[[int, int, int], int]
# RFC 1320 section 3.4: function, added constant, shifts, order of the words.
_MD4_ROUNDS: Final[tuple[tuple[_Mix, int, tuple[int, ...], tuple[int, ...]], ...]] = (
    (lambda x, y, z: (x & y) | (~x & z), 0, (3, 7, 11, 19), tuple(range(16))),
    (
        lambda x, y, z: (x & y) | (x & z) | (y & z),
        0x5A827999,
        (3, 5, 9, 13),
        (0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15),
    ),
    (
        lambda x, y, z: x ^ y ^ z,
        0x6ED9EBA1,
        (3, 9, 11, 15),
        (0, 8, 4, 12, 2, 10, 6, 14, 1, 9, 5, 13, 3, 11, 7, 15),
    ),
)


def md4(data: bytes) -> bytes:
    """RFC 1320."""
    padded = data + b"\x80" + bytes(-(len(data) + 9) % 64) + struct.pack("<Q", len(data) * 8)
    state = (0x67452301, 0xEFCDAB89, 0x98BADCFE, 0x10325476)
    for words in struct.iter_unpack("<16I", padded):
        a, b, c, d = state
        for mix, constant, shifts, order in _MD4_ROUNDS:
            for step, index in enumerate(order):
                total = (a + mix(b, c, d) + words[index] + constant) & _MASK
                shift = shifts[step % 4]
                a, b, c, d = d, (total << shift | total >> (32 - shift)) & _MASK, b, c
        state = tuple((old + new) & _MASK for old, new in zip(state, (a, b, c, d), strict=True))  # type: ignore[assignment]
    return struct.pack("<4I", *state)


def rc4(key: bytes, data: bytes) -> bytes:
    """RC4K of [MS-NLMP] 6: the whole of `data` under a fresh `key`."""
    box = list(range(256))
    j = 0
    for i in range(256):
        j = (j + box[i] + key[i % len(key)]) % 256
        box[i], box[j] = box[j], box[i]
    out = bytearray()
    i = j = 0
    for octet in data:
        i = (i + 1) % 256
        j = (j + box[i]) % 256
        box[i], box[j] = box[j], box[i]
        out.append(octet ^ box[(box[i] + box[j]) % 256])
    return bytes(out)


def hmac_md5(key: bytes, data: bytes) -> bytes:
    return hmac.digest(key, data, "md5")


def nt_hash(password: str) -> bytes:
    """NTOWFv1 [MS-NLMP] 3.3.1: what a server stores for a user, as good as the password itself."""
    return md4(password.encode("utf-16-le", "surrogatepass"))


def upcase(text: str) -> str:
    """Upper case as Windows makes it: one character for one, so `ß` stays as it is."""
    return "".join(upper if len(upper := char.upper()) == 1 else char for char in text)


def ntowf_v2(nt_hash: bytes, user: str, domain: str, *, oem: bool = False) -> bytes:
    """NTOWFv2 [MS-NLMP] 3.3.2; `domain` exactly as the client wrote it.

    `oem`: the names came as octets of an unknown code page. The clients that send such (curl)
    have no table of it either: each octet becomes one UTF-16 unit and only a-z are upper-cased.
    """
    if oem:
        name = user.encode().upper().decode("latin-1") + domain.encode().decode("latin-1")
    else:
        name = upcase(user) + domain
    return hmac_md5(nt_hash, name.encode("utf-16-le"))


def nt_proof(key: bytes, server_challenge: bytes, blob: bytes) -> bytes:
    """NTProofStr [MS-NLMP] 3.3.2, over the client's octets as they came."""
    return hmac_md5(key, server_challenge + blob)


def session_base_key(key: bytes, proof: bytes) -> bytes:
    """SessionBaseKey [MS-NLMP] 3.3.2, in NTLMv2 the KeyExchangeKey too."""
    return hmac_md5(key, proof)


def desl(key: bytes, data: bytes) -> bytes:
    """DESL of [MS-NLMP] 6, what NTLMv1 is built on: DES of eight octets under each third of an NT hash.

    By pyspnego: nobody else has a use for DES, and it is not ours to write.
    """
    from spnego._ntlm_raw.crypto import desl as spnego_desl  # noqa: PLC0415 (100 ms)

    return spnego_desl(key, data)


def ntlm2_challenge(server_challenge: bytes, nonce: bytes) -> bytes:
    """What NTLMv1 with extended session security answers [MS-NLMP] 3.3.1."""
    return hashlib.md5(server_challenge + nonce, usedforsecurity=False).digest()[:8]


def channel_binding(bindings: Mapping[str, bytes]) -> bytes | None:
    """The application_data of the channel: type, colon and data. Windows binds to the certificate."""
    for kind in ("tls-server-end-point", "tls-unique", "tls-exporter"):
        if kind in bindings:
            return kind.encode() + b":" + bindings[kind]
    return None


def channel_binding_hash(channel_binding: bytes) -> bytes:
    """The value of MsvAvChannelBindings [MS-NLMP] 2.2.2.1: MD5 of a gss_channel_bindings_struct.

    Both addresses of the structure are empty; `channel_binding` is its application_data.
    """
    structure = bytes(16) + struct.pack("<I", len(channel_binding)) + channel_binding
    return hashlib.md5(structure, usedforsecurity=False).digest()
