"""Two thousand sessions, legal and illegal, to Postfix and to our engine: each difference has its reason."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest
from tests.conformance.clauses import read_clauses
from tests.interop.answers import of_ours, of_postfix, our_config
from tests.interop.differences import RULES, Difference, differences, rule_of
from tests.interop.postfix import MESSAGE_SIZE, Postfix
from tests.interop.sessions import sessions

SEED, COUNT, AT_ONCE = 1, 2000, 16


@pytest.mark.peer("postfix")
def test_postfix_and_ours_answer_alike_but_for_the_table(postfix: Postfix) -> None:
    asked = sessions(SEED, COUNT)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        theirs = list(pool.map(partial(of_postfix, postfix.open_port), asked))
    config = our_config(MESSAGE_SIZE)
    ours = [of_ours(config, steps) for steps in asked]
    assert sum(map(len, theirs)) > 5 * COUNT
    found = [each for pair in zip(theirs, ours, strict=True) for each in differences(*pair)]
    unexplained = Counter(each for each in found if rule_of(each) is None)
    assert not unexplained
    used = {rule.situation for each in found if (rule := rule_of(each)) is not None}
    assert [rule.situation for rule in RULES if rule.situation not in used] == []


def test_the_table_has_clauses_of_the_ledger() -> None:
    known = {clause.id for clause in read_clauses()}
    assert [rule.clause for rule in RULES if rule.clause not in known] == []
    assert len({rule.situation for rule in RULES}) == len(RULES)


def test_the_sessions_are_the_same_every_time() -> None:
    assert sessions(SEED, 20) == sessions(SEED, 20)
    assert sessions(SEED, 20) != sessions(SEED + 1, 20)


def test_what_the_table_does_not_say_is_not_explained() -> None:
    assert rule_of(Difference(b"NOOP\r\n", 250, 500)) is None
    assert rule_of(Difference(b"RCPT TO:<a@x.org>\r\n", 250, 550)) is None
