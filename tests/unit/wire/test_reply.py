from __future__ import annotations

import copy
import re

import attrs
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from tests.helpers.splits import agreed, agreed_before_tail, every_cut

from ehlo import Limits, LocalProtocolError, RemoteProtocolError
from ehlo.wire.codes import EnhancedCode, ReplyClass, split_enhanced
from ehlo.wire.reply import Reply, ReplyParser, checked_text

LIMITS = Limits(reply_line=40, reply_lines=4, reply_octets=100)
CONTROLS = [chr(x) for x in (*range(0x20), *range(0x7F, 0xA0), 0x2028, 0x2029)]
SAFE_LINE = re.compile(rb"[2-5][0-9]{2}[ -][ -~]*\r\n\Z")


def held(parser: ReplyParser) -> bytes:
    """The octets that wait in the parser."""
    return parser._buffer.take_all()


def parse(octets: bytes, limits: Limits | None = None) -> Reply:
    """The one reply that `octets` are, however they are cut."""

    def run(pieces: list[bytes]) -> tuple[Reply | None, bytes]:
        parser = ReplyParser(limits or Limits())
        reply = None
        for piece in pieces:
            parser.feed(piece)
            reply = reply or parser.next_reply()
        left = held(parser)
        assert parser.empty is not bool(left)
        return reply, left

    reply = agreed_before_tail(run, octets)
    assert reply is not None
    return reply


def refusal(octets: bytes, limits: Limits | None = None) -> str:
    """The error that `octets` are, however they are cut; no reply comes before it."""

    def run(pieces: list[bytes]) -> str:
        parser = ReplyParser(limits or Limits())
        for piece in pieces:
            parser.feed(piece)
            try:
                reply = parser.next_reply()
            except RemoteProtocolError as error:
                return f"{error.reply_hint or ''}{error}"
            assert reply is None
        raise AssertionError("no error")

    return agreed(run, octets)


# ---- the value ----


@pytest.mark.clause("RFC5321-4.2d")
@pytest.mark.parametrize("code", [-250, 0, 25, 99, 100, 199, 600, 999, 2500])
def test_no_reply_code(code: int) -> None:
    with pytest.raises(ValueError, match="not a reply code"):
        Reply(code, "x")


@pytest.mark.clause("RFC2034-4c", "RFC2034-4b")
@pytest.mark.parametrize(
    ("code", "enhanced"), [(250, "5.0.0"), (550, "4.0.0"), (450, "2.0.0"), (354, "2.0.0")]
)
def test_an_enhanced_code_of_another_class(code: int, enhanced: str) -> None:
    with pytest.raises(ValueError, match="does not belong"):
        Reply(code, "x", enhanced)


@pytest.mark.parametrize("code", [200, 299, 400, 499, 500, 599])
def test_an_enhanced_code_of_the_same_class(code: int) -> None:
    enhanced = f"{code // 100}.0.0"
    assert str(Reply(code, "x", enhanced).enhanced) == enhanced


@pytest.mark.clause("RFC5321-4.2c", "RFC5321-4.2.1a")
@pytest.mark.parametrize(
    ("code", "klass", "flags"),
    [
        (200, ReplyClass.SUCCESS, (True, False, False)),
        (299, ReplyClass.SUCCESS, (True, False, False)),
        (300, ReplyClass.INTERMEDIATE, (False, False, False)),
        (399, ReplyClass.INTERMEDIATE, (False, False, False)),
        (400, ReplyClass.TRANSIENT, (False, True, False)),
        (499, ReplyClass.TRANSIENT, (False, True, False)),
        (500, ReplyClass.PERMANENT, (False, False, True)),
        (599, ReplyClass.PERMANENT, (False, False, True)),
    ],
)
def test_classes(code: int, klass: ReplyClass, flags: tuple[bool, bool, bool]) -> None:
    reply = Reply(code)
    assert reply.reply_class is klass
    assert (reply.is_success, reply.is_transient, reply.is_permanent) == flags


def test_ways_to_write_the_same_value() -> None:
    reply = Reply(550, "No such user", "5.1.1")
    assert reply == Reply(550, ["No such user"], EnhancedCode(5, 1, 1))
    assert Reply(250) == Reply(250, "") == Reply(250, ()) == Reply(250, [""])
    assert Reply(250, ()).lines == ("",)
    assert Reply(250, "a") != Reply(250, "b")
    assert Reply(250, ["a", "b"]).text == "a\nb"


def test_str_is_one_safe_line() -> None:
    assert str(Reply(550, ["No such", "user"], "5.1.1")) == "550 5.1.1 No such / user"
    assert str(Reply(250, "a\r\nb\x1b[0m\x85\u2028\0")) == "250 a??b?[0m???"
    assert str(Reply(250, "\udcff\ud800é")) == "250 ??é"


# ---- the writer ----


@pytest.mark.clause("RFC5321-4.2.1b", "RFC2034-4d", "RFC5321-4.2f")
@pytest.mark.parametrize(
    ("reply", "octets"),
    [
        (Reply(250, "OK"), b"250 OK\r\n"),
        (Reply(250), b"250 \r\n"),
        (Reply(250, "OK", "2.0.0"), b"250 2.0.0 OK\r\n"),
        (Reply(250, "", "2.0.0"), b"250 2.0.0 \r\n"),
        (Reply(250, ["a", "", "c"]), b"250-a\r\n250-\r\n250 c\r\n"),
        (Reply(550, ["a", "b"], "5.7.1"), b"550-5.7.1 a\r\n550 5.7.1 b\r\n"),
        (Reply(250, "a\nb\rc\r\nd"), b"250-a\r\n250-b\r\n250-c\r\n250 d\r\n"),
        (Reply(250, "a\n\rb"), b"250-a\r\n250-\r\n250 b\r\n"),
        (Reply(250, "a\n250 b"), b"250-a\r\n250 250 b\r\n"),
    ],
)
def test_render(reply: Reply, octets: bytes) -> None:
    assert reply.render() == octets
    assert reply.render(utf8=True) == octets


@pytest.mark.clause("SEC-INJ-srv-a")
@pytest.mark.parametrize("code", [250, 334, 550])
@pytest.mark.parametrize("utf8", [False, True])
def test_no_control_character_leaves(code: int, utf8: bool) -> None:
    for control in CONTROLS:
        octets = Reply(code, f"a{control}b").render(utf8=utf8)
        assert all(SAFE_LINE.match(line) for line in octets.splitlines(keepends=True)), control
        assert octets == f"{code} a?b\r\n".encode() or (control in "\r\n" and code != 334)


@pytest.mark.clause("SEC-INJ-srv-a")
@pytest.mark.parametrize("text", ["a\r\n250 b", "a\n\nb", "a\x0bb\x1cc\x85d\u2028e\u2029f"])
def test_a_challenge_is_one_line(text: str) -> None:
    octets = Reply(334, text).render()
    assert octets.startswith(b"334 a?")
    assert octets.count(b"\r") == octets.count(b"\n") == 1
    assert octets.endswith(b"\r\n")


@pytest.mark.clause("SEC-INJ-srv-a")
@pytest.mark.parametrize("code", [250, 334])
def test_what_is_not_ascii(code: int) -> None:
    reply = Reply(code, "é\u4f60\U0001f600\ud800\udcff")
    assert reply.render() == f"{code} ?????\r\n".encode()
    assert reply.render(utf8=True) == f"{code} é\u4f60\U0001f600?".encode() + b"\xff\r\n"
    assert reply.render() == f"{code} ?????\r\n".encode()


def test_escaped_octets_do_not_add_up_to_a_control_character() -> None:
    for text in ("\udcc2\udc85", "\udce2\udc80\udca8"):
        assert Reply(250, f"a{text}b").render(utf8=True) == b"250 a?b\r\n"
    assert Reply(250, "a\udc85b").render(utf8=True) == b"250 a\x85b\r\n"


@pytest.mark.clause("RFC4954-4e")
@pytest.mark.parametrize("size", [0, 1, 496, 497, 12284])
def test_a_challenge_is_never_folded(size: int) -> None:
    assert Reply(334, "x" * size).render() == b"334 " + b"x" * size + b"\r\n"


@pytest.mark.clause("RFC5321-4.5.3.1.5a")
@pytest.mark.parametrize(
    "text",
    [
        "x" * 5000, "word " * 1000, " " * 2000, "x" * 495 + " y", "x" * 496 + " y", "x" * 497,
        "é" * 1000, "\U0001f600" * 700, "é " * 500, "\udcff" * 2000, "ab\t" * 700,
    ],
)  # fmt: skip
@pytest.mark.parametrize("utf8", [False, True])
def test_long_text_is_folded(text: str, utf8: bool) -> None:
    octets = Reply(550, text, "5.999.999").render(utf8=utf8)
    lines = octets.splitlines(keepends=True)
    assert len(lines) > 1
    assert all(len(line) <= 512 and line.endswith(b"\r\n") for line in lines)
    assert all(line.startswith(b"550-5.999.999 ") for line in lines[:-1])
    assert lines[-1].startswith(b"550 5.999.999 ")
    if not utf8:
        assert octets.isascii()
    elif "\udcff" not in text:
        assert all(line.decode("utf-8") for line in lines), "no character is torn apart"
    told = b"".join(line[14:-2] for line in lines).replace(b" ", b"")
    whole = re.sub(r"\t", "?", text.replace(" ", ""))
    assert told == whole.encode(*(("utf-8", "surrogateescape") if utf8 else ("ascii", "replace")))


@pytest.mark.clause("RFC5321-4.5.3.1.5a")
def test_where_text_is_folded() -> None:
    assert Reply(250, "x" * 496).render() == b"250 " + b"x" * 496 + b"\r\n"
    assert Reply(250, "x" * 497).render() == b"250-" + b"x" * 496 + b"\r\n250 x\r\n"
    assert Reply(250, "x" * 496 + " y").render() == b"250-" + b"x" * 496 + b"\r\n250 y\r\n"
    assert Reply(250, "a " + "x" * 494 + " y").render() == b"250-a " + b"x" * 494 + b"\r\n250 y\r\n"
    assert Reply(250, "xx " * 200).render().startswith(b"250-" + b"xx " * 164 + b"xx\r\n250 xx ")
    assert Reply(250, "é" + "x" * 494).render(utf8=True) == "250 é".encode() + b"x" * 494 + b"\r\n"
    assert Reply(250, "\t" + "x" * 495).render() == b"250 ?" + b"x" * 495 + b"\r\n"
    # The space in front of the second line is no place for the third to begin.
    assert Reply(250, "a " + "x" * 500).render() == b"250-a\r\n250-" + b"x" * 496 + b"\r\n250 xxxx\r\n"
    assert (
        Reply(250, "é" * 249).render(utf8=True) == f"250-{'é' * 124}\r\n250-{'é' * 124}\r\n250 é\r\n".encode()
    )


def test_the_cache_cannot_be_seen() -> None:
    rendered, fresh = Reply(250, "é", "2.0.0"), Reply(250, "é", "2.0.0")
    before = (hash(rendered), repr(rendered))
    octets = rendered.render()
    assert rendered.render(utf8=True) == "250 2.0.0 é\r\n".encode()
    assert rendered.render() == octets == b"250 2.0.0 ?\r\n"
    assert rendered == fresh
    assert (hash(rendered), repr(rendered)) == (hash(fresh), repr(fresh)) == before
    assert "octets" not in repr(rendered)
    assert attrs.evolve(rendered, lines="b").render() == b"250 2.0.0 b\r\n"
    assert attrs.evolve(rendered, enhanced=None).render() == b"250 ?\r\n"
    assert copy.copy(rendered) == copy.deepcopy(rendered) == fresh
    assert attrs.asdict(fresh, filter=lambda field, _: field.init) == {
        "code": 250,
        "lines": ("é",),
        "enhanced": {"klass": 2, "subject": 0, "detail": 0},
    }


def test_a_reply_is_frozen() -> None:
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        Reply(250).code = 550  # type: ignore[misc]


# ---- the parser ----


@pytest.mark.clause("RFC5321-4.2.1b", "RFC5321-4.2f", "RFC5321-2.3.8a")
@pytest.mark.parametrize(
    ("octets", "reply"),
    [
        (b"250 OK\r\n", Reply(250, "OK")),
        (b"250\r\n", Reply(250, "")),
        (b"250 \r\n", Reply(250, "")),
        (b"250  two\r\n", Reply(250, " two")),
        (b"250-a\r\n250-\r\n250 c\r\n", Reply(250, ["a", "", "c"])),
        (b"250-a\r\n250\r\n", Reply(250, ["a", ""])),
        (b"250-\r\n250-250 x\r\n250 -\r\n", Reply(250, ["", "250 x", "-"])),
        (b"599 x\r\n", Reply(599, "x")),
        (b"200 x\r\n", Reply(200, "x")),
        (b"334\r\n", Reply(334, "")),
        (b"334 bm90IG50bG0=\r\n", Reply(334, "bm90IG50bG0=")),
        (b"220 a\0b\x7f\x1b\t\x0b\r\n", Reply(220, "a\0b\x7f\x1b\t\x0b")),
        ("220 é\u2028\x85\r\n".encode(), Reply(220, "é\u2028\x85")),
        (b"220 \xe9\xff\r\n", Reply(220, "\udce9\udcff")),
    ],
)
def test_parse(octets: bytes, reply: Reply) -> None:
    assert parse(octets) == reply


@pytest.mark.clause("RFC2034-4g", "RFC2034-4h")
@pytest.mark.parametrize(
    ("octets", "reply"),
    [
        (b"250 2.1.0 OK\r\n", Reply(250, "OK", "2.1.0")),
        (b"550-5.7.1 a\r\n550-5.7.1 b\r\n550 5.7.1 c\r\n", Reply(550, ["a", "b", "c"], "5.7.1")),
        (b"550-5.7.1 a\r\n550-5.7.2 b\r\n550 c\r\n", Reply(550, ["a", "5.7.2 b", "c"], "5.7.1")),
        (b"550-a\r\n550 5.7.1 b\r\n", Reply(550, ["a", "5.7.1 b"])),
        (b"550 4.7.1 a\r\n", Reply(550, "4.7.1 a")),
        (b"354 3.0.0 go\r\n", Reply(354, "3.0.0 go")),
        (b"250-2.0.0\r\n250 2.0.0 \r\n", Reply(250, ["", ""], "2.0.0")),
    ],
)
def test_enhanced_codes(octets: bytes, reply: Reply) -> None:
    assert parse(octets) == reply


@pytest.mark.clause("RFC5321-4.2e", "RFC5321-2.3.8a")
@pytest.mark.parametrize(
    "line",
    [
        b"", b" ", b"2", b"25", b"25 x", b"2500 x", b"250x", b"250\tx", b"250_x", b"199 x",
        b"100 x", b"600 x", b"999 x", b"-250 x", b" 250 x", b"+25 x", b"2 50", b"OK", b"0250 x",
        b"\xb2\xb5\xb0 x", b"25\xd9\xa0 x", b"250 a\nb", b"250 a\rb", b"250 a\r", b"250 \n",
        b"250-a\n250 b", b"250\n", b"\n250 x", b"250\0",
    ],
)  # fmt: skip
def test_no_reply_line(line: bytes) -> None:
    assert refusal(line + b"\r\n") == "not a reply line"
    assert refusal(b"250-a\r\n" + line + b"\r\n") == "not a reply line"


@pytest.mark.clause("RFC5321-4.2.1c")
@pytest.mark.parametrize("second", [b"251 b", b"550 b", b"251-b", b"251", b"550-b"])
def test_a_code_that_changes(second: bytes) -> None:
    assert refusal(b"250-a\r\n" + second + b"\r\n") == "the code changes within one reply"
    assert refusal(b"250-a\r\n250-b\r\n" + second + b"\r\n") == "the code changes within one reply"


@pytest.mark.clause("RFC2920-3.1f", "RFC5321-4.2.1b")
def test_several_replies_in_one_feed() -> None:
    octets = b"250-a\r\n250 b\r\n250\r\n354 go\r\n250-c\r\n250 d\r\n550 5.1.1 no\r\n25"
    expected = [
        Reply(250, ["a", "b"]),
        Reply(250),
        Reply(354, "go"),
        Reply(250, ["c", "d"]),
        Reply(550, "no", "5.1.1"),
    ]

    def run(pieces: list[bytes]) -> tuple[list[Reply], int]:
        parser = ReplyParser(Limits())
        found = []
        for piece in pieces:
            parser.feed(piece)
            while (reply := parser.next_reply()) is not None:
                found.append(reply)
        return found, len(held(parser))

    assert agreed(run, octets) == (expected, 2)


def test_empty() -> None:
    parser = ReplyParser(Limits())
    states = [parser.empty]
    for octets in (b"", b"250", b"-a\r\n", b"250 ", b"b\r\n", b"250 a\r\n250 b\r\n", b""):
        parser.feed(octets)
        parser.next_reply()
        states.append(parser.empty)
    assert states == [True, True, False, False, False, True, False, True]
    assert parser.next_reply() is None


@pytest.mark.parametrize("octets", [b"250", b"250-a\r\n", b"250-a\r\n2", b"250 a\r\n250 b\r\n"])
def test_clear(octets: bytes) -> None:
    parser = ReplyParser(Limits())
    parser.feed(octets)
    parser.next_reply()
    parser.clear()
    assert parser.empty
    parser.feed(b"354 go\r\n")
    assert parser.next_reply() == Reply(354, "go")
    assert parser.empty


# ---- bounds ----


@pytest.mark.clause("SEC-INJ-cli-c", "RFC5321-4.5.3.1.5a")
def test_the_bound_of_a_line() -> None:
    assert parse(b"250 " + b"x" * 34 + b"\r\n", LIMITS).text == "x" * 34
    assert refusal(b"250 " + b"x" * 35 + b"\r\n", LIMITS) == "reply line is too long"
    assert refusal(b"250 " + b"x" * 5000, LIMITS) == "reply line is too long"
    assert parse(b"250 " + b"x" * 506 + b"\r\n").text == "x" * 506


@pytest.mark.clause("SEC-INJ-cli-c")
def test_the_bound_of_lines() -> None:
    assert len(parse(b"250-\r\n" * 3 + b"250 \r\n", LIMITS).lines) == 4
    assert refusal(b"250-\r\n" * 4 + b"250 \r\n", LIMITS) == "reply has too many lines or octets"
    assert refusal(b"250-\r\n" * 5, LIMITS) == "reply has too many lines or octets"


@pytest.mark.clause("SEC-INJ-cli-c")
def test_the_bound_of_octets() -> None:
    first = b"250-" + b"x" * 34 + b"\r\n"
    assert len(parse(first * 2 + b"250 " + b"x" * 20 + b"\r\n", LIMITS).lines) == 3
    assert refusal(first * 2 + b"250 " + b"x" * 21 + b"\r\n", LIMITS) == "reply has too many lines or octets"
    for pieces in every_cut(first * 2 + b"250 \r\n" + first * 2 + b"250 \r\n"):
        parser = ReplyParser(LIMITS)
        replies = 0
        for piece in pieces:
            parser.feed(piece)
            while parser.next_reply():
                replies += 1
        assert replies == 2, "each reply has a measure of its own"


@pytest.mark.clause("SEC-INJ-cli-c")
def test_an_endless_reply_stops_in_the_first_feed() -> None:
    parser = ReplyParser(Limits())
    parser.feed(b"250-x\r\n" * 100000)
    with pytest.raises(RemoteProtocolError):
        parser.next_reply()
    assert len(held(parser)) > 7 * 99000


_PIECE = st.text(st.characters(exclude_characters="".join(CONTROLS), exclude_categories=["Cs"]), max_size=40)
_RAW = st.binary(max_size=40).map(lambda raw: re.sub(rb"[\x00-\x1f\x7f]", b"", raw))


@pytest.mark.clause("RFC6531-3.7.4.2c")
@given(st.sampled_from([220, 250, 354, 450, 550]), st.lists(_RAW, min_size=1, max_size=4))
def test_the_octets_of_a_reply_come_again(code: int, texts: list[bytes]) -> None:
    # U+0080 to U+009F and the separators, as UTF-8, are the ones made safe.
    assume(not any(re.search(rb"\xc2[\x80-\x9f]|\xe2\x80[\xa8\xa9]", text) for text in texts))
    octets = b"".join(b"%d-%b\r\n" % (code, text) for text in texts[:-1]) + b"%d %b\r\n" % (code, texts[-1])
    parser = ReplyParser(Limits())
    parser.feed(octets)
    reply = parser.next_reply()
    assert reply is not None
    assert reply.render(utf8=True) == octets


@given(st.sampled_from(["2.0.0", "2.999.10", None]), st.lists(_PIECE, min_size=1, max_size=4))
def test_a_written_reply_parses_to_itself(enhanced: str | None, texts: list[str]) -> None:
    reply = Reply(250, [text.lstrip(" ") for text in texts], enhanced)
    # Text that looks like an enhanced code is one for who reads it.
    assume(enhanced is not None or split_enhanced(250, reply.lines[0])[0] is None)
    parser = ReplyParser(Limits())
    parser.feed(reply.render(utf8=True))
    parsed = parser.next_reply()
    assert parsed == reply


@pytest.mark.parametrize("text", ["a\nb", "\r", "\0", "a\x85", "\u2028", "\x7f"])
def test_text_for_a_greeting(text: str) -> None:
    with pytest.raises(LocalProtocolError):
        checked_text(text)
    assert checked_text("ESMTP é") == "ESMTP é"
