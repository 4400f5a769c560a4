from __future__ import annotations

import pytest

from ehlo.sasl import SaslprepError, saslprep


@pytest.mark.clause("RFC4013-3a", "RFC4013-2a")
@pytest.mark.parametrize(
    ("text", "prepared"),
    [
        ("I\u00adX", "IX"),
        ("user", "user"),
        ("USER", "USER"),
        ("\u00aa", "a"),
        ("\u2168", "IX"),
        ("a\u00a0b", "a b"),
        ("a\u1680b", "a b"),
        ("\u0316" * 30, "\u0316" * 30),
        ("", ""),
    ],
)
def test_known_answers(text: str, prepared: str) -> None:
    assert saslprep(text) == prepared


@pytest.mark.clause("RFC4013-3a", "RFC4013-2.3a", "RFC4013-2.4a")
@pytest.mark.parametrize(
    "text",
    [
        "\u0007",
        "\x7f",
        "a\nb",
        "\u0627\u0031",
        "\u0627a\u0627",
        "\ue000",
        "\ud800",
        "\ufffe",
        "\u200e",
        "\u00ad",
        "\U000e0001",
        "\u2ff0",
    ],
)
def test_refused(text: str) -> None:
    with pytest.raises(SaslprepError) as caught:
        saslprep(text)
    assert text not in str(caught.value)


@pytest.mark.clause("RFC4013-2.4a")
def test_right_to_left_from_end_to_end_passes() -> None:
    assert saslprep("\u0627\u0031\u0628") == "\u0627\u0031\u0628"


@pytest.mark.clause("RFC4013-2.5a")
def test_unassigned_passes_in_a_query_only() -> None:
    assert saslprep("\U0001f600") == "\U0001f600"
    with pytest.raises(SaslprepError):
        saslprep("\U0001f600", stored=True)


@pytest.mark.parametrize(("mark", "most"), [("\u0316", 30), ("\u0344", 15), ("\u0f73", 15)])
def test_marks_on_one_letter_have_a_bound(mark: str, most: int) -> None:
    """Some are two: it is what becomes of them that takes long."""
    for text in ("a" + mark * most, ("a" + mark * most) * 100):
        assert saslprep(text)
        with pytest.raises(SaslprepError, match="30 marks"):
            saslprep(text + mark)


def test_marks_on_no_letter_have_the_same_bound() -> None:
    with pytest.raises(SaslprepError, match="30 marks"):
        saslprep("\u0316" * 31)
