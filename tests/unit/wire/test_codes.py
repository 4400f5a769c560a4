from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ehlo.wire.codes import CLASS_OF, CLOSING, EnhancedCode, ReplyClass, _enhanced, split_enhanced


@pytest.mark.clause("RFC5321-4.2d", "RFC5321-4.2e")
def test_every_code_has_the_class_of_its_first_digit() -> None:
    assert sorted(CLASS_OF) == list(range(200, 600))
    assert all(int(str(code)[0]) == klass for code, klass in CLASS_OF.items())
    assert set(CLASS_OF.values()) == set(ReplyClass)
    assert CLASS_OF[CLOSING] is ReplyClass.TRANSIENT


@pytest.mark.clause("RFC3463-2a", "RFC3463-2b")
@pytest.mark.parametrize(
    ("text", "code"),
    [("2.0.0", (2, 0, 0)), ("4.10.100", (4, 10, 100)), ("5.999.999", (5, 999, 999)), ("5.7.57", (5, 7, 57))],
)
def test_parse(text: str, code: tuple[int, int, int]) -> None:
    parsed = EnhancedCode.parse(text)
    assert parsed == EnhancedCode(*code)
    assert str(parsed) == text


@pytest.mark.clause("RFC3463-2a", "RFC2034-4b")
@pytest.mark.parametrize(
    "text",
    [
        "", "2", "2.0", "2.0.0.0", "1.0.0", "3.0.0", "6.0.0", "2.00.0", "2.01.0", "2.0.01",
        "2.1000.0", "2.0.1000", "2.0.0 ", " 2.0.0", "2.0.0\n", "2.0.0\r\n", "2.0.0x", "2,0,0",
        "-2.0.0", "2.\u0661.0", "\u0662.0.0",
    ],
)  # fmt: skip
def test_no_code(text: str) -> None:
    with pytest.raises(ValueError, match="not an enhanced status code"):
        EnhancedCode.parse(text)
    assert split_enhanced(200, text.strip(" ") + "x")[0] is None


@pytest.mark.parametrize(
    "parts", [(1, 0, 0), (3, 0, 0), (0, 0, 0), (2, -1, 0), (2, 0, -1), (2, 1000, 0), (5, 0, 1000)]
)
@pytest.mark.clause("RFC3463-2a", "RFC2034-4b")
def test_no_code_by_hand(parts: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError, match="not an enhanced status code"):
        EnhancedCode(*parts)


@pytest.mark.clause("RFC2034-4g")
@pytest.mark.parametrize(
    ("code", "text", "expected"),
    [
        (250, "2.1.0 Sender OK", ("2.1.0", "Sender OK")),
        (250, "2.1.0", ("2.1.0", "")),
        (250, "2.1.0 ", ("2.1.0", "")),
        (550, "5.7.1   spaced", ("5.7.1", "spaced")),
        (450, "4.0.0 4.0.0 x", ("4.0.0", "4.0.0 x")),
        (200, "2.123.123 x", ("2.123.123", "x")),
        (299, "2.0.0 \tx", ("2.0.0", "\tx")),
        (400, "4.0.0 Xx", ("4.0.0", "Xx")),
        (500, "5.0.0 x", ("5.0.0", "x")),
        (550, "4.7.1 other class", None),
        (250, "5.0.0 other class", None),
        (354, "3.0.0 no such class", None),
        (354, "2.0.0 other class", None),
        (250, "2.1.0-x", None),
        (250, "2.1.0\tx", None),
        (250, " 2.1.0 x", None),
        (220, "2.0.0.5 is an address", None),
        (250, "2.01.0 x", None),
        (250, "2.1234.0 x", None),
        (250, "x 2.1.0", None),
    ],
)
def test_split(code: int, text: str, expected: tuple[str, str] | None) -> None:
    found, rest = split_enhanced(code, text)
    if expected is None:
        assert (found, rest) == (None, text)
    else:
        assert (str(found), rest) == expected


@pytest.mark.clause("RFC2034-4b")
@pytest.mark.parametrize(
    ("code", "text"),
    [
        (300, "2.secret"),
        (334, "2.0.0"),
        (354, "3.0.0 x"),
        (399, "a.secret"),
        (334, "c2VjcmV0"),
        (250, "secret"),
    ],
)
def test_what_is_no_code_is_not_remembered(code: int, text: str) -> None:
    _enhanced.cache_clear()
    assert split_enhanced(code, text) == (None, text)
    assert _enhanced.cache_info().currsize == 0


@given(
    code=st.sampled_from([250, 354, 421, 550]),
    text=st.lists(
        st.sampled_from(["2", "5", "4", "3", ".", "0", "12", "999", "1234", "01", " ", "x", "\t", "\u0661"]),
        max_size=9,
    ),
)
def test_split_is_what_one_pattern_says(code: int, text: list[str]) -> None:
    line = "".join(text)
    number = "(0|[1-9][0-9]{0,2})"
    found = re.match(rf"([245])\.{number}\.{number}(?: +|\Z)", line)
    enhanced, rest = split_enhanced(code, line)
    if found is None or int(found[1]) != code // 100:
        assert (enhanced, rest) == (None, line)
    else:
        assert (enhanced, rest) == (EnhancedCode(*map(int, found.groups())), line[found.end() :])


def test_order() -> None:
    codes = ["5.7.1", "2.0.0", "4.10.0", "4.2.9"]
    assert [str(x) for x in sorted(map(EnhancedCode.parse, codes))] == ["2.0.0", "4.2.9", "4.10.0", "5.7.1"]
