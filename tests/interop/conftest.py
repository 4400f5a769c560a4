"""Real peers for the tests here; a peer that is missing skips its tests or, if asked to, fails them."""

import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import trustme
from tests.interop import postfix as postfix_peer
from tests.interop.processes import find_program


def _missing_program(name: str) -> str | None:
    return None if find_program(name) else f"{name} is not installed"


MISSING: dict[str, Callable[[], str | None]] = {"postfix": postfix_peer.missing}
"""Peers that need more than a program of their name."""


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a test whose peer is missing, before any fixture starts."""
    for marker in item.iter_markers("peer"):
        for name in marker.args:
            reason = MISSING[name]() if name in MISSING else _missing_program(name)
            if reason is None:
                continue
            reason = f"peer {name}: {reason} (`make peers` installs it)"
            if os.environ.get("EHLO_REQUIRE_PEERS") == "1":
                pytest.fail(reason, pytrace=False)
            pytest.skip(reason)


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    """A certificate authority that only this run knows."""
    return trustme.CA()


@pytest.fixture(scope="session")
def postfix(authority: trustme.CA) -> Iterator[postfix_peer.Postfix]:
    """A Postfix with PLAIN, LOGIN and NTLM; see tests/interop/postfix.py."""
    # Not below pytest's own directory: that is for the owner only, and Postfix has users of its own.
    with tempfile.TemporaryDirectory(prefix="ehlo-postfix-") as name:
        top = Path(name)
        top.chmod(0o755)
        with postfix_peer.serving(top, authority) as running:
            yield running
