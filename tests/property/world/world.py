"""A client, a server and a bad link between them: what passes is cut, held up and lost.

Nothing is random here: whoever drives a world, a Hypothesis machine or a seeded walk, gives the numbers.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence

from tests.helpers.driver import TLS
from tests.property.world.drafts import Fate, Stored
from tests.property.world.far import CONFIGS, EVENTS, Far
from tests.property.world.near import Near
from tests.property.world.table import COMMANDS, Coverage, Fold, codes

from ehlo import (
    ConnectionClosed,
    Mail,
    Mailbox,
    MailReceived,
    Rcpt,
    RcptReceived,
    Reply,
    ReplyClass,
    State,
    Verb,
)

NOTHING: tuple[int, ...] = ()


_TIMED_OUT = Reply(421, "Too late", "4.4.2")


class World:
    """One connection after the other, and the messages that came of all of them."""

    def __init__(self, setup: int, coverage: Coverage | None = None) -> None:
        self.coverage = coverage or Coverage()
        self._counter = itertools.count(1)
        self.stored: list[Stored] = []
        self.connections = 0
        self.connect(setup)

    def connect(self, setup: int) -> None:
        """A new connection, when the last one has ended."""
        self.setup = setup
        config = CONFIGS[setup % len(CONFIGS)]
        self.connections += 1
        self.up, self.down = bytearray(), bytearray()
        self._replies: list[int] = []
        self._answered = 0
        self.near = Near(self.coverage, self._number, lmtp=config.lmtp)
        self.far = Far(config, self.stored, self._number, traced=setup % 8 > 3)
        self.fold = Fold(self.coverage, config.lmtp)
        self.ended = False
        self._from_far(self.far.pump(iter(NOTHING)))

    def _number(self) -> int:
        return next(self._counter)

    # ---- what is on the link ----

    def _from_near(self) -> None:
        data = self.near.conn.data_to_send()
        assert self.near.conn.data_to_send() == b""
        self.up += data

    def _from_far(self, data: bytes) -> None:
        assert self.far.conn.data_to_send() == b""
        self.down += data
        for code in codes(data):
            self._reply(code)
        assert self.far.conn.state is self.fold.state or self._dead

    @property
    def _dead(self) -> bool:
        return self.far.conn.state is State.CLOSED

    def _reply(self, code: int) -> None:
        """[RFC5321-4.2] one reply to each command, in their order."""
        self._replies.append(code)
        if self.fold.state is State.GREETING:
            self.fold.reply(Verb.CONNECT, code)
        elif self._answered == len(self.near.sent):
            assert code == 421, "a reply that answers nothing"
            self.fold.state = State.CLOSED
        elif self.fold.reply(self.near.sent[self._answered].command.verb, code):
            self._answered += 1

    # ---- moves ----

    def say(self, number: int, pick: int) -> None:
        self.near.say(number, pick)
        self._from_near()

    def write(self, picks: Sequence[int], *, end: bool) -> None:
        for pick in picks:
            self.near.write(pick)
        if end:
            self.near.end()
        self._from_near()

    def chunk(self, picks: Sequence[int], *, last: bool) -> None:
        self.near.chunk(picks, last=last)
        self._from_near()

    def respond(self, pick: int) -> None:
        self.near.respond(pick)
        self._from_near()

    def carry_up(self, size: int, choices: Iterable[int] = NOTHING) -> bool:
        """Some octets reach the server, which reads no more while it has to decide."""
        if self.far.due is not None or self._dead or not self.up:
            return False
        data = bytes(self.up[:size])
        del self.up[:size]
        self._from_far(self.far.hear(data, iter(choices)))
        return True

    def carry_down(self, size: int) -> bool:
        """Some octets reach the client."""
        if not self.down or self.near.conn.state is State.CLOSED:
            return False
        data = bytes(self.down[:size])
        del self.down[:size]
        self.near.hear(data)
        self._check_replies()
        return True

    def _check_replies(self) -> None:
        """What the client was told is what the server said, and about the same command."""
        heard = self.near.replies
        assert self._replies[: len(heard)] == [reply.code for reply in heard]

    def decide(self, choices: Iterable[int]) -> bool:
        if self.far.due is None:
            return False
        self._from_far(self.far.pump(iter(choices)))
        return True

    def shake(self, outcome: int) -> bool:
        """The handshake, which ends well, too weak, or not at all."""
        both = {self.near.conn.state, self.far.conn.state}
        if both != {State.TLS} or self.up or self.down:
            return False
        if outcome % 8 == 7:
            self.coverage.rows.add((State.TLS, Verb.HANDSHAKE, ReplyClass.PERMANENT))
            self.hang_up(0, 0)
            return True
        weak = outcome % 8 == 6
        self.near.conn.start_tls_done(TLS)
        self.near.fold.reply(Verb.HANDSHAKE, 220)
        self.far.shake(weak=weak)
        self.fold.reply(Verb.HANDSHAKE, 454 if weak else 220)
        assert not self.near.conn.authenticated
        assert self.far.conn.identity is self.far.conn.asserted
        return True

    def refuse_body(self) -> None:
        self.far.refuse_body(Reply(452, f"#{self._number()}"))

    def settle(self, sizes: Iterator[int], choices: Iterator[int]) -> None:
        """Whatever is on its way arrives, in pieces, until both sides wait for the other's application."""
        while True:
            moved = self.carry_up(next(sizes), choices) or self.decide([next(choices, 0)])
            moved |= self.carry_down(next(sizes))
            if not moved:
                break
        self._check_agreement()

    def _check_agreement(self) -> None:
        near, far = self.near.conn, self.far.conn
        weak = far.tls_refused
        if far.state is State.CLOSED or near.state is State.CLOSED:
            self.finish()
            return
        assert near.state is far.state or (weak and (near.state, far.state) == (State.HELLO, State.REFUSED))
        assert not self.near.waiting or self.near.challenge is not None
        # A refused XCLIENT leaves a session for nobody.
        if far.state is not State.REFUSED:
            assert near.authenticated == (far.identity is not far.asserted)
        assert (near.tls is None) == (far.tls is None)

    # ---- ends ----

    def shut_down(self, *, in_time: bool) -> None:
        """The server ends the session: what it says still arrives, but for what is lost later."""
        self.far.due = None
        if in_time:
            self.far.conn.close()
        else:
            self.far.conn.close(_TIMED_OUT)
        self._from_far(self.far.pump(iter(NOTHING)))

    def close(self) -> None:
        """The client's application goes without a word."""
        self.near.conn.close()
        assert not self.near.respond(0)
        self.near.challenge = None
        self.hang_up(len(self.up), 0)

    def hang_up(self, up: int, down: int, choices: Iterable[int] = NOTHING) -> None:
        """The link breaks: so much of what was on its way arrives, and then the end."""
        remaining = iter(choices)
        del self.up[up:]
        while self.up and not self._dead:
            if not self.carry_up(len(self.up), remaining):
                self.decide([next(remaining, 0)])
        if not self._dead:
            self.far.conn.receive_data(b"")
        del self.down[down:]
        while not self.far.closed:
            data = self.far.pump(itertools.chain(remaining, itertools.repeat(0)))
            self._from_far(data)
        # What was said after the break is lost.
        del self.down[down:]
        self.finish()

    def finish(self) -> None:
        """Both sides hear the rest and the end of it."""
        if self.ended:
            return
        self.ended = True
        if self.near.conn.state is not State.CLOSED and self.down:
            self.carry_down(len(self.down))
        if self.near.conn.state is not State.CLOSED:
            self.near.hear(b"")
            self.near.give_up()
            self._from_near()
        if not self._dead:
            self.far.due = None
            self.far.conn.close(None)
        self._from_far(self.far.pump(iter(NOTHING)))
        assert self.far.conn.state is self.near.conn.state is State.CLOSED
        self._check_tags()
        self._check_messages()
        # Nothing is said, and nothing is looked at, after the end.
        self.far.conn.receive_data(b"NOOP\r\n")
        self.near.conn.receive_data(b"250 OK\r\n")
        self._from_far(self.far.pump(iter(NOTHING)))
        for number in range(len(COMMANDS)):
            assert not self.near.say(number, 0)
        assert not self.near.write(0)
        assert not self.near.end()
        assert not self.near.chunk([0], last=True)
        assert self.near.conn.data_to_send() == self.far.conn.data_to_send() == b""
        assert isinstance(self.near.conn.next_event(), ConnectionClosed)

    def _check_tags(self) -> None:
        """The server's application and the client's speak of the same command."""
        for sent in self.near.sent:
            event = self.far.tags.get(sent.replies[-1].text) if sent.replies else None
            command = sent.command
            if isinstance(event, MailReceived):
                assert isinstance(command, Mail)
                assert command.reverse_path == event.reverse_path
                assert command.parameters == event.parameters
            elif isinstance(event, RcptReceived):
                assert isinstance(command, Rcpt)
                assert command.forward_path == event.forward_path
            elif event is not None:
                assert type(event) in EVENTS[command.verb]

    def _check_messages(self) -> None:
        """[RFC5321-4.2.5] what was accepted is there once, as it was given; what was not, is not."""
        for draft in self.near.drafts:
            found = [stored for stored in self.stored if stored.sender == draft.sender]
            assert len(found) <= 1, "a message was taken twice"
            match draft.fate:
                case Fate.OPEN | Fate.REFUSED:
                    assert not found, f"{draft.fate.value}, and taken"
                case Fate.ACCEPTED:
                    assert found, "accepted, and lost"
                    assert found[0].recipients == self._taken(draft.heard, draft.outcomes)
                case Fate.UNKNOWN:
                    pass
            assert not found or draft.spoiled or found[0].body == draft.body
        del self.stored[:]

    def _taken(self, heard: list[Mailbox], outcomes: list[Reply]) -> tuple[Mailbox, ...]:
        if not self.fold.lmtp:
            return tuple(heard)
        return tuple(path for path, reply in zip(heard, outcomes, strict=True) if reply.code < 300)
