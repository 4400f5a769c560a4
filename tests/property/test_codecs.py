"""What holds for any input: codecs undo each other, cuts change nothing, faults have one type."""

from __future__ import annotations

import random
import re
from collections.abc import Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ehlo import Limits, LocalProtocolError, RemoteProtocolError, Reply
from ehlo.extensions import (
    EVERY,
    Capabilities,
    UnsupportedParameter,
    by_type,
    parameter_specs,
    parse_parameters,
    render_parameters,
)
from ehlo.wire import address, command
from ehlo.wire.buffer import ReceiveBuffer
from ehlo.wire.dot import DotDecoder, DotEncoder
from ehlo.wire.lines import INCOMPLETE, Framing, LineReader
from ehlo.wire.reply import ReplyParser
from ehlo.wire.text import Newlines, expected_size, has_bare_newline

LIMITS = Limits(reply_line=60, reply_lines=5, reply_octets=200)
SPECS = [
    parameter_specs(param for extension in EVERY for param in extension.mail),
    parameter_specs(param for extension in EVERY for param in extension.rcpt),
]

BARE = {"SMTPUTF8", "REQUIRETLS"}

OCTETS = st.one_of(
    st.binary(max_size=120),
    st.lists(
        st.sampled_from(
            [b"\r", b"\n", b"\r\n", b".", b"\r\n.", b"\r\n.\r\n", b"a", b"\0", b"\xff", b"250 x", b"250-"]
        ),
        max_size=40,
    ).map(b"".join),
)
CUTS = st.randoms(use_true_random=False)


def pieces(data: bytes, source: random.Random) -> list[bytes]:
    cuts = sorted(source.randrange(len(data) + 1) for _ in range(source.randrange(12)))
    return [data[a:b] for a, b in zip([0, *cuts], [*cuts, len(data)], strict=True)]


def decode(parts: Iterable[bytes]) -> tuple[bytes, bytes | None, bool, bool, int]:
    decoder = DotDecoder()
    content = b""
    rest: bytes | None = None
    for part in parts:
        if rest is None:
            more, rest = decoder.decode(part)
            content += more
        else:
            rest += part
    return content, rest, decoder.bare_newline, decoder.eight_bit, decoder.size


@pytest.mark.clause("RFC5321-4.5.2d", "SEC-SMUG-in-a")
@settings(max_examples=400)
@given(OCTETS, CUTS)
def test_cuts_change_nothing_for_the_decoder(data: bytes, source: random.Random) -> None:
    data += b"\r\n.\r\n"
    content, rest, bare, eight_bit, size = decode([data])
    assert decode(pieces(data, source)) == (content, rest, bare, eight_bit, size)
    assert rest is not None
    end = len(data) - len(rest)
    assert (b"\r\n" + data[:end]).endswith(b"\r\n.\r\n")
    assert (b"\r\n" + data[:end]).find(b"\r\n.\r\n") == end - 3
    assert size == len(content)
    assert eight_bit is not content.isascii()
    assert bare is bool(re.search(rb"\r(?!\n)|(?<!\r)\n", data[:end]))


@pytest.mark.clause("RFC5321-4.5.2d", "RFC5321-4.5.2b", "SEC-SMUG-out-a", "SEC-SMUG-out-b", "RFC5321-2.3.8b")
@settings(max_examples=400)
@given(OCTETS, OCTETS, CUTS)
def test_what_is_encoded_is_decoded(message: bytes, behind: bytes, source: random.Random) -> None:
    encoder = DotEncoder()
    sent = b"".join(map(encoder.encode, pieces(message, source))) + encoder.finish()
    assert not re.search(rb"\r(?!\n)|(?<!\r)\n", sent)
    content, rest, bare, eight_bit, size = decode(pieces(sent + behind, source))
    expected = re.sub(rb"\r\n|\r|\n", b"\r\n", message)
    if expected and not expected.endswith(b"\r\n"):
        expected += b"\r\n"
    assert (content, rest, bare) == (expected, behind, False)
    assert eight_bit == encoder.eight_bit == (not message.isascii())
    assert size == encoder.size == expected_size(message)


@settings(max_examples=200)
@given(OCTETS, CUTS)
def test_the_strict_encoder_refuses_or_changes_nothing(message: bytes, source: random.Random) -> None:
    encoder = DotEncoder(Newlines.REFUSE)
    try:
        sent = b"".join([*map(encoder.encode, pieces(message, source)), encoder.finish()])
    except LocalProtocolError:
        assert has_bare_newline(message)
    else:
        assert not has_bare_newline(message)
        assert decode([sent])[0] == message + (b"" if not message or message.endswith(b"\r\n") else b"\r\n")


def frames(parts: Iterable[bytes], limit: int) -> list[bytes | Framing]:
    buffer = ReceiveBuffer()
    reader = LineReader(buffer, 10**6)
    found: list[bytes | Framing] = []
    for part in parts:
        buffer.feed(part)
        while (line := reader.next_line(limit)) is not INCOMPLETE:
            found.append(line)
    return found


@pytest.mark.clause("RFC5321-2.3.8a")
@settings(max_examples=300)
@given(OCTETS, st.integers(3, 12), CUTS)
def test_lines_are_what_crlf_parts(data: bytes, limit: int, source: random.Random) -> None:
    expected = [Framing.OVERLONG if len(x) + 2 > limit else x for x in data.split(b"\r\n")[:-1]]
    assert frames([data], limit) == expected
    assert frames(pieces(data, source), limit) == expected
    assert frames([data[i : i + 1] for i in range(len(data))], limit) == expected


def replies(parts: Iterable[bytes]) -> list[Reply | str]:
    parser = ReplyParser(LIMITS)
    found: list[Reply | str] = []
    for part in parts:
        parser.feed(part)
        try:
            while (reply := parser.next_reply()) is not None:
                found.append(reply)
        except RemoteProtocolError as error:
            return [*found, str(error)]
    return found


@settings(max_examples=400)
@given(
    st.lists(
        st.sampled_from(
            [b"250", b"250-", b"250 ", b"550 ", b"\r\n", b"\r", b"\n", b"2.0.0", b" x", b"\xff\0", b"y" * 30]
        ),
        max_size=30,
    ).map(b"".join)
    | OCTETS,
    CUTS,
)
def test_any_octets_are_replies_or_a_protocol_error(data: bytes, source: random.Random) -> None:
    expected = replies([data])
    assert replies(pieces(data, source)) == expected
    for reply in expected:
        if isinstance(reply, Reply):
            assert re.fullmatch(rb"([2-5]\d\d[ -][ -~]*\r\n)+", reply.render())
            assert str(reply).isprintable()
            assert Capabilities.from_reply(reply).name == reply.lines[0]


@pytest.mark.clause("SEC-INJ-srv-a", "RFC5321-4.5.3.1.5a")
@settings(max_examples=200)
@given(st.sampled_from([220, 250, 354, 550]), st.lists(st.text(max_size=700), max_size=3), st.booleans())
def test_any_text_is_a_reply_that_can_be_read(code: int, texts: list[str], utf8: bool) -> None:
    octets = Reply(code, texts).render(utf8=utf8)
    for line in octets.split(b"\r\n")[:-1]:
        assert len(line) + 2 <= 512
        assert not re.search(rb"[\x00-\x1f\x7f]", line)
    parser = ReplyParser(Limits())
    parser.feed(octets)
    reply = parser.next_reply()
    assert reply is not None
    assert reply.code == code
    assert parser.empty
    assert utf8 or octets.isascii()


WORDS = st.sampled_from(
    [
        "SIZE", "BODY", "RET", "ENVID", "NOTIFY", "ORCPT", "AUTH", "X", "=", "1", "8BITMIME", "HDRS", "NEVER",
        ",", "SUCCESS", "rfc822;", "utf-8;", "+41", "+0A", "\\x{E9}", "<>", "a@b", '"', " ", " ", "\x85",
        "\xa0", "é", "\n", "\u017f", ";R", ":60", "A" * 27, "2026-01-01T00:00:00Z", "a@b",
        *[f" {keyword}=" for specs in SPECS for keyword in specs], " SMTPUTF8 ",
    ]
)  # fmt: skip


@settings(max_examples=500)
@given(st.lists(WORDS, max_size=14).map("".join) | st.text(max_size=30), st.sampled_from([0, 1]))
def test_any_parameters_parse_or_are_refused_and_come_back(text: str, which: int) -> None:
    specs = SPECS[which]
    try:
        parameters = parse_parameters(text, specs)
    except (command.ParameterError, UnsupportedParameter):
        return
    words = render_parameters(parameters, by_type(specs.values()))
    assert parse_parameters(" ".join(words), specs) == parameters
    assert len(words) == len(parameters)
    line = command.render("MAIL", *words)
    assert not command.has_control(line[:-2])


@settings(max_examples=400)
@given(
    st.lists(
        st.sampled_from(
            ["<", ">", "@", "a", '"', "\\", ".", ",", ":", " ", "[", "]", "1", "-", "é", "\n", "X=1"]
        )
    )
    .map("".join)
    .map("<{}>".format)
    | st.text(max_size=30),
    st.booleans(),
)
def test_any_argument_is_a_path_or_refused_and_comes_back(text: str, utf8: bool) -> None:
    try:
        path, rest = address.split_path(text)
        mailbox = address.parse_reverse_path(path, utf8=utf8)
    except address.AddressError:
        return
    assert text.startswith(f"<{path}>")
    assert rest == text[len(path) + 2 :].strip(" ")
    written = address.render_path(mailbox, utf8=utf8)
    assert address.split_path(f"{written} {rest}") == (written[1:-1], rest)
    assert address.parse_reverse_path(written[1:-1], utf8=utf8) == mailbox
    assert not command.has_control(command.render(f"MAIL FROM:{written}")[:-2])


@given(st.lists(st.sampled_from([value for specs in SPECS for value in specs]), unique=True))
def test_few_parameters_go_without_a_value(keywords: list[str]) -> None:
    for specs in SPECS:
        try:
            parameters = parse_parameters(" ".join(keywords), specs)
        except (command.ParameterError, UnsupportedParameter):
            assert not set(keywords) <= BARE & set(specs)
        else:
            assert len(parameters) == len(keywords)
            assert set(keywords) <= BARE
