"""Texts of the command line: a file of users, and the URL of a server."""

from __future__ import annotations

from typing import Final

from tests.fuzz.target import Target, same

from ehlo import UserStore, parse_users
from ehlo_io.cli.urls import SCHEMES, ServerUrl, is_host

_SECRET: Final = "hunter2-hunter2"


def check_users(data: bytes) -> None:
    """A file of users is read, or refused with the number of a line and nothing of it; what was read makes a
    store, unless two names differ in case alone, and is written as what reads as the same."""
    text = data.decode("utf-8", "surrogateescape")
    for given in (text, f"{text}\n{_SECRET}", f"{{X}}:{{NT}}{_SECRET}\n{text}"):
        try:
            users = parse_users(given)
        except ValueError as error:
            assert _SECRET not in str(error) or _SECRET in text  # noqa: PT017
            assert str(error).startswith("line ")  # noqa: PT017
            continue
        written = "".join(f"{name}:{secret.text()}\n" for name, found in users.items() for secret in found)
        same("the users, written", parse_users(written), users)
        assert _SECRET not in repr(users)
        try:
            store = UserStore(users)
        except ValueError as error:
            assert "twice the same" in str(error)  # noqa: PT017
            continue
        for name in users:
            assert name in store
            store.on_auth_password(None, name, "x", "")


def check_url(data: bytes) -> None:
    """A text is the URL of a server with a host that a resolver can be asked for, or ValueError, which never
    repeats a password."""
    text = data.decode("utf-8", "surrogateescape")
    for given in (text, f"smtp://a:{_SECRET}@{text}", f"submission://{text}"):
        try:
            url = ServerUrl.parse(given)
        except ValueError as error:
            assert _SECRET not in str(error) or _SECRET in text  # noqa: PT017
            continue
        if url.path is None:
            assert is_host(url.host)
            assert 0 < url.port < 65536
            if "%" not in url.host:
                again = ServerUrl.parse(f"{_scheme(url)}://{url}")
                same("the server", (again.host.lower(), again.port), (url.host.lower(), url.port))
        else:
            assert url.path.isprintable()


def _scheme(url: ServerUrl) -> str:
    return next(name for name, scheme in SCHEMES.items() if scheme.lmtp == url.lmtp and scheme.tls is None)


_USERS: Final = (
    b"alice:secret\n# a comment\n\nbob:{NT}" + b"0123456789abcdef" * 2 + b"\n",
    b"carol:{SCRAM-SHA-256}4096,c2FsdHNhbHRzYWx0c2FsdA==," + b"A" * 43 + b"=," + b"A" * 43 + b"=\n",
    "d\xe9:{PLAIN}\xe9\n".encode(),
    b"DOM\\bob:x\ndom\\BOB:y\r\n",
)
_USER_WORDS: Final = (
    b":",
    b"\n",
    b"{NT}",
    b"{PLAIN}",
    b"{SCRAM-SHA-1}",
    b"{SCRAM-SHA-256}",
    b",",
    b"\xe2\x80\xa8",
    b"#",
)
_URLS: Final = (
    *(
        b"submission://alice@mail.example:587",
        b"smtps://[::1]:465/",
        b"lmtp:///run/lmtp",
        b"smtp://u@/run/x%20y",
    ),
    *(b"mail.example", b"submissions://b%C3%BCcher.example", b"a%40b@h", b"[fe80::1%25eth0]", b"lmtp://h:25"),
)

TARGETS: Final = (
    Target("users", check_users, lambda: _USERS, _USER_WORDS, 800),
    Target(
        "url",
        check_url,
        lambda: _URLS,
        (b"://", b"@", b"[", b"]", b"%", b":", b"/", b"?", b"#", b"smtp"),
        200,
    ),
)
