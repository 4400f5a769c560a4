"""Which senders an identity may use."""

from __future__ import annotations

import pytest

from ehlo import Identity, LocalProtocolError, Mailbox
from ehlo.policy import SenderRights, owns


def who(name: str, authcid: str = "") -> Identity:
    return Identity(authcid or name, name, "PLAIN")


@pytest.mark.clause("RFC4409-6.1a")
@pytest.mark.parametrize(
    ("name", "path", "own"),
    [
        ("alice@a.example", Mailbox("alice", "a.example"), True),
        ("Alice@A.Example", Mailbox("alice", "a.example"), True),
        ("alice@a.example", Mailbox("ALICE", "A.EXAMPLE"), True),
        ('"a b"@a.example', Mailbox("a b", "a.example"), True),
        ("j\u00f6rg@a.example", Mailbox("J\u00d6RG", "a.example"), True),
        ("alice@a.example", Mailbox("alice", "b.example"), False),
        ("alice@a.example", Mailbox("bob", "a.example"), False),
        ("alice", Mailbox("alice", "a.example"), False),
        ("DOM\\alice", Mailbox("alice", "dom"), False),
        ("", Mailbox("", ""), False),
    ],
)
def test_an_identity_owns_the_address_that_it_is(name: str, path: Mailbox, own: bool) -> None:
    assert owns(who(name), path) is own
    assert SenderRights({}).permits(who(name), path) is own


RIGHTS = SenderRights(
    {
        "alice": ["alice@a.example", "@Lists.example"],
        "ALICE": ["info@a.example"],
        "OTHER\\alice": ["other@a.example"],
        "bob@b.example": ['"bob b."@b.example'],
        "carol": [],
        "dave": ['""@d.example'],
    }
)


@pytest.mark.clause("RFC4409-6.1a")
@pytest.mark.parametrize(
    ("name", "path", "permitted"),
    [
        ("alice", "alice@a.example", True),
        ("Alice", "ALICE@A.example", True),
        ("alice", "info@a.example", True),
        ("alice", "anyone@lists.example", True),
        ("alice", "anyone@sub.lists.example", False),
        ("alice", "bob@a.example", False),
        ("WORKGROUP\\Alice", "alice@a.example", True),
        ("OTHER\\alice", "alice@a.example", False),
        ("other\\ALICE", "other@a.example", True),
        ("bob@b.example", '"bob b."@b.example', True),
        ("bob@b.example", "bob@b.example", True),
        ("carol", "carol@a.example", False),
        ("mallory", "alice@a.example", False),
        ("dave", '""@d.example', True),
        ("dave", "anyone@d.example", False),
    ],
)
def test_rights_by_name(name: str, path: str, permitted: bool) -> None:
    assert RIGHTS.permits(who(name), Mailbox.parse(path)) is permitted
    assert RIGHTS.on_sender(None, who(name), Mailbox.parse(path)) is permitted


def test_who_acts_for_another_has_the_rights_of_the_other() -> None:
    assert RIGHTS.permits(who("alice", "admin"), Mailbox("alice", "a.example"))
    assert not RIGHTS.permits(who("admin", "alice"), Mailbox("alice", "a.example"))


@pytest.mark.parametrize(
    "senders", ["alice@a.example", ["alice"], ["@"], ["@a b"], [""], ["a@b@c"], ["@x@y"]]
)
def test_what_is_no_sender(senders: str | list[str]) -> None:
    with pytest.raises(LocalProtocolError):
        SenderRights({"alice": senders})
