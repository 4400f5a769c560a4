"""Real peers for the tests here; a peer that is missing skips its tests or, if asked to, fails them."""

import importlib.util
import os
from collections.abc import Callable, Iterator

import pytest
import trustme
from tests.interop import clients
from tests.interop import cyrus as cyrus_peer
from tests.interop import dovecot as dovecot_peer
from tests.interop import dovecot_lmtp as dovecot_lmtp_peer
from tests.interop import exim as exim_peer
from tests.interop import kerberos as kerberos_peer
from tests.interop import postfix as postfix_peer
from tests.interop import samba as samba_peer
from tests.interop.peer import Peer, directory
from tests.interop.processes import find_program

from ehlo.sasl import gssapi


def _missing_program(name: str) -> str | None:
    return None if find_program(name) else f"{name} is not installed"


def _missing_gssapi() -> str | None:
    return None if gssapi.available() else "ehlo's extra kerberos is not installed"


def _missing_aiosmtpd() -> str | None:
    return None if importlib.util.find_spec("aiosmtpd") else "aiosmtpd is not installed"


MISSING: dict[str, Callable[[], str | None]] = {
    "aiosmtpd": _missing_aiosmtpd,
    "cyrus": cyrus_peer.missing,
    "cyrus_end_point": cyrus_peer.missing,
    "cyrus_kerberos": cyrus_peer.missing_kerberos,
    "dovecot": dovecot_peer.missing,
    "dovecot_lmtp": dovecot_lmtp_peer.missing,
    "exim": exim_peer.missing,
    "gssapi": _missing_gssapi,
    "kerberos": kerberos_peer.missing,
    "postfix": postfix_peer.missing,
    "samba": samba_peer.missing,
    "swaks": clients.swaks_missing,
}
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
    """Postfix with Cyrus SASL: PLAIN, LOGIN, CRAM-MD5, SCRAM and NTLM (v1 and v2)."""
    with directory("postfix") as top, postfix_peer.serving(top, authority) as running:
        yield running


@pytest.fixture(scope="session")
def cyrus(authority: trustme.CA) -> Iterator[cyrus_peer.Cyrus]:
    """Cyrus SASL behind a small server: SCRAM, also bound by tls-unique (TLS 1.2)."""
    with directory("cyrus") as top, cyrus_peer.serving(top, authority) as running:
        yield running


@pytest.fixture(scope="session")
def cyrus_end_point(authority: trustme.CA) -> Iterator[cyrus_peer.Cyrus]:
    """The same, bound by tls-server-end-point (TLS 1.3)."""
    with directory("cyrus") as top, cyrus_peer.serving(top, authority, cyrus_peer.END_POINT) as running:
        yield running


@pytest.fixture(scope="session")
def dovecot(authority: trustme.CA) -> Iterator[dovecot_peer.Dovecot]:
    """Dovecot's submission server: PLAIN, LOGIN, CRAM-MD5, SCRAM, XOAUTH2, OAUTHBEARER and EXTERNAL."""
    with directory("dovecot") as top, dovecot_peer.serving(top, authority) as running:
        yield running


@pytest.fixture(scope="session")
def dovecot_lmtp(authority: trustme.CA) -> Iterator[dovecot_lmtp_peer.DovecotLmtp]:
    """Dovecot's LMTP server: mailboxes, one of them full."""
    with directory("lmtp") as top, dovecot_lmtp_peer.serving(top, authority) as running:
        yield running


@pytest.fixture(scope="session")
def samba(authority: trustme.CA) -> Iterator[dovecot_peer.Dovecot]:
    """Dovecot with Samba: PLAIN and NTLM (v2 only)."""
    with directory("samba") as top, samba_peer.serving(top, authority) as running:
        yield running


@pytest.fixture(scope="session")
def exim(authority: trustme.CA) -> Iterator[exim_peer.Exim]:
    """Exim: PLAIN, LOGIN, CRAM-MD5, NTLM (v1 only) and EXTERNAL."""
    with directory("exim") as top, exim_peer.serving(top, authority) as running:
        yield running


@pytest.fixture(scope="session")
def kerberos(authority: trustme.CA) -> Iterator[kerberos_peer.KerberosDovecot]:
    """Dovecot in a Kerberos realm: GSSAPI and GSS-SPNEGO."""
    with directory("kerberos") as top, kerberos_peer.serving(top, authority) as running:
        yield running


@pytest.fixture(scope="session")
def cyrus_kerberos(
    authority: trustme.CA, kerberos: kerberos_peer.KerberosDovecot
) -> Iterator[cyrus_peer.Cyrus]:
    """Cyrus SASL in the same realm: GSSAPI and GSS-SPNEGO."""
    with (
        directory("cyrus") as top,
        cyrus_peer.serving(top, authority, cyrus_peer.END_POINT, kerberos.realm) as running,
    ):
        yield running


@pytest.fixture
def peer(request: pytest.FixtureRequest) -> Peer:
    """The foreign server whose fixture the parameter names."""
    found = request.getfixturevalue(request.param)
    assert isinstance(found, Peer)
    return found
