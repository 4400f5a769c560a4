"""Messages that show a difference when a byte is lost, added or changed on the way."""

import itertools
import os
import re

_numbers = itertools.count(1)


def fresh_recipient(name: str = "bob", domain: str = "local.example") -> str:
    """An address that no other message of this run goes to."""
    return f"{name}-{os.getpid()}-{next(_numbers)}@{domain}"


def message(recipient: str, size: int = 0) -> bytes:
    """A message with CRLF line ends and all kinds of dot lines, of at least the given size."""
    header = (
        "From: Alice <alice@local.example>\r\n"
        f"To: Bob <{recipient}>\r\n"
        "Date: Fri, 21 Nov 1997 09:55:06 -0600\r\n"
        f"Message-ID: <{recipient.partition('@')[0]}@client.example>\r\n"
        "Subject: dots and\r\n a folded line\r\n\r\n"
    )
    body = (
        ".\r\n..\r\n...\r\n.leading dot\r\n..two dots\r\n\r\n.\r\n. \r\n \r\ntrailing blanks  \t\r\n"
        "From the start of a line\r\nnot.a.leading.dot\r\n" + "x" * 700 + "\r\n"
    )
    repeats = 1 + size // len(body)
    # Numbered, so that a swapped or repeated piece shows.
    parts = (f"part {number}\r\n{body}" for number in range(repeats))
    return (header + "".join(parts) + "the last line\r\n\r\n.\r\n").encode("ascii")


def added_header(stored: bytes, sent: bytes) -> bytes:
    """What a server put on top of the message it stored; an error when the rest is not what was sent."""
    # The whole bytes are not shown: a report of megabytes helps nobody.
    if not stored.endswith(sent):
        raise AssertionError(_difference(stored, sent))
    added = stored[: len(stored) - len(sent)]
    assert re.fullmatch(rb"(?:[!-9;-~]+:[^\r\n]*\r\n(?:[ \t][^\r\n]*\r\n)*)*", added), added
    return added


def _difference(stored: bytes, sent: bytes) -> str:
    start = max(stored.find(sent[:40]), 0)
    arrived = stored[start:]
    pairs = zip(arrived, sent, strict=False)
    at = next((index for index, (a, b) in enumerate(pairs) if a != b), min(len(arrived), len(sent)))
    return (
        f"stored {len(stored)} octets, sent {len(sent)}; at octet {at} of the message "
        f"{arrived[max(at - 20, 0) : at + 40]!r} was stored where "
        f"{sent[max(at - 20, 0) : at + 40]!r} was sent"
    )
