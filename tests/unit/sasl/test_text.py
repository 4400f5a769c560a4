"""The text of credentials, whatever the mechanism that sends it."""

from __future__ import annotations

from typing import Any

import pytest
from tests.helpers.sasl import HERE

from ehlo import LocalProtocolError
from ehlo.sasl import (
    Anonymous,
    CramMd5Client,
    LoginClient,
    Password,
    PlainClient,
    Refuse,
    ScramSha256Client,
    VerifyPassword,
)
from ehlo.sasl._text import (
    acts_as_itself,
    password_need,
    password_of,
    sendable,
    sendable_authzid,
    text_of,
)


def test_what_can_be_sent() -> None:
    assert sendable("word", "a b\u00e9") == b"a b\xc3\xa9"
    assert text_of("a") == "a"


@pytest.mark.clause("RFC4616-2f")
@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "the word is empty"),
        ("a\0b", "the word holds a NUL"),
        ("a\ud800", "the word holds half of a surrogate pair"),
    ],
)
def test_what_cannot_be_sent(text: str, fault: str) -> None:
    with pytest.raises(LocalProtocolError) as caught:
        sendable("word", text)
    assert str(caught.value) == fault
    # Nor does the error that led to it hold the text.
    assert caught.value.__context__ is None


def test_a_secret_that_was_not_asked_for() -> None:
    secret: Any = lambda: "secret"  # noqa: E731
    for take in (text_of, lambda secret: sendable("word", secret)):
        with pytest.raises(LocalProtocolError, match="asked for first"):
            take(secret)


@pytest.mark.clause("RFC4954-4q")
@pytest.mark.parametrize(("authzid", "octets"), [("", b""), ("\u2168", b"IX"), ("a", b"a")])
def test_an_authorization_identity(authzid: str, octets: bytes) -> None:
    assert sendable_authzid(authzid) == octets


@pytest.mark.clause("RFC4954-4q")
@pytest.mark.parametrize("authzid", ["\a", "\u00ad", "\0", "a\0b", "\ud800", "a\udcff"])
def test_no_authorization_identity(authzid: str) -> None:
    with pytest.raises(LocalProtocolError, match="SASLprep refuses the authorization identity"):
        sendable_authzid(authzid)


def test_who_acts_as_itself() -> None:
    login, same, other = Password("u", "p"), Password("u", "p", authzid="u"), Password("u", "p", authzid="v")
    assert [acts_as_itself(given) for given in (login, same, other, Anonymous())] == [
        True,
        True,
        False,
        False,
    ]
    assert password_of(login, "X") is login
    assert password_of(same, "X") is same
    with pytest.raises(LocalProtocolError, match="X cannot act as another user"):
        password_of(other, "X")
    with pytest.raises(LocalProtocolError, match="X needs a Password"):
        password_of(Anonymous(), "X")


@pytest.mark.clause("RFC4616-2e", "RFC4954-4r")
def test_what_is_asked_is_prepared() -> None:
    assert password_need("\u2168", "\u00aa", "I\u00adX") == VerifyPassword("IX", "a", "IX")
    for given in (("\a", "p", ""), ("u", "\a", ""), ("u", "p", "\a")):
        refused = password_need(*given)
        assert refused == Refuse("the credentials cannot be prepared by SASLprep")


@pytest.mark.parametrize("client", [PlainClient, LoginClient, CramMd5Client, ScramSha256Client])
def test_each_mechanism_says_which_word_is_wrong(client: Any) -> None:
    with pytest.raises(LocalProtocolError, match="the user name is empty"):
        client(Password("", "p"), HERE)
    with pytest.raises(LocalProtocolError, match="the password is empty"):
        client(Password("u", ""), HERE)
