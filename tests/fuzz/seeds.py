"""Seeds of the recorded dialogues: what each side said, in flights, and the tokens that it carried."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Final

from tests.replay.recorded import TLS, TRANSCRIPTS, Connection, octets

HANDSHAKE: Final = b"<TLS>"
"""Between what a client says in clear and what it says inside TLS."""
TURN: Final = b"<C>"
"""Between what a server says before the client speaks and after it."""

KEYWORDS: Final = (
    *(b"EHLO", b"HELO", b"LHLO", b"MAIL FROM:<", b"RCPT TO:<", b"DATA\r\n", b"BDAT ", b" LAST\r\n", b"BURL "),
    *(b"RSET\r\n", b"NOOP\r\n", b"VRFY ", b"EXPN ", b"HELP\r\n", b"QUIT\r\n", b"STARTTLS\r\n", b"XCLIENT "),
    *(b"AUTH ", b"PLAIN", b"LOGIN", b"NTLM", b"CRAM-MD5", b"SCRAM-SHA-256", b"XOAUTH2", b"OAUTHBEARER"),
    *(
        b" SIZE=",
        b" BODY=8BITMIME",
        b" BODY=BINARYMIME",
        b" RET=HDRS",
        b" ENVID=",
        b" NOTIFY=NEVER",
        b" AUTH=<>",
    ),
    *(b" ORCPT=rfc822;", b" ORCPT=utf-8;", b"\\x{E9}", b"+2B", b" SMTPUTF8", b" REQUIRETLS", b" BY=60;R"),
    *(b" HOLDFOR=60", b" HOLDUNTIL=2026-12-01T00:00:00Z", b" MT-PRIORITY=3", b" MTRK=", b" SUBMITTER="),
    *(
        b" RRVS=2014-04-03T23:01:00Z",
        b" SOLICIT=",
        b"postmaster>",
        b"a@x.org>",
        b"[IPv6:::1]",
        b"[127.0.0.1]",
    ),
    *(b"\r\n", b"\r\n.\r\n", b"\n.\n", b"\r.\r", b"\r\n..", b"\0", b"\xff", b"\xc3\xa9", HANDSHAKE),
)
"""Words of a client."""

REPLIES: Final = (
    *(b"220 mail.example\r\n", b"221 2.0.0 bye\r\n", b"235 2.7.0 ok\r\n", b"250 ok\r\n", b"250-", b"250 "),
    *(
        b"354 go\r\n",
        b"334 ",
        b"421 4.3.2 bye\r\n",
        b"450 4.2.0 later\r\n",
        b"501 ",
        b"535 5.7.8 no\r\n",
        b"550-",
    ),
    *(
        b"550 5.1.1 no\r\n",
        b"554 ",
        b"PIPELINING\r\n",
        b"SIZE 100\r\n",
        b"STARTTLS\r\n",
        b"AUTH PLAIN LOGIN\r\n",
    ),
    *(
        b"CHUNKING\r\n",
        b"DSN\r\n",
        b"SMTPUTF8\r\n",
        b"8BITMIME\r\n",
        b"LIMITS RCPTMAX=1\r\n",
        b"BURL imap\r\n",
    ),
    *(b"VXNlcm5hbWU6\r\n", b"\r\n", b"\n", b"\0", b"\xff", b"2.0.0 ", TURN),
)
"""Words of a server."""


def _connections() -> Iterator[Connection]:
    for connections in TRANSCRIPTS.values():
        yield from connections


@cache
def clients() -> tuple[bytes, ...]:
    """Each recorded connection as its client said it."""
    found: dict[bytes, None] = {}
    for connection in _connections():
        said = (HANDSHAKE if turn.said == TLS else turn.said.encode() + b"\r\n" for turn in connection.turns)
        found[b"".join(said)] = None
    return tuple(found)


@cache
def servers() -> tuple[bytes, ...]:
    """Each recorded connection as its server said it, with a mark where the client speaks."""
    found: dict[bytes, None] = {}
    for connection in _connections():
        replies = (connection.greeting, *(turn.reply for turn in connection.turns))
        told = (b"".join(line.encode() + b"\r\n" for line in reply) for reply in replies)
        found[TURN.join(told)] = None
    return tuple(found)


@cache
def replies() -> tuple[bytes, ...]:
    """Each reply once."""
    return tuple(dict.fromkeys(reply for server in servers() for reply in server.split(TURN) if reply))


@cache
def commands() -> tuple[bytes, ...]:
    """Each line once, without its CRLF."""
    return tuple(dict.fromkeys(line for client in clients() for line in client.split(b"\r\n") if line))


@cache
def tokens(mechanism: str) -> tuple[bytes, ...]:
    """What was in the base64 of both sides, of each mechanism whose name begins like this."""
    found: dict[bytes, None] = {}
    for connection in _connections():
        if (connection.mechanism or "").startswith(mechanism):
            found.update(dict.fromkeys((*connection.challenges, *connection.responses)))
    return tuple(found)


@cache
def encoded() -> tuple[bytes, ...]:
    """The lines that are base64."""
    return tuple(dict.fromkeys(line for line in commands() if octets(line.decode("ascii")) is not None))
