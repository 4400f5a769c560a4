from __future__ import annotations

import pytest

from ehlo.extensions import SIZE, Body, Size
from ehlo.extensions.simple import BODY_PARAM, SIZE_PARAM


@pytest.mark.clause("RFC1870-3b")
@pytest.mark.parametrize(
    "text",
    [
        "", "-1", "+1", "1.0", "1e3", "0x10", " 1", "1 ", "1\n", "1_000", "a", "1a", "9" * 21,
        "0" * 21, "9" * 30, "\u0661", "\uff11", "\u00b2", "1,000",
    ],
)  # fmt: skip
def test_no_size(text: str) -> None:
    with pytest.raises(ValueError, match="SIZE has 1 to 20 digits"):
        SIZE_PARAM.parse(text)


@pytest.mark.clause("RFC1870-3b")
@pytest.mark.parametrize(
    ("text", "octets"), [("0", 0), ("007", 7), ("9" * 20, 10**20 - 1), ("0" * 19 + "1", 1)]
)
def test_size(text: str, octets: int) -> None:
    assert SIZE_PARAM.parse(text) == Size(octets)


@pytest.mark.parametrize("octets", [-1, 10**20, -(10**30)])
def test_no_size_by_hand(octets: int) -> None:
    with pytest.raises(ValueError, match="SIZE has 1 to 20 digits"):
        Size(octets)


@pytest.mark.clause("RFC1870-3a")
@pytest.mark.parametrize(
    ("words", "maximum"),
    [
        ((), None),
        (("0",), 0),
        (("35882577",), 35882577),
        (("9" * 20,), 10**20 - 1),
        (("9" * 21,), None),
        (("-1",), None),
        (("1MB",), None),
        (("",), None),
        (("1000", "x"), 1000),
        (("x", "1000"), None),
        (("\u0661",), None),
        (("1\n",), None),
    ],
)
def test_the_offer_of_size(words: tuple[str, ...], maximum: int | None) -> None:
    assert SIZE.parse_offer(words) == maximum


@pytest.mark.clause("RFC5321-2.4a")
@pytest.mark.parametrize(
    ("text", "body"),
    [("7BIT", Body.SEVEN_BIT), ("8BITMIME", Body.EIGHT_BIT_MIME), ("8bitMime", Body.EIGHT_BIT_MIME)],
)
def test_body(text: str, body: Body) -> None:
    assert BODY_PARAM.parse(text) is body


@pytest.mark.clause("RFC6152-3d")
@pytest.mark.parametrize(
    "text", ["", "8BIT", "BINARYMIME", "7BIT ", "7BIT,8BITMIME", "8b\u0131tmime", "8BITM\u0130ME"]
)
def test_no_body(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        BODY_PARAM.parse(text)
