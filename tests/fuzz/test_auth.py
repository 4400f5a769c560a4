"""A short run of `tests.fuzz.auth`, and that it reaches what it is meant to reach."""

from __future__ import annotations

import hashlib
from collections import Counter

import pytest
from tests.fuzz.auth import RUNS, fuzz
from tests.fuzz.mechanisms import CASES, ITERATIONS, Case

COUNT = {"mechanism": 300, "connection": 150}
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
