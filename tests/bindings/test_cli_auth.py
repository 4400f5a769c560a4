"""The program `ehlo`: accounts and their forms, which mechanisms are offered, and what one submits with."""

import json
import ssl
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import trustme
from tests.bindings.programs import (
    ALICE,
    BOB,
    MESSAGE,
    PASSWORD,
    SENDER,
    Handler,
    Peer,
    each_io,
    one_line,
    peer,
    run,
    serving,
)

import ehlo
from ehlo_io import client_context, server_context
from ehlo_io.cli.exits import Exit

TOKEN = "to-Ken-314"
IN_CLEAR = {
    "SCRAM-SHA-256": ("SCRAM-SHA-256",),
    "SCRAM-SHA-1": ("SCRAM-SHA-1",),
    "NTLM": ("NTLM",),
}
"""What the forms of a secret permit where no TLS is."""
ALL_FORMS = [option for scheme in IN_CLEAR for option in ("--scheme", scheme)]


def users_file(tmp_path: Path, *options: object) -> Path:
    file = tmp_path / "users"
    result = run("passwd", "alice", *options)
    assert result.exit_code == 0, result.stderr
    file.write_text(f"# who may submit\n\n{result.stdout}")
    return file


# ---- passwd ----


@pytest.mark.parametrize("scheme", [*IN_CLEAR, "scram-sha-256"])
def test_passwd_prints_a_line_that_the_password_fits(scheme: str) -> None:
    result = run("passwd", "alice", "--scheme", scheme)
    users = ehlo.UserStore(ehlo.parse_users(result.stdout))
    assert result.stdout.startswith(f"alice:{{{scheme.upper()}}}")
    assert result.stdout.count("\n") == 1
    assert users.on_auth_password(None, "alice", PASSWORD, "")
    assert not users.on_auth_password(None, "alice", PASSWORD + "x", "")


def test_passwd_prints_the_password_itself_only_when_asked_to() -> None:
    result = run("passwd", "alice", "--scheme", "PLAIN", password="known:to all")
    assert result.stdout == "alice:{PLAIN}known:to all\n"


def test_passwd_prints_several_forms() -> None:
    result = run("passwd", "alice", *ALL_FORMS, "--scheme", "ntlm", "--iterations", 5000)
    lines = result.stdout.splitlines()
    assert [line.partition("}")[0] for line in lines] == [f"alice:{{{scheme}" for scheme in IN_CLEAR]
    assert [line.partition("}")[2].partition(",")[0] for line in lines[:2]] == ["5000", "5000"]
    users = ehlo.UserStore(ehlo.parse_users(result.stdout))
    assert users.auth_secrets == set(ehlo.SecretKind) - {ehlo.SecretKind.PASSWORD}


def test_passwd_salts() -> None:
    assert run("passwd", "alice").stdout != run("passwd", "alice").stdout


def test_passwd_takes_the_password_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text(f"{PASSWORD}\nanother line\n")
    result = run("passwd", "alice", "--password-file", file, password=None)
    assert ehlo.UserStore(ehlo.parse_users(result.stdout)).on_auth_password(None, "alice", PASSWORD, "")


def test_passwd_asks_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    # Input is no terminal in tests.
    asked: list[dict[str, Any]] = []

    def prompt(text: str, **options: Any) -> str:
        asked.append(options)
        return PASSWORD

    monkeypatch.setattr("ehlo_io.cli.passwd.sys", SimpleNamespace(stdin=SimpleNamespace(isatty=lambda: True)))
    monkeypatch.setattr("ehlo_io.cli.passwd.click.prompt", prompt)
    assert run("passwd", "alice", password=None).exit_code == 0
    (options,) = asked
    assert options["hide_input"]
    assert options["confirmation_prompt"]
    assert options["err"]


@pytest.mark.parametrize(
    ("name", "password", "options", "part", "status"),
    [
        ("al:ice", PASSWORD, (), "colon", Exit.SET_UP),
        ("#alice", PASSWORD, (), "#", Exit.SET_UP),
        ("al\nice", PASSWORD, (), "control", Exit.SET_UP),
        ("", PASSWORD, (), "name", Exit.BAD_DATA),
        ("alice", None, (), "EHLO_PASSWORD", Exit.AUTHENTICATION),
        ("alice", "a\x01b", (), "password", Exit.BAD_DATA),
        ("alice", PASSWORD, ("--password-file", "/proc/self/mem"), "/proc/self/mem", Exit.SET_UP),
    ],
)
def test_passwd_says_in_one_line_what_is_wrong(
    name: str, password: str | None, options: tuple[str, ...], part: str, status: Exit
) -> None:
    result = run("passwd", *options, "--", name, password=password)
    assert result.exit_code == status
    assert part in one_line(result)
    assert result.stdout == ""


@pytest.mark.parametrize(
    "options", [("--scheme", "MD5"), ("--iterations", "4095"), ("--iterations", "1000001")]
)
def test_passwd_with_wrong_usage(options: tuple[str, ...]) -> None:
    assert run("passwd", "alice", *options).exit_code == 2


# ---- serve ----


@pytest.mark.parametrize("scheme", IN_CLEAR)
def test_serve_offers_what_the_stored_forms_permit(scheme: str, tmp_path: Path) -> None:
    with serving("--users-file", users_file(tmp_path, "--scheme", scheme)) as program:
        with program.connect(auth=ALICE) as client:
            assert client.capabilities.words("AUTH") == IN_CLEAR[scheme]
            client.submit(MESSAGE, sender=SENDER, recipients=[BOB])
        with pytest.raises(ehlo.AuthenticationFailed) as failed:
            program.connect(auth=ehlo.Password("alice", "wrong"))
        assert failed.value.cause is ehlo.AuthCause.CREDENTIALS
        assert program.end() == 0
    assert f"AUTH {scheme} refused" in program.err
    assert "code=535" in program.err


@each_io
def test_serve_offers_what_is_named(io: str, tmp_path: Path) -> None:
    named = ("--mechanisms", "ntlm,PLAIN", "--mechanisms", "SCRAM-SHA-1")
    options = ("--users-file", users_file(tmp_path, *ALL_FORMS), "--io", io)
    with serving(*options, *named, "--allow-cleartext-auth") as program:
        with program.connect(auth=ALICE) as client:
            assert client.capabilities.words("AUTH") == ("NTLM", "PLAIN", "SCRAM-SHA-1")
        with program.connect(auth=ALICE, mechanisms=["PLAIN"], allow_cleartext_auth=True):
            pass
        assert program.end() == 0
    assert program.err == ""


def test_serve_takes_accounts_from_both_sides(tmp_path: Path) -> None:
    with serving("--users-file", users_file(tmp_path), "--user", f"bob:{PASSWORD}") as program:
        for user in ("alice", "bob"):
            with program.connect(auth=ehlo.Password(user, PASSWORD), mechanisms=["SCRAM-SHA-256"]) as client:
                client.submit(MESSAGE, sender=SENDER, recipients=[BOB])
        # Its form is not there for alice, who exists: she fails as if her password were wrong.
        with pytest.raises(ehlo.AuthenticationFailed) as failed:
            program.connect(auth=ALICE, mechanisms=["NTLM"])
        assert failed.value.cause is ehlo.AuthCause.CREDENTIALS
        assert program.end() == 0


@pytest.mark.parametrize(
    "content",
    [
        f"alice{PASSWORD}",
        f"alice:{{MD5}}{PASSWORD}",
        f"alice:{{NTLM}}{PASSWORD}",
        f":{{PLAIN}}{PASSWORD}",
        f"a:{{PLAIN}}{PASSWORD}\na:{{PLAIN}}{PASSWORD}",
    ],
)
def test_serve_does_not_repeat_lines_that_are_wrong(content: str, tmp_path: Path) -> None:
    file = tmp_path / "users"
    file.write_text(content)
    result = run("serve", "--port", "0", "--users-file", file)
    assert result.exit_code == Exit.SET_UP
    assert str(file) in one_line(result)


def test_serve_takes_one_name_from_one_side(tmp_path: Path) -> None:
    file = users_file(tmp_path)
    result = run("serve", "--port", "0", "--users-file", file, "--user", f"alice:{PASSWORD}")
    assert result.exit_code == Exit.SET_UP
    assert "twice" in one_line(result)


def test_exchange_says_nothing_of_size_until_it_knows_the_client(tmp_path: Path) -> None:
    with serving("--users-file", users_file(tmp_path, *ALL_FORMS), "--preset", "exchange") as program:
        with program.connect(auth=ALICE, mechanisms=["NTLM"]) as client:
            assert "AUTH" in client.capabilities
        assert program.end() == 0


# ---- both ----


@pytest.fixture
def certificates(tmp_path: Path, authority: trustme.CA) -> SimpleNamespace:
    """The files of a server and of two clients, whom one authority vouches for."""
    files = {"server": "localhost", "alice": "alice@local.example", "mallory": "mallory@local.example"}
    for name, identity in files.items():
        chain = authority.issue_cert(identity, common_name=name).private_key_and_cert_chain_pem
        chain.write_to_path(str(tmp_path / f"{name}.pem"))
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    return SimpleNamespace(**{name: tmp_path / f"{name}.pem" for name in (*files, "ca")})


@each_io
def test_certificate_of_the_client(io: str, certificates: SimpleNamespace, tmp_path: Path) -> None:
    message = tmp_path / "message"
    message.write_bytes(MESSAGE)
    options = ("--tls-cert", certificates.server, "--client-ca", certificates.ca, "--mechanisms", "EXTERNAL")
    with serving("--users-file", users_file(tmp_path), "--io", io, *options) as program:
        server = ("--server", f"submission://localhost:{program.port}", "--ca", certificates.ca)
        arguments = (*server, "--from", SENDER, "--to", BOB, "--auth", "external", "--io", io, message)
        accepted = run("submit", "--client-cert", certificates.alice, *arguments)
        stranger = run("submit", "--client-cert", certificates.mallory, *arguments)
        nobody = run("submit", *arguments)
        assert program.end() == 0
    assert accepted.exit_code == 0, accepted.stderr
    assert stranger.exit_code == Exit.AUTHENTICATION
    # The server does not offer it to who has no certificate.
    assert nobody.exit_code == Exit.AUTHENTICATION
    assert program.out.count(f"to <{BOB}>") == 1


@pytest.mark.parametrize(
    ("options", "part", "status"),
    [
        (("--client-cert", "{ca}"), "ca.pem", Exit.SET_UP),
        (("--client-cert", "{alice}", "--client-key", "{mallory}"), "alice.pem", Exit.SET_UP),
        (("--client-key", "{alice}"), "--client-cert", 2),
        (("--token-file", "/proc/self/mem"), "/proc/self/mem", Exit.SET_UP),
    ],
)
def test_submit_says_what_is_wrong_with_a_file(
    server: Peer, certificates: SimpleNamespace, options: tuple[str, ...], part: str, status: int
) -> None:
    result = server.submit(*(option.format(**vars(certificates)) for option in options))
    assert result.exit_code == status
    assert part in result.stderr
    assert server.handler.taken == []


class Tokens(Handler):
    """Knows a token."""

    def on_auth_token(
        self, session: ehlo.Session, username: str, token: str, host: str, port: int
    ) -> str | None:
        return "alice" if token == TOKEN else None


@pytest.mark.parametrize("mechanism", ["OAUTHBEARER", "XOAUTH2"])
def test_submit_with_a_token(mechanism: str, tmp_path: Path, authority: trustme.CA) -> None:
    file = tmp_path / "token"
    file.write_text(f"{TOKEN}\n")
    wrong = tmp_path / "wrong"
    wrong.write_text("another")
    with peer(tmp_path, authority, Tokens()) as server:
        accepted = server.submit("--token-file", file, "--auth", mechanism, "--transcript")
        refused = server.submit("--token-file", wrong, "--auth", mechanism)
        nobody = server.submit("--token-file", file, server=f"submission://localhost:{server.port}")
    assert accepted.exit_code == 0, accepted.stderr
    assert TOKEN not in accepted.output
    assert refused.exit_code == Exit.AUTHENTICATION
    assert nobody.exit_code == 2
    ((_, identity),) = server.handler.sessions
    assert identity is not None
    assert (identity.authcid, identity.mechanism) == ("alice", mechanism)


def test_submit_as_nobody(tmp_path: Path, authority: trustme.CA) -> None:
    # It proves nobody, so it opens no door that is not open [RFC4505-2c].
    policy = ehlo.SubmissionPolicy(require_auth=False)
    with peer(tmp_path, authority, mechanisms=["ANONYMOUS"], policy=policy) as server:
        result = server.submit("--auth", "ANONYMOUS", server=f"submission://localhost:{server.port}")
    assert result.exit_code == 0, result.stderr
    ((_, identity),) = server.handler.sessions
    assert identity is not None
    assert identity.anonymous


def test_probe_shows_the_mechanisms_before_and_after_tls(tmp_path: Path, authority: trustme.CA) -> None:
    with peer(tmp_path, authority) as server:
        result = run("probe", server.url, "--ca", server.ca)
    text = " ".join(result.stdout.split())
    clear = "SCRAM-SHA-256 SCRAM-SHA-1 NTLM"
    inside = "SCRAM-SHA-256 SCRAM-SHA-1 PLAIN LOGIN NTLM"
    assert f"Offered in clear; mechanisms: {clear} " in text
    assert f"AUTH {inside} " in text, text


def test_probe_says_what_an_extension_means(tmp_path: Path, authority: trustme.CA) -> None:
    with peer(tmp_path, authority) as server:
        result = run("probe", server.url, "--ca", server.ca)
        report = json.loads(run("probe", server.url, "--ca", server.ca, "--json").stdout)
    lines = [" ".join(line.split()) for line in result.stdout.splitlines()]
    assert "CHUNKING RFC 3030 the message in counted chunks, as it is" in lines
    assert report["extensions"]["SIZE"]["rfc"] == "RFC 1870"
    assert {"STARTTLS", "AUTH", "DSN", "SMTPUTF8"} < report["extensions"].keys()


def test_contexts_of_the_files_work_together(certificates: SimpleNamespace) -> None:
    """What the options come to: a client certificate is asked for, and may be missing."""
    server = server_context(str(certificates.server), client_authorities=str(certificates.ca))
    client = client_context(str(certificates.ca), certificate=str(certificates.alice))
    assert server.verify_mode is ssl.CERT_OPTIONAL
    assert client.verify_mode is ssl.CERT_REQUIRED
