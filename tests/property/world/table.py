"""The session table walked by hand: what the engines must agree with, and which of its rows were seen."""

from __future__ import annotations

import re
from collections.abc import Iterator

import attrs

from ehlo import ALLOWED, TRANSITIONS, ReplyClass, State, Verb

Row = tuple[State, Verb, ReplyClass]
Pair = tuple[State, Verb]

EVERY_ROW = frozenset(
    (state, verb, reply_class) for state, rows in TRANSITIONS.items() for verb, reply_class in rows
)
LEGAL = frozenset((state, verb) for state, verbs in ALLOWED.items() for verb in verbs)
COMMANDS = tuple(verb for verb in Verb if verb not in (Verb.NONE, Verb.CONNECT, Verb.HANDSHAKE))
BARRED = frozenset((state, verb) for state in State for verb in COMMANDS) - LEGAL

MAY_BE_503 = frozenset(
    {
        (State.READY, Verb.STARTTLS),  # TLS is active.
        (State.READY, Verb.AUTH),  # It succeeded before.
        (State.RCPT, Verb.DATA),  # A message that is no text comes in chunks.
    }
)
"""What is in sequence by the table alone, and may be out of it all the same."""


@attrs.define
class Coverage:
    """What walks have seen of the table."""

    rows: set[Row] = attrs.Factory(set)
    taken: set[Pair] = attrs.Factory(set)
    barred: set[Pair] = attrs.Factory(set)


_REPLY = re.compile(rb"(?:\d\d\d-[^\r]*\r\n)*(\d\d\d)(?: [^\r]*)?\r\n", re.A)


def codes(octets: bytes) -> Iterator[int]:
    """The replies that a server has sent, read without the engine: each is whole."""
    place = 0
    while place < len(octets):
        found = _REPLY.match(octets, place)
        assert found is not None, octets[place:]
        yield int(found[1])
        place = found.end()


def after(state: State, verb: Verb, code: int) -> State:
    """The table read as its page says."""
    if code == 421:
        return State.CLOSED
    return TRANSITIONS[state].get((verb, ReplyClass(code // 100)), state)


def agreed(state: State, verb: Verb) -> State:
    """Where a verb leads once the server agrees."""
    return after(state, verb, 354 if verb is Verb.DATA else 250)


@attrs.define
class Fold:
    """One side's state: the table folded over the replies that it gave or got."""

    coverage: Coverage
    lmtp: bool = False
    strict: bool = True
    """The replies are our own server's: what is out of sequence is refused, and nothing else is 503."""
    state: State = State.GREETING
    _recipients: int = 0
    _told: int = 0

    def reply(self, verb: Verb, code: int) -> bool:
        """Whether the command is done with: AUTH is not at 334, nor the end of data before its last reply."""
        before = self.state
        goes_on = (before, verb) in LEGAL or before is State.VOID
        if verb is Verb.END_OF_DATA and self.lmtp and code != 421 and goes_on:
            # [RFC2033-4.3a] one for each recipient, also when a chunk before the last one failed.
            self._told += 1
            if self._told < self._recipients:
                return False
        self._told = 0
        self.state = after(before, verb, code)
        if (before, verb, reply_class := ReplyClass(code // 100)) in EVERY_ROW and code != 421:
            self.coverage.rows.add((before, verb, reply_class))
        if verb is Verb.MAIL and code < 300:
            self._recipients = 0
        elif verb is Verb.RCPT and code < 300:
            self._recipients += 1
        in_sequence = (before, verb) in LEGAL
        (self.coverage.taken if in_sequence else self.coverage.barred).add((before, verb))
        if self.strict and in_sequence:
            assert code != 503 or (before, verb) in MAY_BE_503, (before, verb)
        elif self.strict:
            assert code >= 400, (before, verb, code)
        return not (verb is Verb.AUTH and code == 334)
