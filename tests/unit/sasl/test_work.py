"""How much work a peer's token can make: as much as it is long, and no more."""

from __future__ import annotations

import itertools
import struct
from collections.abc import Callable
from contextlib import suppress

import pytest
from tests.helpers.linear import grows_linearly
from tests.helpers.sasl import FIRST, HERE, client_context, server_settings
from tests.unit.sasl.helpers import settle

from ehlo.sasl import (
    AnonymousServer,
    CramMd5Server,
    MechanismError,
    NtlmClient,
    NtlmServer,
    OAuthBearerServer,
    Password,
    PlainServer,
    SaslprepError,
    ScramSha256Client,
    ScramSha256Server,
    SecretKind,
    Token,
    XOAuth2Client,
    saslprep,
)
from ehlo.sasl.ntlm.messages import (
    Authenticate,
    Flag,
    ServerChallenge,
    write_authenticate,
    write_challenge,
)
from ehlo.wire import base64

SETTINGS = server_settings(passwords=True, secrets=frozenset(SecretKind), tokens=True, scram_iterations=1)
ONCE = client_context(iterations=range(1, 2))
LETTERS = "abcdefghijklmnopqrstuvwxyz"


def _plain(size: int) -> None:
    server = PlainServer(settings=SETTINGS)
    settle(server, server.start(b"\0" + "é".encode() * size + b"\0" + b"x" * size))


def _oauth(size: int) -> None:
    keys = itertools.islice(itertools.product(LETTERS, repeat=4), size)
    pairs = "\1".join(f"{''.join(key)}=x" for key in keys)
    OAuthBearerServer(settings=SETTINGS).start(f"n,,\1{pairs}\1auth=Bearer x\1\1".encode())


def _scram_first(message: bytes) -> None:
    ScramSha256Server(settings=SETTINGS).start(message)


def _scram_final(message: bytes) -> None:
    server = ScramSha256Server(settings=SETTINGS)
    server.start(b"n,,n=nobody,r=x")
    server.answer(None)
    server.respond(message)


def _cram(size: int) -> None:
    server = CramMd5Server(settings=SETTINGS)
    server.start(None)
    server.respond(b"a " * size + b"0" * 32)


def _ntlm(size: int) -> None:
    server = NtlmServer(settings=SETTINGS)
    server.start(b"NTLMSSP\0\1\0\0\0" + struct.pack("<I", Flag.UNICODE))
    pairs = b"".join(struct.pack("<HH", kind, 0) for kind in range(1, size)) + bytes(4)
    proof = bytes(16) + b"\1\1" + bytes(26) + pairs
    token = write_authenticate(Authenticate(Flag.UNICODE, b"", proof, "d" * size, "u" * size, b"", b"", None))
    settle(server, server.respond(token))


def _scram_client(challenge: bytes) -> None:
    client = ScramSha256Client(Password("alice", "x"), ONCE)
    client.initial()
    with suppress(MechanismError):
        client.respond(base64.encode(challenge))


def _ntlm_client(size: int) -> None:
    pairs = dict.fromkeys(range(20, size), b"")
    client = NtlmClient(Password("alice", "x"), FIRST)
    client.initial()
    challenge = ServerChallenge(Flag.UNICODE | Flag.TARGET_INFO, bytes(8), "T" * size, pairs)
    client.respond(base64.encode(write_challenge(challenge)))


def _oauth_client(size: int) -> None:
    client = XOAuth2Client(Token("alice", "x"), HERE)
    client.initial()
    client.respond(base64.encode(b'{"a":' * size))


def _saslprep(text: str) -> None:
    with suppress(SaslprepError):
        saslprep(text)


WORK: dict[str, tuple[int, Callable[[int], object]]] = {
    "base64": (50_000, lambda size: base64.decode(b"AAAA" * size)),
    "SASLprep": (2000, lambda size: _saslprep("é" * size)),
    # NFKC sorts marks behind one letter, and it takes one by one to its place.
    "marks in the wrong order": (2000, lambda size: _saslprep("a" + "\u0301\u0316" * size)),
    "marks that are two": (2000, lambda size: _saslprep("a" + "\u0f73" * size)),
    "marks that compose": (2000, lambda size: _saslprep("a" + "\u0308" * size)),
    "letters that grow": (1000, lambda size: _saslprep("\ufdfa" * size)),
    "right to left": (2000, lambda size: _saslprep("\u05d0a" * size)),
    "PLAIN": (2000, _plain),
    "OAUTHBEARER": (1000, _oauth),
    "CRAM-MD5": (10_000, _cram),
    "ANONYMOUS": (5000, lambda size: AnonymousServer().start(b"a@" * size)),
    "ANONYMOUS, quoted": (5000, lambda size: AnonymousServer().start(b'"' + b"\\" * size + b'"@a')),
    "SCRAM names": (5000, lambda size: _scram_first(b"n,,n=" + b"=2C" * size + b",r=x")),
    "SCRAM names that do not end": (5000, lambda size: _scram_first(b"n,,n=" + b"=2C" * size)),
    "SCRAM identities": (5000, lambda size: _scram_first(b"n,a=" + b"=2C" * size)),
    "SCRAM extensions": (5000, lambda size: _scram_first(b"n,,n=a,r=x" + b",x=y" * size + b",")),
    "SCRAM proofs": (5000, lambda size: _scram_final(b"c=biws,r=x" + b",p=AA==" * size + b",")),
    "SCRAM channels": (5000, lambda size: _scram_final(b"c=" + b"A" * size + b",r=" + b"x" * size)),
    "SCRAM challenges": (5000, lambda size: _scram_client(b"r=" + b"x" * size + b",s=" + b"A" * size)),
    "SCRAM salts": (
        5000,
        lambda size: _scram_client(b"r=x,s=" + b"A" * 4 * size + b",i=1" + b",x=y" * size),
    ),
    "NTLM": (1000, _ntlm),
    "NTLM's challenge": (1000, _ntlm_client),
    "JSON": (5000, _oauth_client),
}


@pytest.mark.parametrize("what", WORK)
def test_work_is_linear(what: str) -> None:
    size, work = WORK[what]
    grows_linearly(lambda scale: lambda: work(scale), size)
