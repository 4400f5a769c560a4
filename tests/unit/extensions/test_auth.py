from __future__ import annotations

import pytest

from ehlo.extensions import AUTH, AuthParam
from ehlo.extensions.auth import AUTH_PARAM
from ehlo.wire.address import Mailbox


@pytest.mark.clause("RFC4954-5a")
@pytest.mark.parametrize(
    ("text", "mailbox"),
    [
        ("<>", None),
        ("+3C+3E", None),
        ("e+3Dmc2@example.com", Mailbox("e=mc2", "example.com")),
        ("a@b", Mailbox("a", "b")),
        ('"a+20b"@c', Mailbox("a b", "c")),
        ("a+2Bb@[1.2.3.4]", Mailbox("a+b", "[1.2.3.4]")),
    ],
)
def test_parse(text: str, mailbox: Mailbox | None) -> None:
    assert AUTH_PARAM.parse(text) == AuthParam(mailbox)


@pytest.mark.clause("RFC4954-5a")
@pytest.mark.parametrize(
    "text",
    [
        "", "a", "<a@b>", "e=mc2@x", "a+b@c", "a+3db@c", "a+@b", "a@b+0D+0A", "a+00@b", "+00",
        "a@b@c", "<", "<> ", "é@b", "a+C3+A9@b", "+FF", "a@b+20c", "a@", "@b", "postmaster",
    ],
)  # fmt: skip
def test_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        AUTH_PARAM.parse(text)


@pytest.mark.clause("RFC4954-5a", "SEC-INJ-cli-a")
@pytest.mark.parametrize(
    "mailbox",
    [
        Mailbox("a", "b c"),
        Mailbox("é", "b"),
        Mailbox("a\n", "b"),
        Mailbox("a", ""),
        Mailbox("postmaster", ""),
    ],
)
def test_a_mailbox_made_by_hand(mailbox: Mailbox) -> None:
    with pytest.raises(ValueError, match=r"."):
        AUTH_PARAM.render(AuthParam(mailbox))


@pytest.mark.clause("RFC4954-8a", "EXCH-ehlo-b")
@pytest.mark.parametrize(
    ("words", "mechanisms"),
    [
        ((), ()),
        (("PLAIN", "login", "Ntlm"), ("PLAIN", "LOGIN", "NTLM")),
        (("LOGIN", "PLAIN", "login"), ("LOGIN", "PLAIN")),
        (("\0", "é"), ("\0", "É")),
    ],
)
def test_the_offer(words: tuple[str, ...], mechanisms: tuple[str, ...]) -> None:
    assert AUTH.parse_offer(words) == mechanisms
