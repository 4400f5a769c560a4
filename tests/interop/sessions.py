"""Sessions for two servers to answer: legal and illegal commands in any order, the same for each seed."""

from __future__ import annotations

import base64
import random
from collections.abc import Iterator
from enum import Enum

import attrs


class Kind(Enum):
    """What a step waits for."""

    PLAIN = "one reply"
    DATA = "one reply, and the message behind 354"
    AUTH = "replies until none is 334"


@attrs.frozen
class Step:
    """One command, with its octets."""

    octets: bytes
    kind: Kind = Kind.PLAIN
    follow: tuple[bytes, ...] = ()
    """What is sent behind 354, or one for each 334."""
    grouped: bool = False
    """It goes in one segment with what comes before it."""


def _b64(text: bytes) -> bytes:
    return base64.b64encode(text)


GOOD = _b64(b"\0alice\0secret")
HELLOS = [b"EHLO client.example", b"HELO client.example", b"EHLO [127.0.0.1]", b"ehlo client.example"]
BAD_HELLOS = [
    b"EHLO",
    b"HELO",
    b"EHLO ",
    b"EHLO a b",
    b"LHLO client.example",
    b"EHLO [IPv6:::1]",
    b"HELO _x_",
]
LOCALS = ["a", "a.b", "a+b", '"a b"', '"a\\"b"', '"a@b"', "!#$%&'*+-/=?^_`{|}~", "a" * 64, "postmaster"]
BAD_LOCALS = [
    "",
    ".a",
    "a.",
    "a..b",
    "a b",
    '"a',
    'a"b',
    "a@b",
    "a" * 65,
    "a<b",
    "a\\b",
    "(a)b",
    "a,b",
    "a:b",
]
DOMAINS = ["local.example", "x.org", "a-b.example", "[127.0.0.1]", "[IPv6:::1]", "LOCAL.EXAMPLE", "1.example"]
BAD_DOMAINS = ["", "x..org", ".x.org", "x.org.", "-x.org", "x-.org", "x_y.org", "[1.2.3]", "[x", "x]", "[]"]
BAD_DOMAINS += ["[IPv6:1]", "[127.0.0.256]", "x,y", "x org", "a" * 64 + ".org", "com", "x.org>", "[x:y]"]
MAIL_PARAMETERS = [
    "SIZE=100",
    "BODY=8BITMIME",
    "BODY=7BIT",
    "RET=HDRS",
    "RET=FULL",
    "ENVID=abc",
    "ENVID=a+2Bb",
]
MAIL_PARAMETERS += ["SMTPUTF8", "AUTH=<>", "size=5", "AUTH=a@x.org", "body=8bitmime"]
BAD_MAIL = [
    "SIZE=x",
    "SIZE=",
    "SIZE",
    "SIZE=99999999999",
    "BODY=NONE",
    "BODY",
    "BODY=",
    "RET=x",
    "RET",
    "ENVID",
]
BAD_MAIL += [
    "ENVID=a+b",
    "ENVID=",
    "X=1",
    "FOO",
    "SIZE=1 SIZE=2",
    "=x",
    "SMTPUTF8=x",
    "AUTH",
    "AUTH=a b",
    "ENVID=a=b",
]
BAD_MAIL += ["NOTIFY=NEVER", "BODY=BINARYMIME", "SIZE=-1", "SIZE=10000000", "RET=HDRS RET=HDRS", "AUTH=+ZZ"]
BAD_MAIL += [
    "SIZE=123456789012345678901",
    "-X=1",
    "ENVID=" + "e" * 101,
    "BY=10;R",
    "HOLDFOR=10",
    "MT-PRIORITY=1",
]
RCPT_PARAMETERS = ["NOTIFY=NEVER", "NOTIFY=SUCCESS,FAILURE", "NOTIFY=DELAY", "ORCPT=rfc822;a@x.org"]
RCPT_PARAMETERS += ["notify=failure", "ORCPT=rfc822;a+2Bb@x.org", "NOTIFY=SUCCESS,FAILURE,DELAY"]
BAD_RCPT = [
    "NOTIFY=x",
    "NOTIFY=",
    "NOTIFY",
    "NOTIFY=NEVER,SUCCESS",
    "ORCPT=a@x.org",
    "ORCPT=",
    "ORCPT=rfc822;",
]
BAD_RCPT += [
    "X=1",
    "SIZE=3",
    "NOTIFY=NEVER NOTIFY=NEVER",
    "ORCPT=rfc822;a+b",
    "ORCPT",
    "ORCPT=;a",
    "FOO",
    "NOTIFY=,",
]
BAD_RCPT += ["NOTIFY=SUCCESS,SUCCESS", "ORCPT=rfc822;" + "a" * 501]
PATHS = [
    "<@a.example,@b.example:a@x.org>",
    "<@a.example:a@x.org>",
    "<Postmaster>",
    "< a@x.org>",
    "<a@x.org >",
]
PATHS += [
    "a@x.org",
    "<a@x.org",
    "a@x.org>",
    "<<a@x.org>>",
    "<>",
    "",
    "<a@x.org>x",
    "Name <a@x.org>",
    "<a>",
    "<@x.org>",
]
PATHS += ["<a@x.org> ", "<a@x.org><b@x.org>", "<:a@x.org>", "<@a:>", "<@a.example a@x.org>", "<\u00fc@x.org>"]
PATHS += ["<a@b\u00fccher.example>", "<a@x.org>\t", "<\x01@x.org>", "<a!b@x.org>", "<a%b@x.org>", "<@@x.org>"]
OTHERS = [
    b"NOOP",
    b"NOOP x",
    b"RSET",
    b"RSET x",
    b"VRFY a@local.example",
    b"VRFY",
    b"EXPN list",
    b"HELP",
    b"HELP MAIL",
]
OTHERS += [
    b"QUIT x",
    b"FOO",
    b"",
    b" ",
    b"NOOP ",
    b"RSET ",
    b" NOOP",
    b"\tNOOP",
    b"noop",
    b"rSeT",
    b"ETRN x.org",
    b"TURN",
]
OTHERS += [
    b"DATA x",
    b"STARTTLS x",
    b"XCLIENT NAME=x",
    b"BURL imap://x LAST",
    b"SEND FROM:<a@x.org>",
    b"MAIL",
    b"RCPT",
]
OTHERS += [
    b"MAIL FROM",
    b"RCPT TO",
    b"MAILFROM:<a@x.org>",
    b"MAIL TO:<a@x.org>",
    b"RCPT FROM:<a@x.org>",
    b"NOOP\0",
    b"NO\x01OP",
]
OTHERS += [
    b"MAIL  FROM:<a@x.org>",
    b"MAIL FROM : <a@x.org>",
    b"MAIL FROM: <a@x.org>",
    b"RCPT TO: <a@x.org>",
    b"FOO bar baz",
]
OTHERS += [
    b"NOOP " + b"x" * 600,
    b"NOOP " + b"x" * 1900,
    b"MAIL FROM:<a@x.org> X=" + b"y" * 3000,
    b"X" * 5000,
    b"\xff\xfe",
]
OTHERS += [
    b"AUTH",
    b"AUTH FOO",
    b"AUTH PLAIN !!",
    b"AUTH PLAIN =",
    b"AUTH PLAIN " + _b64(b"x"),
    b"AUTH PLAIN a b",
    b"auth foo",
]
OTHERS += [
    b"VRFY <a@local.example>",
    b"VRFY a b",
    b"GET / HTTP/1.1",
    b"EHLO\tx",
    b"DATA\t",
    b"RSET\t",
    b"NOOP\tx",
    b"*",
    b".",
]
BODIES = [
    b"",
    b"Subject: x\r\n\r\ntext\r\n",
    b"..\r\n",
    b"\xfc\r\n",
    b"a\r\n..b\r\n",
    b"x" * 1200 + b"\r\n",
    b"\0\r\n",
]
CHUNKS = [
    b"BDAT 3\r\nabc",
    b"BDAT 3 LAST\r\na\r\n",
    b"BDAT 0 LAST\r\n",
    b"bdat 5 last\r\nabc\r\n",
    b"BDAT 0\r\n",
]
BAD_CHUNKS = [b"BDAT\r\n", b"BDAT x\r\n", b"BDAT -1\r\n", b"BDAT 3 FOO\r\nabc", b"BDAT 3 LAST x\r\nabc"]


class Sessions:
    """As many as are asked for."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)  # noqa: S311

    def _of(self, good: list[str], bad: list[str], ill: float) -> str:
        return self._random.choice(bad if self._random.random() < ill else good)

    def _path(self, ill: float) -> str:
        if self._random.random() < ill / 2:
            return self._random.choice(PATHS)
        return f"<{self._of(LOCALS, BAD_LOCALS, ill / 2)}@{self._of(DOMAINS, BAD_DOMAINS, ill / 2)}>"

    def _envelope(self, start: str, good: list[str], bad: list[str], ill: float) -> bytes:
        words = [start + self._path(ill)]
        if self._random.random() < 0.3:
            words += self._random.sample(good, self._random.choice((1, 1, 2)))
        if self._random.random() < ill:
            words.append(self._random.choice(bad))
        return " ".join(words).encode()

    def _mail(self, ill: float) -> bytes:
        return self._envelope(
            self._random.choice(("MAIL FROM:", "mail from:")), MAIL_PARAMETERS, BAD_MAIL, ill
        )

    def _rcpt(self, ill: float) -> bytes:
        return self._envelope(self._random.choice(("RCPT TO:", "rcpt to:")), RCPT_PARAMETERS, BAD_RCPT, ill)

    def _step(self, ill: float) -> Step:
        dice = self._random.random()
        choice = self._random.choice
        if dice < 0.25:
            return Step(self._mail(ill) + b"\r\n")
        if dice < 0.5:
            return Step(self._rcpt(ill) + b"\r\n")
        if dice < 0.62:
            return Step(b"DATA\r\n", Kind.DATA, (choice(BODIES) + b".\r\n",))
        if dice < 0.68:
            return Step(choice(CHUNKS))
        if dice < 0.685:
            return Step(choice(BAD_CHUNKS))
        if dice < 0.74:
            return Step(choice(HELLOS) + b"\r\n")
        if dice < 0.77:
            return Step(choice(BAD_HELLOS) + b"\r\n")
        if dice < 0.83:
            return self._auth()
        return Step(choice(OTHERS) + b"\r\n")

    def _auth(self) -> Step:
        choice = self._random.choice
        line = choice(
            [
                b"AUTH PLAIN " + GOOD,
                b"AUTH LOGIN",
                b"AUTH PLAIN",
                b"AUTH LOGIN " + _b64(b"alice"),
                b"AUTH CRAM-MD5",
            ]
        )
        answers = [GOOD, _b64(b"alice"), _b64(b"secret"), b"*", b"!", b"", b"="]
        follow = (choice(answers), choice(answers), b"*")
        if line == b"AUTH LOGIN" and self._random.random() < 0.5:
            follow = (_b64(b"alice"), _b64(choice([b"secret", b"wrong"])), b"*")
        return Step(line + b"\r\n", Kind.AUTH, tuple(answer + b"\r\n" for answer in follow))

    def session(self) -> list[Step]:
        """Its last command is QUIT."""
        ill = self._random.choice((0.0, 0.1, 0.5))
        steps = [Step(self._random.choice(HELLOS) + b"\r\n")] if self._random.random() < 0.93 else []
        for _ in range(self._random.randrange(2, 9)):
            if self._random.random() < 0.5:
                steps += self._transaction(ill)
            else:
                steps.append(self._step(ill))
        return [*steps, Step(b"QUIT\r\n")]

    def _transaction(self, ill: float) -> Iterator[Step]:
        """In the usual order, often in one segment."""
        grouped = self._random.random() < 0.4
        if self._random.random() < 0.3:
            yield Step(b"RSET\r\n")
        yield Step(self._mail(ill) + b"\r\n")
        for _ in range(self._random.randrange(3)):
            yield Step(self._rcpt(ill) + b"\r\n", grouped=grouped)
        if self._random.random() < 0.7:
            body = self._random.choice(BODIES) + b".\r\n"
            yield Step(b"DATA\r\n", Kind.DATA, (body,), grouped=grouped)


def sessions(seed: int, count: int) -> list[list[Step]]:
    """The same for the same seed."""
    source = Sessions(seed)
    return [source.session() for _ in range(count)]
