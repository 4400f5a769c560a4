"""The program shows no secret, in whatever form: in transcripts, reports and complaints."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest
import trustme
from click.testing import CliRunner
from tests.bindings.programs import blocking_context, serving
from tests.helpers.leaks import Watch

import ehlo
from ehlo_io import blocking
from ehlo_io.cli import main
from ehlo_io.cli.exits import Exit

SECRET, WRONG, TOKEN = "pass-Word-314", "wrong-Word-159", "t0ken.of-access"
SALT = b"salt" * 4
KINDS = (ehlo.SecretKind.SCRAM_SHA_256, ehlo.SecretKind.SCRAM_SHA_1, ehlo.SecretKind.NT_HASH)
STORED = [ehlo.StoredSecret.of(kind, SECRET, SALT) for kind in KINDS]
HASHED = ("SCRAM-SHA-256", "SCRAM-SHA-1", "NTLM")
WITH_PASSWORD = (*HASHED, "PLAIN", "LOGIN", "CRAM-MD5")
WITH_TOKEN = ("XOAUTH2", "OAUTHBEARER")


@pytest.fixture
def watch() -> Iterator[Watch]:
    watch = Watch(SECRET, WRONG, TOKEN, ehlo.nt_hash(SECRET), ehlo.nt_hash(WRONG))
    for stored in STORED:
        if isinstance(stored.value, ehlo.ScramKeys):
            watch.secrets |= {stored.value.stored_key, stored.value.server_key}
    yield watch
    watch.check()


class Handler(ehlo.UserStore):
    def __init__(self) -> None:
        super().__init__({"alice": SECRET})

    def on_auth_token(self, session: ehlo.Session, username: str, token: str, host: str, port: int) -> bool:
        return token == TOKEN


@attrs.frozen
class Program:
    """`ehlo submit` with a transcript, to a server in this process."""

    watch: Watch
    url: str
    ca: Path
    directory: Path

    def submit(self, *options: object, password: str | None = None, token: str | None = None) -> int:
        given: list[object] = ["--server", self.url, "--ca", self.ca, "--from", "a@local.example"]
        if token is not None:
            path = self.directory / "token"
            path.write_text(token)
            given += ["--token-file", path]
        given += ["--to", "b@local.example", "--transcript", *options]
        runner = CliRunner(env={"EHLO_PASSWORD": password})
        with self.watch.logs():
            result = runner.invoke(main, ["submit", *map(str, given)], input=b"Subject: x\r\n\r\n")
        self.watch.texts |= {result.output, result.stderr, str(result.exception)}
        assert "C: AUTH" in result.stderr
        return result.exit_code


@pytest.fixture
def program(watch: Watch, tmp_path: Path) -> Iterator[Program]:
    authority = trustme.CA()
    ca = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(ca))
    options: dict[str, Any] = {
        "tls": blocking_context(authority),
        "mechanisms": [*WITH_PASSWORD, *WITH_TOKEN],
    }
    with blocking.serve(Handler(), "127.0.0.1", 0, hostname="mail.local.example", **options) as server:
        yield Program(watch, f"submission://alice@localhost:{server.address[1]}", ca, tmp_path)


@pytest.mark.clause("SEC-INJ-both-a")
@pytest.mark.parametrize("name", WITH_PASSWORD)
def test_submit_with_a_password(name: str, program: Program) -> None:
    assert program.submit("--auth", name, password=SECRET) == Exit.OK
    assert program.submit("--auth", name, "--json", password=WRONG) == Exit.AUTHENTICATION


@pytest.mark.clause("SEC-INJ-both-a")
@pytest.mark.parametrize("name", WITH_TOKEN)
def test_submit_with_a_token(name: str, program: Program) -> None:
    assert program.submit("--auth", name, token=TOKEN) == Exit.OK
    assert program.submit("--auth", name, "--json", token=WRONG) == Exit.AUTHENTICATION


@pytest.mark.clause("SEC-INJ-both-a")
def test_serve_with_a_file_of_users(watch: Watch, tmp_path: Path) -> None:
    users = tmp_path / "users"
    users.write_text("".join(f"alice:{stored.text()}\n" for stored in STORED) + f"bob:{WRONG}\n")
    with serving("--users-file", users, "--transcript", "--allow-cleartext-auth") as program:
        for name in (*HASHED, "PLAIN", "LOGIN"):
            how: dict[str, Any] = {"mechanisms": [name], "allow_cleartext_auth": True}
            with program.connect(auth=ehlo.Password("alice", SECRET), **how):
                pass
            with pytest.raises(ehlo.AuthenticationFailed) as failed:
                program.connect(auth=ehlo.Password("alice", WRONG), **how)
            watch.error(failed.value)
        assert program.end() == 0
    assert program.err.count("AUTH NTLM refused") == 1
    watch.texts |= {program.out, program.err}


@pytest.mark.clause("SEC-INJ-both-a")
@pytest.mark.parametrize(
    "line",
    [
        f"alice:{{NTLM}}{ehlo.nt_hash(SECRET).hex()}0",
        f"alice:{STORED[0].text()}=",
        f"alice:{{MD5}}{SECRET}",
        f"alice{SECRET}",
        f"alice:{SECRET}\nalice:{WRONG}",
        f":{SECRET}",
        f"alice:{SECRET}\a",
    ],
)
def test_serve_refuses_a_file_of_users(line: str, watch: Watch, tmp_path: Path) -> None:
    users = tmp_path / "users"
    users.write_text(line)
    result = CliRunner().invoke(main, ["serve", "--port", "0", "--users-file", str(users)])
    assert result.exit_code == 1
    assert result.stderr.startswith("ehlo: ")
    watch.texts |= {result.output, result.stderr, str(result.exception)}


@pytest.mark.clause("SEC-INJ-both-a")
def test_passwd_shows_what_is_asked_for_and_not_the_password(watch: Watch) -> None:
    # The hash is what it is for.
    watch.secrets -= {ehlo.nt_hash(SECRET)}
    for scheme in HASHED:
        runner = CliRunner(env={"EHLO_PASSWORD": SECRET})
        result = runner.invoke(main, ["passwd", "alice", "--scheme", scheme])
        assert result.exit_code == 0
        watch.texts |= {result.output, result.stderr}
    result = CliRunner(env={"EHLO_PASSWORD": f"{SECRET}\a"}).invoke(main, ["passwd", "alice"])
    assert result.exit_code == Exit.BAD_DATA
    watch.texts |= {result.output, result.stderr}
