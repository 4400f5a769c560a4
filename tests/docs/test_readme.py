"""The snippets of README.md run as they stand, against a server of our own in place of mail.example."""

from __future__ import annotations

import contextlib
import os
import re
import smtplib
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest
import trustme

import ehlo
import ehlo_io.blocking

ROOT = Path(__file__).parents[2]
SNIPPETS = dict(
    re.findall(r"<!-- run: (\w+) -->\n```python\n(.*?)```", (ROOT / "README.md").read_text(), re.S)
)

# Runs a snippet with the one name of the README that does not exist led to our server.
PRELUDE = """
import socket
real = socket.getaddrinfo
def fake(host, port, *args, **kwargs):
    if host in ("mail.example", b"mail.example"):
        host, port = "127.0.0.1", {port}
    return real(host, port, *args, **kwargs)
socket.getaddrinfo = fake
"""


class Store(ehlo.UserStore):
    def __init__(self) -> None:
        super().__init__({"alice": "secret"})
        self.messages: list[tuple[ehlo.Envelope, bytes]] = []

    def on_message(self, session: ehlo.Session, envelope: ehlo.Envelope, content: bytes) -> None:
        self.messages.append((envelope, content))


@attrs.frozen
class Place:
    """A folder with certificates, and the environment that trusts them."""

    folder: Path
    environment: dict[str, str]
    context: ssl.SSLContext


@pytest.fixture
def place(tmp_path: Path) -> Place:
    authority = trustme.CA()
    certificate = authority.issue_cert("mail.example", "localhost", "127.0.0.1")
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    certificate.private_key_pem.write_to_path(str(tmp_path / "key.pem"))
    for index, blob in enumerate(certificate.cert_chain_pems):
        blob.write_to_path(str(tmp_path / "cert.pem"), append=index > 0)
    (tmp_path / "message.eml").write_bytes(b"Subject: Hello\r\n\r\nHello Bob!\r\n")
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return Place(tmp_path, dict(os.environ, SSL_CERT_FILE=str(tmp_path / "ca.pem")), context)


@pytest.fixture
def store(place: Place) -> Iterator[tuple[Store, int]]:
    handler = Store()
    tls = ehlo_io.server_context(str(place.folder / "cert.pem"), str(place.folder / "key.pem"))
    with ehlo_io.blocking.serve(handler, port=0, tls=tls, hostname="mail.example") as server:
        yield handler, server.address[1]


def run(snippet: str, place: Place, port: int = 0) -> str:
    return subprocess.run(
        [sys.executable, "-W", "error::DeprecationWarning", "-c", PRELUDE.format(port=port) + snippet],
        cwd=place.folder,
        env=place.environment,
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    ).stdout


def test_every_snippet_is_run_here() -> None:
    names = ["accounts", "asyncio", "blocking", "engine", "outcomes", "pool", "server", "trio"]
    assert sorted(SNIPPETS) == names
    assert (ROOT / "README.md").read_text().count("```python") == len(SNIPPETS)


@pytest.mark.parametrize("name", ["blocking", "asyncio", "trio"])
def test_submit(name: str, place: Place, store: tuple[Store, int]) -> None:
    handler, port = store
    assert run(SNIPPETS[name], place, port).strip() == "250 2.0.0 Message accepted"
    (envelope, content) = handler.messages.pop()
    assert content == b"Subject: Hello\r\n\r\nHello Bob!\r\n"
    assert str(envelope.reverse_path) == "alice@example.org"


def test_outcomes(place: Place, store: tuple[Store, int]) -> None:
    handler, port = store
    printed = run(SNIPPETS["outcomes"], place, port)
    assert printed.splitlines() == [
        "bob@example.net True 250 2.0.0 Message accepted",
        "carol@example.net True 250 2.0.0 Message accepted",
    ]
    (envelope, _) = handler.messages.pop()
    wishes = [recipient.parameters.get(ehlo.Notify) for recipient in envelope.recipients]
    assert wishes == [ehlo.Notify.SUCCESS | ehlo.Notify.FAILURE, ehlo.Notify.NEVER]
    assert envelope.parameters.get(ehlo.EnvId) == ehlo.EnvId("42")


def test_pool(place: Place, store: tuple[Store, int]) -> None:
    handler, port = store
    assert run(SNIPPETS["pool"], place, port).splitlines() == ["250 2.0.0 Message accepted"] * 3
    recipients = {
        str(recipient.path) for envelope, _ in handler.messages for recipient in envelope.recipients
    }
    assert recipients == {"bob@example.net", "carol@example.net", "dave@example.net"}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def connected(port: int, process: subprocess.Popen[str]) -> smtplib.SMTP:
    end = time.monotonic() + 20
    while True:
        assert process.poll() is None, process.communicate()
        with contextlib.suppress(ConnectionRefusedError):
            return smtplib.SMTP("localhost", port, timeout=20)
        assert time.monotonic() < end, "the server does not listen"
        time.sleep(0.05)


def test_server(place: Place) -> None:
    port = free_port()
    snippet = SNIPPETS["server"].replace("5870", str(port))
    process = subprocess.Popen(
        [sys.executable, "-c", snippet],
        cwd=place.folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        with connected(port, process) as client:
            client.starttls(context=place.context)
            client.login("alice", "secret")
            client.sendmail("alice@example.org", ["bob@example.net"], b"Subject: x\r\n\r\nx\r\n")
        assert process.stdout is not None
        assert process.stdout.readline() == "alice alice@example.org 17\n"
    finally:
        process.terminate()
        process.communicate(timeout=20)


def test_engine(place: Place) -> None:
    printed = run(SNIPPETS["engine"], place)
    assert "550 5.1.1 No such user" in printed
    assert "RcptReceived(forward_path=Mailbox(local='bob', domain='example.net')" in printed
    assert "221 2.0.0 mx.example closing connection" in printed


def test_accounts(place: Place) -> None:
    assert run(SNIPPETS["accounts"], place) == "True ['nt-hash', 'scram-sha-256']\n"
