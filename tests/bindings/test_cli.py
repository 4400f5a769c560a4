"""The program `ehlo`: what each option does, how failures are told, and that no password is ever shown."""

import json
import re
import signal
import socket
import ssl
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NoReturn

import pytest
import trustme
from tests.bindings.programs import (
    ALICE,
    BOB,
    CAROL,
    MESSAGE,
    PASSWORD,
    SENDER,
    USER,
    Peer,
    each_io,
    one_line,
    peer,
    run,
    scripted,
    serving,
)
from tests.interop.processes import PATIENCE, free_port, python_environment

import ehlo
from ehlo_io._common import printable
from ehlo_io.cli.demo import Witness
from ehlo_io.cli.exits import Exit, status_of, status_of_result
from ehlo_io.cli.message_file import LONG, MessageFile, progress_of
from ehlo_io.cli.submit import addresses
from ehlo_io.cli.urls import ServerUrl

# ---- the program as such ----


def test_version() -> None:
    assert run("--version").stdout == f"ehlo {ehlo.__version__}\n"


@pytest.mark.parametrize("command", ["demo", "serve", "submit", "probe", "passwd"])
def test_help_of_each_command(command: str) -> None:
    assert command in run("--help").stdout
    assert f"Usage: ehlo {command}" in run(command, "--help").stdout


def test_module_is_the_same_program() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "ehlo_io", "--version"],
        capture_output=True,
        text=True,
        env=python_environment(),
        timeout=PATIENCE,
        check=True,
    )
    assert done.stdout == f"ehlo {ehlo.__version__}\n"


def test_what_a_terminal_would_obey_is_not_printed() -> None:
    assert printable("a\x1b[2Jb\r\nc\u202ed\x9be \u00e9") == "a?[2Jb??c?d?e \u00e9"


# ---- URLs ----


@pytest.mark.clause("OXSMTP-3.1-3.1b")
@pytest.mark.parametrize(
    ("text", "host", "port", "tls", "username"),
    [
        ("submission://h.example", "h.example", 587, "starttls", None),
        ("submissions://h.example", "h.example", 465, "implicit", None),
        ("smtps://h.example", "h.example", 465, "implicit", None),
        ("smtp://h.example", "h.example", 25, "starttls", None),
        ("SMTP://h.example/", "h.example", 25, "starttls", None),
        ("submissions://h.example:2465", "h.example", 2465, "implicit", None),
        ("smtp://h.example:465", "h.example", 465, "implicit", None),
        ("submission://alice@h.example:25", "h.example", 25, "starttls", "alice"),
        ("submission://alice@local.example@h.example", "h.example", 587, "starttls", "alice@local.example"),
        ("submission://a%40b%3Ac@h.example", "h.example", 587, "starttls", "a@b:c"),
        ("submission://DOM\\alice@h.example", "h.example", 587, "starttls", "DOM\\alice"),
        ("submission://[::1]:2525", "::1", 2525, "starttls", None),
        ("submission://[fe80::1%25eth0]", "fe80::1%eth0", 587, "starttls", None),
        ("submission://[fe80::1%7eth0]", "fe80::1%7eth0", 587, "starttls", None),
    ],
)
def test_url(text: str, host: str, port: int, tls: str, username: str | None) -> None:
    assert ServerUrl.parse(text) == ServerUrl(host, port, ehlo.TlsMode(tls), username)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "h.example",
        "h.example:587",
        "http://h.example",
        "submission:h.example",
        "submission://",
        "submission://alice@",
        "submission://a%40h.example",
        "submission://h.example%3A25",
        "submission://h.example%2Fpath",
        "submission://h.example:0",
        "submission://h.example:65536",
        "submission://h.example:x",
        "submission://[::1",
        "submission://h.example/path",
        "submission://h.example?query",
        "submission://h example",
        "submission://h..example",
        "submission://h%00.example",
        f"submission://{'h' * 64}.example",
        "submission://%FF@h.example",
        f"submission://alice:{PASSWORD}@h.example",
    ],
)
def test_wrong_url_is_refused_and_not_repeated(text: str) -> None:
    result = run("submit", "--server", text, "--from", SENDER, "--to", BOB)
    assert result.exit_code == 2
    assert "--server" in result.stderr
    assert not text or text not in result.stderr


def test_url_as_text() -> None:
    assert str(ServerUrl.parse("smtp://[::1]")) == "[::1]:25"
    assert str(ServerUrl.parse("smtp://alice@h.example")) == "h.example:25"


# ---- submit ----


def test_lists_of_addresses() -> None:
    given = ("a@x, b@y", '"c,d"@z', " , ", r'"e\",f"@z,g@x')
    assert list(addresses(given)) == ["a@x", "b@y", '"c,d"@z', r'"e\",f"@z', "g@x"]


@each_io
def test_submit_over_each_kind_of_io(server: Peer, io: str) -> None:
    result = server.submit(io=io)
    assert result.exit_code == 0, result.stderr
    assert result.stdout == f"{BOB}: accepted: 250 2.0.0 Message accepted\n"
    assert result.stderr == ""
    ((envelope, content),) = server.handler.taken
    assert content == MESSAGE
    assert str(envelope.reverse_path) == SENDER
    ((tls, identity),) = server.handler.sessions
    assert tls is not None
    assert identity is not None
    assert identity.mechanism == "SCRAM-SHA-256"


@pytest.mark.clause("RFC6152-3c", "RFC5321-2.4f")
@each_io
def test_submit_converts_when_told_to(server: Peer, tmp_path: Path, io: str) -> None:
    file = tmp_path / "latin1"
    file.write_bytes(b"Subject: test\r\n\r\nna\xefve\r\n")
    refused = server.submit(file=file, io=io)
    assert refused.exit_code == Exit.BAD_DATA
    assert "not MIME" in one_line(refused)
    assert server.submit("--convert", file=file, io=io).exit_code == 0
    ((_, content),) = server.handler.taken
    assert content.endswith(b"\r\n\r\nna=EFve\r\n")
    assert b"Content-Transfer-Encoding: quoted-printable\r\n" in content


def test_submit_from_the_standard_input(server: Peer) -> None:
    for file in ("-", None):
        named = {"server": server.url, "from": SENDER, "to": BOB, "ca": server.ca, "io": "blocking"}
        pairs = [word for name, value in named.items() for word in (f"--{name}", value)]
        result = run("submit", *pairs, *([file] if file else []), given=b"a\nb\xc3\xa9\n")
        assert result.exit_code == 0, result.stderr
    assert [content for _, content in server.handler.taken] == [b"a\r\nb\xc3\xa9\r\n"] * 2


@pytest.mark.parametrize("mechanism", ["NTLM", "login", "PLAIN"])
def test_submit_with_one_mechanism(server: Peer, mechanism: str) -> None:
    assert server.submit(auth=mechanism).exit_code == 0
    ((_, identity),) = server.handler.sessions
    assert identity is not None
    assert identity.mechanism == mechanism.upper()


@pytest.mark.clause("OXSMTP-3.1-7a")
def test_submit_with_wishes_for_reports(server: Peer) -> None:
    result = server.submit(
        "--to", CAROL, notify="success,delay", ret="hdrs", envid="QQ 314", to=f"{BOB},dave@local.example"
    )
    assert result.exit_code == 0, result.stderr
    ((envelope, _),) = server.handler.taken
    assert envelope.parameters.get(ehlo.Ret) is ehlo.Ret.HDRS
    assert envelope.parameters.get(ehlo.EnvId) == ehlo.EnvId("QQ 314")
    assert [str(one.path) for one in envelope.recipients] == [BOB, "dave@local.example", CAROL]
    for one in envelope.recipients:
        assert one.parameters.get(ehlo.Notify) == ehlo.Notify.SUCCESS | ehlo.Notify.DELAY
        assert one.parameters.get(ehlo.Orcpt) == ehlo.Orcpt.of(str(one.path))


@pytest.mark.parametrize("sender", ["<>", ""])
def test_submit_from_nobody(server: Peer, sender: str) -> None:
    assert server.submit("--from", sender).exit_code == 0
    assert server.handler.taken[0][0].reverse_path is None


def test_submit_with_a_password_from_a_file(server: Peer, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(f"{PASSWORD}\r\nanother line\n".encode())
    arguments = ("--server", server.url, "--ca", server.ca, "--from", SENDER, "--to", BOB)
    more = ("--password-file", secret, server.message)
    # It wins over the environment.
    assert run("submit", *arguments, *more, password="wrong").exit_code == 0


@pytest.mark.parametrize("content", [b"", b"\nsecond\n", b"\xff\xfe\n"])
def test_submit_with_a_useless_password_file(server: Peer, tmp_path: Path, content: bytes) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(content)
    result = server.submit("--password-file", secret)
    assert result.exit_code != 0
    assert one_line(result)


def test_submit_with_a_password_and_a_token(server: Peer) -> None:
    result = server.submit("--password-file", server.message, "--token-file", server.message)
    assert result.exit_code == 2
    assert "--password-file and --token-file exclude each other" in result.stderr


def test_submit_with_a_mechanism_that_is_none(server: Peer) -> None:
    result = server.submit("--auth", "PLAIN", "--auth", "DIGEST-MD5")
    assert result.exit_code == Exit.BAD_DATA
    assert one_line(result).startswith("mechanisms: there is no DIGEST-MD5; there are SCRAM-SHA-256-PLUS, ")


def test_submit_without_a_password(server: Peer) -> None:
    arguments = ("--server", server.url, "--ca", server.ca, "--from", SENDER, "--to", BOB, server.message)
    result = run("submit", *arguments, password=None)
    assert result.exit_code == Exit.AUTHENTICATION
    assert "EHLO_PASSWORD" in one_line(result)


def test_submit_asks_for_the_password_on_a_terminal(server: Peer, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def prompt(text: str, **options: object) -> str:
        asked.append((text, options))
        return PASSWORD

    monkeypatch.setattr("click.prompt", prompt)
    monkeypatch.setattr("ehlo_io.cli.submit.sys", SimpleNamespace(stdin=SimpleNamespace(isatty=lambda: True)))
    arguments = ("--server", server.url, "--ca", server.ca, "--from", SENDER, "--to", BOB, server.message)
    assert run("submit", *arguments, password=None).exit_code == 0
    text = f"Password for alice at localhost:{server.port}"
    assert asked == [(text, {"hide_input": True, "err": True})]


def test_submit_in_clear(tmp_path: Path, authority: trustme.CA) -> None:
    policy = ehlo.SubmissionPolicy(allow_cleartext_auth=True)
    with peer(tmp_path, authority, policy=policy) as server:
        refused = server.submit(tls="none", auth="PLAIN")
        assert refused.exit_code == Exit.AUTHENTICATION
        assert "safe" in one_line(refused)
        assert server.submit("--allow-cleartext-auth", tls="none", auth="PLAIN").exit_code == 0
        assert server.submit(tls="none").exit_code == 0
    mechanisms = [(tls, identity and identity.mechanism) for tls, identity in server.handler.sessions]
    assert mechanisms == [(None, "PLAIN"), (None, "SCRAM-SHA-256")]


def test_submit_without_authentication(tmp_path: Path, authority: trustme.CA) -> None:
    with peer(tmp_path, authority, policy=ehlo.OPEN_TEST) as server:
        url = f"submission://localhost:{server.port}"
        assert server.submit(server=url).exit_code == 0
        assert server.handler.sessions[0][1] is None
        assert server.submit(server=url, auth="PLAIN").exit_code == 2


def test_submit_over_implicit_tls(tmp_path: Path, authority: trustme.CA) -> None:
    with peer(tmp_path, authority, implicit_tls=True) as server:
        assert server.submit(server=f"submissions://alice@localhost:{server.port}").exit_code == 0
        assert server.submit(tls="implicit").exit_code == 0


def test_submit_waits_for_each_reply_when_told_to(server: Peer) -> None:
    def order(*options: str) -> list[str]:
        result = server.submit("--transcript", *options)
        assert result.exit_code == 0
        lines = result.stderr.splitlines()
        start = next(index for index, line in enumerate(lines) if line.startswith("C: MAIL"))
        return [line[0] for line in lines[start : start + 4]]

    assert order() == ["C", "C", "C", "S"]
    assert order("--no-pipelining") == ["C", "S", "C", "S"]


def test_submit_transcript_has_the_dialogue_without_secrets(server: Peer) -> None:
    for mechanism in ("PLAIN", "LOGIN", "NTLM"):
        result = server.submit("--transcript", auth=mechanism)
        lines = result.stderr.splitlines()
        assert all(line[:3] in ("C: ", "S: ", "-: ") for line in lines)
        assert any(line.startswith(f"C: AUTH {mechanism}") for line in lines)
        assert "C: STARTTLS" in lines
        assert "YWxpY2" not in result.stderr  # base64 of alice


def test_submit_json(server: Peer) -> None:
    server.handler.refusals[CAROL] = ehlo.Reply(550, "No such user", "5.1.1")
    result = server.submit("--json", to=f"{BOB},{CAROL}")
    assert result.exit_code == Exit.RECIPIENT_REFUSED
    report = json.loads(result.stdout)
    assert report["status"] == Exit.RECIPIENT_REFUSED
    assert report["reply"] == "250 2.0.0 Message accepted"
    assert report["error"] is None
    assert report["dropped"] == []
    assert report["recipients"] == [
        {"address": BOB, "accepted": True, "temporary": False, "reply": "250 2.0.0 Message accepted"},
        {"address": CAROL, "accepted": False, "temporary": False, "reply": "550 5.1.1 No such user"},
    ]


def test_submit_json_without_a_session(server: Peer) -> None:
    result = server.submit("--json", server=f"submission://localhost:{free_port()}")
    report = json.loads(result.stdout)
    assert result.exit_code == report["status"] == Exit.UNAVAILABLE
    assert report["error"] == one_line(result)
    (outcome,) = report["recipients"]
    assert (outcome["address"], outcome["accepted"], outcome["reply"]) == (BOB, False, None)


def test_submit_tells_what_the_server_cannot_take() -> None:
    def talk(client: socket.socket) -> None:
        with client.makefile("rwb", buffering=0) as stream:
            stream.write(b"220 old.example\r\n")
            for reply in (b"250 old.example", b"250 ok", b"250 ok", b"354 go"):
                stream.readline()
                stream.write(reply + b"\r\n")
            while stream.readline() != b".\r\n":
                pass
            stream.write(b"250 stored\r\n")
            stream.readline()
            stream.write(b"221 bye\r\n")

    with scripted(talk) as port:
        options = ("--from", SENDER, "--to", BOB, "--tls", "none", "--notify", "never", "--envid", "x")
        result = run("submit", "--server", f"smtp://127.0.0.1:{port}", *options, given=MESSAGE)
    assert result.exit_code == 0, result.stderr
    assert result.stdout == f"{BOB}: accepted: 250 stored\n"
    assert {line.split()[1] for line in result.stderr.splitlines()} == {"NOTIFY", "ENVID", "ORCPT"}


# ---- submit: failures ----


def test_submit_tells_that_a_message_may_have_arrived() -> None:
    def talk(client: socket.socket) -> None:
        with client.makefile("rwb", buffering=0) as stream:
            stream.write(b"220 old.example\r\n")
            for reply in (b"250 old.example", b"250 ok", b"250 ok", b"354 go"):
                stream.readline()
                stream.write(reply + b"\r\n")
            while stream.readline() != b".\r\n":
                pass

    with scripted(talk) as port:
        options = ("--from", SENDER, "--to", BOB, "--tls", "none", "--json")
        result = run("submit", "--server", f"smtp://127.0.0.1:{port}", *options, given=MESSAGE)
    assert result.exit_code == Exit.TEMPORARY
    assert one_line(result) == "the server closed the connection (the message may have arrived)"
    assert json.loads(result.stdout)["in_doubt"] is True


@pytest.mark.parametrize(
    ("named", "part"),
    [
        ({"from": "nobody"}, "sender"),
        ({"to": "bob"}, "recipient"),
        ({"to": "bob@local.example>\r\nRSET"}, "recipient"),
        ({"to": " , "}, "no recipients"),
        ({"notify": "sometimes"}, "notify"),
        ({"envid": "a\r\nb"}, "envid"),
    ],
)
def test_submit_with_bad_data(server: Peer, named: dict[str, Any], part: str) -> None:
    result = server.submit(**named)
    assert result.exit_code == Exit.BAD_DATA
    assert part in one_line(result)
    assert server.handler.taken == []


def test_submit_too_much(tmp_path: Path, authority: trustme.CA) -> None:
    with peer(tmp_path, authority, limits=ehlo.Limits(message_size=70_000)) as server:
        server.message.write_bytes(b"x\r\n" * 30_000)
        result = server.submit()
        assert result.exit_code == Exit.BAD_DATA
        assert "70000" in one_line(result)


def test_submit_a_file_that_cannot_be_read(
    server: Peer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert server.submit(file=tmp_path / "nothing").exit_code == 2
    file: Any = SimpleNamespace(read=_fail, tell=_fail, seek=_fail)
    broken = MessageFile(file, "broken")
    monkeypatch.setattr("ehlo_io.cli.submit.MessageFile", lambda *_: broken)
    result = server.submit()
    assert result.exit_code == Exit.BAD_DATA
    assert one_line(result) == "broken: Input/output error"
    assert server.handler.taken == []


def _fail(*arguments: object) -> NoReturn:
    raise OSError(5, "Input/output error")


def test_submit_to_a_refused_recipient(server: Peer) -> None:
    server.handler.refusals[BOB] = ehlo.Reply(550, "No such user", "5.1.1")
    result = server.submit()
    assert result.exit_code == Exit.RECIPIENT_REFUSED
    assert one_line(result) == f"{BOB}: refused: 550 5.1.1 No such user"
    assert result.stdout == ""


def test_submit_with_a_wrong_password(server: Peer) -> None:
    arguments = ("--server", server.url, "--ca", server.ca, "--from", SENDER, "--to", BOB, server.message)
    result = run("submit", *arguments, password="not-it")
    assert result.exit_code == Exit.AUTHENTICATION
    assert "535" in one_line(result)
    assert "not-it" not in result.output


@pytest.mark.parametrize(
    ("where", "reply", "status"),
    [
        ("mail", ehlo.Reply(451, "Later", "4.3.0"), Exit.TEMPORARY),
        ("mail", ehlo.Reply(530, "Log in", "5.7.0"), Exit.AUTHENTICATION),
        (BOB, ehlo.Reply(450, "Busy", "4.2.1"), Exit.TEMPORARY),
        (BOB, ehlo.Reply(552, "Too big", "5.2.3"), Exit.BAD_DATA),
        ("message", ehlo.Reply(452, "Disk full", "4.3.1"), Exit.TEMPORARY),
        ("message", ehlo.Reply(554, "No", "5.7.1"), Exit.BAD_DATA),
        ("message", ehlo.Reply(550, "Bad MIME", "5.6.0"), Exit.BAD_DATA),
    ],
)
def test_submit_refused(server: Peer, where: str, reply: ehlo.Reply, status: Exit) -> None:
    server.handler.refusals[where] = reply
    result = server.submit()
    assert result.exit_code == status
    assert str(reply) in one_line(result)


@each_io
def test_submit_to_nobody(server: Peer, io: str) -> None:
    result = server.submit(server=f"submission://localhost:{free_port()}", io=io)
    assert result.exit_code == Exit.UNAVAILABLE
    assert "no connection to localhost" in one_line(result)


@each_io
def test_submit_to_a_server_of_an_unknown_authority(server: Peer, tmp_path: Path, io: str) -> None:
    other = tmp_path / "other.pem"
    trustme.CA().cert_pem.write_to_path(str(other))
    result = server.submit(ca=other, io=io)
    assert result.exit_code == Exit.UNAVAILABLE
    assert "TLS" in one_line(result)


def test_submit_with_a_ca_file_that_is_none(server: Peer) -> None:
    result = server.submit(ca=server.message)
    assert result.exit_code == Exit.SET_UP
    assert str(server.message) in one_line(result)


@pytest.mark.parametrize(
    ("greeting", "status"),
    [
        (b"SSH-2.0-OpenSSH\r\n", Exit.PROTOCOL),
        (b"220 a\r\n354 b\r\n", Exit.PROTOCOL),
        (b"421 4.3.2 Too busy\r\n", Exit.TEMPORARY),
        (b"554 5.3.2 No service here\r\n", Exit.UNAVAILABLE),
        (b"", Exit.UNAVAILABLE),
        (b"220 x\x1b[2J\r\n250 x\r\n", Exit.PROTOCOL),
    ],
)
@each_io
def test_submit_to_odd_servers(greeting: bytes, status: Exit, io: str) -> None:
    def talk(client: socket.socket) -> None:
        client.sendall(greeting)
        client.shutdown(socket.SHUT_WR)
        while client.recv(4096):
            pass

    with scripted(talk) as port:
        options = ("--from", SENDER, "--to", BOB, "--tls", "none", "--io", io)
        result = run("submit", "--server", f"smtp://127.0.0.1:{port}", *options, given=MESSAGE)
    assert result.exit_code == status, result.stderr
    assert one_line(result).isprintable()


@pytest.mark.parametrize(
    ("error", "connected", "status"),
    [
        (ehlo.LocalProtocolError(""), True, Exit.BAD_DATA),
        (ehlo.RemoteProtocolError(""), True, Exit.PROTOCOL),
        (ehlo.AuthenticationFailed(""), False, Exit.AUTHENTICATION),
        (ehlo.AuthenticationFailed("", reply=ehlo.Reply(454, "")), False, Exit.TEMPORARY),
        (ehlo.TlsFailed(""), False, Exit.UNAVAILABLE),
        (ehlo.TlsFailed("", temporary=True), False, Exit.TEMPORARY),
        (ehlo.ServiceRefused("", reply=ehlo.Reply(554, "")), False, Exit.UNAVAILABLE),
        (ehlo.ServiceRefused("", reply=ehlo.Reply(421, "")), False, Exit.TEMPORARY),
        (ehlo.ConnectionFailed(""), False, Exit.UNAVAILABLE),
        (ehlo.ConnectionFailed(""), True, Exit.TEMPORARY),
        (ehlo.ConnectionFailed("", reply=ehlo.Reply(421, "")), False, Exit.TEMPORARY),
        (ehlo.ConnectionFailed("", reply=ehlo.Reply(554, "")), True, Exit.UNAVAILABLE),
    ],
)
def test_status_of_failures(error: ehlo.Error, connected: bool, status: Exit) -> None:
    assert status_of(error, connected=connected) is status


def test_status_of_several_recipients() -> None:
    bob, carol = ehlo.Mailbox.parse(BOB), ehlo.Mailbox.parse(CAROL)
    accepted = ehlo.Outcome(bob, True, ehlo.Reply(250, "ok"))
    later = ehlo.Outcome(carol, False, ehlo.Reply(450, "later"))
    never = ehlo.Outcome(carol, False, ehlo.Reply(550, "never"))
    silent = ehlo.Outcome(carol, False, None)
    cases = [
        ((accepted,), Exit.OK),
        ((accepted, later), Exit.TEMPORARY),
        ((accepted, silent), Exit.TEMPORARY),
        ((later, never), Exit.RECIPIENT_REFUSED),
        ((accepted, never), Exit.RECIPIENT_REFUSED),
    ]
    assert [status_of_result(ehlo.SubmissionResult(outcomes)) for outcomes, _ in cases] == [
        s for _, s in cases
    ]


# ---- submit: the progress bar ----


def test_progress_on_a_terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("rich")
    long = tmp_path / "long"
    long.write_bytes(b"x" * LONG)

    def drawn(*, terminal: bool, wanted: bool = True, size: int = LONG) -> str:
        with (tmp_path / "drawn").open("w+") as screen, long.open("r+b") as file:
            file.truncate(size)
            with monkeypatch.context() as patch:
                patch.setattr(sys, "stderr", _Screen(screen, terminal))
                message = MessageFile(file, "long")
                with progress_of(message, wanted=wanted):
                    assert message.tell() == 0
                    while message.read(65536):
                        pass
            screen.seek(0)
            return screen.read()

    assert "MB" in drawn(terminal=True)
    assert drawn(terminal=False) == ""
    assert drawn(terminal=True, wanted=False) == ""
    assert drawn(terminal=True, size=LONG - 1) == ""


class _Screen:
    """A text file that says whether it is a terminal."""

    def __init__(self, file: Any, terminal: bool) -> None:
        self._file = file
        self._terminal = terminal

    def isatty(self) -> bool:
        return self._terminal

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


# ---- serve: set-up ----


@pytest.mark.parametrize(
    ("options", "part"),
    [
        ((), "--user"),
        (("--user", PASSWORD), "NAME:PASSWORD"),
        (("--users-file", "/proc/self/cmdline"), "/proc/self/cmdline"),
        (("--user", "alice:x", "--mechanisms", "PLAIN,DIGEST-MD5"), "DIGEST-MD5"),
        (("--user", "alice:x", "--mechanisms", "XOAUTH2"), "XOAUTH2"),
        (("--user", "alice:x", "--self-signed", "--client-ca", __file__), __file__),
        (("--user", f":{PASSWORD}"), "NAME:PASSWORD"),
        (("--user", "alice:"), "password is empty"),
        (("--user", f"alice:{PASSWORD}", "--user", "alice:other"), "twice"),
        (("--user", f"alice:{PASSWORD}", "--user", "ALICE:other"), "twice"),
        (("--no-require-auth", "--implicit-tls"), "--implicit-tls"),
        (("--no-require-auth", "--client-ca", __file__), "--client-ca needs"),
        (("--user", "alice:x", "--sender", "alice"), "NAME:ADDRESS"),
        (("--user", "alice:x", "--sender", "alice:bob"), "an address, or @ and a domain"),
        (("--no-require-auth", "--write-ca", "ca.pem"), "--self-signed"),
        (("--no-require-auth", "--tls-key", __file__), "--tls-cert"),
        (("--no-require-auth", "--tls-cert", __file__), __file__),
        (("--no-require-auth", "--self-signed", "--tls-cert", __file__), "exclude"),
        (("--no-require-auth", "--self-signed", "--write-ca", "/nowhere/ca.pem"), "/nowhere/ca.pem"),
        (("--no-require-auth", "--self-signed", "--hostname", "a b"), "host name"),
        (("--no-require-auth", "--hostname", "a_b\r\nx"), "hostname"),
        (("--no-require-auth", "--maildir", "/proc/nowhere"), "/proc/nowhere"),
        (("--no-require-auth", "--host", "192.0.2.1"), "192.0.2.1:0"),
        (("--no-require-auth", "--host", "a..b"), "a..b"),
        (("--no-require-auth", "--host", ""), "--host"),
        (("--no-require-auth", "--xclient-from", "::1,192.0.2.1/8"), "192.0.2.1/8"),
    ],
)
@each_io
def test_serve_says_in_one_line_what_is_wrong(options: tuple[str, ...], part: str, io: str) -> None:
    result = run("serve", "--port", "0", "--io", io, *options)
    assert result.exit_code == Exit.SET_UP
    line = [line for line in result.stderr.splitlines() if not line.startswith("WARNING")]
    assert len(line) == 1
    assert line[0].startswith("ehlo: ")
    assert part in line[0]
    assert result.stdout == ""


@each_io
def test_serve_where_somebody_else_does(io: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = run("serve", "--no-require-auth", "--port", port, "--io", io)
    assert result.exit_code == Exit.SET_UP
    assert f"127.0.0.1:{port}" in one_line(result)
    assert "in use" in one_line(result).lower()


@pytest.mark.parametrize(
    "options", [("--port", "65536"), ("--max-size", "-1"), ("--preset", "none"), ("--io", "curio")]
)
def test_serve_with_wrong_usage(options: tuple[str, ...]) -> None:
    assert run("serve", *options).exit_code == 2


# ---- serve: a program of its own ----


@each_io
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_serve_prints_what_it_takes_and_ends_at_a_signal(io: str, number: int) -> None:
    with serving(*USER, "--io", io) as program:
        with program.connect(auth=ALICE) as client:
            client.submit(MESSAGE, sender=SENDER, recipients=[BOB, CAROL])
            client.submit(MESSAGE, sender=None, recipients=[BOB])
        assert program.end(number) == 0
    lines = f"from <{SENDER}> to <{BOB}>, <{CAROL}>: ([0-9]+) octets\nfrom <> to <{BOB}>: ([0-9]+) octets\n"
    found = re.fullmatch(lines, program.out)
    assert found is not None, program.out
    # With what was put on top of them.
    assert all(int(size) > len(MESSAGE) for size in found.groups())
    assert program.err == ""


@each_io
def test_serve_stores_messages_and_hides_secrets(io: str, tmp_path: Path) -> None:
    options = ("--io", io, "--maildir", tmp_path / "mail", "--transcript", "--no-fixups")
    with serving(*USER, *options) as program:
        with program.connect(auth=ALICE, mechanisms=["NTLM"]) as client:
            client.submit(MESSAGE, sender=SENDER, recipients=[BOB])
        (stored,) = (tmp_path / "mail" / "new").iterdir()
        assert stored.read_bytes().endswith(MESSAGE)
        assert program.end() == 0
    lines = program.err.splitlines()
    assert f"C: MAIL FROM:<{SENDER}> SIZE={len(MESSAGE)}" in lines
    assert "C: AUTH NTLM" in lines
    assert "C: ***" in lines
    assert "S: 235 2.7.0 Authentication succeeded" in lines


def test_serve_says_who_it_is_and_how_much_it_takes() -> None:
    with serving(*USER, "--hostname", "mail.local.example", "--max-size", 70_000) as program:
        with program.connect() as client:
            assert client.capabilities.name == "mail.local.example"
            assert client.capabilities.words("SIZE") == ("70000",)
            assert client.capabilities.words("AUTH") == ("SCRAM-SHA-256", "SCRAM-SHA-1", "NTLM")
            assert "STARTTLS" not in client.capabilities
        assert program.end() == 0


def test_serve_without_a_limit_of_size_and_with_cleartext_mechanisms() -> None:
    with serving(*USER, "--max-size", 0, "--allow-cleartext-auth") as program:
        with program.connect() as client:
            assert client.capabilities.words("SIZE") == ("0",)
            assert client.capabilities.words("AUTH") == (
                "SCRAM-SHA-256",
                "SCRAM-SHA-1",
                "PLAIN",
                "LOGIN",
                "NTLM",
            )
        assert program.end() == 0


@pytest.mark.parametrize("options", [("--no-require-auth",), ("--preset", "open-test")])
def test_serve_for_everybody(options: tuple[str, ...]) -> None:
    with serving(*options) as program:
        with program.connect() as client:
            assert "AUTH" not in client.capabilities
            client.submit(MESSAGE, sender=SENDER, recipients=[BOB])
        assert program.end() == 0
    assert program.out.count("\n") == 1


@pytest.mark.parametrize("separate", [False, True], ids=["one file", "two files"])
@pytest.mark.parametrize("implicit", [False, True], ids=["starttls", "implicit"])
def test_serve_with_a_certificate_from_files(
    tmp_path: Path, authority: trustme.CA, separate: bool, implicit: bool
) -> None:
    issued = authority.issue_cert("localhost", "127.0.0.1")
    both, key, ca = (tmp_path / name for name in ("both.pem", "key.pem", "ca.pem"))
    both.write_bytes(b"" if separate else issued.private_key_pem.bytes())
    for blob in issued.cert_chain_pems:
        blob.write_to_path(str(both), append=True)
    issued.private_key_pem.write_to_path(str(key))
    authority.cert_pem.write_to_path(str(ca))
    options = [
        "--tls-cert",
        both,
        *(["--tls-key", key] if separate else []),
        *(["--implicit-tls"] if implicit else []),
    ]
    with serving(*USER, *options) as program:
        scheme = "submissions" if implicit else "submission"
        arguments = ("--server", f"{scheme}://alice@127.0.0.1:{program.port}", "--ca", ca)
        result = run("submit", *arguments, "--from", SENDER, "--to", BOB, given=MESSAGE)
        assert result.exit_code == 0, result.stderr
        assert program.end() == 0


def test_serve_with_a_fresh_certificate(tmp_path: Path) -> None:
    ca = tmp_path / "ca.pem"
    options = ("--self-signed", "--write-ca", ca, "--hostname", "mail.local.example")
    with serving(*USER, *options) as program:
        for name in ("localhost", "127.0.0.1", "::1", "mail.local.example"):
            context = ssl.create_default_context(cafile=ca)
            with program.connect(tls="starttls", context=context, server_name=name) as client:
                assert client.tls is not None
                assert client.tls.verified
        assert program.end() == 0


def test_serve_warns_of_an_open_door() -> None:
    with serving("--no-require-auth", "--host", "127.0.0.1") as program:
        assert program.end() == 0
    assert program.err == ""
    result = run("serve", "--no-require-auth", "--host", "192.0.2.1", "--port", "0")
    assert "WARNING" in result.stderr


# ---- probe ----


def probed(*arguments: object) -> dict[str, Any]:
    result = run("probe", "--json", *arguments)
    assert result.exit_code == 0, result.stderr
    report: dict[str, Any] = json.loads(result.stdout)
    return report


def test_probe(server: Peer) -> None:
    report = probed(server.url, "--ca", server.ca)
    assert report["error"] is None
    assert report["greeting"] == "220 mail.local.example ESMTP ready"
    assert report["clear"]["mechanisms"] == ["SCRAM-SHA-256", "SCRAM-SHA-1", "NTLM"]
    assert "STARTTLS" in report["clear"]["extensions"]
    assert report["tls"]["version"] == "TLSv1.3"
    assert report["tls"]["verified"] is True
    assert report["inside_tls"]["mechanisms"] == ["SCRAM-SHA-256", "SCRAM-SHA-1", "PLAIN", "LOGIN", "NTLM"]
    assert report["mail_without_authentication"].startswith("530 ")
    assert report["mechanism_for_password"] == "SCRAM-SHA-256"
    assert [row["demand"] for row in report["rows"] if row["met"] is not True] == []
    assert len(report["rows"]) == 10
    assert server.handler.taken == []


def test_probe_for_people(server: Peer) -> None:
    result = run("probe", server.url, "--ca", server.ca)
    assert result.exit_code == 0
    lines = [" ".join(line.split()) for line in result.stdout.splitlines()]
    assert "Offered in clear; mechanisms: SCRAM-SHA-256 SCRAM-SHA-1 NTLM" in lines
    assert "Offered inside TLS; mechanisms: SCRAM-SHA-256 SCRAM-SHA-1 PLAIN LOGIN NTLM" in lines
    assert "Mechanism for a password: SCRAM-SHA-256" in lines
    assert "yes [MS-OXSMTP] 3.2 row 4.3 authentication required for MAIL" in lines


def test_probe_over_implicit_tls(tmp_path: Path, authority: trustme.CA) -> None:
    with peer(tmp_path, authority, implicit_tls=True) as server:
        report = probed(f"submissions://localhost:{server.port}", "--ca", server.ca)
    assert report["clear"] is None
    assert report["tls"]["verified"] is True
    assert [row["demand"] for row in report["rows"] if row["met"] is None] == ["STARTTLS"]


def test_probe_of_an_open_server_in_clear(tmp_path: Path, authority: trustme.CA) -> None:
    with peer(tmp_path, authority, tls=None, policy=ehlo.SubmissionPolicy(require_auth=False)) as server:
        report = probed(server.url)
    missing = [row["demand"] for row in report["rows"] if row["met"] is False]
    assert missing == ["authentication required for MAIL", "STARTTLS", "AUTH LOGIN"]
    assert report["mechanism_for_password"] == "SCRAM-SHA-256"
    assert report["mail_without_authentication"].startswith("250 ")


def test_probe_of_an_unknown_authority(server: Peer, tmp_path: Path) -> None:
    other = tmp_path / "other.pem"
    trustme.CA().cert_pem.write_to_path(str(other))
    result = run("probe", server.url, "--ca", other)
    assert result.exit_code == Exit.UNAVAILABLE
    assert "certificate" in one_line(result)
    assert "in clear" in result.stdout


def test_probe_of_nobody() -> None:
    result = run("probe", f"smtp://localhost:{free_port()}")
    assert result.exit_code == Exit.UNAVAILABLE
    assert "no connection" in one_line(result)
    assert result.stdout == ""


@pytest.mark.parametrize(
    ("replies", "status"),
    [
        (b"554 No service\r\n", Exit.UNAVAILABLE),
        (b"220 x\r\n502 What?\r\n", Exit.UNAVAILABLE),
        (b"220 x\r\n421 Busy\r\n", Exit.TEMPORARY),
        (b"220 x\r\n", Exit.TEMPORARY),
        (b"HTTP/1.1 400 Bad Request\r\n", Exit.PROTOCOL),
    ],
)
def test_probe_of_odd_servers(replies: bytes, status: Exit) -> None:
    def talk(client: socket.socket) -> None:
        first, _, rest = replies.partition(b"\r\n")
        client.sendall(first + b"\r\n")
        if rest and client.recv(4096):
            client.sendall(rest)
        client.shutdown(socket.SHUT_WR)
        while client.recv(4096):
            pass

    with scripted(talk) as port:
        result = run("probe", f"smtp://127.0.0.1:{port}")
    assert result.exit_code == status, result.stderr
    assert one_line(result)


def test_probe_prints_nothing_that_a_terminal_obeys() -> None:
    def talk(client: socket.socket) -> None:
        with client.makefile("rwb", buffering=0) as stream:
            stream.write(b"220 a\x1b[31m\xff\r\n")
            for reply in (
                b"250-x\x1b[2J\r\n250-\x9b1m\xc2\x9b\r\n250 AUTH \x1bX\xff LOGIN",
                b"250 ok\x07",
                b"250 ok",
                b"221 x",
            ):
                stream.readline()
                stream.write(reply + b"\r\n")

    for options in ((), ("--json",)):
        with scripted(talk) as port:
            result = run("probe", f"smtp://127.0.0.1:{port}", *options)
        assert result.exit_code == 0, result.stderr
        assert all(line.isprintable() for line in result.output.splitlines())


# ---- demo ----


@each_io
def test_demo(io: str) -> None:
    result = run("demo", "--io", io)
    assert result.exit_code == 0, result.output
    lines = [line.strip() for line in result.stdout.splitlines()]
    assert "C: STARTTLS" in lines
    assert "C: AUTH NTLM" in lines
    assert "C: ***" in lines
    assert any(
        line.startswith("C: MAIL FROM:<alice@demo.example>") and "ENVID=demo-1" in line for line in lines
    )
    assert any("NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;bob@demo.example" in line for line in lines)
    assert "Subject: Hello" in lines
    assert "wonderland" not in result.output
    assert not any(line.startswith("NOT OK") for line in lines)


def test_demo_fails_when_the_message_is_not_what_was_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    take = Witness.on_body
    monkeypatch.setattr(Witness, "on_body", lambda self, session, data: take(self, session, data.lower()))
    result = run("demo", "--io", "blocking")
    assert result.exit_code == 1
    assert "NOT OK  what was stored is what was sent" in result.stdout
    assert one_line(result)
