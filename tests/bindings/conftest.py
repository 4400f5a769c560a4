"""What all tests of the bindings share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme
from tests.bindings.faces import HOSTNAME, Certificates
from tests.bindings.handlers import SENDER
from tests.bindings.programs import Peer, peer

from ehlo_io import client_context, server_context


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """Made by the contexts that users get."""
    authority, other = trustme.CA(), trustme.CA()
    directory = tmp_path_factory.mktemp("certificates")
    trusted = directory / "ca.pem"
    authority.cert_pem.write_to_path(str(trusted))
    server = _pem(authority, HOSTNAME, directory / "server.pem")
    stranger = _pem(other, HOSTNAME, directory / "stranger.pem")
    return Certificates(
        server=server_context(server, client_authorities=str(trusted)),
        client=client_context(str(trusted)),
        stranger=server_context(stranger),
        authority=str(trusted),
        of_client=_pem(authority, SENDER, directory / "client.pem"),
        other_pem=stranger,
    )


def _pem(authority: trustme.CA, name: str, path: Path) -> str:
    certificate = authority.issue_cert(name)
    certificate.private_key_and_cert_chain_pem.write_to_path(str(path))
    return str(path)


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    """Vouches for the server that the program talks to."""
    return trustme.CA()


@pytest.fixture
def server(tmp_path: Path, authority: trustme.CA) -> Iterator[Peer]:
    """A server in this process for one test."""
    with peer(tmp_path, authority) as running:
        yield running
