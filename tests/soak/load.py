"""All kinds of clients at once: those that send mail, those that fail, and those that attack."""

from __future__ import annotations

import itertools
import random
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any, Final

import tests.abuse.attacks  # noqa: F401 (fills the list)
from tests.abuse.cuts import cut_session
from tests.abuse.floods import FLOODS
from tests.abuse.ground import ATTACKS, Ground
from tests.abuse.target import PATIENCE, RECIPIENT, SENDER, Target
from tests.abuse.wire import ENDS
from tests.soak.ledger import Ledger, message

import ehlo
from ehlo_io import blocking

MECHANISMS: Final = (
    "PLAIN",
    "LOGIN",
    "NTLM",
    "CRAM-MD5",
    "SCRAM-SHA-1",
    "SCRAM-SHA-256",
    "SCRAM-SHA-256-PLUS",
)
ABUSE: Final = (*FLOODS, "chunk_of_2_63_octets", "handshakes_broken_off", "tls_records_of_nothing")
"""Attacks that may be at work beside others."""
_ENVELOPE: Final[dict[str, Any]] = {"sender": SENDER, "recipients": [RECIPIENT]}
_RENEWAL: Final = 2.0
"""Seconds between two new certificates."""
_REST: Final = 0.02
"""Seconds between two attacks: clients that send mail are in the majority."""


class Load:
    """What clients do until they are told to stop; each runs in a thread of its own."""

    def __init__(self, server: Target, ledger: Ledger, seed: int) -> None:
        self._server = server
        self._ledger = ledger
        self._random = random.Random(seed)  # noqa: S311 (for variety)
        self._over = threading.Event()
        self.done: Counter[str] = Counter()
        """How often each kind of client did what it does."""
        self.failures: list[str] = []

    def run(self, seconds: float) -> None:
        """Raises nothing: what goes wrong is in `failures`."""
        kinds: list[Callable[[], Iterator[str]]] = [
            self._kept, self._kept, self._fresh, self._fresh, self._many, self._collector,
            self._failing, self._leaving, self._attacking, self._renewing,
        ]  # fmt: skip
        threads = [threading.Thread(target=self._work, args=(kind,)) for kind in kinds]
        for thread in threads:
            thread.start()
        self._over.wait(seconds)
        self._over.set()
        for thread in threads:
            thread.join(PATIENCE)
            if thread.is_alive():
                self.failures.append("a client does not end")

    def _work(self, kind: Callable[[], Iterator[str]]) -> None:
        try:
            for what in kind():
                self.done[what] += 1
                if self._over.is_set():
                    break
        except BaseException:
            self.failures.append(traceback.format_exc())
            self._over.set()

    def _connect(self, **options: Any) -> blocking.Client:
        return self._server.connect(chunking=self._random.random() < 0.5, **options)

    def _submit(self, client: blocking.Client) -> None:
        number = self._ledger.number()
        result = client.submit(message(number), **_ENVELOPE)
        assert not result.refused
        self._ledger.accept(number)

    def _kept(self) -> Iterator[str]:
        """One session for many messages."""
        while True:
            with self._connect() as client:
                for _ in range(200):
                    self._submit(client)
                    yield "messages of kept sessions"

    def _fresh(self) -> Iterator[str]:
        """One session for each message, and each mechanism in its turn."""
        for mechanism in itertools.cycle(MECHANISMS):
            with self._connect(mechanisms=[mechanism]) as client:
                self._submit(client)
            yield "messages of fresh sessions"

    def _many(self) -> Iterator[str]:
        """Many in flight."""
        while True:
            numbers = [self._ledger.number() for _ in range(20)]
            with self._connect() as client:
                messages: list[Any] = [(message(number), _ENVELOPE) for number in numbers]
                for number, delivery in zip(numbers, client.submit_many(messages), strict=True):
                    assert isinstance(delivery, ehlo.SubmissionResult), delivery
                    assert not delivery.refused
                    self._ledger.accept(number)
            yield "flights of twenty messages"

    def _failing(self) -> Iterator[str]:
        """What the server refuses, or the client on its word."""
        wrong = ehlo.Password("alice", "no-Word-at-all")
        for mechanism in itertools.cycle(MECHANISMS):
            try:
                self._connect(auth=wrong, mechanisms=[mechanism]).close()
            except ehlo.AuthenticationFailed:
                yield "refused passwords"
            else:
                raise AssertionError("a wrong password is good enough")
            with self._connect() as client:
                try:
                    client.submit(iter([b"Subject: big\r\n\r\n", b"x\r\n" * 2_000_000]), **_ENVELOPE)
                except (ehlo.LocalProtocolError, ehlo.SubmissionFailed):
                    yield "refused messages"
                else:
                    raise AssertionError("a message that is too big is taken")

    def _leaving(self) -> Iterator[str]:
        """Sessions that end somewhere, in any way."""
        while True:
            cut_session(Ground(self._server), self._random.randint(1, 200), self._random.choice(ENDS))
            yield "sessions cut off"
            self._over.wait(_REST)

    def _attacking(self) -> Iterator[str]:
        while True:
            ATTACKS[self._random.choice(ABUSE)](Ground(self._server, share=0.01))
            yield "attacks"
            self._over.wait(_REST)

    def _renewing(self) -> Iterator[str]:
        while not self._over.wait(_RENEWAL):
            self._server.renew()
            yield "renewed certificates"

    def _collector(self) -> Iterator[str]:
        while not self._over.wait(0.5):
            self._ledger.collect(self._server.maildir)
            yield "looks into the Maildir"


def timed(work: Callable[[], None]) -> float:
    """How many seconds it took."""
    start = time.monotonic()
    work()
    return time.monotonic() - start
