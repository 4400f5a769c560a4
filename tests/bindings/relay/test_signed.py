"""The gateway signs what it hands on from its spool, after all that may change it."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any, BinaryIO, cast

import pytest
from tests.bindings.programs import BOB, PASSWORD, SENDER, Peer, one_line, run, serving
from tests.bindings.relay.helpers import HOSTNAME, NextServer, each_tail, hop, sessions_with, without
from tests.bindings.relay.helpers import run as in_loop
from tests.bindings.relay.helpers import serving as next_server
from tests.bindings.relay.test_options import until_taken
from tests.bindings.test_dkim import HEADER, KEYS, signed, signer, verified

import ehlo
from ehlo.extensions import EIGHT_BIT_MIME, SMTPUTF8
from ehlo_io.relay.delivery import Attempted, deliver
from ehlo_io.relay.fitting import Headed
from ehlo_io.relay.gateway import Gateway, RelaySettings
from ehlo_io.relay.spool import Spool

ENVELOPE = ehlo.envelope(SENDER, [BOB])
TEXT = "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n"
EIGHT_BIT = HEADER + f"{TEXT}Content-Transfer-Encoding: 8bit\r\n\r\nGrüße\r\n".encode()


def handed_on(tmp_path: Path, server: NextServer, octets: bytes, **options: Any) -> Attempted:
    async def scenario() -> Attempted:
        spool = Spool(tmp_path)
        spool.add("one", ENVELOPE, 0.0, octets)
        entry = spool.load("one")
        try:
            async with next_server(server, **options) as address, sessions_with(address) as sessions:
                return await deliver(sessions, entry, ENVELOPE, signer())
        finally:
            spool.close()

    return in_loop(scenario())


@each_tail
def test_what_is_handed_on_is_signed(tmp_path: Path, size: int) -> None:
    server, message = NextServer(), HEADER + b"\r\n" + b"0123456789abcdef\r\n" * (size // 18)
    attempted = handed_on(tmp_path, server, message)
    assert attempted.outcomes[0].accepted
    ((_, content),) = server.taken
    assert content == signed(message)
    assert verified(content)


def test_it_is_signed_as_the_next_server_gets_it(tmp_path: Path) -> None:
    server = NextServer()
    extensions = without(EIGHT_BIT_MIME, SMTPUTF8)
    handed_on(tmp_path, server, EIGHT_BIT, extensions=extensions)
    ((_, content),) = server.taken
    assert content.isascii()
    assert verified(content)


def test_what_cannot_be_signed_is_handed_on(tmp_path: Path) -> None:
    server, message = NextServer(), b"Subject: from nobody\r\n\r\ntext\r\n"
    handed_on(tmp_path, server, message)
    ((_, content),) = server.taken
    assert content == message


def test_a_file_with_octets_before_it() -> None:
    file = io.BytesIO(b"--0123456789")
    file.seek(2)
    headed = Headed(b"abc", cast("BinaryIO", file))
    assert headed.seek(0, os.SEEK_END) == 13
    assert headed.seek(0) == headed.tell() == 0
    assert list(iter(lambda: headed.read(4), b"")) == [b"abc", b"0123", b"4567", b"89"]
    assert headed.tell() == 13
    assert headed.seek(2) == 2
    assert headed.read(9) + headed.read(99) == b"c0123456789"
    assert headed.seek(5) == 5
    assert headed.read(99) == b"23456789"
    headed.close()
    assert file.closed


def test_what_is_passed_through_is_not_signed() -> None:
    settings = RelaySettings(hop=hop(("127.0.0.1", 1)), hostname=HOSTNAME, through=True, sign=signer())
    with pytest.raises(ehlo.LocalProtocolError, match="passed through"):
        Gateway(settings)


# ---- the program ----


@pytest.fixture
def key(tmp_path: Path) -> Path:
    file = tmp_path / "dkim.pem"
    file.write_bytes(KEYS["rsa of PKCS 8"])
    return file


NAMES = ("--dkim-selector", "rsa", "--dkim-domain", "local.example")


def test_serve_signs(server: Peer, tmp_path: Path, key: Path) -> None:
    secret = tmp_path / "password"
    secret.write_text(PASSWORD)
    relay = ("--relay", f"submission://alice@localhost:{server.port}", "--relay-ca", server.ca)
    more = ("--relay-password-file", secret, "--spool", tmp_path / "spool", "--dkim-key", key, *NAMES)
    with serving("--no-require-auth", *relay, *more) as program:
        with program.connect() as client:
            client.submit(HEADER + b"\r\ntext\r\n", sender=SENDER, recipients=[BOB])
        until_taken(server.handler, 1)
        assert program.end() == 0
    ((_, content),) = server.handler.taken
    assert content.startswith(b"DKIM-Signature: v=1; a=rsa-sha256;")
    assert b"Received: " in content
    assert verified(content)


HERE = ("serve", "--no-require-auth", "--port", 0)
RELAY = ("--relay", "smtp://127.0.0.1:1", "--relay-tls", "none")


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (("--dkim-selector", "a"), "--dkim-key, --dkim-selector and --dkim-domain go together"),
        (("--dkim-domain", "a", "--dkim-selector", "a"), "--dkim-key, --dkim-selector and --dkim-domain go"),
    ],
)
def test_options_that_go_together(tmp_path: Path, options: tuple[str, ...], complaint: str) -> None:
    assert one_line(run(*HERE, *RELAY, "--spool", tmp_path / "spool", *options)).startswith(complaint)


def test_a_key_without_a_relay(key: Path) -> None:
    assert one_line(run(*HERE, "--dkim-key", key, *NAMES)) == "--dkim-key needs --relay"


def test_a_key_for_what_is_passed_through(key: Path) -> None:
    line = one_line(run(*HERE, *RELAY, "--relay-mode", "through", "--dkim-key", key, *NAMES))
    assert line == "--dkim-key needs the message whole: not with --relay-mode through"


def test_a_key_that_does_not_load(tmp_path: Path, key: Path) -> None:
    key.write_text("secret words\n")
    result = run(*HERE, *RELAY, "--spool", tmp_path / "spool", "--dkim-key", key, *NAMES)
    assert one_line(result) == f"{key}: no RSA or Ed25519 key for DKIM is in it"
    assert "secret" not in result.output
    assert not (tmp_path / "spool").exists()


def test_a_name_in_no_dns(tmp_path: Path, key: Path) -> None:
    names = ("--dkim-selector", "rsa", "--dkim-domain", "not a name")
    result = run(*HERE, *RELAY, "--spool", tmp_path / "spool", "--dkim-key", key, *names)
    assert one_line(result).endswith("the domain of a DKIM key is a name in the DNS, in ASCII")
