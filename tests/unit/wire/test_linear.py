"""Four times the input takes about four times as long: nothing is searched or copied twice."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from tests.helpers.linear import FACTOR, WORST, grows_linearly, ratio

from ehlo import Limits, Reply, XClient
from ehlo.extensions import EVERY, LIMITS, Capabilities, parameter_specs, parse_parameters
from ehlo.wire import abnf, address, base64, codes, command, proxy, xtext
from ehlo.wire.buffer import ReceiveBuffer
from ehlo.wire.dot import DotDecoder, DotEncoder
from ehlo.wire.lines import LineReader
from ehlo.wire.reply import ReplyParser
from ehlo.wire.text import expected_size


def _feed_bytewise(data: bytes) -> None:
    buffer = ReceiveBuffer()
    for i in range(len(data)):
        buffer.feed(data[i : i + 1])
        buffer.take_line(10**9)


def _feed_bytewise_behind_a_line(data: bytes) -> None:
    buffer = ReceiveBuffer()
    buffer.feed(b"x\r\n" + data)
    buffer.take_line(10**9)
    _each_line(buffer, data)


def _each_line(buffer: ReceiveBuffer, data: bytes) -> None:
    for i in range(len(data)):
        buffer.feed(data[i : i + 1])
        buffer.take_line(10**9)


def _many_lines(data: bytes) -> None:
    buffer = ReceiveBuffer()
    buffer.feed(data)
    while buffer.take_line(4096) is not None:
        pass


def _a_line_for_each_octet_fed(data: bytes) -> None:
    buffer = ReceiveBuffer()
    buffer.feed(data)
    while buffer.take_line(10**9) is not None:
        buffer.feed(b"x")


def _discard(data: bytes) -> None:
    buffer = ReceiveBuffer()
    reader = LineReader(buffer, 10**9)
    for i in range(len(data)):
        buffer.feed(data[i : i + 1])
        reader.next_line(16)


def _decode(data: bytes) -> None:
    DotDecoder().decode(data)


def _decode_bytewise(data: bytes) -> None:
    decoder = DotDecoder()
    for i in range(len(data)):
        decoder.decode(data[i : i + 1])


def _encode(data: bytes) -> None:
    encoder = DotEncoder()
    encoder.encode(data)
    encoder.finish()
    expected_size(data)


def _encode_bytewise(data: bytes) -> None:
    encoder = DotEncoder()
    for i in range(len(data)):
        encoder.encode(data[i : i + 1])


def _replies(data: bytes) -> None:
    parser = ReplyParser(Limits())
    parser.feed(data)
    while parser.next_reply():
        pass


def _one_reply(data: bytes) -> None:
    parser = ReplyParser(Limits(reply_line=10**9, reply_lines=10**9, reply_octets=10**9))
    for i in range(0, len(data), 7):
        parser.feed(data[i : i + 7])
        parser.next_reply()


def _path(data: str) -> None:
    try:
        address.split_path(data)
    except address.AddressError:
        return


def _mailbox(data: str) -> None:
    for parse in (address.Mailbox.parse, address._strip_route):
        try:
            parse(data)
        except address.AddressError:
            continue


def _patterns(data: str) -> None:
    for pattern in vars(abnf).values():
        if isinstance(pattern, re.Pattern):
            pattern.match(data)


def _ignore(work: Callable[[str], Any]) -> Callable[[str], None]:
    def run(data: str) -> None:
        try:
            work(data)
        except ValueError:
            return

    return run


def _split_parameters(text: str) -> None:
    for _ in command.split_parameters(text):
        pass


_split = _ignore(_split_parameters)


def _tlvs(data: bytes) -> None:
    octets = len(data) + 12
    found = proxy.parse(b"\r\n\r\n\0\r\nQUIT\n\x21\x11" + octets.to_bytes(2, "big") + bytes(12) + data)
    assert found is not None


SPECS = parameter_specs(param for extension in EVERY for param in (*extension.mail, *extension.rcpt))

OCTETS: list[tuple[Callable[[bytes], None], bytes, int]] = [
    (_feed_bytewise, b"x", 16000),
    (_feed_bytewise, b"\r", 16000),
    (_feed_bytewise, b"\n", 16000),
    (_feed_bytewise, b"\r\n", 16000),
    (_feed_bytewise_behind_a_line, b"x", 16000),
    (_many_lines, b"\r\n", 20000),
    (_many_lines, b"NOOP\r\n", 20000),
    (_many_lines, b"\r\r\n", 20000),
    (_a_line_for_each_octet_fed, b"\r\n", 16000),
    (_discard, b"x", 16000),
    (_discard, b"\r", 16000),
    *[(work, octets, size) for work, size in ((_decode, 100000), (_decode_bytewise, 12000)) for octets in (
        b"\r\n.", b"\r\n..", b"\r", b"\n", b".", b"\r\n", b"\r\n.\r", b"a", b"\xff", b"\n.\r\n",
    )],
    *[(work, octets, size) for work, size in ((_encode, 100000), (_encode_bytewise, 12000)) for octets in (
        b"\r\n.", b"\r", b"\n", b".", b"\r\n", b"\r\n.\r", b"a", b"\n.",
    )],
    (_replies, b"250 OK\r\n", 4000),
    (_replies, b"250 2.0.0\r\n", 4000),
    (_one_reply, b"250-x\r\n", 6000),
    (_one_reply, b"250-2.0.0 x\r\n", 4000),
    (_one_reply, b"250-" + b"x" * 10 + b"\r\n", 4000),
    (_tlvs, b"\x04\0\0", 16000),
    (_tlvs, b"\x04\0\x01x", 16000),
]  # fmt: skip

TEXTS: list[tuple[Callable[[str], None], str, str, int]] = [
    *[(work, head, unit, 20000) for work in (_path, _mailbox, _patterns) for head, unit in (
        ("<", "a"), ('<"', "a"), ("<", '"'), ("<", '"a"'), ('<"', '\\"'), ("<", "\\"),
        ("<", ' "'), ("<a>", " "),
        ("<", "@a,"), ("@", "a,@"), ("@", "a"), ("", "@a,"), ("", "@a,@"), ('"', "a"),
        ('"', '\\"'), ('"', "\\\\"),
        ('"', '"'), ("", "@"), ("", "a."), ("a@", "a-"), ("a@", "a."), ("a@", "-"), ("a@[", "a:"),
        ("", "a-a"),
        ("", "."), ("", "a@"), ("", "é"), ("x", "-:"),
    )],
    *[(_ignore(work), "", unit, 8000) for work in (xtext.decode, xtext.encode) for unit in (
        "+", "+41", "a", "+4", "=", " ", "++",
    )],
    *[(_split, "", unit, 8000) for unit in (
        " ", "A ", "A=b ", "a=", "A", "-", "A=", "\xa0",
    )],
    *[(_ignore(lambda text: parse_parameters(text, SPECS)), "", unit, 8000) for unit in (
        "SIZE=1 ", "SIZE=", "NOTIFY=" , " ",
    )],
    *[(_ignore(SPECS["NOTIFY"].parse), head, unit, 8000) for head, unit in (
        ("SUCCESS", ","), ("", "NEVER,"),
    )],
    *[(_ignore(SPECS[name].parse), head, unit, 8000) for name in (
        "ORCPT", "ENVID", "AUTH", "SIZE",
    ) for head, unit in (
        ("utf-8;", "\\x{41}"), ("utf-8;", "\\x{"), ("utf-8;", "\\"), ("rfc822;", "+41"),
        ("", "+3D"), ("", ";"),
        ('"', "\\"), ("", "9"),
    )],
    *[(_ignore(SPECS[name].parse), "", unit, 8000) for name, unit in (
        ("SOLICIT", "a,"), ("SOLICIT", "a"), ("MTRK", "A"), ("SUBMITTER", "a."), ("RRVS", "2026-"),
        ("BY", "1"),
    )],
    (_ignore(XClient.parse), "NAME=", "+41", 8000),
    (_ignore(XClient.parse), "", "NAME=a ", 8000),
    (lambda text: void(LIMITS.parse_offer(tuple(text.split()))), "", "a=1 ", 8000),
    (lambda text: void(LIMITS.parse_offer((text,))), "", "a=", 8000),
    *[(_ignore(address.check_domain), head, unit, 20000) for head, unit in (
        ("", "a."), ("[", "1."), ("[IPv6:", "1:"), ("[IPv6:", ":"), ("[x:", "a"),
    )],
    (lambda text: void(codes.split_enhanced(250, text)), "2.0.0", " ", 50000),
    (lambda text: void(codes.split_enhanced(250, text)), "2.", "1", 50000),
    (lambda text: void(base64.decode(text.encode())), "", "YWJj", 20000),
    (lambda text: void(Reply(250, text).render()), "", "x", 20000),
    (lambda text: void(Reply(250, text).render()), "", "word ", 20000),
    (lambda text: void(Reply(250, text).render()), "", " ", 20000),
    (lambda text: void(Reply(250, text).render()), "", "\n", 8000),
    (lambda text: void(Reply(250, text).render()), "", "\r\n", 8000),
    (lambda text: void(Reply(250, text).render(utf8=True)), "", "é", 20000),
    (lambda text: void(Reply(250, text).render(utf8=True)), "", "é ", 20000),
    (lambda text: void(Reply(250, text).render(utf8=True)), "", "\udcff", 20000),
    (lambda text: void(str(Reply(250, text))), "", "\x1b", 20000),
    (lambda text: void(Capabilities("", tuple(text.split("|")))), "", "AUTH X|", 8000),
    (lambda text: void(Capabilities("", tuple(text.split("|")))), "AUTH", " a", 8000),
    (lambda text: void(Capabilities("", tuple(text.split("|")))), "", "A=-|", 8000),
]  # fmt: skip


def void(_: object) -> None:
    """Take a value whose making is what counts."""


def _name(value: object) -> str | None:
    return getattr(value, "__name__", None) if callable(value) else repr(value)[:20]


@pytest.mark.clause("RFC5321-4.5.2d")
@pytest.mark.parametrize(("work", "unit", "count"), OCTETS, ids=_name)
def test_octets(work: Callable[[bytes], None], unit: bytes, count: int) -> None:
    times = count // len(unit)
    assert ratio(work, unit * times, unit * times * FACTOR) < WORST


@pytest.mark.parametrize(("work", "head", "unit", "count"), TEXTS, ids=_name)
def test_text(work: Callable[[str], None], head: str, unit: str, count: int) -> None:
    times = count // len(unit)
    assert ratio(work, head + unit * times, head + unit * times * FACTOR) < WORST


def test_many_different_words() -> None:
    """A word seen once is looked up, not searched for."""

    def work(lines: int) -> None:
        Capabilities("", tuple("AUTH " + " ".join(f"m{i}-{j}" for j in range(50)) for i in range(lines)))

    assert ratio(work, 40, 160) < WORST


def test_the_measure_finds_what_is_quadratic() -> None:
    def rescans(data: bytes) -> None:
        for i in range(0, len(data), 10):
            data.count(b"x", 0, i)

    assert ratio(rescans, b"x" * 8000, b"x" * 32000) > WORST
    with pytest.raises(AssertionError, match="as long"):
        grows_linearly(lambda size: lambda: rescans(b"x" * size), 8000)
