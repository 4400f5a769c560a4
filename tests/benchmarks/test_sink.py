"""The sink that clients are measured against answers what they wait for, wherever its input is cut."""

from __future__ import annotations

import pytest
from benchmarks import messages
from benchmarks.servers.null import SinkSession

BODY = b"From: alice@client.example\r\n\r\n.\r\nDATA\r\n\r\n.\r\n"
"""By count it is a message; only by DATA does it end in the middle."""
CHUNKS = b"BDAT 10\r\n" + BODY[:10] + messages.chunk(BODY[10:])
HELLO = b"250-sink\r\n250-PIPELINING\r\n250-CHUNKING\r\n250-BINARYMIME\r\n250-SIZE 0\r\n250 8BITMIME\r\n"
OK = b"250 2.0.0 Ok\r\n"


@pytest.mark.parametrize(
    ("octets", "replies"),
    [
        (messages.EHLO, HELLO),
        (messages.MAIL + messages.RCPT + messages.chunk(BODY), OK * 3),
        (messages.MAIL + messages.RCPT + CHUNKS + messages.MAIL, OK * 5),
        (b"BDAT 10\r\n" + BODY[:10] + b"BDAT 0 LAST\r\n" + messages.QUIT, OK * 2 + b"221 Bye\r\n"),
        (messages.MAIL + messages.DATA + messages.stuffed(BODY[:-3]), OK + b"354 Go ahead\r\n" + OK),
    ],
)
@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_the_sink_answers_each_command_and_each_body(octets: bytes, replies: bytes, size: int) -> None:
    session = SinkSession()
    found = [session.feed(octets[start : start + size]) for start in range(0, len(octets), size)]
    assert b"".join(found) == replies
