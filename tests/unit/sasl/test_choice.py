from __future__ import annotations

import pytest

from ehlo._errors import LocalProtocolError
from ehlo.sasl import CLIENT_MECHANISMS, ClientContext, Password, candidates, make_client

ALL = ("ntlm", "LOGIN", "PLAIN", "GSSAPI")
ALICE = Password("alice", "secret")


@pytest.mark.clause("RFC4616-5a", "XLOGIN-5.1a", "RFC4422-3.2a", "RFC4954-14a", "RFC4954-8a", "NTLM-2.2.1.1a")
@pytest.mark.parametrize(
    ("protected", "allow_cleartext", "only", "order"),
    [
        (True, False, None, ["PLAIN", "LOGIN", "NTLM"]),
        (True, True, None, ["PLAIN", "LOGIN", "NTLM"]),
        (False, False, None, ["NTLM"]),
        (False, True, None, ["NTLM", "PLAIN", "LOGIN"]),
        (True, False, ["ntlm", "Plain", "NTLM"], ["NTLM", "PLAIN"]),
        (False, False, ["PLAIN", "LOGIN"], []),
        (False, True, ["LOGIN", "PLAIN"], ["LOGIN", "PLAIN"]),
        (True, False, ["GSSAPI"], []),
        (True, False, [], []),
    ],
)
def test_the_order(protected: bool, allow_cleartext: bool, only: list[str] | None, order: list[str]) -> None:
    assert candidates(ALL, ALICE, protected=protected, allow_cleartext=allow_cleartext, only=only) == order


def test_only_what_the_server_offers() -> None:
    assert candidates(["LOGIN"], ALICE, protected=True, allow_cleartext=False) == ["LOGIN"]
    assert candidates(iter(ALL), ALICE, protected=True, allow_cleartext=False, only=["LOGIN"]) == ["LOGIN"]
    assert candidates([], ALICE, protected=True, allow_cleartext=True) == []


@pytest.mark.clause("XLOGIN-2.2.2d")
@pytest.mark.parametrize(
    ("credentials", "order"),
    [
        (Password("alice", "secret", "boss"), ["PLAIN"]),
        (Password("alice", "secret", "alice"), ["PLAIN", "LOGIN", "NTLM"]),
        (Password("straße", "secret"), ["PLAIN", "LOGIN"]),
    ],
)
def test_only_what_carries_the_credentials(credentials: Password, order: list[str]) -> None:
    assert candidates(ALL, credentials, protected=True, allow_cleartext=False) == order


@pytest.mark.parametrize("name", list(CLIENT_MECHANISMS))
def test_every_mechanism_is_made_by_name(name: str) -> None:
    made = make_client(name.lower(), ALICE, ClientContext("mail.example"))
    assert made.name == name
    assert made.cleartext is (name != "NTLM")


def test_an_unknown_mechanism() -> None:
    with pytest.raises(LocalProtocolError):
        make_client("X", ALICE, ClientContext("mail.example"))
