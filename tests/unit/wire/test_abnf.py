from __future__ import annotations

import re

import pytest

from ehlo.wire import abnf

PATTERNS = {
    name: value
    for name, value in vars(abnf).items()
    if isinstance(value, re.Pattern | abnf.Pattern) and name != "CONTROL"
}
GRAMMAR = {
    "DOT_STRING": "!#$%&'*+-/=?^_`{|}~",
    "QUOTED_CONTENT": " !#$%&'()*+,-./:;<=>?@[]^_`{|}~",
    "DOMAIN": "",
    "ESMTP_KEYWORD": "",
    "ESMTP_VALUE": "!\"#$%&'()*+,-./:;<>?@[\\]^_`{|}~",
    "MECHANISM": "-_",
}
"""Which characters, beside letters and digits, a text of one character may be."""


@pytest.mark.clause("RFC5321-4.1.2g", "RFC5321-4.1.2i", "RFC5321-4.1.2h")
@pytest.mark.parametrize("name", GRAMMAR)
@pytest.mark.parametrize("suffix", ["", "_UTF8"])
def test_every_character_by_itself(name: str, suffix: str) -> None:
    pattern = PATTERNS.get(name + suffix)
    if pattern is None:
        assert suffix, f"{name} has no form for UTF-8"
        return
    for point in (*range(0x3100), *range(0xD7F0, 0xE010), 0xFF21, 0x1F600, 0x10FFFF):
        text = chr(point)
        if point < 128:
            expected = (text.isalnum() or text in GRAMMAR[name]) and text != ""
        else:
            control = point < 0xA0 or text in "\u2028\u2029" or 0xD800 <= point < 0xE000
            expected = bool(suffix) and not control
        assert bool(pattern.match(text)) is expected, (name + suffix, text)


def test_patterns_match_to_the_end() -> None:
    assert len(PATTERNS) == 12
    for name, pattern in PATTERNS.items():
        good = "a:b" if name in ("GENERAL_LITERAL", "ABSOLUTE_URI") else "ab"
        assert pattern.match(good), name
        for end in ("\n", "\r", "\0", "\x85"):
            assert not pattern.match(good + end), name
        assert bool(pattern.match("")) is name.startswith("QUOTED_CONTENT"), name


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("DOT_STRING", ["a.b", "a.b.c"], [".a", "a.", "a..b", ".", "a b"]),
        ("QUOTED_CONTENT", ['\\"', "\\\\", "\\a", "a b", "\\ "], ["\\", '"', 'a\\"\\', "\\\n", "\\é", "\t"]),
        (
            "DOMAIN",
            ["a-b", "a--b.c", "1.2.3.4", "a.b.c"],
            ["-a", "a-", "a.-b", "a-.b", "a..b", ".a", "a.", "#1"],
        ),
        (
            "GENERAL_LITERAL",
            ["x-y:a", "1:^~!Z"],
            ["x-:a", ":a", "x:", "x:a b", "x:a]", "x:[", "x:\\", "x_y:a"],
        ),
        ("ESMTP_KEYWORD", ["8BITMIME", "X-1", "a-"], ["-a", "a_b", "a b"]),
        ("MECHANISM", ["SCRAM-SHA-256", "x" * 20], ["x" * 21, "a b", "a.b"]),
    ],
)
def test_shapes(name: str, good: list[str], bad: list[str]) -> None:
    assert [text for text in good if not PATTERNS[name].match(text)] == []
    assert [text for text in bad if PATTERNS[name].match(text)] == []


def test_what_is_never_echoed() -> None:
    found = {point for point in range(0x110000) if abnf.CONTROL.match(chr(point))}
    assert found == {*range(0x20), *range(0x7F, 0xA0), 0x2028, 0x2029}


def test_a_pattern_is_compiled_once() -> None:
    pattern = abnf.Pattern("(a+)(b*)")
    for _ in range(2):
        found = pattern.match("aab-ab")
        assert found is not None
        assert found.groups() == ("aa", "b")
        assert pattern.match("-ab") is None
        assert pattern.sub(r"<\2\1>", "aab-a") == "<baa>-<a>"
        assert pattern.sub(lambda found: found[0].upper(), "aab-a") == "AAB-A"
    assert pattern._pattern() is pattern._pattern()
