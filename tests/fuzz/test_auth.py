"""A short run of `tests.fuzz.auth`, and that it reaches what it is meant to reach."""

from __future__ import annotations

import hashlib
import hmac
import struct
from collections import Counter
from typing import Any

import pytest
from tests.fuzz.auth import RUNS, fuzz, main
from tests.fuzz.mechanisms import CASES, ITERATIONS, Case

from ehlo.sasl import VerifyPassword, XOAuth2Client, plain
from ehlo.sasl.ntlm import acceptor, client, messages
from ehlo.sasl.scram.client import ScramClient
from ehlo.sasl.scram.keys import ScramKeys

COUNT = {"mechanism": 300, "connection": 200}
ALL = pytest.mark.parametrize("case", CASES, ids=lambda case: case.title)


@pytest.mark.clause("RFC4954-4n", "RFC4954-4m", "RFC4422-3.5a")
@pytest.mark.parametrize(("role", "level"), RUNS)
@ALL
def test_mangled_exchanges(case: Case, role: str, level: str) -> None:
    outcomes = fuzz(case, role, level, seed=1, count=COUNT[level])
    assert outcomes.total() == COUNT[level]
    # Not all of them ended in the same way, or what was sent would not matter.
    assert len(outcomes) > 1 or (role, level) == ("client", "mechanism")


@pytest.mark.clause("RFC5802-5.1d")
@pytest.mark.parametrize("level", ["mechanism", "connection"])
def test_a_client_hashes_no_more_than_it_allows(level: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever numbers a server names."""
    counted: Counter[int] = Counter()
    true = hashlib.pbkdf2_hmac

    def counting(digest: str, password: bytes, salt: bytes, iterations: int) -> bytes:
        counted[iterations] += 1
        return true(digest, password, salt, iterations)

    monkeypatch.setattr(hashlib, "pbkdf2_hmac", counting)
    (case,) = (case for case in CASES if case.title == "SCRAM-SHA-256")
    fuzz(case, "client", level, seed=2, count=3000)
    assert set(counted) <= set(ITERATIONS)
    # Some did change the number.
    assert len(counted) > 1


def test_the_program(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    told = []
    for _ in range(2):
        arguments = ["--count", "20", "--seed", "7", "--mechanism", "PLAIN", "--role", "server"]
        monkeypatch.setattr("sys.argv", ["auth", *arguments])
        main()
        told.append(capsys.readouterr().out.splitlines())
    # The same seed, the same outcomes.
    assert told[0] == told[1]
    assert [line.partition(":")[0] for line in told[0]] == [
        "PLAIN server mechanism",
        "PLAIN server connection",
    ]


def _takes_any_signature(client: Any, challenge: bytes) -> bytes:
    client.succeeded = lambda: None
    return b""


def _reads_past_the_end(data: bytes) -> messages.ServerChallenge:
    try:
        return messages.parse_challenge(data)
    except messages.MessageError:
        raise struct.error from None


def _forgets_authzid(username: str, password: str, authzid: str) -> VerifyPassword:
    return VerifyPassword(username, password, "")


BOTH = ("mechanism", "connection")
CARELESS: list[tuple[str, str, tuple[str, ...], Any, str, Any]] = [
    ("SCRAM-SHA-256", "server", BOTH, ScramKeys, "proved_by", lambda *_: True),
    ("SCRAM-SHA-1-PLUS", "client", BOTH, ScramClient, "_check", _takes_any_signature),
    ("NTLM", "server", BOTH, acceptor, "_check_mic", lambda *_: None),
    ("NTLM-without-MIC", "server", BOTH, acceptor, "verify", lambda *_: None),
    ("NTLM", "client", BOTH, client, "parse_challenge", _reads_past_the_end),
    ("PLAIN", "server", BOTH, plain, "password_need", _forgets_authzid),
    ("CRAM-MD5", "server", BOTH, hmac, "compare_digest", lambda *_: True),
    ("XOAUTH2", "client", ("mechanism",), XOAuth2Client, "respond", lambda *_: b""),
]


@pytest.mark.parametrize(
    ("title", "role", "level", "owner", "name", "careless"),
    [(title, role, level, *what) for title, role, levels, *what in CARELESS for level in levels],
)
def test_what_would_be_found(
    title: str,
    role: str,
    level: str,
    owner: object,
    name: str,
    careless: object,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A check that is left out, an error of another kind, and a client that never has enough."""
    (case,) = (case for case in CASES if case.title == title)
    monkeypatch.setattr(owner, name, careless)
    with pytest.raises((AssertionError, struct.error)) as caught:
        fuzz(case, role, level, seed=4, count=3000)
    assert caught.value.__notes__[0].startswith("again: python -m tests.fuzz.auth --mechanism ")
