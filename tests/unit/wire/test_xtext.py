from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ehlo.wire import xtext


@pytest.mark.clause("RFC3461-4a", "RFC3461-4c")
def test_every_ascii_character() -> None:
    for point in range(128):
        text = chr(point)
        plain = 33 <= point <= 126 and text not in "+="
        assert xtext.encode(text) == (text if plain else f"+{point:02X}")
        assert xtext.decode(f"+{point:02X}") == text
        assert xtext.encode(f"a{text}b") == f"a{xtext.encode(text)}b"
        if plain:
            assert xtext.decode(text) == text
        elif text != "+":
            with pytest.raises(ValueError, match="not xtext"):
                xtext.decode(f"a{text}")


@pytest.mark.clause("RFC3461-4a")
@pytest.mark.parametrize(
    ("text", "encoded"),
    [
        ("", ""),
        ("QQ=14", "QQ+3D14"),
        ("b+c@y.org", "b+2Bc@y.org"),
        ("+41", "+2B41"),
        ("a b\r\n", "a+20b+0D+0A"),
    ],
)
def test_known(text: str, encoded: str) -> None:
    assert xtext.encode(text) == encoded
    assert xtext.decode(encoded) == text


@pytest.mark.clause("RFC3461-4b")
@pytest.mark.parametrize(
    "text",
    [
        "+", "a+", "+4", "+4g", "+2b", "+3d", "++", "++41", "+ 41", "+-1", "+0x", "=", "a=b", "a b",
        " ", "\t", "a\n", "\x7f", "\0", "\x85", "é", "\u2028", "+\uff12\uff10", "+\u0662\u0660",
    ],
)  # fmt: skip
def test_no_xtext(text: str) -> None:
    with pytest.raises(ValueError, match="not xtext"):
        xtext.decode(text)


@pytest.mark.parametrize("text", ["+80", "+FF", "a+C3+A9"])
def test_octets_over_127(text: str) -> None:
    with pytest.raises(ValueError, match="over 127"):
        xtext.decode(text)


@pytest.mark.clause("RFC3461-4.2d")
@pytest.mark.parametrize("text", ["é", "a\x80", "\u2028", "\ud800"])
def test_what_is_not_ascii(text: str) -> None:
    with pytest.raises(ValueError, match="ASCII only"):
        xtext.encode(text)


@pytest.mark.clause("RFC3461-4c")
@given(st.text(st.characters(max_codepoint=127), max_size=60))
def test_round_trip(text: str) -> None:
    encoded = xtext.encode(text)
    assert xtext.decode(encoded) == text
    assert all("!" <= c <= "~" and c != "=" for c in encoded)
