"""Flows: whole sessions of a client with a server that says anything, and of a server with such a client."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from itertools import repeat
from typing import Final

from tests.fuzz.seeds import HANDSHAKE, KEYWORDS, REPLIES, TURN, clients, servers
from tests.fuzz.target import Choices, Target, lines, same
from tests.fuzz.targets.server import CONFIGS, TEXTS
from tests.helpers.driver import TLS
from tests.helpers.sasl import constant, session_options

from ehlo import (
    ClientConnection,
    LocalProtocolError,
    Mailbox,
    Password,
    RemoteProtocolError,
    Reply,
    ServerConnection,
    SessionError,
    State,
    Submission,
    SubmissionFailed,
    SubmissionResult,
    TLSInfo,
    TlsMode,
    UserStore,
    envelope,
)
from ehlo.flows import close, hooks_of, open_session, serve, submit
from ehlo.testing import run

_PASSWORD: Final = "hunter2-hunter2"
_HEAD: Final = 3
_MOST_SENT: Final = 1 << 20
_MODES: Final = tuple(TlsMode)
_RECIPIENTS: Final = (Mailbox("b", "x.org"), Mailbox("c", "y.org"), Mailbox("d", "x.org"))
_BODIES: Final = (b"a: b\r\n\r\n.text\r\n", b"a: \xc3\xa9\r\n\r\nx", b"a: b\r\n\r\n\xe9\r\n", b"\0\n", b"")


class Link:
    """The other side says what it says, a turn at a time, and then is silent or gone."""

    def __init__(self, turns: Iterable[bytes], *, ends: bool) -> None:
        self._turns = iter(turns)
        self._inbox = b""
        self._ends = ends
        self._gone = False
        self.clear = bytearray()
        """What was sent before TLS."""
        self.sent = bytearray()

    def send(self, data: bytes) -> None:
        if self._gone:
            raise BrokenPipeError
        self.sent += data
        assert len(self.sent) < _MOST_SENT, "there is no end to what is sent"

    def receive(self, most: int) -> bytes | None:
        while not self._inbox:
            turn = next(self._turns, None)
            if turn is None:
                self._gone = True
                if self._ends:
                    return b""
                raise TimeoutError
            self._inbox = turn
        data, self._inbox = self._inbox[:most], self._inbox[most:]
        return data

    def poll(self) -> bytes | None:
        data, self._inbox = self._inbox, b""
        return data or None

    def start_tls(self, received: bytes) -> TLSInfo | None:
        self.clear += self.sent
        self.sent.clear()
        if received or self._inbox:
            raise ConnectionError("not a handshake")
        return TLS

    def close(self) -> None:
        self._gone = True

    def stuck(self) -> AssertionError:
        return AssertionError("the flow waits for nothing")


def check_session(data: bytes) -> None:
    """Whatever a server says, a session is opened and messages submitted, with an outcome for each recipient,
    or SessionError or RemoteProtocolError is raised; a message that the server cannot take is a
    LocalProtocolError; no password crosses the wire without TLS; and there is an end."""
    choices = Choices(data, _HEAD)
    mode, flags, body = choices.one_of(_MODES), choices.below(256), choices.one_of(_BODIES)
    link = Link(choices.rest.split(TURN), ends=bool(flags & 1))
    conn = ClientConnection(lmtp=bool(flags & 2))
    options = session_options(
        tls=mode,
        auth=Password("alice", _PASSWORD) if flags & 4 else None,
        random=constant(b"nonce"),
        ehlo_after_auth=bool(flags & 64),
        initial_response=bool(flags & 128),
    )
    count = 1 + (flags >> 3) % len(_RECIPIENTS)
    try:
        run(open_session(conn, options), link)
        for _ in range(2):
            _submit(conn, link, body, _RECIPIENTS[:count], chunking=bool(flags & 32))
        run(close(conn), link)
    except (SessionError, RemoteProtocolError):
        pass
    in_clear = link.clear if link.clear or conn.tls else link.sent
    if mode is not TlsMode.IMPLICIT:
        assert b"AUTH PLAIN" not in in_clear
        assert b"AUTH LOGIN" not in in_clear


def _submit(
    conn: ClientConnection, link: Link, body: bytes, recipients: tuple[Mailbox, ...], *, chunking: bool
) -> None:
    to = envelope("a@x.org", list(map(str, recipients)))
    submission = Submission(envelope=to, content=body, chunking=chunking)
    try:
        result: SubmissionResult = run(submit(conn, submission), link, bodies=[body])
    except LocalProtocolError:
        return
    except SubmissionFailed as failed:
        assert not failed.result.accepted  # noqa: PT017
        return
    same("recipients", tuple(outcome.recipient for outcome in result.outcomes), recipients)
    assert result.accepted
    assert all(one.reply is not None and one.reply.is_success for one in result.accepted)


class Handler(UserStore):
    """Knows alice, and keeps what it takes."""

    def __init__(self) -> None:
        super().__init__({"alice": _PASSWORD})
        self.messages: list[bytes] = []

    def on_rcpt(self, session: object, path: Mailbox, parameters: object) -> Reply | None:
        return Reply(550, "No such user", "5.1.1") if path.local == "no" else None

    def on_message(self, session: object, envelope: object, content: bytes) -> Reply | None:
        self.messages.append(content)
        return Reply(451, "Later") if content.startswith(b"later") else None


def _served(start: int, octets: bytes, sizes: Iterable[int] | None, *, ends: bool) -> tuple[object, ...]:
    handler, link = Handler(), Link([octets] if octets else [], ends=ends)
    conn = ServerConnection(CONFIGS[start])
    run(serve(conn, hooks_of(handler)), link, sizes=sizes)
    assert conn.state is State.CLOSED
    return handler.messages, bytes(link.clear), bytes(link.sent)


def check_served(data: bytes) -> None:
    """Whatever a client says, a session is served to its end without an exception, and what is kept and what
    is answered is the same however the octets come."""
    choices = Choices(data, _HEAD)
    start, seed, flags = choices.below(len(CONFIGS)), choices.below(256), choices.below(2)
    octets = choices.rest
    ends = bool(flags)
    whole = _served(start, octets, None, ends=ends)
    source = random.Random(seed)  # noqa: S311
    sizes = (source.randrange(1, 40) for _ in repeat(None)) if len(octets) < 2000 else repeat(500)
    cut_up = _served(start, octets, sizes, ends=ends)
    # With STARTTLS it depends on what was sent with it; and an end is told where it is seen.
    if b"STARTTLS" not in octets.upper():
        same("the outcome, cut up", cut_up, whole)


def _session_seeds() -> Iterator[bytes]:
    keywords = (b"PIPELINING", b"CHUNKING", b"8BITMIME", b"AUTH PLAIN LOGIN")
    offer = lines(b"250-mail.example", *(b"250-" + keyword for keyword in keywords), b"250 STARTTLS")
    done = b"250 a\r\n250 b\r\n550 c\r\n250 d\r\n354 e\r\n"
    for mode in range(len(_MODES)):
        for flags in range(0, 256, 11):
            tls = () if flags & 64 else (b"220 go\r\n", offer)
            auth = (b"235 ok\r\n", offer) if flags & 4 else ()
            turns = (
                b"220 x\r\n",
                offer,
                *tls,
                *auth,
                done,
                b"250 ok\r\n",
                done,
                b"250 ok\r\n",
                b"221 bye\r\n",
            )
            yield bytes([mode, flags, flags % 5]) + TURN.join(turns)
    for number, said in enumerate(servers()):
        yield bytes([number % 4, number * 7 % 256, 0]) + said


def _served_seeds() -> Iterator[bytes]:
    for number, said in enumerate(clients()):
        yield bytes([number % len(CONFIGS), number % 256, number % 2]) + said.replace(HANDSHAKE, b"")
    for config in range(len(CONFIGS)):
        for number, text in enumerate(TEXTS):
            yield (
                bytes([config, number, number % 2]) + lines(b"EHLO a.example") + text.replace(HANDSHAKE, b"")
            )


TARGETS: Final = (
    Target("session", check_session, _session_seeds, REPLIES),
    Target("served", check_served, _served_seeds, KEYWORDS),
)
