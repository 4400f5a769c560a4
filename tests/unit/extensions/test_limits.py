from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ehlo import Capabilities, OfferFacts, SessionLimits
from ehlo.extensions import LIMITS, session_limits

SAID = SessionLimits(mail_max=20, rcpt_max=100, rcpt_domain_max=1, others=(("X-A_b", "1=2"), ("Flag", None)))


@pytest.mark.clause("RFC9422-3a", "RFC9422-3.5a")
@pytest.mark.parametrize(
    ("limits", "words"),
    [
        (SessionLimits(), None),
        (SessionLimits(rcpt_max=1), ("RCPTMAX=1",)),
        (SessionLimits(mail_max=999999), ("MAILMAX=999999",)),
        (SAID, ("MAILMAX=20", "RCPTMAX=100", "RCPTDOMAINMAX=1", "X-A_b=1=2", "Flag")),
    ],
)
def test_offer(limits: SessionLimits, words: tuple[str, ...] | None) -> None:
    assert session_limits(limits).offer(OfferFacts()) == words
    if words is not None:
        assert Capabilities("x", ("LIMITS " + " ".join(words),)).offer(LIMITS) == limits


@pytest.mark.clause("RFC9422-3.7a", "RFC9422-3.7b")
@pytest.mark.parametrize(
    ("words", "limits"),
    [
        ("", SessionLimits()),
        ("rcptmax=5 MailMax=6", SessionLimits(mail_max=6, rcpt_max=5)),
        ("RCPTMAX=0", SessionLimits()),
        ("RCPTMAX=05", SessionLimits()),
        ("RCPTMAX=1000000", SessionLimits()),
        ("RCPTMAX=-1 MAILMAX=6", SessionLimits(mail_max=6)),
        ("RCPTMAX MAILMAX=6", SessionLimits(mail_max=6)),
        ("RCPTMAX=many MAILMAX=6", SessionLimits(mail_max=6)),
        ("RCPTMAX=9 RCPTMAX=5 rcptmax=7 RCPTMAX=x", SessionLimits(rcpt_max=5)),
        (
            "FUTURE=a,b rcptmax=5 other",
            SessionLimits(rcpt_max=5, others=(("FUTURE", "a,b"), ("other", None))),
        ),
        ("RCPTMAX=5;MAILMAX=6", SessionLimits()),
        ("RCPTMAX=5 MAIL.MAX=6", SessionLimits()),
        ("RCPTMAX=5 MAILMAX=", SessionLimits()),
        ("RCPTMAX=5 =6", SessionLimits()),
        ("RCPTMAX=5 x=\u00e9", SessionLimits()),
        ("RCPTMAX=\u0665", SessionLimits()),
    ],
)
def test_reading(words: str, limits: SessionLimits) -> None:
    assert Capabilities("x", (f"LIMITS {words}",)).offer(LIMITS) == limits


def test_not_said() -> None:
    assert Capabilities("x", ("DSN",)).offer(LIMITS) is None
    assert LIMITS.offer(OfferFacts()) is None


@pytest.mark.parametrize(
    "make",
    [
        lambda: SessionLimits(mail_max=0),
        lambda: SessionLimits(rcpt_max=10**6),
        lambda: SessionLimits(rcpt_domain_max=-1),
        lambda: SessionLimits(others=(("rcptmax", "1"),)),
        lambda: SessionLimits(others=(("a b", None),)),
        lambda: SessionLimits(others=(("a", "b c"),)),
        lambda: SessionLimits(others=(("a", ""),)),
        lambda: SessionLimits(others=(("a=b", None),)),
        lambda: SessionLimits(others=(("a=b", "c"),)),
    ],
)
def test_no_such_limits(make: Callable[[], object]) -> None:
    with pytest.raises(ValueError, match="limit"):
        make()


@given(st.lists(st.text(max_size=12) | st.sampled_from(["RCPTMAX=5", "MAILMAX=1", "X", "x=y"]), max_size=5))
def test_any_words_are_read(words: list[str]) -> None:
    limits = LIMITS.parse_offer(tuple(words))
    written = session_limits(limits).offer(OfferFacts())
    assert LIMITS.parse_offer(written or ()) == limits
