"""All that is said at once on one connection, and how it ends."""

from __future__ import annotations

import os
from typing import Final

import attrs
from tests.abuse.ground import ENVELOPE, HELLO, QUIT, Ground, attack, b64, codes
from tests.abuse.wire import connected, converse

WRONG: Final = b"AUTH PLAIN " + b64("\0alice\0wrong") + b"\r\n"


@attrs.frozen
class Flood:
    """Octets for one connection and what the replies look like: the server ends each of them by 421 soon
    enough, or answers all of it."""

    octets: bytes
    few: int
    """How many connections."""
    code: int = 421
    """The last reply."""
    most: int = 1100
    """How many replies there may be."""

    def __call__(self, ground: Ground) -> None:
        for _ in range(ground.times(self.few, self.few * 20)):
            said, _ = converse(connected(ground.target.address), self.octets)
            found = codes(said)
            assert said.endswith(b"\r\n"), said[-200:]
            assert int(said.splitlines()[-1][:3]) == self.code, said[-200:]
            assert sum(found.values()) <= self.most, found


_LONG_LINE: Final = b"A" * 12_000 + b"\r\n"
FLOODS: Final[dict[str, Flood]] = {
    "noop_flood": Flood(HELLO + b"NOOP\r\n" * 5000, 3),
    "rset_flood": Flood(HELLO + b"RSET\r\n" * 5000, 3),
    "hello_flood": Flood(HELLO * 5000, 3),
    "vrfy_flood": Flood(HELLO + b"VRFY somebody\r\n" * 5000, 3),
    "mail_flood": Flood(HELLO + ENVELOPE * 5000, 3),
    "empty_lines": Flood(HELLO + b"\r\n" * 5000, 20, most=25),
    "junk_flood": Flood(HELLO + (os.urandom(64).hex().encode() + b"\r\n") * 5000, 20, most=25),
    "binary_flood": Flood(HELLO + (bytes(range(1, 10)) * 20 + b"\xff\r\n") * 5000, 20, most=25),
    "http": Flood(b"GET / HTTP/1.1\r\n" + b"Host: mail.local.example\r\n" * 200, 20, most=25),
    "lines_that_end_in_lf": Flood(HELLO + b"NOOP\n" * 500_000, 3),
    "lines_that_end_in_cr": Flood(HELLO + b"NOOP\r" * 500_000, 3),
    "wrong_order_flood": Flood(HELLO + b"DATA\r\n" * 5000, 20, most=25),
    "wrong_passwords": Flood(HELLO + WRONG * 1000, 10, most=8),
    "auth_given_up": Flood(HELLO + b"AUTH LOGIN\r\n*\r\n" * 1000, 20, most=50),
    "auth_no_base64": Flood(HELLO + b"AUTH LOGIN\r\n%%%%\r\n" * 1000, 20, most=50),
    "auth_long_lines": Flood(HELLO + (b"AUTH SCRAM-SHA-256\r\n" + _LONG_LINE) * 200, 5, most=50),
    "auth_endless_line": Flood(HELLO + b"AUTH PLAIN\r\n" + b"A" * 4_000_000, 3, most=4),
    "auth_of_unknown_kinds": Flood(HELLO + b"AUTH X-MINE AAAA\r\n" * 5000, 20, most=25),
    "recipients_without_end": Flood(
        HELLO + ENVELOPE + b"RCPT TO:<c@local.example>\r\n" * 3000 + b"DATA\r\nX-Bad: 1\r\n\r\n.\r\n" + QUIT,
        2,
        code=421,
        most=1100,
    ),
    "wrong_recipients": Flood(HELLO + ENVELOPE + b"RCPT TO:<@@>\r\n" * 5000, 20, most=25),
    "empty_chunks": Flood(HELLO + ENVELOPE + b"BDAT 0\r\n" * 20_000, 3, most=1100),
    "tiny_chunks": Flood(
        HELLO + ENVELOPE + b"BDAT 1\r\nx" * 20_000 + b"BDAT 0 LAST\r\n" + QUIT, 1, code=221, most=20_010
    ),
    "chunks_that_nobody_takes": Flood(HELLO + b"BDAT 5\r\nNOOP\n" * 5000, 20, most=25),
    "chunk_without_a_size": Flood(HELLO + ENVELOPE + b"BDAT -1\r\n" + b"x" * 100_000, 20, most=5),
    "chunk_of_many_digits": Flood(HELLO + ENVELOPE + b"BDAT 9" + b"9" * 5000 + b"\r\nxxx", 20, most=5),
    "plaintext_behind_starttls": Flood(HELLO + b"STARTTLS\r\n" + b"NOOP\r\n" * 5000, 20, most=3),
}
for _name, _flood in FLOODS.items():
    attack(_name)(_flood)
