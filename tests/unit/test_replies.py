"""The enhanced codes of the default replies."""

from __future__ import annotations

import pytest

from ehlo import Reply, ReplyClass, _replies

DEFAULTS = {name: reply for name, reply in vars(_replies).items() if isinstance(reply, Reply)}


@pytest.mark.clause("RFC3463-3a", "RFC2034-4b")
@pytest.mark.parametrize("name", sorted(DEFAULTS))
def test_each_refusal_says_what_it_is_about(name: str) -> None:
    reply = DEFAULTS[name]
    if reply.reply_class is ReplyClass.INTERMEDIATE:
        assert reply.enhanced is None
    else:
        assert reply.enhanced is not None
        assert reply.is_success or reply.enhanced.subject != 0


@pytest.mark.clause("RFC5248-2.4a")
@pytest.mark.parametrize(
    ("reply", "code", "enhanced"),
    [
        (_replies.RCPT_OK, 250, "2.1.5"),
        (_replies.AUTH_LINE_TOO_LONG, 500, "5.5.6"),
        (_replies.AUTH_INVALID, 535, "5.7.8"),
        (_replies.TOO_BIG, 552, "5.3.4"),
    ],
)
def test_the_registered_pairs(reply: Reply, code: int, enhanced: str) -> None:
    assert (reply.code, str(reply.enhanced)) == (code, enhanced)
