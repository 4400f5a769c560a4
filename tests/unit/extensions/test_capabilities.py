from __future__ import annotations

import pytest

from ehlo import Limits, Reply
from ehlo.extensions import (
    AUTH,
    DSN,
    EIGHT_BIT_MIME,
    PIPELINING,
    SIZE,
    STANDARD,
    STARTTLS,
    Capabilities,
    Extension,
)
from ehlo.wire.reply import ReplyParser

EXCHANGE_2003 = """\
mail.example.com Hello [192.0.2.1]
TURN
SIZE
ETRN
PIPELINING
DSN
ENHANCEDSTATUSCODES
8bitmime
BINARYMIME
CHUNKING
VRFY
X-EXPS GSSAPI NTLM LOGIN
X-EXPS=LOGIN
AUTH GSSAPI NTLM LOGIN
AUTH=LOGIN
X-LINK2STATE
XEXCH50
OK""".splitlines()


def read(*lines: str) -> Capabilities:
    """What a client makes of a reply to EHLO with these lines, through the parser of replies."""
    parser = ReplyParser(Limits())
    parser.feed(b"".join(f"250-{line}\r\n".encode() for line in lines[:-1]) + f"250 {lines[-1]}\r\n".encode())
    reply = parser.next_reply()
    assert reply is not None
    return Capabilities.from_reply(reply)


@pytest.mark.clause("EXCH-ehlo-a", "EXCH-ehlo-b", "EXCH-ehlo-c", "RFC2554-3a")
def test_exchange_2003() -> None:
    found = read(*EXCHANGE_2003)
    assert found.name == EXCHANGE_2003[0]
    assert found.lines == tuple(EXCHANGE_2003[1:])
    assert found.offer(AUTH) == ("GSSAPI", "NTLM", "LOGIN")
    assert found.words("x-exps") == ("GSSAPI", "NTLM", "LOGIN")
    assert found.supports(SIZE)
    assert found.offer(SIZE) is None
    assert [x.keyword for x in STANDARD if not found.supports(x)] == ["STARTTLS", "SMTPUTF8"]
    assert "XEXCH50" in found
    assert "X-Link2State" in found
    assert "mail.example.com" not in found
    assert "MAIL" not in found
    assert [*found][:3] == ["TURN", "SIZE", "ETRN"]
    assert len([*found]) == 15


@pytest.mark.clause("RFC5321-2.4a", "RFC5321-4.1.1.1d")
@pytest.mark.parametrize(
    ("line", "extension", "offer"),
    [
        ("size 100", SIZE, 100),
        ("Size 100", SIZE, 100),
        ("SIZE=100", SIZE, 100),
        ("SIZE   100  ", SIZE, 100),
        ("SIZE 0", SIZE, 0),
        ("SIZE", SIZE, None),
        ("SIZE ", SIZE, None),
        ("SIZE lots", SIZE, None),
        ("SIZE -1", SIZE, None),
        ("SIZE " + "9" * 30, SIZE, None),
        ("auth plain  login", AUTH, ("PLAIN", "LOGIN")),
        ("AUTH=PLAIN LOGIN", AUTH, ("PLAIN", "LOGIN")),
        ("AUTH =PLAIN", AUTH, ("=PLAIN",)),
        ("AUTH", AUTH, ()),
        ("AUTH=", AUTH, ()),
        ("AUTH PLAIN\tLOGIN", AUTH, ("PLAIN", "LOGIN")),
        ("8BitMime", EIGHT_BIT_MIME, ()),
        ("PIPELINING ignored words", PIPELINING, ("ignored", "words")),
        ("StartTLS", STARTTLS, ()),
    ],
)
def test_keyword_lines(line: str, extension: Extension, offer: object) -> None:
    found = read("host", line)
    assert found.supports(extension)
    assert found.offer(extension) == offer
    assert extension.keyword in found
    assert extension.keyword.lower() in found
    assert [*found] == [extension.keyword]
    assert found.lines == (line,)


@pytest.mark.clause("RFC5321-4.1.1.1d")
@pytest.mark.parametrize(
    "line", ["", " SIZE 1", "-SIZE", "=SIZE", "SIZE\t1", "SIZE,1", "SIZE\x00", "S\u0130ZE 1", "\u017fIZE"]
)
def test_other_lines_are_ignored(line: str) -> None:
    found = read("host", line, "DSN")
    assert [*found] == ["DSN"]
    assert found.offer(SIZE) is None
    assert found.lines == (line, "DSN")


@pytest.mark.clause("RFC5321-4.1.1.1d")
def test_the_first_line_is_no_keyword() -> None:
    for found in (read("STARTTLS"), read("STARTTLS", "DSN"), read("AUTH PLAIN", "DSN")):
        assert not found.supports(STARTTLS)
        assert not found.supports(AUTH)
    assert read("host").lines == ()
    assert read("").name == ""
    assert Capabilities.from_reply(Reply(250, ())) == Capabilities()


@pytest.mark.clause("EXCH-ehlo-b", "RFC2554-3a")
def test_lines_are_merged() -> None:
    found = read("host", "AUTH PLAIN LOGIN", "DSN", "auth=login NTLM", "AUTH NTLM PLAIN x x")
    assert found.words("AUTH") == ("PLAIN", "LOGIN", "login", "NTLM", "x")
    assert found.offer(AUTH) == ("PLAIN", "LOGIN", "NTLM", "X")
    assert found.supports(DSN)


def test_what_was_not_offered() -> None:
    nothing = Capabilities()
    assert [*nothing] == []
    assert nothing.words("SIZE") == ()
    assert [nothing.offer(extension) for extension in STANDARD] == [None] * len(STANDARD)
    assert not any(map(nothing.supports, STANDARD))


def test_a_value() -> None:
    assert read("h", "DSN") == Capabilities("h", ("DSN",))
    assert read("h", "DSN") != read("h", "dsn")
    assert hash(read("h", "DSN")) == hash(Capabilities("h", ("DSN",)))
    assert repr(Capabilities("h", ("DSN",))) == "Capabilities(name='h', lines=('DSN',))"


def test_a_keyword_in_any_letter_case() -> None:
    extension = Extension(keyword="x-Mine", rfc="", summary="")
    found = read("h", "X-MINE a")
    assert found.supports(extension)
    assert found.offer(extension) == ("a",)


def test_the_most_that_a_server_can_send() -> None:
    limits = Limits()
    words = " ".join(f"m{i}" for i in range(2000))
    found = read("h", *[f"AUTH {words}"] * 5, *[f"X{i}" for i in range(200)])
    assert len(found.words("AUTH")) == 2000
    assert len([*found]) == 201
    assert limits.reply_lines > 205
