"""DKIM signatures: what dkimpy verifies, of whatever message, in pieces, by both kinds of key."""

from __future__ import annotations

import base64
import io
import logging
import tracemalloc
from typing import Any

import dkim
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa

from ehlo_io.dkim import Signer

HEADER = b"From: alice@local.example\r\nTo: bob@local.example\r\nSubject: a\r\n long one\r\n"
RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)
ED25519 = ed25519.Ed25519PrivateKey.generate()
PEM, PKCS8 = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
PLAIN = serialization.NoEncryption()
RAW = serialization.Encoding.Raw, serialization.PrivateFormat.Raw, PLAIN

KEYS = {
    "rsa of PKCS 1": RSA.private_bytes(PEM, serialization.PrivateFormat.TraditionalOpenSSL, PLAIN),
    "rsa of PKCS 8": RSA.private_bytes(PEM, PKCS8, PLAIN),
    "rsa with CRLF": RSA.private_bytes(PEM, PKCS8, PLAIN).replace(b"\n", b"\r\n"),
    "ed25519 of PKCS 8": ED25519.private_bytes(PEM, PKCS8, PLAIN),
    "ed25519 of dknewkey": base64.b64encode(ED25519.private_bytes(*RAW)) + b"\n",
}

# What no library makes any more: 512 bits, made for this test.
SHORT = (
    "MIIBOwIBAAJBAMKuliPWMG/bO44fqxyC4125a03TbwF45UcYS7dtx5Mc4i5AShTSJOqrWq3KCNgDXCqhWrVc2UbZ6e4vBWUlbYsCAwEA"
    "AQJAZmzUMSaPdUoymyOuMuHqHXVgLyH+VRf2COGPdIIdbhfoIsvw3pdIsFRYx8BZxOulS0o6XKuBD3FbciOF0YfegQIhAPYIDPGtCekM"
    "Qz1hcJoebdCw6OyweZhsICpnx6gcntCPAiEAypHqf2kHQliMZcqPHasrgVOXXPr7+q9ZFpMfUQKS2UUCIQCmVvkRaLF7m+vWEwwDVzFd"
    "2E4SwJnlYK06nmHRmlARpwIgYvsPoTgZwvJvj+F9MtsLxAKraFR/QYvitSQoXjYquR0CIQCoxFU+xRZUglH7l7mp7I5SmGYYXR0tYnQ0"
    "crcM9nPPoA=="
)


def record(name: bytes, **_: Any) -> bytes:
    """What the DNS says: a key of each kind."""
    if name == b"rsa._domainkey.local.example.":
        der = RSA.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        return b"v=DKIM1; k=rsa; p=" + base64.b64encode(der)
    assert name == b"ed25519._domainkey.local.example."
    public = ED25519.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    return b"v=DKIM1; k=ed25519; p=" + base64.b64encode(public)


def signer(kind: str = "ed25519 of PKCS 8") -> Signer:
    return Signer.of(
        KEYS[kind], domain="local.example", selector=kind.split(maxsplit=1)[0], clock=lambda: 1_700_000_000.0
    )


def verified(message: bytes) -> bool:
    return bool(dkim.verify(message, dnsfunc=record))


def signed(message: bytes, kind: str = "ed25519 of PKCS 8") -> bytes:
    return signer(kind)(io.BytesIO(message)) + message


@pytest.mark.parametrize("kind", KEYS)
def test_each_kind_of_key(kind: str) -> None:
    message = signed(HEADER + b"\r\nHello Bob!\r\n", kind)
    assert b"a=" + signer(kind).algorithm.encode() in message
    assert b"t=1700000000" in message
    assert verified(message)
    assert not verified(message.replace(b"Hello", b"Hallo"))
    assert not verified(message.replace(b"Subject: a", b"Subject: b"))
    assert not verified(b"From: mallory@local.example\r\n" + message)
    for line in message.split(b"\r\n"):
        assert len(line) < 80


BODIES = {
    "nothing": b"",
    "an empty line": b"\r\n",
    "empty lines": b"\r\n" * 9,
    "no end": b"text",
    "one end": b"text\r\n",
    "many ends": b"text\r\n\r\n\r\n",
    "in between": b"text\r\n\r\n\r\nmore\r\n\r\n",
    "first": b"\r\n\r\ntext\r\n",
    "spaces": b" text \t here  \r\n \r\n",
    "8 bit": "Grüße\r\n".encode(),
    "dots": b".\r\n..\r\n",
}


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_bodies(body: bytes) -> None:
    assert verified(signed(HEADER + b"\r\n" + body))


class Dribbling(io.BytesIO):
    """Gives no more than so many octets at once."""

    def __init__(self, data: bytes, most: int) -> None:
        super().__init__(data)
        self.most = most

    def read(self, size: int | None = -1, /) -> bytes:
        return super().read(self.most)


@pytest.mark.parametrize("most", [1, 2, 3, 7])
@pytest.mark.parametrize("body", [*BODIES.values(), b"a\r", b"a\r\r\n\r\n", b"\r\n\r\r\n"])
def test_however_it_is_read(body: bytes, most: int) -> None:
    message = HEADER + b"\r\n" + body
    assert signer()(Dribbling(message, most)) == signer()(io.BytesIO(message))


def test_a_message_that_ends_with_its_header() -> None:
    assert verified(signed(HEADER))


def test_from_where_the_file_stands() -> None:
    file = io.BytesIO(b"{}\n" + HEADER + b"\r\ntext\r\n")
    file.seek(3)
    assert verified(signer()(file) + HEADER + b"\r\ntext\r\n")


@pytest.mark.parametrize(
    "header",
    [
        b"Subject: nobody\r\n",
        b"no field\r\n",
        b" continued\r\n",
        b"From: a@b\r\nX: " + b"x" * 1_500_000 + b"\r\n",
    ],
    ids=["no From", "no field", "no first field", "too long"],
)
def test_what_cannot_be_signed_goes_without(header: bytes, caplog: pytest.LogCaptureFixture) -> None:
    assert signer()(io.BytesIO(header + b"\r\ntext\r\n")) == b""
    (line,) = caplog.records
    assert line.levelno == logging.WARNING
    assert line.getMessage().startswith("a message goes without a DKIM signature: ")


def test_what_it_logs_is_one_line(caplog: pytest.LogCaptureFixture) -> None:
    signer()(io.BytesIO(b"evil\x1b[31m\rline\r\n\r\n"))
    assert caplog.messages[0].isprintable()


@pytest.mark.parametrize(
    "key",
    [
        b"",
        b"secret",
        b"-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----\n",
        b"-----BEGIN PRIVATE KEY-----\n???\n-----END PRIVATE KEY-----\n",
        base64.b64encode(b"too short"),
        KEYS["rsa of PKCS 1"][:200],
    ],
)
def test_what_is_no_key(key: bytes) -> None:
    with pytest.raises(ValueError, match="no RSA or Ed25519 key for DKIM is in it"):
        Signer.of(key, domain="local.example", selector="a")


def test_a_short_key() -> None:
    name = b"RSA PRIVATE KEY-----\n"
    short = b"-----BEGIN " + name + SHORT.encode() + b"\n-----END " + name
    with pytest.raises(ValueError, match="an RSA key of 512 bits is too short for DKIM"):
        Signer.of(short, domain="local.example", selector="a")


@pytest.mark.parametrize("name", ["", "a b", "a..b", ".", "ä.example", "a;b", "x" * 64, "a\r\nb"])
def test_names_that_stand_in_no_dns(name: str) -> None:
    with pytest.raises(ValueError, match="a name in the DNS"):
        Signer.of(KEYS["rsa of PKCS 8"], domain=name, selector="a")
    with pytest.raises(ValueError, match="a name in the DNS"):
        Signer.of(KEYS["rsa of PKCS 8"], domain="local.example", selector=name)


@pytest.mark.parametrize("kind", KEYS)
def test_the_key_is_not_shown(kind: str) -> None:
    shown = repr(signer(kind))
    assert "local.example" in shown
    assert "key" not in shown.lower().replace("_domainkey", "")


@pytest.mark.parametrize("line", [b"text text\r\n", b"\r\n"], ids=["lines", "empty lines"])
def test_a_long_message_is_not_in_memory(line: bytes) -> None:
    file = io.BytesIO(HEADER + b"\r\n" + line * (16_000_000 // len(line)) + b"end\r\n")
    sign = signer()
    sign(io.BytesIO(HEADER))
    tracemalloc.start()
    try:
        sign(file)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 4_000_000
