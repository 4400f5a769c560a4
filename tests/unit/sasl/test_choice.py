from __future__ import annotations

from collections.abc import Sequence

import pytest
from tests.helpers.sasl import HERE, client_context

from ehlo._errors import LocalProtocolError
from ehlo.sasl import (
    CLIENT_MECHANISMS,
    Anonymous,
    Credentials,
    External,
    Kerberos,
    NtHash,
    Password,
    Token,
    candidates,
    gssapi,
    make_client,
    needs_tls,
    still_sensible,
)

ALICE = Password("alice", "secret")
OLD = ("NTLM", "LOGIN", "PLAIN", "GSSAPI")
ALL = tuple(CLIENT_MECHANISMS)
SCRAM = ["SCRAM-SHA-256", "SCRAM-SHA-1"]
PLUS = ["SCRAM-SHA-256-PLUS", "SCRAM-SHA-1-PLUS"]
BOUND = client_context(offered=ALL, channel_bindings={"tls-server-end-point": b"x"})


def chosen(
    offered: Sequence[str],
    credentials: Credentials = ALICE,
    *,
    protected: bool = True,
    allow_cleartext: bool = False,
    only: Sequence[str] | None = None,
) -> list[str]:
    context = client_context(offered=tuple(offered))
    return candidates(credentials, context, protected=protected, allow_cleartext=allow_cleartext, only=only)


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
    assert chosen(OLD, protected=protected, allow_cleartext=allow_cleartext, only=only) == order


@pytest.mark.clause("RFC4422-3.2a", "RFC7677-3a", "RFC7628-3a", "XOAUTH2-both-a", "RFC4422-6.1.2a")
def test_each_kind_of_credentials_has_its_mechanisms() -> None:
    assert chosen(ALL) == [*SCRAM, "PLAIN", "LOGIN", "NTLM"]
    assert chosen(ALL, protected=False) == [*SCRAM, "NTLM"]
    assert candidates(ALICE, BOUND, protected=True, allow_cleartext=False)[:4] == [*PLUS, *SCRAM]
    assert chosen(ALL, Token("alice", "t")) == ["OAUTHBEARER", "XOAUTH2"]
    assert chosen(ALL, Token("alice", "t"), protected=False) == []
    assert chosen(ALL, NtHash("alice", bytes(16))) == ["NTLM"]
    assert chosen(ALL, External()) == ["EXTERNAL"]
    assert chosen(ALL, Anonymous()) == ["ANONYMOUS"]
    # Weak, so by name only.
    assert chosen(ALL, only=["CRAM-MD5"]) == ["CRAM-MD5"]


def test_only_what_the_server_offers() -> None:
    assert chosen(["LOGIN"]) == ["LOGIN"]
    assert chosen([]) == []
    assert chosen(["X", "DIGEST-MD5"]) == []
    assert chosen(ALL, only=["X", "NTLM", "DIGEST-MD5", "PLAIN"]) == ["NTLM", "PLAIN"]
    assert chosen(ALL, protected=False, only=["PLAIN", "NTLM", "LOGIN", "SCRAM-SHA-1"]) == [
        "NTLM",
        "SCRAM-SHA-1",
    ]


@pytest.mark.clause("XLOGIN-2.2.2d")
@pytest.mark.parametrize(
    ("credentials", "order"),
    [
        (Password("alice", "secret", "boss"), [*SCRAM, "PLAIN"]),
        (Password("alice", "secret", "alice"), [*SCRAM, "PLAIN", "LOGIN", "NTLM"]),
        # Unassigned in Unicode 3.2, so SASLprep has no form of it.
        (Password("alice", "\U0001fae0"), ["PLAIN", "LOGIN", "NTLM"]),
        (Password("DOM\\", "secret"), [*SCRAM, "PLAIN", "LOGIN"]),
        (Password("alice", lambda: "secret"), [*SCRAM, "PLAIN", "LOGIN", "NTLM"]),
    ],
)
def test_only_what_carries_the_credentials(credentials: Password, order: list[str]) -> None:
    assert chosen(ALL, credentials) == order


@pytest.mark.clause("RFC4954-4x")
@pytest.mark.parametrize(
    ("refused", "left", "sensible"),
    [
        # Another type of channel binding may be the reason; the password itself is not shown then.
        ("SCRAM-SHA-256-PLUS", ["SCRAM-SHA-1-PLUS", *SCRAM, "PLAIN"], ["SCRAM-SHA-256"]),
        ("SCRAM-SHA-256-PLUS", ["SCRAM-SHA-1-PLUS", "PLAIN"], []),
        # There may be no keys of this kind: what settles it comes first.
        ("SCRAM-SHA-256", ["SCRAM-SHA-1", "PLAIN", "LOGIN"], ["PLAIN", "LOGIN", "SCRAM-SHA-1"]),
        ("NTLM", ["SCRAM-SHA-1", "PLAIN"], ["PLAIN", "SCRAM-SHA-1"]),
        ("PLAIN", ["LOGIN", "NTLM"], []),
        ("OAUTHBEARER", ["XOAUTH2"], []),
    ],
)
def test_what_is_left_after_a_refusal(refused: str, left: list[str], sensible: list[str]) -> None:
    assert still_sensible(left, refused) == sensible


MAKING: dict[str, Credentials] = {
    "OAUTHBEARER": Token("alice", "t"),
    "XOAUTH2": Token("alice", "t"),
    "EXTERNAL": External(),
    "ANONYMOUS": Anonymous(),
}


@pytest.mark.parametrize("name", [name for name in CLIENT_MECHANISMS if not name.startswith("GSS")])
def test_every_mechanism_is_made_by_name(name: str) -> None:
    made = make_client(name.lower(), MAKING.get(name, ALICE), BOUND)
    assert made.name == name
    assert made.cleartext is (name in ("PLAIN", "LOGIN", "OAUTHBEARER", "XOAUTH2"))


def test_credentials_of_another_kind() -> None:
    for name, wrong in (
        ("PLAIN", External()),
        ("EXTERNAL", ALICE),
        ("XOAUTH2", ALICE),
        ("LOGIN", External()),
    ):
        with pytest.raises(LocalProtocolError, match=name):
            make_client(name, wrong, HERE)
    for name in ("SCRAM-SHA-1", "NTLM", "CRAM-MD5", "ANONYMOUS"):
        with pytest.raises(LocalProtocolError, match=name):
            make_client(name, Token("alice", "t"), HERE)


def test_an_unknown_mechanism() -> None:
    with pytest.raises(LocalProtocolError):
        make_client("X", ALICE, HERE)


def test_what_may_be_offered_inside_tls_only() -> None:
    inside = {name for name in CLIENT_MECHANISMS if needs_tls(name)}
    assert inside == {"PLAIN", "LOGIN", "OAUTHBEARER", "XOAUTH2", "EXTERNAL", *PLUS}
    assert not needs_tls("X")


def test_kerberos_needs_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gssapi, "available", lambda: False)
    assert chosen(ALL, Kerberos()) == []
    monkeypatch.setattr(gssapi, "available", lambda: True)
    assert chosen(ALL, Kerberos()) == ["GSSAPI", "GSS-SPNEGO"]
    assert chosen(ALL, Kerberos(authzid="boss")) == ["GSSAPI"]
