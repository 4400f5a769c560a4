"""Both engines joined by a bad link, with applications that do what they like; and the table that they walk.

`EHLO_MACHINE_FACTOR=100` makes the run so many times as long.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable
from typing import Final

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule
from tests.property.world.strangers import OddClient, OddServer
from tests.property.world.table import BARRED, COMMANDS, EVERY_ROW, LEGAL, Coverage
from tests.property.world.walk import Walker
from tests.property.world.world import World

from ehlo import ReplyClass, State, Verb

FACTOR: Final = int(os.environ.get("EHLO_MACHINE_FACTOR", "1"))
STEPS: Final = 400

NEXT: Final = {State.HELLO: Verb.EHLO, State.READY: Verb.MAIL, State.MAIL: Verb.RCPT, State.RCPT: Verb.DATA}

picks = st.integers(0, 60)
pieces = st.lists(picks, max_size=5)
# Most decisions are agreement; 20 to 23 refuse, and 61 ends the session.
choices = st.lists(st.one_of(st.just(0), st.integers(0, 23), st.just(61)), max_size=4)
sizes = st.sampled_from([1, 2, 3, 7, 40, 5000])


class SessionMachine(RuleBasedStateMachine):
    """Every rule is one thing that a client, a server, or the link between them may do."""

    world: World

    @initialize(setup=st.integers(0, 7))
    def connect(self, setup: int) -> None:
        self.world = World(setup)

    @precondition(lambda self: self.world.ended)
    @rule(setup=st.integers(0, 7))
    def connect_again(self, setup: int) -> None:
        self.world.connect(setup)

    @rule(verb=st.sampled_from(COMMANDS), pick=picks)
    def say(self, verb: Verb, pick: int) -> None:
        self.world.say(COMMANDS.index(verb), pick)

    @rule(pick=picks)
    def next_command(self, pick: int) -> None:
        """The one that leads to a message."""
        likely = {
            State.HELLO: Verb.EHLO,
            State.READY: Verb.MAIL,
            State.MAIL: Verb.RCPT,
            State.RCPT: Verb.DATA,
        }
        verb = likely.get(self.world.near.expected, Verb.NOOP)
        if verb is Verb.EHLO and self.world.near.conn.lmtp:
            verb = Verb.LHLO
        self.world.say(COMMANDS.index(verb), pick)

    @rule(pieces=pieces, end=st.booleans())
    def write(self, pieces: list[int], end: bool) -> None:
        self.world.write(pieces, end=end)

    @rule(pieces=pieces, last=st.booleans())
    def chunk(self, pieces: list[int], last: bool) -> None:
        self.world.chunk(pieces, last=last)

    @precondition(lambda self: self.world.near.challenge is not None)
    @rule(pick=picks)
    def respond(self, pick: int) -> None:
        self.world.respond(pick)

    @precondition(lambda self: self.world.up)
    @rule(size=sizes, choices=choices)
    def carry_up(self, size: int, choices: list[int]) -> None:
        self.world.carry_up(size, choices)

    @precondition(lambda self: self.world.down)
    @rule(size=sizes)
    def carry_down(self, size: int) -> None:
        self.world.carry_down(size)

    @precondition(lambda self: self.world.far.due is not None)
    @rule(choices=choices)
    def decide(self, choices: list[int]) -> None:
        self.world.decide(choices)

    @rule(size=sizes, choices=choices)
    def settle(self, size: int, choices: list[int]) -> None:
        self.world.settle(itertools.repeat(size), itertools.chain(choices, itertools.repeat(0)))

    @precondition(lambda self: self.world.near.conn.state is State.TLS)
    @rule(outcome=picks)
    def shake(self, outcome: int) -> None:
        self.world.shake(outcome)

    @rule()
    def refuse_body(self) -> None:
        self.world.refuse_body()

    @precondition(lambda self: not self.world.ended)
    @rule(up=picks, down=picks, choices=choices)
    def hang_up(self, up: int, down: int, choices: list[int]) -> None:
        self.world.hang_up(up, down, choices)

    @rule(in_time=st.booleans())
    def shut_down(self, in_time: bool) -> None:
        self.world.shut_down(in_time=in_time)

    @precondition(lambda self: not self.world.ended)
    @rule()
    def close(self) -> None:
        self.world.close()

    def teardown(self) -> None:
        if not self.world.ended:
            self.world.hang_up(1 << 30, 1 << 30)


SessionMachine.TestCase.settings = settings(
    max_examples=120 * FACTOR,
    stateful_step_count=60,
    deadline=None,
    suppress_health_check=(HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large),
)
test_a_session_over_a_bad_link = pytest.mark.clause(
    "RFC2920-3.1c", "RFC2920-3.2h", "RFC5321-4.1.1.4d", "RFC5321-2.1a", "RFC2033-4.2b", "RFC2033-4.2c"
)(SessionMachine.TestCase)


def run(make: Callable[[int, Coverage], Walker | OddClient | OddServer], seeds: int, seen: Coverage) -> None:
    for seed in range(seeds):
        walker = make(seed, seen)
        for step in range(STEPS):
            try:
                walker.step()
            except Exception as error:
                error.add_note(f"{make.__name__}({seed}), step {step}")
                raise


@pytest.fixture(scope="module")
def alone() -> Coverage:
    """What two engines of ours see of the table: many sessions, the same every time."""
    coverage = Coverage()
    run(Walker, 60 * FACTOR, coverage)
    return coverage


@pytest.fixture(scope="module")
def seen(alone: Coverage) -> Coverage:
    """That, and what each of them sees with a stranger."""
    coverage = Coverage(set(alone.rows), set(alone.taken), set(alone.barred))
    run(OddServer, 20 * FACTOR, coverage)
    run(OddClient, 40 * FACTOR, coverage)
    return coverage


def test_the_walks_take_every_row_of_the_table(seen: Coverage) -> None:
    assert seen.rows == EVERY_ROW


@pytest.mark.clause("RFC5321-4.1.4f")
def test_what_the_table_allows_was_taken_and_all_else_refused(seen: Coverage) -> None:
    assert seen.taken == LEGAL
    assert seen.barred == BARRED


def test_rows_that_take_a_stranger(alone: Coverage) -> None:
    # A server of ours refuses DATA without a recipient, and a client of ours learns of XCLIENT by EHLO.
    rare = {(state, Verb.DATA, ReplyClass.INTERMEDIATE) for state in (State.READY, State.MAIL)}
    rare |= {row for row in EVERY_ROW if row[:2] == (State.HELLO, Verb.XCLIENT)}
    assert not alone.rows & rare
    # The others take no more than luck; most are met in any run.
    assert len(alone.rows) >= 50
