"""Codecs of the wire: lines, replies, paths, base64, the dots of DATA, and the PROXY protocol's header."""

from __future__ import annotations

import base64 as reference
import re
from collections.abc import Iterable, Iterator
from ipaddress import IPv4Address, IPv6Address
from typing import Final

from tests.fuzz.lines import decoded
from tests.fuzz.seeds import KEYWORDS, REPLIES, clients, commands, encoded, replies
from tests.fuzz.target import Choices, Target, cut, same

from ehlo import Limits, LocalProtocolError, ProxyHeader, RemoteProtocolError, Reply, TlvType
from ehlo.wire import address, base64, chunk, command, proxy, xtext
from ehlo.wire.abnf import CONTROL
from ehlo.wire.buffer import ReceiveBuffer
from ehlo.wire.dot import DotDecoder, DotEncoder
from ehlo.wire.lines import INCOMPLETE, Framing, LineReader
from ehlo.wire.reply import ReplyParser
from ehlo.wire.text import Newlines, expected_size, has_bare_newline

LIMITS: Final = Limits(reply_line=300, reply_lines=20, reply_octets=1000)
_BARE: Final = re.compile(rb"\r(?!\n)|(?<!\r)\n")
_OCTETS: Final = re.compile(rb"[\x00-\x1f\x7f]")


# ---- replies ----


def _replies(parts: Iterable[bytes]) -> list[Reply | str]:
    parser = ReplyParser(LIMITS)
    found: list[Reply | str] = []
    try:
        for part in parts:
            parser.feed(part)
            while (reply := parser.next_reply()) is not None:
                found.append(reply)
            assert len(parser._buffer) <= max(LIMITS.reply_line, len(part))
    except RemoteProtocolError as error:
        found.append(str(error))
    return found


def check_replies(data: bytes) -> None:
    """Octets are replies or RemoteProtocolError, the same however they are cut; a reply that is written is
    whole lines of at most 512 octets without control characters, and reads as what it was written from."""
    seed, octets = data[0] if data else 0, data[1:]
    found = _replies([octets] if octets else [])
    same("replies, cut up", _replies(cut(octets, seed)), found)
    same("replies, a second time", _replies([octets] if octets else []), found)
    for reply in found:
        if isinstance(reply, Reply):
            for utf8 in (False, True):
                _check_written(reply, utf8=utf8)
            assert not CONTROL.search(str(reply))


def _check_written(reply: Reply, *, utf8: bool) -> None:
    octets = reply.render(utf8=utf8)
    assert octets.endswith(b"\r\n")
    assert utf8 or octets.isascii()
    for line in octets.split(b"\r\n")[:-1]:
        assert not _OCTETS.search(line), f"control character in {line!r}"
        assert reply.code == 334 or len(line) <= 510
    parser = ReplyParser(Limits())
    parser.feed(octets)
    again = parser.next_reply()
    assert again is not None
    assert parser.empty
    same("the code", (again.code, again.enhanced), (reply.code, reply.enhanced))
    if again.lines == reply.lines:
        same("the octets", again.render(utf8=utf8), octets)


# ---- lines ----


def _lines(parts: Iterable[bytes], limit: int, runaway: int) -> list[bytes | Framing]:
    buffer = ReceiveBuffer()
    reader = LineReader(buffer, runaway)
    found: list[bytes | Framing] = []
    for part in parts:
        buffer.feed(part)
        while (line := reader.next_line(limit)) is not INCOMPLETE:
            found.append(line)
            if line is Framing.RUNAWAY:
                return found
        assert len(buffer) <= limit
    return found


def check_lines(data: bytes) -> None:
    """Lines are what CRLF parts and nothing else, those that are too long are read to their end and told,
    and what is held is less than a line."""
    choices = Choices(data, 3)
    limit, runaway, seed = 2 + choices.below(60), 20 + choices.below(200), choices.below(256)
    octets = choices.rest
    expected: list[bytes | Framing] = []
    for line in octets.split(b"\r\n")[:-1]:
        if len(line) + 2 > runaway and len(line) + 2 > limit:
            expected.append(Framing.RUNAWAY)
            break
        expected.append(Framing.OVERLONG if len(line) + 2 > limit else line)
    found = _lines([octets], limit, runaway)
    same("lines, cut up", _lines(cut(octets, seed), limit, runaway), found)
    if Framing.RUNAWAY not in found:
        same("lines", found, expected)


# ---- paths ----


def check_path(data: bytes) -> None:
    """An argument of MAIL or RCPT is a path and parameters, or AddressError; a path is written as one word
    that reads as the same path, and holds no control character."""
    choices = Choices(data, 1)
    flags = choices.below(4)
    utf8, forward = bool(flags & 1), bool(flags & 2)
    try:
        argument = choices.rest.decode()
    except UnicodeDecodeError:
        return
    parse = address.parse_forward_path if forward else address.parse_reverse_path
    try:
        path, rest = address.split_path(argument)
        mailbox = parse(path, utf8=utf8)
    except address.AddressError:
        return
    assert argument.startswith(f"<{path}>")
    same("the parameters", rest, argument[len(path) + 2 :].strip(" "))
    written = address.render_path(mailbox, utf8=utf8)
    same("the path, written", address.split_path(f"{written} {rest}"), (written[1:-1], rest))
    same("the path, read again", parse(written[1:-1], utf8=utf8), mailbox)
    assert not command.has_control(command.render(f"MAIL FROM:{written}")[:-2])
    simple = address.simple_path(argument.encode(), 0)
    assert simple in (None, mailbox)


def check_command(data: bytes) -> None:
    """A line is a verb and an argument, its parameters are words or ParameterError, and the size of a chunk
    is a number or nothing; what is read of them is written as the line that was read."""
    line = data.replace(b"\r\n", b"\n")
    verb, argument = command.split_line(line)
    assert b" " not in verb
    assert not argument.startswith(b" ")
    same("has_control", command.has_control(line), _OCTETS.search(line) is not None)
    found = chunk.parse_chunk(argument)
    if found is not None and found.valid:
        same("a chunk", chunk.parse_chunk(chunk.render_chunk(found)[5:-2]), found)
    text = argument.decode("utf-8", "replace")
    try:
        parameters = list(command.split_parameters(text))
    except command.ParameterError:
        return
    words = [keyword if value is None else f"{keyword}={value}" for keyword, value in parameters]
    same("parameters", list(command.split_parameters(" ".join(words))), parameters)
    assert not command.has_control(command.render("MAIL", *words)[:-2])


# ---- xtext and base64 ----


def check_xtext(data: bytes) -> None:
    """xtext is ASCII or ValueError, and what was decoded is written as xtext that stands for it."""
    text = data.decode("utf-8", "replace")
    try:
        meaning = xtext.decode(text)
    except ValueError:
        pass
    else:
        assert meaning.isascii()
        same("xtext", xtext.decode(xtext.encode(meaning)), meaning)
    try:
        written = xtext.encode(text)
    except ValueError:
        assert not text.isascii()
    else:
        same("text", xtext.decode(written), text)
        assert not re.search(r"[^!-~]|=", written)


def check_base64(data: bytes) -> None:
    """What is taken for base64 is exactly what another decoder takes and has one spelling only."""
    try:
        found = base64.decode(data)
    except base64.Base64Error:
        found = None
    same("base64", found, decoded(data))
    same("octets", base64.decode(base64.encode(data)), data)
    same("its spelling", base64.encode(data), reference.b64encode(data))


# ---- the dots of DATA ----


def _undotted(parts: Iterable[bytes]) -> tuple[bytes, bytes | None, bool, bool, int]:
    decoder = DotDecoder()
    content, rest = bytearray(), None
    for part in parts:
        if rest is None:
            more, rest = decoder.decode(part)
            content += more
        else:
            rest += part
    return bytes(content), rest, decoder.bare_newline, decoder.eight_bit, decoder.size


def check_dots(data: bytes) -> None:
    """What is read behind 354 ends at CRLF.CRLF and nowhere else and is what the lines say, the same however
    the octets are cut; what is written has CRLF only and reads as the message, and what is strict changes
    nothing or refuses."""
    seed, octets = data[0] if data else 0, data[1:]
    body, end, behind = (b"\r\n" + octets).partition(b"\r\n.\r\n")
    whole = _undotted([octets])
    if end:
        content = (body + b"\r\n").replace(b"\r\n.", b"\r\n")[2:]
        same("the content", whole[:2], (content, behind))
        same("the flags", whole[2:4], (bool(_BARE.search(content)), not content.isascii()))
        same("the size", whole[4], len(content))
        same("the content, cut up", _undotted(cut(octets, seed)), whole)
    else:
        assert whole[1] is None
    encoder = DotEncoder()
    sent = b"".join(map(encoder.encode, cut(octets, seed))) + encoder.finish()
    assert not _BARE.search(sent)
    message = re.sub(rb"\r\n|\r|\n", b"\r\n", octets)
    message += b"" if not message or message.endswith(b"\r\n") else b"\r\n"
    same("the message", _undotted([sent + octets])[:2], (message, octets))
    same("its size", (encoder.size, expected_size(octets)), (len(message), len(message)))
    strict = DotEncoder(Newlines.REFUSE)
    try:
        again = b"".join(map(strict.encode, cut(octets, seed))) + strict.finish()
    except LocalProtocolError:
        assert has_bare_newline(octets)
    else:
        assert not has_bare_newline(octets)
        same("what is strict", again, sent)


# ---- PROXY ----


def _proxy(octets: bytes, limit: int) -> tuple[ProxyHeader, int] | None:
    try:
        return proxy.parse(octets, limit=limit)
    except proxy.ProxyError:
        return None


def check_proxy(data: bytes) -> None:
    """Octets are a PROXY header, too few for one, or ProxyError; with what follows it is the same header;
    before its last octet it is never a header or an error; and it is written as what reads as the same."""
    choices = Choices(data, 1)
    limit = (proxy.MOST, 107, 300)[choices.below(3)]
    octets = choices.rest
    found = _proxy(octets, limit)
    if found is None:
        return
    header, size = found
    assert size <= min(limit, len(octets))
    same("with other octets behind it", _proxy(octets[:size] + b"\r\nX", limit), found)
    for end in {*range(min(size, 40)), size // 2, size - 1}:
        assert proxy.parse(octets[:end], limit=limit) is None, f"the first {end} octets are enough"
    written = header.render()
    same("the header, written", proxy.parse(written), (header, len(written)))


# ---- seeds ----


def _with(head: bytes, seeds: Iterable[bytes]) -> Iterator[bytes]:
    return (head + seed for seed in seeds)


_PATHS: Final = (
    *(
        b"<>",
        b"<a@x.org> SIZE=1",
        b"<postmaster>",
        b'<"a b\\"c"@x.org> X',
        b"<@a.org,@b.org:c@d.org>",
        b"<a>",
    ),
    *(
        b"<a@[127.0.0.1]>",
        b"<a@[IPv6:::1]>",
        b"<a@[x:y]>",
        "<\xe9@\xe9.org>".encode(),
        b"<a@x-.org>",
        b"<.a@x>",
    ),
)


def _path_seeds() -> Iterator[bytes]:
    paths = [line.partition(b":")[2] for line in commands() if line[:4] in (b"MAIL", b"RCPT")]
    for number, path in enumerate((*_PATHS, *paths)):
        yield bytes([number % 4]) + path


def _proxy_seeds() -> Iterator[bytes]:
    four = proxy.Endpoint(IPv4Address("192.0.2.1"), 25), proxy.Endpoint(IPv4Address("192.0.2.2"), 587)
    six = proxy.Endpoint(IPv6Address("::1"), 0), proxy.Endpoint(IPv6Address("2001:db8::2"), 65535)
    tlvs = ((TlvType.AUTHORITY, b"x.org"), (TlvType.NOOP, b""), (0xE0, bytes(30)))
    for source, destination in (four, six):
        for version in (1, 2):
            yield b"\0" + ProxyHeader(version=version, source=source, destination=destination).render()
        yield b"\0" + ProxyHeader(source=source, destination=destination, tlvs=tlvs).render()
    yield b"\1" + ProxyHeader(version=1).render()
    yield b"\2" + ProxyHeader(local=True).render() + b"EHLO"
    yield b"\0PROXY UNKNOWN ffff::1 ffff::2 1 2\r\nEHLO x\r\n"


_PROXY_WORDS: Final = (
    b"PROXY TCP4 ",
    b"PROXY TCP6 ",
    b"PROXY UNKNOWN",
    b"\r\n\r\n\0\r\nQUIT\n",
    b"\x21\x11",
    b" 0 ",
)
_DOTS: Final = (
    b"\r\n.\r\n",
    b"\r\n..",
    b"\n.\n",
    b"\r.\r",
    b"\r\n.\n",
    b"\r\n.\r",
    b".",
    b"\r",
    b"\n",
    b"\xe9",
)
_XTEXT: Final = (b"a+2Bb", b"+3D", b"+", b"+7F", b"+80", b"x=y", "\xe9".encode(), b"+00", b"+0a")

TARGETS: Final = (
    Target("replies", check_replies, lambda: _with(b"\1", replies()), REPLIES),
    Target("lines", check_lines, lambda: _with(b"\x14\x40\2", clients()), (b"\r\n", b"\r", b"\n", b"\r\r\n")),
    Target(
        "path", check_path, _path_seeds, (b"<", b">", b'"', b"\\", b"@", b"[IPv6:", b"]", b",:", b"."), 400
    ),
    Target("command", check_command, commands, KEYWORDS),
    Target("xtext", check_xtext, lambda: _XTEXT, (b"+", b"+2B", b"=", b"+3D"), 200),
    Target("base64", check_base64, encoded, (b"=", b"==", b"AAAA", b"\n", b" "), 600),
    Target("dots", check_dots, lambda: _with(b"\3", (b"a\r\n..b\r\n.\r\nQUIT\r\n", *_DOTS)), _DOTS),
    Target("proxy", check_proxy, _proxy_seeds, _PROXY_WORDS, 600),
)
