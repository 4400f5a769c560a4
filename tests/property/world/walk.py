"""A walk through a world that a seed decides: fast, and the same every time."""

from __future__ import annotations

import itertools
import random

from tests.property.world.table import COMMANDS, Coverage
from tests.property.world.world import World

from ehlo import State, Verb

# Not after every step: most of what makes a session deep is agreement.
_LIKELY = {
    State.GREETING: (),
    State.HELLO: (Verb.EHLO, Verb.LHLO),
    State.READY: (Verb.MAIL, Verb.MAIL, Verb.MAIL, Verb.AUTH, Verb.STARTTLS),
    State.MAIL: (Verb.RCPT,),
    State.RCPT: (Verb.RCPT, Verb.DATA, Verb.BURL),
    State.CHUNK: (Verb.BURL,),
}


class Walker:
    """Does one thing after the other, mostly what leads somewhere."""

    def __init__(self, seed: int, coverage: Coverage) -> None:
        self._random = random.Random(seed)  # noqa: S311
        self._agreeable = self._random.random() < 0.7
        self.world = World(self._random.randrange(8), coverage)

    def _choices(self) -> list[int]:
        draw = self._random.randrange
        most = 20 if self._agreeable else 25
        return [draw(most) if draw(300) else 61 for _ in range(4)]

    def _size(self) -> int:
        return self._random.choice((1, 2, 3, 7, 40, 5000))

    def _verb(self) -> int:
        likely = _LIKELY.get(self.world.near.expected, ())
        if likely and self._random.random() < 0.7:
            return COMMANDS.index(self._random.choice(likely))
        return self._random.randrange(len(COMMANDS))

    def step(self) -> None:
        world, draw = self.world, self._random.randrange
        if world.ended:
            world.connect(draw(8))
        picks = [draw(100) for _ in range(draw(5))]
        move = draw(100)
        if move < 45:
            world.say(self._verb(), draw(1000))
        elif move < 53:
            world.write(picks, end=draw(3) == 0)
        elif move < 60:
            world.chunk(picks, last=draw(3) == 0)
        elif move < 66:
            world.respond(draw(100))
        elif move < 74:
            world.carry_up(self._size(), self._choices())
        elif move < 80:
            world.carry_down(self._size())
        elif move < 84:
            world.decide(self._choices())
        elif move < 90:
            world.shake(draw(100))
        elif move < 98:
            sizes = itertools.cycle([self._size(), self._size()])
            world.settle(sizes, itertools.chain(self._choices(), itertools.repeat(0)))
        else:
            self._disturb()

    def _disturb(self) -> None:
        world, draw = self.world, self._random.randrange
        match draw(12):
            case 0 | 1:
                world.hang_up(draw(60), draw(60), self._choices())
            case 2:
                world.close()
            case 3:
                world.shut_down(in_time=bool(draw(2)))
            case _:
                world.refuse_body()
