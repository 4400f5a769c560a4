"""What the program does when nobody reads it, and what it tells whoever runs a server."""

from __future__ import annotations

import os
import smtplib
import subprocess
import sys
from pathlib import Path

import pytest

import ehlo
import ehlo_io.blocking

FULL = Path("/dev/full")
EHLO = [sys.executable, "-m", "ehlo_io"]


class Store(ehlo.UserStore):
    def __init__(self) -> None:
        super().__init__({"alice": "secret"})
        self.stored: list[bytes] = []

    def on_message(self, session: object, envelope: object, content: bytes) -> None:
        self.stored.append(content)


def to_full(*words: str, password: str = "") -> subprocess.CompletedProcess[str]:
    with FULL.open("wb") as full:
        return subprocess.run(
            [*EHLO, *words],
            stdout=full,
            stderr=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            env=dict(os.environ, EHLO_PASSWORD=password),
            text=True,
            timeout=60,
            check=False,
        )


@pytest.mark.skipif(not FULL.exists(), reason="this system has no /dev/full")
@pytest.mark.parametrize("command", ["demo", "serve --port 0 --no-require-auth"])
def test_output_that_cannot_be_written(command: str) -> None:
    done = to_full(*command.split())
    assert done.returncode == 74
    assert done.stderr.splitlines()[-1] == "ehlo: the output cannot be written: No space left on device"
    assert "Traceback" not in done.stderr


@pytest.mark.skipif(not FULL.exists(), reason="this system has no /dev/full")
@pytest.mark.parametrize("form", [[], ["--json"]])
def test_a_message_is_delivered_once_whatever_becomes_of_the_report(form: list[str], tmp_path: Path) -> None:
    store = Store()
    (tmp_path / "m").write_bytes(b"x\r\n")
    with ehlo_io.blocking.serve(store, port=0, policy=ehlo.OPEN_TEST) as server:
        target = f"smtp://127.0.0.1:{server.address[1]}"
        words = ["submit", "--server", target, "--tls", "none", "--from", "a@x.org", "--to", "b@x.org"]
        done = to_full(*words, *form, str(tmp_path / "m"))
    assert done.returncode == 0
    assert "the report cannot be written" in done.stderr
    assert "Traceback" not in done.stderr
    assert store.stored == [b"x\r\n"]


def test_refused_authentication_is_logged() -> None:
    words = ["serve", "--port", "0", "--user", "alice:secret", "--allow-cleartext-auth"]
    with subprocess.Popen(
        [*EHLO, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            port = int(process.stdout.readline().rpartition(":")[2])
            with (
                smtplib.SMTP("127.0.0.1", port, timeout=20) as client,
                pytest.raises(smtplib.SMTPAuthenticationError),
            ):
                client.login("alice", "wrong-guess")
        finally:
            process.terminate()
            _, errors = process.communicate(timeout=20)
    assert "AUTH PLAIN refused (session with 127.0.0.1): " in errors
    assert "wrong-guess" not in errors
