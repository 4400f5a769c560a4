"""What all tests of the bindings share."""

from __future__ import annotations

from pathlib import Path

import pytest
import trustme
from tests.bindings.faces import HOSTNAME, Certificates

from ehlo_io import client_context, server_context


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """Made by the contexts that users get."""
    authority, other = trustme.CA(), trustme.CA()
    files = [_pem(issuer, tmp_path_factory.mktemp("certificate")) for issuer in (authority, other)]
    client = client_context()
    authority.configure_trust(client)
    return Certificates(server_context(str(files[0])), client, server_context(str(files[1])))


def _pem(authority: trustme.CA, directory: Path) -> Path:
    path = directory / "server.pem"
    certificate = authority.issue_cert(HOSTNAME)
    certificate.private_key_and_cert_chain_pem.write_to_path(str(path))
    return path
