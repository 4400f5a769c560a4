"""Messages: the mending of header blocks, what a message needs, its conversion, and reports about one."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from itertools import product
from typing import Final

import attrs
from tests.fuzz.target import Choices, Target, cut, lines, same
from tests.unit.dsn import samples

from ehlo import LocalProtocolError, Mailbox, MessagePolicy, Reply
from ehlo.dsn import Header, ReportError, build, parse
from ehlo.policy import MessageFacts, MessageFixer, to_eight_bit, to_seven_bit
from ehlo.policy._addresses import addresses, qualified, well_formed
from ehlo.policy.convert import ConversionError
from ehlo.policy.needs import MessageNeed, NeedScanner, needs_of
from ehlo.wire.text import header_of

_BARE: Final = re.compile(rb"\r(?!\n)|(?<!\r)\n")
FACTS: Final = MessageFacts(
    hostname="mx.example",
    timestamp=1_790_000_000,
    unique="1",
    client_name="a.example",
    peer="192.0.2.1",
    identity=Mailbox("alice", "x.org"),
    authenticated=True,
    recipients=(Mailbox("b", "x.org"),),
)
_SILENT: Final = MessagePolicy(received=False, date=False, message_id=False)
POLICIES: Final = (
    MessagePolicy(),
    _SILENT,
    MessagePolicy(
        correct_date=True, sender=True, remove_return_path=True, remove_bcc=True, qualify_with="x.org"
    ),
    MessagePolicy(header_octets=200, most_received=1, refuse_long_lines=True),
    MessagePolicy(
        check_syntax=True,
        refuse_bad_addresses=True,
        refuse_unqualified=True,
        require_from=True,
        refuse_repeated=True,
        refuse_raw_header=True,
        refuse_nul=True,
    ),
)


def _fixed(policy: MessagePolicy, parts: Iterable[bytes]) -> tuple[bytes | Reply, object]:
    fixer = MessageFixer(policy, FACTS)
    out = bytearray()
    for part in parts:
        out += fixer.feed(part)
        held = fixer._buffer
        assert held is None or len(held) <= policy.header_octets + len(part) + 3
    out += fixer.finish()
    return (bytes(out) if fixer.refusal is None else fixer.refusal), fixer.changes


def check_fixer(data: bytes) -> None:
    """A message is refused or mended, the same however it is cut; it holds back no more than a header block,
    the body passes as it came, a policy without wishes changes nothing, and what was mended needs no
    mending."""
    choices = Choices(data, 2)
    policy, seed = choices.one_of(POLICIES), choices.below(256)
    message = choices.rest
    found = _fixed(policy, [message])
    cut_up, result = _fixed(policy, cut(message, seed)), found[0]
    if isinstance(result, Reply):
        # Of several reasons the one counts that was seen first.
        assert isinstance(cut_up[0], Reply)
        assert result.code >= 500
        return
    same("the message, cut up", cut_up, found)
    if policy is _SILENT:
        same("the message", result, message)
    body = re.search(rb"(?:\A|\n)\r?\n", message)
    assert result.endswith(message[body.start() :] if body else b"")
    lenient = attrs.evolve(policy, received=False, most_received=None, header_octets=1 << 20)
    again, changes = _fixed(lenient, [result])
    same("the message, mended again", again, result)
    assert changes == ()


def check_needs(data: bytes) -> None:
    """What a message needs is the same however it is cut, and is what its octets say."""
    seed, message = data[0] if data else 0, data[1:]
    scanner = NeedScanner()
    for part in cut(message, seed):
        scanner.feed(part)
    needs = needs_of(message)
    same("needs, cut up", scanner.finish(), needs)
    found = re.search(rb"(?:\A|\n)\r?\n", message)
    place = found.end() if found else len(message)
    same("8BITMIME", MessageNeed.EIGHT_BIT in needs, not message[place:].isascii())
    same("SMTPUTF8", MessageNeed.SMTPUTF8 in needs, not message[:place].isascii())
    long = any(len(line.removesuffix(b"\r")) > 998 for line in message.split(b"\n"))
    binary = b"\0" in message or _BARE.search(message) is not None
    assert (MessageNeed.BINARY in needs) == (binary or long) or _is_near(message)


def _is_near(message: bytes) -> bool:
    """A line of 999 octets with a CR in it, where CR and LF are counted in two ways."""
    return any(998 < len(line) <= 1000 for line in message.split(b"\n"))


def check_convert(data: bytes) -> None:
    """A message is fit for the next hop as it is, is encoded so that it is, or cannot be; what is fit is not
    touched, and no octet of a header block is lost."""
    for convert, unfit in (
        (to_seven_bit, MessageNeed.EIGHT_BIT | MessageNeed.SMTPUTF8 | MessageNeed.BINARY),
        (to_eight_bit, MessageNeed.BINARY),
    ):
        try:
            made = convert(data)
        except ConversionError:
            assert needs_of(data) & unfit
            continue
        assert not needs_of(made) & unfit
        same("converted again", convert(made), made)
        if not needs_of(data) & unfit:
            assert made is data
        before, after = (header_of(message).split(b"\r\n") for message in (data, made))
        kept = [line for line in before if not line.lower().startswith(b"content-transfer-encoding")]
        assert made is data or set(filter(None, kept)) <= set(after)


def check_addresses(data: bytes) -> None:
    """The addresses of a field are found in order and inside it, completed without an octet lost, and what
    is completed is complete."""
    places = [address.end for address in addresses(data)]
    assert places == sorted(places)
    assert not places or 0 < places[-1] <= len(data)
    made = qualified(data, b"x.org")
    same("without what was added", len(made) - len(data) >= 0, True)
    same("how many addresses", len(addresses(made)), len(places))
    assert all(address.is_qualified or address.domain == b"" for address in addresses(made))
    same("completed again", qualified(made, b"x.org"), made)
    assert not well_formed(data) or well_formed(made)


_HEADER: Final = Header(
    to=Mailbox("alice", "local.example"),
    postmaster=Mailbox("postmaster", "local.example"),
    date=datetime(1997, 11, 21, tzinfo=UTC),
    message_id="<1@local.example>",
    boundary="b",
)


def check_report(data: bytes) -> None:
    """A message is a report or ReportError; a report that does not contradict itself is written with CRLF
    and short lines only, and reads as the same report however often it is handed on."""
    try:
        report = parse(data)
    except ReportError:
        return
    assert report.recipients
    for eight_bit, utf8 in product((False, True), repeat=2):
        try:
            written = build(report, _HEADER, eight_bit=eight_bit, utf8=utf8)
        except LocalProtocolError:
            continue
        assert written.isascii() or eight_bit or utf8
        assert not _BARE.search(written)
        assert max(map(len, written.split(b"\r\n"))) <= 998
        found = parse(written)
        same(
            "recipients",
            [(each.action, each.status) for each in found.recipients],
            [(each.action, each.status) for each in report.recipients],
        )
        same("the report", parse(build(found, _HEADER, eight_bit=eight_bit, utf8=utf8)), found)


# ---- seeds ----

_FIELDS: Final = (
    *(b"From: alice@x.org", b"To: bob, eve@y <c@z.org>", b"Date: Thu, 26 Nov 2026 17:54:15 +0100", b"Bcc: d"),
    *(
        b"Message-ID: <1@x.org>",
        b"Received: by x",
        b"Received: by y",
        b"Return-Path: <>",
        b"Sender: (c) e@x.org",
    ),
    *(b"MIME-Version: 1.0", b"Content-Type: text/plain; charset=utf-8", b"Content-Transfer-Encoding: 8bit"),
    *(
        b'Content-Type: multipart/mixed; boundary="b (c)"',
        b"Resent-From: g: a, b;",
        b"no field",
        b" folded",
        b":",
    ),
    *(b"Subject: \xc3\xa9", b"Date: x", b"Message-ID: ", b"From: <>", b'To: "a\\"b"@x', b"Cc: @a,@b:c@d"),
)
_BODIES: Final = (
    *(
        b"text\r\n",
        b"\xc3\xa9\r\n",
        b"a\0b",
        b"bare\nlines\n",
        b"x" * 1200 + b"\r\n",
        b"",
        b"\r\n\r\n",
        b"no end",
    ),
    lines(b"--b", b"", b"\xe9", b"--b", b"Content-Type: image/png", b"", b"\0\xff", b"--b--", b"after"),
    lines(b"--b", b"Content-Type: message/rfc822", b"", b"Subject: x", b"", b"\xe9", b"--b--"),
    lines(
        b"--b", b"Content-Type: multipart/signed; boundary=c", b"", b"--c", b"", b"\xe9", b"--c--", b"--b--"
    ),
)
_WORDS: Final = (
    *_FIELDS,
    *(
        b"\r\n",
        b"\n",
        b"\r",
        b"\r\n\r\n",
        b"\n\n",
        b"--b\r\n",
        b"--b--",
        b"\xe9",
        b"\0",
        b"(",
        b")",
        b'"',
        b"\\",
    ),
    *(
        b"boundary=",
        b"quoted-printable",
        b"base64",
        b"multipart/digest",
        b"message/global",
        b"<",
        b">",
        b",",
        b";",
    ),
    *(b"Action: failed\n", b"Status: 5.1.1\n", b"Final-Recipient: rfc822; x\n", b"message/delivery-status"),
)


def _messages() -> Iterator[bytes]:
    for number in range(3 * len(_FIELDS)):
        fields = [_FIELDS[(number * step + number // 5) % len(_FIELDS)] for step in range(1, 3 + number % 5)]
        yield lines(*fields, b"") + _BODIES[number % len(_BODIES)]
    for field in _FIELDS[9:13]:
        for body in _BODIES:
            yield lines(_FIELDS[0], field, b"") + body
    yield lines(*_FIELDS[:9], _FIELDS[12], b"") + _BODIES[8]


def _fixer_seeds() -> Iterator[bytes]:
    yield b"\1\1" + lines(*_FIELDS[:3])
    for number, message in enumerate(_messages()):
        yield bytes([number % len(POLICIES), number % 256]) + message


def _reports() -> Iterator[bytes]:
    for name in samples.__dict__:
        if name.isupper() and isinstance(sample := getattr(samples, name), bytes):
            yield sample


TARGETS: Final = (
    Target("fixer", check_fixer, _fixer_seeds, _WORDS),
    Target("needs", check_needs, lambda: (b"\2" + message for message in _messages()), _WORDS),
    Target("convert", check_convert, _messages, _WORDS),
    Target("addresses", check_addresses, lambda: (f.partition(b":")[2] for f in _FIELDS), _WORDS, 400),
    Target("report", check_report, _reports, _WORDS),
)
