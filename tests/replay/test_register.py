"""Every recording is replayed in both roles, and no reason for a difference is made up."""

from __future__ import annotations

from collections import Counter

from tests.replay import test_client, test_edges, test_server
from tests.replay.recorded import NAMES, REGISTER, TRANSCRIPTS, Difference, Outcome


def _replayed(test: object) -> list[str]:
    """The names that a test is parametrised with."""
    marks = [mark for mark in getattr(test, "pytestmark", ()) if mark.name == "parametrize"]
    return next(list(mark.args[1]) for mark in marks if mark.args[0] == "name")


def test_the_register_is_closed() -> None:
    assert len(NAMES) == len(TRANSCRIPTS) == 172
    assert list(REGISTER) == NAMES


def test_each_is_replayed_in_both_roles() -> None:
    assert _replayed(test_server.test_what_real_clients_said) == NAMES
    by_hand = [name for name in NAMES if Difference.BY_HAND in REGISTER[name].client]
    assert Counter(_replayed(test_client.test_what_real_servers_said) + by_hand) == Counter(NAMES)
    assert by_hand == [test_edges.EDGES]


def test_each_reason_and_each_outcome_occurs() -> None:
    entries = REGISTER.values()
    assert set().union(*(entry.server | entry.client for entry in entries)) == set(Difference)
    assert {entry.outcome for entry in entries} == set(Outcome)
