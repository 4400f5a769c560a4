"""The same messages for everybody: CRLF text, 76 characters a line, and octets of a session."""

from __future__ import annotations

import base64
from email.message import EmailMessage
from functools import cache
from typing import Final

KIB: Final = 1024
MIB: Final = 1024 * 1024

SENDER: Final = "alice@client.example"
RECIPIENT: Final = "bob@server.example"
CLIENT_NAME: Final = "client.example"
SERVER_NAME: Final = "mx.server.example"

EHLO: Final = f"EHLO {CLIENT_NAME}\r\n".encode()
MAIL: Final = f"MAIL FROM:<{SENDER}>\r\n".encode()
RCPT: Final = f"RCPT TO:<{RECIPIENT}>\r\n".encode()
DATA: Final = b"DATA\r\n"
QUIT: Final = b"QUIT\r\n"
END: Final = b".\r\n"

_HEADER: Final = f"From: {SENDER}\r\nTo: {RECIPIENT}\r\nSubject: benchmark\r\n\r\n".encode()
# A dot inside each line, as text has it: what begins with one is looked for, and not only a dot.
_WORDS: Final = b"The quick brown fox jumps over the lazy dog. It goes home to sleep until noon"
_LINE: Final = _WORDS[:76] + b"\r\n"
_DOTTED: Final = b"." + _WORDS[:75] + b"\r\n"


@cache
def message(size: int, dotted: int = 0) -> bytes:
    """A message of about `size` octets; `dotted` of a hundred body lines begin with a dot."""
    hundred = b"".join(_DOTTED if (i * dotted) % 100 < dotted and dotted else _LINE for i in range(100))
    room = max(len(_LINE), size - len(_HEADER))
    body = (hundred * (room // len(hundred) + 1))[:room]
    # Whole lines only: the last one is cut off, not in two.
    return _HEADER + body[: body.rfind(b"\r\n") + 2]


@cache
def base64_message(size: int) -> bytes:
    """A message of about `size` octets that is nearly all attachment."""
    lines = base64.encodebytes(bytes(range(256)) * 228).replace(b"\n", b"\r\n")
    return (_HEADER + lines * (size // len(lines) + 1))[:size].rpartition(b"\r\n")[0] + b"\r\n"


@cache
def email_message(size: int) -> EmailMessage:
    """The same message for clients that take nothing else."""
    found = EmailMessage()
    found["From"], found["To"], found["Subject"] = SENDER, RECIPIENT, "benchmark"
    found.set_content(message(size)[len(_HEADER) :].decode().replace("\r\n", "\n"))
    return found


def chunk(content: bytes) -> bytes:
    """As one chunk, the last, with its command (RFC 3030)."""
    return b"BDAT %d LAST\r\n" % len(content) + content


def stuffed(content: bytes) -> bytes:
    """As it goes over the wire, with the end of data."""
    return content.replace(b"\r\n.", b"\r\n..") + END
