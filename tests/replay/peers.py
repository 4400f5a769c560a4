"""What speaks for the recorded side: links for `ehlo.testing.run`, and Kerberos as far as it was recorded."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterable

import attrs
from tests.replay.recorded import TLS, Connection, Difference, Turn, octets

from ehlo import TLSInfo
from ehlo.sasl.ntlm.messages import SIGNATURE

CERTIFIED = TLSInfo(
    version="TLSv1.3", cipher="X", verified=True, peer_certificate=b"certificate", peer_names=("alice",)
)


@attrs.define
class _Link:
    _inbox: bytearray = attrs.field(init=False, factory=bytearray)

    def poll(self) -> bytes | None:
        return self._taken(len(self._inbox))

    def _taken(self, most: int) -> bytes | None:
        data = bytes(self._inbox[:most])
        del self._inbox[:most]
        return data or None

    def close(self) -> None:
        pass

    def stuck(self) -> AssertionError:
        return AssertionError("the flow waits for what was not recorded")


@attrs.define
class RecordedClient(_Link):
    """Says one flight of lines after the other, when the one before was answered, and hangs up at the end."""

    flights: deque[tuple[str, ...]]
    _heard: bytearray = attrs.field(init=False, factory=bytearray)

    def send(self, data: bytes) -> None:
        self._heard += data

    def receive(self, most: int) -> bytes | None:
        if not self._inbox:
            if not self.flights:
                return b""
            self._inbox += b"".join(line.encode() + b"\r\n" for line in self.flights.popleft())
        return self._taken(most)

    def start_tls(self, received: bytes) -> TLSInfo | None:
        if self.flights and self.flights[0] == (TLS,):
            self.flights.popleft()
        return CERTIFIED

    def replies(self) -> list[tuple[str, ...]]:
        """The greeting, and what answers each line."""
        found: list[tuple[str, ...]] = [()]
        for line in self._heard.decode().split("\r\n")[:-1]:
            found[-1] += (line,)
            if line[3] == " ":
                found.append(())
        return found[:-1]


@attrs.define
class RecordedServer(_Link):
    """Says what the server said, and compares what it hears with what the recorded client said."""

    connection: Connection
    found: set[Difference] = attrs.field(init=False, factory=set)
    heard: list[str] = attrs.field(init=False, factory=list)
    """The lines of the exchange, and what comes where the recording has ended."""
    turns: deque[Turn] = attrs.field(init=False)
    """What has not come to pass."""
    _outbox: bytearray = attrs.field(init=False, factory=bytearray)
    _closed: bool = attrs.field(init=False, default=False)
    _last: str = attrs.field(init=False, default="")
    """The code of the last reply."""

    def __attrs_post_init__(self) -> None:
        self.turns = deque(self.connection.turns)
        self._say(self.connection.greeting)
        if not self.connection.exchange:
            self.found.add(Difference.SILENT)

    def send(self, data: bytes) -> None:
        self._outbox += data
        while (end := self._outbox.find(b"\r\n")) >= 0:
            line = self._outbox[:end].decode()
            del self._outbox[: end + 2]
            self._hear(line)

    def receive(self, most: int) -> bytes | None:
        if not self._inbox and (self._closed or not self.turns):
            return b""
        return self._taken(most)

    def start_tls(self, received: bytes) -> TLSInfo | None:
        assert self.turns.popleft().said == TLS
        return CERTIFIED

    def _say(self, reply: Iterable[str]) -> None:
        for line in reply:
            self._inbox += line.encode() + b"\r\n"
            self._last = line[:3]

    def _hear(self, line: str) -> None:
        turn = self.turns[0] if self.turns else None
        if turn is None:
            self._beyond(line)
        elif turn.auth and line == "QUIT":
            self.found.add(Difference.UNKNOWN)
            self.turns.clear()
            self._closed = True
        elif turn.auth and line.startswith("EHLO "):
            self.found.add(Difference.NO_EHLO)
            self._say(_hello(self.connection))
        elif turn.mechanism and turn.initial is None and line.startswith(f"{turn.said} "):
            self.found.add(Difference.ASKED)
            self.heard.append(line)
            self._say(["501 5.5.4 No initial response"])
        elif turn.initial is not None and line == f"AUTH {turn.mechanism}":
            self.found.add(Difference.LONG)
            self.heard.append(line)
            self.turns[0] = attrs.evolve(turn, said=turn.initial)
            self._say(["334 "])
        else:
            self.turns.popleft()
            if turn.auth:
                self.heard.append(line)
                self.found |= _unlike(turn.said, line)
            else:
                assert _plain(line) == _plain(turn.said)
            self._say(turn.reply)

    def _beyond(self, line: str) -> None:
        if line != "QUIT":
            self.heard.append(line)
        if self._last == "334":
            self.found.add(Difference.HUNG_UP)
            self._say(["535 5.7.8 Authentication credentials invalid"])
        self._closed = True


def _plain(line: str) -> str:
    """A command without its parameters, which are each client's own."""
    return re.sub("> .*", ">", line.upper())


def _hello(connection: Connection) -> list[str]:
    """The reply to an EHLO that was not recorded."""
    return [f"250-{connection.host}", f"250 AUTH {connection.mechanism}"]


def _unlike(recorded: str, ours: str) -> set[Difference]:
    """What is different about two lines of an exchange, which mean the same."""
    if recorded == ours:
        return set()
    theirs, mine = (octets(re.sub("^AUTH [A-Z0-9-]+ ", "", line)) for line in (recorded, ours))
    assert theirs is not None, (recorded, ours)
    assert mine is not None, (recorded, ours)
    if mine.startswith(SIGNATURE):
        # The garbage is no message, but stands for one.
        assert theirs[:12] in (mine[:12], b"garbage"), (recorded, ours)
        return {Difference.OWN_MESSAGES}
    if (theirs, mine) == (b"", b"\x01"):
        return {Difference.ERROR_ANSWER}
    assert re.sub(rb"\x01(host|port)=[^\x01]*", b"", mine) == theirs, (recorded, ours)
    return {Difference.NO_HOST}


# ---- Kerberos ----


@attrs.frozen
class _Wrapped:
    data: bytes


@attrs.define
class Played:
    """As much of a spnego.ContextProxy as is used, by the tokens of a recording.

    Wrap tokens are not encrypted, so what they say can be read without the key: RFC 4121 section 4.2.6.2.
    """

    _heard: dict[bytes | None, bytes | None]
    """The token that answers each; another one is refused, as by the library."""
    _wrapped: list[bytes]
    complete: bool = False
    negotiated_protocol: str = "kerberos"
    client_principal: str = "alice@LOCAL.EXAMPLE"

    def step(self, token: bytes | None) -> bytes | None:
        answer = self._heard.pop(token)
        self.complete = not self._heard
        return answer

    def wrap(self, data: bytes, encrypt: bool) -> _Wrapped:
        """The recorded token of this side that says the same; an offer may also allow for more."""
        assert not encrypt
        for token in self._wrapped:
            if _unwrapped(token) in (data, b"\x01\xff\xff\xff"):
                return _Wrapped(token)
        raise AssertionError(data)

    def unwrap(self, data: bytes) -> _Wrapped:
        return _Wrapped(_unwrapped(data))


def _unwrapped(token: bytes) -> bytes:
    assert token[:2] == b"\x05\x04"
    # Flags: not sealed. The checksum, as long as the field says, stands at the end.
    assert not token[2] & 2
    return token[16 : len(token) - int.from_bytes(token[4:6], "big")]


def initiating(connection: Connection) -> Callable[..., Played]:
    """The client's side of an exchange: a token for each that came before."""
    said, heard = connection.responses, connection.challenges
    tokens = [token for token in said if token[:1] == b"\x60"]
    first: dict[bytes | None, bytes | None] = {None: tokens[0] if tokens else None}
    answers: dict[bytes | None, bytes | None] = {token: None for token in heard if token[:1] == b"\x60"}
    return lambda *_: Played(first | answers, [token for token in said if token[:1] == b"\x05"])


def accepting(connection: Connection) -> Callable[..., Played]:
    """The server's side of an exchange; SPNEGO that comes to NTLM was not accepted."""
    said, heard = connection.challenges, connection.responses
    answers = [token for token in said if token[:1] == b"\x60"]
    tokens: dict[bytes | None, bytes | None] = (
        {heard[0]: answers[0] if answers else None} if b"NTLMSSP" not in heard[0] else {}
    )
    return lambda *_: Played(dict(tokens), [token for token in said if token[:1] == b"\x05"])
