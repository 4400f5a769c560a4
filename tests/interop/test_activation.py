"""`ehlo serve` on a socket of systemd-socket-activate, which passes it as systemd does."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from tests.bindings.peers import Address, Peer
from tests.interop.peer import PASSWORD, USER
from tests.interop.processes import PATIENCE, attempts, command, free_port, python_environment, running, tail

import ehlo
from ehlo_io import blocking, client_context
from ehlo_io._client import ConnectOptions

pytestmark = pytest.mark.peer("systemd-socket-activate")


def welcome(address: Address, process: subprocess.Popen[bytes]) -> str:
    """What the first client hears, who starts the server by coming."""
    for _ in attempts(process):
        with contextlib.suppress(OSError), Peer.silent_to(address) as peer:
            return peer.reply()
    raise AssertionError


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("kind", ["TCP", "UNIX"])
def test_the_first_client_starts_the_server(tmp_path: Path, kind: str, workers: int) -> None:
    with tempfile.TemporaryDirectory(prefix="ehlo-") as directory:
        port, path, ca = free_port(), f"{directory}/mail", tmp_path / "ca.pem"
        where = f"127.0.0.1:{port}" if kind == "TCP" else path
        environment = python_environment()
        argv = ["systemd-socket-activate", f"--setenv=PYTHONPATH={environment['PYTHONPATH']}"]
        argv += ["--listen", where, sys.executable, "-m", "ehlo_io", "serve", "--workers", str(workers)]
        argv += ["--self-signed", "--write-ca", str(ca), "--user", f"{USER}:{PASSWORD}"]
        log = tmp_path / "log"
        with running(argv, log, environment) as process:
            heard = welcome(("127.0.0.1", port) if kind == "TCP" else path, process)
            assert heard.startswith("220 "), tail(log)
            connect = (
                blocking.connect("127.0.0.1", port, **options(ca))
                if kind == "TCP"
                else blocking.connect_unix(path, **options(ca))
            )
            with connect as client:
                client.submit(b"Subject: x\r\n\r\nx\r\n", sender=None, recipients=["bob@local.example"])
            # One of several may serve before all of them do.
            for _ in attempts(process):
                if f"listening on {where}\n" in log.read_text():
                    break
            process.terminate()
            assert process.wait(PATIENCE) == 0, tail(log)
        text = log.read_text()
        assert text.count(f"listening on {where}\n") == 1
        assert text.count("from <> to <bob@local.example>") == 1


def options(ca: Path) -> ConnectOptions:
    return ConnectOptions(
        tls="starttls",
        server_name="localhost",
        context=client_context(str(ca)),
        auth=ehlo.Password(USER, PASSWORD),
    )


@pytest.mark.peer("systemd-analyze")
def test_systemd_understands_the_units(tmp_path: Path) -> None:
    """Those of docs/service.md; what it does not understand it would pass over with a word."""
    page = (Path(__file__).parents[2] / "docs" / "service.md").read_text("utf-8")
    files = []
    for name, part in zip(("ehlo.socket", "ehlo.service"), page.split("```systemd\n")[1:], strict=True):
        file = tmp_path / name
        # As the page says for systemd before 253, and a program that is there.
        text = part.partition("```")[0].replace("Type=notify-reload", "Type=notify")
        file.write_text(text.replace("/usr/local/bin/ehlo", sys.executable))
        files.append(str(file))
    assert command(["systemd-analyze", "verify", "--man=no", *files]) == b""
