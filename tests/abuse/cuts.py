"""Sessions that end at each octet that a client says, in each way."""

from __future__ import annotations

import re
import socket
import ssl
from typing import Final

from tests.abuse.ground import ENVELOPE, HELLO, QUIT, Ground, attack, b64
from tests.abuse.target import LONG
from tests.abuse.wire import ENDS, connected, end
from tests.bindings.programs import PASSWORD

_STORED = re.compile(rb"(?m)^X-Cut: ([0-9]{4}) ([a-z-]+)\r$")
BEFORE_TLS: Final = (HELLO, b"STARTTLS\r\n")
IN_TLS: Final = (
    HELLO,
    b"AUTH PLAIN " + b64(f"\0alice\0{PASSWORD}") + b"\r\n",
    *ENVELOPE.splitlines(keepends=True),
    b"DATA\r\n",
    b"X-Cut: %04d %s\r\n\r\ntext\r\n..\r\n.\r\n",
    QUIT,
)
"""A reply comes to each."""


def _script(cut: int, how: str) -> list[bytes]:
    """What is said up to the cut."""
    left, said = cut, []
    for text in (*BEFORE_TLS, *IN_TLS):
        whole = text % (cut, how.encode()) if b"%" in text else text
        said.append(whole[:left])
        left -= len(said[-1])
        if not left:
            break
    return said


def _length(how: str, *, whole: bool) -> int:
    """How long a session is, or what comes before its message is complete."""
    lines = _script(9999, how)
    return sum(map(len, lines if whole else lines[:-1]))


def cut_session(ground: Ground, cut: int, how: str) -> None:
    sock: socket.socket = connected(ground.target.address)
    try:
        _listen(sock)
        said = _script(cut, how)
        for number, text in enumerate(said):
            if number == len(BEFORE_TLS):
                sock = ground.target.context.wrap_socket(sock, server_hostname="localhost")
            sock.sendall(text)
            if number + 1 < len(said):
                _listen(sock)
    except (ConnectionError, ssl.SSLEOFError) as error:
        raise AssertionError(f"the server ended the session before octet {cut}") from error
    finally:
        end(sock, how)


def _listen(sock: socket.socket) -> None:
    """Hear one reply."""
    heard = b""
    while not re.search(rb"(?m)^[23][0-9]{2} [^\r\n]*\r\n\Z", heard):
        piece = sock.recv(4096)
        assert piece, heard
        heard += piece


@attack("session_cut_at_each_octet")
def session_cut_at_each_octet(ground: Ground) -> None:
    """A message is stored if it is complete, and only then; a reset may take away what has arrived."""
    length = _length("close", whole=True)
    asked = [
        (cut, how)
        for cut in range(1, length + 1, max(1, int(1 / ground.share)))
        for number, how in enumerate(ENDS)
        if LONG or number == cut % len(ENDS)
    ]
    before = len(_found(ground))
    for cut, how in asked:
        cut_session(ground, cut, how)
    ground.target.at_rest()
    stored = _found(ground)[before:]
    complete = [(cut, how) for cut, how in asked if cut >= _length(how, whole=False)]
    assert set(stored) <= set(complete)
    assert set(stored) >= {(cut, how) for cut, how in complete if how != "reset"}


def _found(ground: Ground) -> list[tuple[int, str]]:
    """In the order of their arrival."""
    names = sorted((ground.target.maildir / "new").iterdir(), key=lambda path: path.stat().st_mtime_ns)
    matches = [_STORED.search(path.read_bytes()) for path in names]
    return [(int(match[1]), match[2].decode()) for match in matches if match is not None]
