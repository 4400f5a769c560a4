"""`ehlo serve --relay` as a program: its options, what they come to, and that no secret is ever shown."""

from __future__ import annotations

import time
from pathlib import Path

import click
import pytest
from tests.bindings.programs import (
    BOB,
    CAROL,
    MESSAGE,
    PASSWORD,
    SENDER,
    Handler,
    Peer,
    one_line,
    run,
    serving,
)
from tests.bindings.relay.helpers import Folder
from tests.interop.processes import PATIENCE, free_port

import ehlo
from ehlo import dsn
from ehlo.sasl import CLIENT_MECHANISMS
from ehlo_io import client_context
from ehlo_io.cli.relay_options import Duration

OPEN = ("--no-require-auth",)
REFUSED = ehlo.Reply(550, "No such user", "5.1.1")


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    file = tmp_path / "password"
    file.write_text(f"{PASSWORD}\nmore\n")
    return file


@pytest.fixture
def spool(tmp_path: Path) -> Path:
    return tmp_path / "spool"


def until_taken(handler: Handler, count: int) -> None:
    end = time.monotonic() + PATIENCE
    while len(handler.taken) < count and time.monotonic() < end:
        time.sleep(0.01)
    assert len(handler.taken) == count


def relay_to(server: Peer, secret: Path, *more: object) -> tuple[object, ...]:
    url = f"submission://alice@localhost:{server.port}"
    return (*OPEN, "--relay", url, "--relay-ca", server.ca, "--relay-password-file", secret, *more)


@pytest.mark.parametrize(
    ("text", "seconds"), [("90", 90), ("1.5s", 1.5), ("15m", 900), ("4h", 14400), ("5d", 432000)]
)
def test_durations(text: str, seconds: float) -> None:
    assert Duration().convert(text, None, None) == seconds


@pytest.mark.parametrize("text", ["", "x", "-1", "1w", "1 h", "inf", "1e9", "\u0663"])
def test_other_texts_are_none(text: str) -> None:
    with pytest.raises(click.BadParameter):
        Duration().convert(text, None, None)


THROUGH = "--relay-mode through --relay submission:"


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ("--spool DIR/spool", "--spool needs --relay"),
        (f"--relay-ca {__file__}", "--relay-ca needs --relay"),
        ("--relay-auth PLAIN", "--relay-auth needs --relay"),
        ("--dkim-selector mail", "--dkim-selector needs --relay"),
        (
            "--relay smtp:///DIR/socket --spool DIR/spool",
            "--relay needs the name of a host: a UNIX socket is no next server",
        ),
        (
            "--relay submission://h.example --spool DIR/spool --relay-retry 0s",
            "--relay-retry has to be longer than nothing",
        ),
        ("--relay submission://h.example", "--relay needs --spool, or --relay-mode through"),
        ("--relay submission://h.example --spool DIR/spool --io trio", "--relay needs --io asyncio"),
        (
            "--relay submission://h.example --spool DIR/spool --maildir DIR/mail",
            "--relay and --maildir exclude each other",
        ),
        (
            f"{THROUGH}//a@h.example",
            "a user in the URL of --relay needs --relay-password-file or --relay-token-file",
        ),
        (
            f"{THROUGH}//h.example --relay-auth PLAIN",
            "authentication needs the user's name in the URL of --relay",
        ),
        (
            f"{THROUGH}//a@h.example --relay-password-file DIR/empty --relay-token-file DIR/empty",
            "--relay-password-file and --relay-token-file exclude each other",
        ),
        (
            f"{THROUGH}//a@h.example --relay-password-file DIR/empty",
            "no password or token for h.example:587: the first line of DIR/empty is empty",
        ),
        (
            f"{THROUGH}//a@h.example --relay-password-file DIR/good --relay-auth DIGEST-MD5",
            "--relay-auth: there is no DIGEST-MD5; there are " + ", ".join(CLIENT_MECHANISMS),
        ),
        (
            f"{THROUGH}//a@h.example --relay-token-file DIR/latin",
            "no password or token for h.example:587: DIR/latin is not UTF-8",
        ),
        (
            "--relay submission://h.example --spool DIR/empty/spool",
            "no spool in DIR/empty/spool: Not a directory",
        ),
    ],
)
def test_what_cannot_be_is_told(options: str, complaint: str, tmp_path: Path) -> None:
    (tmp_path / "empty").write_bytes(b"\r\nsecond\n")
    (tmp_path / "good").write_bytes(b"x\n")
    (tmp_path / "latin").write_bytes(b"caf\xe9\n")
    result = run("serve", *OPEN, *options.replace("DIR", str(tmp_path)).split())
    assert result.exit_code == 1
    assert one_line(result) == complaint.replace("DIR", str(tmp_path))


def test_a_wrong_url_is_not_repeated(spool: Path) -> None:
    result = run("serve", "--relay", f"submission://alice:{PASSWORD}@h.example", "--spool", spool)
    assert result.exit_code == 2
    assert "a password has no place in a URL" in result.stderr


def test_from_the_spool(server: Peer, secret: Path, spool: Path) -> None:
    server.handler.refusals = {CAROL: REFUSED}
    with serving(*relay_to(server, secret, "--spool", spool), "--no-fixups") as program:
        with program.connect() as client:
            result = client.submit(MESSAGE, sender=SENDER, recipients=[BOB, CAROL])
        assert len(result.accepted) == 2
        until_taken(server.handler, 2)
        assert program.end() == 0
    (envelope, content), (_, report) = server.handler.taken
    assert content.endswith(MESSAGE)
    assert [str(recipient.path) for recipient in envelope.recipients] == [BOB]
    assert dsn.parse(report).recipients[0].final_recipient.value == CAROL
    tls, identity = server.handler.sessions[0]
    assert tls is not None
    assert identity is not None
    assert identity.authcid == "alice"
    assert Folder(spool).everything == {}


def test_straight_through(server: Peer, secret: Path) -> None:
    with serving(*relay_to(server, secret, "--relay-mode", "through"), "--no-fixups") as program:
        with program.connect() as client:
            client.submit(MESSAGE, sender=SENDER, recipients=[BOB])
            server.handler.refusals = {"message": REFUSED}
            with pytest.raises(ehlo.SubmissionFailed) as failed:
                client.submit(MESSAGE, sender=SENDER, recipients=[BOB])
        assert program.end() == 0
    assert failed.value.reply == REFUSED
    assert server.handler.taken[0][1].endswith(MESSAGE)


def test_mail_waits_for_its_server_and_survives_a_restart(
    tmp_path: Path, server: Peer, secret: Path, spool: Path
) -> None:
    waiting = ("--relay-retry", "0.1s", "--spool", spool)
    down = f"submission://127.0.0.1:{free_port()}"
    with serving(*OPEN, "--relay", down, "--relay-tls", "none", *waiting) as program:
        with program.connect() as client:
            client.submit(MESSAGE, sender=SENDER, recipients=[BOB])
        assert program.end() == 0
    assert "no session with 127.0.0.1 port" in program.err
    assert len(Folder(spool).names("messages")) == 1
    with serving(*relay_to(server, secret, *waiting)) as program:
        until_taken(server.handler, 1)
        assert program.end() == 0
    assert Folder(spool).everything == {}


def test_a_password_that_changes_is_read_anew(server: Peer, secret: Path, spool: Path) -> None:
    secret.write_text("not-this-one\n")
    with serving(*relay_to(server, secret, "--relay-retry", "0.1s", "--spool", spool)) as program:
        with program.connect() as client:
            client.submit(MESSAGE, sender=SENDER, recipients=[BOB])
        secret.write_text(f"{PASSWORD}\n")
        until_taken(server.handler, 1)
        assert program.end() == 0
    assert "not-this-one" not in program.err


def test_one_process_for_each_spool(spool: Path) -> None:
    options = (*OPEN, "--relay", "submission://h.example", "--spool", spool)
    with serving(*options) as program:
        result = run("serve", "--port", 0, *options)
        assert program.end() == 0
    assert one_line(result) == f"another process uses the spool {spool}"


def test_required_tls_is_offered_by_who_hands_on(tmp_path: Path, spool: Path) -> None:
    ca = tmp_path / "authority.pem"
    own = ("--self-signed", "--write-ca", ca)
    offers = []
    for more in (("--relay", "submission://h.example", "--spool", spool), ()):
        with serving(*OPEN, *own, *more) as program:
            with program.connect(tls="starttls", context=client_context(str(ca))) as client:
                offers.append("REQUIRETLS" in client.capabilities)
            assert program.end() == 0
    assert offers == [True, False]
