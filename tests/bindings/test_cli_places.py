"""The program `ehlo` on UNIX sockets, and behind a proxy."""

import os
import re
import socket
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.bindings.peers import Address
from tests.bindings.peers import Peer as Client
from tests.bindings.programs import (
    BOB,
    CAROL,
    MESSAGE,
    PASSWORD,
    SENDER,
    USER,
    Program,
    each_io,
    one_line,
    run,
    serving,
)

import ehlo
from ehlo_io import blocking
from ehlo_io.cli.exits import Exit
from ehlo_io.cli.urls import ServerUrl

OPEN = "--no-require-auth"
CLIENT = "198.51.100.7"
HEADER = f"PROXY TCP4 {CLIENT} 203.0.113.9 4711 587\r\n".encode()


@pytest.fixture
def place() -> Iterator[Path]:
    """A path that is free; short, because those of sockets must be."""
    with tempfile.TemporaryDirectory(prefix="ehlo-") as directory:
        yield Path(directory, "socket")


# ---- URLs ----


@pytest.mark.parametrize(
    ("text", "path", "username"),
    [
        ("smtp:///run/mail/socket", "/run/mail/socket", None),
        ("SMTP:///run/mail/socket", "/run/mail/socket", None),
        ("submission:///run/a%20b", "/run/a b", None),
        ("smtp://alice@/run/socket", "/run/socket", "alice"),
        ("smtp://alice%40local.example@/run/socket", "/run/socket", "alice@local.example"),
    ],
)
def test_url_of_a_socket(text: str, path: str, username: str | None) -> None:
    url = ServerUrl.parse(text)
    assert (url.path, url.where, str(url)) == (path, path, path)
    assert (url.tls, url.username) == (ehlo.TlsMode.NONE, username)


@pytest.mark.parametrize(
    "text",
    [
        "smtp:/run/socket",
        "smtp:///",
        "smtp://alice@/",
        "smtps:///run/socket",
        "submissions:///run/socket",
        "smtp:///run/socket?query",
        "smtp:///run/socket#part",
        "smtp:///run/%00",
        f"smtp://alice:{PASSWORD}@/run/socket",
        "smtp://:25/run/socket",
    ],
)
def test_what_is_no_url_of_a_socket(text: str) -> None:
    result = run("submit", "--server", text, "--from", SENDER, "--to", BOB)
    assert result.exit_code == 2
    assert text not in result.stderr


def test_url_of_a_host_has_no_path() -> None:
    url = ServerUrl.parse("smtp://h.example")
    assert (url.path, url.where) == (None, ("h.example", 25))


# ---- UNIX sockets ----


def submit(path: Path, io: str, *options: object, user: str = "") -> tuple[int, str]:
    result = run(
        *("submit", "--server", f"smtp://{user}{path}", "--from", SENDER, "--to", BOB, "--io", io, *options),
        given=MESSAGE,
    )
    return result.exit_code, result.stderr


@each_io
def test_from_program_to_program_through_a_socket(io: str, place: Path) -> None:
    with serving(*USER, "--unix", place, "--io", io) as program:
        assert program.place == str(place)
        assert stat.S_IMODE(os.lstat(place).st_mode) == 0o600
        assert submit(place, io, user="alice@") == (0, "")
        assert program.end() == 0
    assert re.fullmatch(f"from <{SENDER}> to <{BOB}>: [0-9]+ octets\n", program.out)
    assert program.err == ""
    assert not os.path.lexists(place)


def test_submit_shows_a_password_to_a_socket_only_when_told_to(place: Path) -> None:
    with serving(*USER, "--unix", place, "--allow-cleartext-auth") as program:
        plain = ("--auth", "PLAIN")
        assert submit(place, "blocking", *plain, user="alice@")[0] == Exit.AUTHENTICATION
        assert submit(place, "blocking", *plain, "--allow-cleartext-auth", user="alice@")[0] == 0
        assert program.end() == 0


def test_serve_lets_others_connect_when_told_to(place: Path) -> None:
    # Nor is it open to anybody whom the file does not let in: there is nothing to warn of.
    with serving(OPEN, "--unix", place, "--unix-mode", "660", "--host", "0.0.0.0") as program:
        assert stat.S_IMODE(os.lstat(place).st_mode) == 0o660
        assert program.end() == 0
    assert program.err == ""


@each_io
def test_serve_where_another_server_does(io: str, place: Path) -> None:
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(place))
        other.listen()
        result = run("serve", OPEN, "--unix", place, "--io", io)
    assert result.exit_code == Exit.SET_UP
    assert str(place) in one_line(result)
    assert "in use" in one_line(result).lower()
    assert place.exists()


@pytest.mark.parametrize("mode", ["rw", "8", ""])
def test_serve_with_what_is_no_mode(place: Path, mode: str) -> None:
    assert run("serve", OPEN, "--unix", place, "--unix-mode", mode).exit_code == 2


def test_serve_with_a_mode_that_is_none_of_a_socket(place: Path) -> None:
    result = run("serve", OPEN, "--unix", place, "--unix-mode", "4755")
    assert result.exit_code == Exit.SET_UP
    assert "mode" in one_line(result)


@each_io
def test_submit_to_a_socket_that_is_not_there(io: str, place: Path) -> None:
    status, text = submit(place, io)
    assert status == Exit.UNAVAILABLE
    assert f"no connection to {place}" in text


@pytest.mark.parametrize("mode", ["starttls", "implicit", "opportunistic"])
def test_submit_to_a_socket_knows_no_name_to_verify(place: Path, mode: str) -> None:
    assert submit(place, "blocking", "--tls", mode)[0] == 2


def test_probe_wants_a_host_that_speaks_smtp(place: Path) -> None:
    assert run("probe", f"smtp://{place}").exit_code == 2
    assert run("probe", "lmtp://h.example").exit_code == 2


# ---- LMTP ----


@pytest.mark.clause("RFC2033-5c")
def test_url_of_lmtp() -> None:
    assert ServerUrl.parse("lmtp://h.example").port == 24
    assert ServerUrl.parse("lmtp://alice@h.example:2424").lmtp
    assert ServerUrl.parse("lmtp:///run/lmtp").lmtp
    assert not ServerUrl.parse("smtp:///run/lmtp").lmtp
    assert run("submit", "--server", "lmtp://h.example:25", "--from", SENDER, "--to", BOB).exit_code == 2
    result = run("serve", OPEN, "--lmtp", "--port", "25")
    assert result.exit_code == Exit.SET_UP
    assert "port 25" in one_line(result)


@each_io
def test_from_program_to_program_by_lmtp(io: str, place: Path) -> None:
    with serving(OPEN, "--unix", place, "--lmtp", "--io", io) as program:
        arguments = ("--from", SENDER, "--to", f"{BOB},{CAROL}", "--io", io, "--transcript")
        by_lmtp = run("submit", "--server", f"lmtp://{place}", *arguments, given=MESSAGE)
        by_smtp = run("submit", "--server", f"smtp://{place}", *arguments, given=MESSAGE)
        assert program.end() == 0
    assert by_lmtp.exit_code == 0, by_lmtp.stderr
    assert by_lmtp.stderr.count("S: 250 2.0.0 Message accepted") == 2
    assert by_smtp.exit_code == Exit.UNAVAILABLE
    assert re.fullmatch(f"from <{SENDER}> to <{BOB}>, <{CAROL}>: [0-9]+ octets\n", program.out)


# ---- behind a proxy ----


def refused(address: Address) -> None:
    """Fail to authenticate, behind a PROXY header: the log has the client's address."""
    with Client.silent_to(address) as client:
        client.send(HEADER)
        assert client.reply().startswith("220 ")
        client.ask("EHLO client.test")
        assert client.ask("AUTH PLAIN AGFsaWNlAGd1ZXNz").startswith("535 ")
        assert client.ask("QUIT").startswith("221 ")


def in_place_of(program: Program) -> Address:
    return ("127.0.0.1", program.port) if program.port else program.place


@each_io
@pytest.mark.parametrize("unix", [False, True], ids=["TCP", "UNIX"])
def test_serve_behind_a_proxy(io: str, place: Path, unix: bool) -> None:
    where = ("--unix", place) if unix else ()
    with serving(*USER, *where, "--io", io, "--proxy-protocol", "--allow-cleartext-auth") as program:
        refused(in_place_of(program))
        assert program.end() == 0
    (line,) = program.err.splitlines()
    assert f"AUTH PLAIN refused (session with {CLIENT})" in line


@pytest.mark.parametrize("options", [(), ("--proxy-from", "192.0.2.0/24")], ids=["local", "others too"])
def test_serve_takes_nothing_but_a_header(options: tuple[str, ...]) -> None:
    with serving(OPEN, "--proxy-protocol", *options) as program:
        with Client.silent_to(in_place_of(program)) as client:
            client.send(b"EHLO client.test\r\n")
            assert client.ended()
        assert program.end() == 0
    (line,) = program.err.splitlines()
    assert "without a PROXY header" in line
    assert "127.0.0.1" in line


def test_serve_without_the_option_takes_no_header() -> None:
    with serving(OPEN) as program:
        with Client.to(in_place_of(program)) as client:
            assert client.ask(HEADER.decode().rstrip()).startswith("500 ")
        with blocking.connect("127.0.0.1", program.port, tls="none") as usual:
            usual.submit(MESSAGE, sender=SENDER, recipients=[BOB])
        assert program.end() == 0


@pytest.mark.parametrize(
    ("options", "part"),
    [
        (("--proxy-from", "10.0.0.0/8"), "--proxy-protocol"),
        (("--proxy-protocol", "--proxy-from", "10.0.0.1/8"), "10.0.0.1/8"),
        (("--proxy-protocol", "--proxy-from", "proxy.example"), "proxy.example"),
    ],
)
def test_serve_says_what_is_wrong_with_proxies(options: tuple[str, ...], part: str) -> None:
    result = run("serve", OPEN, "--port", "0", *options)
    assert result.exit_code == Exit.SET_UP
    assert part in one_line(result)
