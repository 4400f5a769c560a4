"""Walks with a stranger on the other side, who does what no engine of ours would, in the same table."""

from __future__ import annotations

import itertools
import random

import pytest
from tests.helpers.driver import TLS
from tests.property.world.drafts import Stored
from tests.property.world.far import CONFIGS, Far
from tests.property.world.near import Near
from tests.property.world.table import COMMANDS, Coverage, Fold, codes

from ehlo import RemoteProtocolError, State, Verb

_OFFER = b"250-x\r\n250-PIPELINING\r\n250-STARTTLS\r\n250-CHUNKING\r\n250-BINARYMIME\r\n250-8BITMIME\r\n"
_OFFER += b"250-BURL imap\r\n250-XCLIENT LOGIN\r\n250-SMTPUTF8\r\n250 AUTH PLAIN LOGIN\r\n"
_HELLO = frozenset({Verb.EHLO, Verb.LHLO})
_CODES = {
    Verb.DATA: (354, 354, 451, 554),
    Verb.AUTH: (334, 235, 454, 535),
    Verb.STARTTLS: (220, 220, 454, 501),
}
_LIKELY = {State.HELLO: Verb.EHLO, State.READY: Verb.MAIL, State.MAIL: Verb.RCPT, State.RCPT: Verb.DATA}
_NO_WAY = {(state, Verb.STARTTLS, 220) for state in State if state is not State.READY}
_NO_WAY |= {(State.CHUNK, Verb.DATA, 354), (State.VOID, Verb.DATA, 354)}
"""What a server may not agree to, and a client cannot go on with."""


class OddServer:
    """A client and a server that answers as the dice fall, in sequence or not."""

    def __init__(self, seed: int, coverage: Coverage) -> None:
        self._random = random.Random(seed)  # noqa: S311
        self._coverage = coverage
        self._numbers = itertools.count(1)
        self._connect()

    def _connect(self) -> None:
        self.near = Near(self._coverage, lambda: next(self._numbers), strict=False)
        self._hear(self._random.choice((b"220 x\r\n", b"220-x\r\n220 y\r\n", b"554 no\r\n")))

    def _hear(self, octets: bytes) -> None:
        while octets:
            size = self._random.choice((1, 3, 5000))
            self.near.hear(octets[:size])
            octets = octets[size:]

    def step(self) -> None:
        near, draw = self.near, self._random.randrange
        match near.conn.state:
            case State.CLOSED:
                self._connect()
            case State.TLS:
                near.conn.start_tls_done(TLS)
                near.fold.reply(Verb.HANDSHAKE, 220)
            case _ if near.challenge is not None:
                near.respond(draw(50))
            case State.BODY if not near.waiting:
                near.write(draw(50))
                near.end()
            case _ if near.waiting and draw(3) == 0:
                self._answer()
            case _ if draw(4) == 0:
                near.chunk([draw(50)], last=draw(2) == 0)
            case _:
                near.say(COMMANDS.index(self._verb()), draw(1000))

    def _verb(self) -> Verb:
        found = _LIKELY.get(self.near.expected)
        return found if found is not None and self._random.random() < 0.6 else self._random.choice(COMMANDS)

    def _answer(self) -> None:
        verb = self.near.waiting[0].command.verb
        if self._random.randrange(200) == 0:
            self._nonsense(verb)
            return
        code = self._random.choice(_CODES.get(verb, (250, 250, 250, 450, 550)))
        if self._random.randrange(200) == 0:
            code = 421
        if (self.near.fold.state, verb, code) in _NO_WAY:
            self._breaks(b"%d x\r\n" % code)
        elif verb in _HELLO and code == 250:
            self._hear(_OFFER)
        else:
            # In one segment: what follows the 220 to STARTTLS would be taken for an attack.
            self._hear(b"%d \r\n" % code)

    def _nonsense(self, verb: Verb) -> None:
        """What is no reply, or none to this command, ends the connection."""
        said = [b"x\r\n", b"250\n\r\n", b"650 x\r\n", b"250-x\r\n251 x\r\n"]
        if verb not in (Verb.DATA, Verb.AUTH):
            said.append(b"354 x\r\n")
        self._breaks(self._random.choice(said))

    def _breaks(self, octets: bytes) -> None:
        with pytest.raises(RemoteProtocolError):
            self.near.hear(octets)
        assert self.near.conn.state is State.CLOSED


_LINES = {
    Verb.EHLO: b"EHLO x",
    Verb.HELO: b"HELO x",
    Verb.LHLO: b"LHLO x",
    Verb.AUTH: b"AUTH LOGIN",
    Verb.MAIL: b"MAIL FROM:<m@x.org>",
    Verb.RCPT: b"RCPT TO:<r@y.org>",
    Verb.VRFY: b"VRFY x",
    Verb.EXPN: b"EXPN x",
    Verb.XCLIENT: b"XCLIENT LOGIN=alice",
    Verb.BURL: b"BURL imap://mail.example/x;urlauth=submit+alice:internal:0",
    Verb.BDAT: b"BDAT 3\r\nx\r\n",
    Verb.END_OF_DATA: b"BDAT 3 LAST\r\nx\r\n",
}


_ANSWERS = (b"YWxpY2U=\r\n", b"d29uZGVy\r\n", b"*\r\n", b"NOOP\r\n")


class OddClient:
    """A server and a client that says anything at any time."""

    def __init__(self, seed: int, coverage: Coverage) -> None:
        self._random = random.Random(seed)  # noqa: S311
        self._coverage = coverage
        self._numbers = itertools.count(1)
        self._stored: list[Stored] = []
        self._connect()

    def _connect(self) -> None:
        config = self._random.choice(CONFIGS)
        self.far = Far(config, self._stored, lambda: next(self._numbers), traced=self._random.random() < 0.5)
        self.fold = Fold(self._coverage, config.lmtp)
        self._hear(Verb.CONNECT, b"")

    def _choices(self) -> itertools.chain[int]:
        draw = self._random.randrange
        return itertools.chain((draw(24) for _ in range(3)), itertools.repeat(0))

    def _hear(self, verb: Verb, octets: bytes) -> None:
        trusted = self.far.conn.may_xclient or verb is not Verb.XCLIENT
        said = self.far.hear(octets, self._choices()) if octets else self.far.pump(self._choices())
        finished = False
        if said.startswith((b"500", b"502")) or not trusted:
            # What is not offered here is no command, and changes nothing.
            verb = Verb.NOOP
        for code in codes(said):
            assert not finished, "one reply too many"
            finished = self.fold.reply(verb, code)
        assert said
        assert finished or self.fold.state is State.AUTH
        assert self.far.conn.state is self.fold.state

    def step(self) -> None:
        draw = self._random.randrange
        match self.fold.state:
            case State.CLOSED:
                self._stored.clear()
                self._connect()
            case State.TLS:
                weak = draw(3) == 0
                self.far.shake(weak=weak)
                self.fold.reply(Verb.HANDSHAKE, 454 if weak else 220)
            case State.BODY:
                self._hear(Verb.END_OF_DATA, b"RSET\r\n..\r\n.\r\n")
            case State.AUTH:
                self._hear(
                    Verb.AUTH, self._random.choice((b"YWxpY2U=\r\n", b"d29uZGVy\r\n", b"*\r\n", b"NOOP\r\n"))
                )
            case _:
                verb = self._random.choice((*COMMANDS, Verb.MAIL, Verb.RCPT, Verb.RCPT))
                line = _LINES.get(verb, verb.value.encode())
                self._hear(verb, line if line.endswith(b"\n") else line + b"\r\n")
