"""The recorded dialogues as values, and the register that says of each what becomes of it."""

from __future__ import annotations

import json
import re
import tomllib
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from enum import Enum
from pathlib import Path
from typing import Final

import attrs

from ehlo.sasl.ntlm.messages import Flag, parse_authenticate
from ehlo.wire import base64

HERE: Final = Path(__file__).parent
TLS: Final = "<TLS>"
_CLOSE: Final = "<close>"
ACCOUNTS: Final[Mapping[str, str]] = {
    "alice": "secret",
    "DOM\\bob": "hunter2",
    # msmtp keeps the domain to itself.
    "bob": "hunter2",
}
TOKEN: Final = "tok123"


class Difference(Enum):
    """Why a replay is not the recording octet for octet. There are no other reasons."""

    NO_EHLO = "no EHLO"
    """The client says AUTH before EHLO, which ours never does and our server refuses: one is put in front."""
    ASKED = "asked"
    """The client waits for the first 334; ours speaks first, is told 501, and then waits as well."""
    LONG = "long"
    """AUTH with its initial response is longer than a command line may be; ours waits for the first 334."""
    PROMPT = "prompt"
    """The first 334 says `=`; our server says nothing."""
    ERROR_WORDS = "error words"
    """What JSON tells of a refused token is each server's own."""
    ERROR_ANSWER = "error answer"
    """The client answers that JSON with an empty line, ours as RFC 7628 has it."""
    NO_HOST = "no host"
    """The client leaves out host and port, which ours always tells."""
    INSIDE_TLS = "inside TLS"
    """EXTERNAL in clear, where our server knows no certificate: replayed inside TLS."""
    KERBEROS = "Kerberos"
    """The tickets are of a KDC that is gone: the recording plays the library."""
    OWN_MESSAGES = "own messages"
    """NTLM's messages carry flags, names and random octets of each client's own: ours is verified by our
    acceptor against the recorded challenge."""
    NTLM_VERSION = "NTLM version"
    """The recorded server does not take the version of NTLM that ours takes, or that our client speaks."""
    ANONYMOUS = "anonymous"
    """Cyrus SASL's challenge has nearly every flag, and pyspnego sends them back: one says that the client is
    anonymous. Our challenge has not got it, so it is taken out of the answer as well."""
    HUNG_UP = "hung up"
    """The client closes the connection inside the exchange; ours goes on to its end."""
    SILENT = "silent"
    """The client finds no mechanism that it knows, or does not even say EHLO."""
    UNKNOWN = "unknown mechanism"
    """DIGEST-MD5 is historic (RFC 6331), and neither of our roles has it."""
    CODES = "codes"
    """The server says 535 to what is malformed or unknown; ours says which of the two."""
    BY_HAND = "by hand"
    """More than one exchange, and lines that no client of ours would send: see test_edges."""


class Outcome(Enum):
    """What the recorded exchange comes to for our client."""

    AUTHENTICATED = "authenticated"
    REFUSED = "refused"
    NO_MECHANISM = "no mechanism"
    LOST = "lost"
    """The recording ends before an answer."""


def _reasons(names: Iterable[str]) -> frozenset[Difference]:
    return frozenset(Difference(name) for name in names)


def _lines(lines: Iterable[str]) -> tuple[str, ...]:
    return tuple(lines)


@attrs.frozen(kw_only=True)
class Entry:
    """A line of register.toml."""

    user: str = "alice"
    secret: str = ""
    """Of the recorded client; tokens are in the recording."""
    outcome: Outcome = attrs.field(converter=Outcome)
    refusals: tuple[str, ...] = attrs.field(default=(), converter=_lines)
    """Why our server refuses, on each connection."""
    ntlmv1: bool = False
    """It is allowed."""
    server: frozenset[Difference] = attrs.field(converter=_reasons)
    client: frozenset[Difference] = attrs.field(converter=_reasons)


@attrs.frozen
class Turn:
    """A line of the client and the reply to it."""

    said: str
    reply: tuple[str, ...]
    auth: bool
    """Part of an exchange: AUTH itself, or a line that answers a 334."""
    flight: int
    """Lines of the same flight were sent together."""

    @property
    def code(self) -> str:
        return self.reply[-1][:3]

    @property
    def mechanism(self) -> str | None:
        """Of AUTH itself."""
        found = re.match(r"AUTH ([A-Z0-9-]+)", self.said)
        return found[1] if found and self.auth else None

    @property
    def initial(self) -> str | None:
        found = re.match(r"AUTH [A-Z0-9-]+ (.*)", self.said)
        return found[1] if found and self.auth else None


@attrs.frozen
class Connection:
    greeting: tuple[str, ...]
    turns: tuple[Turn, ...]
    """`<TLS>` is a turn without a reply."""

    @property
    def exchange(self) -> tuple[Turn, ...]:
        return tuple(turn for turn in self.turns if turn.auth)

    @property
    def host(self) -> str:
        """The server's name in its greeting."""
        return self.greeting[0].split()[1] if self.greeting else "mail.example"

    @property
    def mechanism(self) -> str | None:
        """Of the last AUTH."""
        return next((turn.mechanism for turn in reversed(self.turns) if turn.mechanism), None)

    @property
    def offered(self) -> str | None:
        """The last mechanism of the last AUTH line."""
        lines = [line for turn in self.turns for line in turn.reply if re.match("250[ -]AUTH ", line)]
        return lines[-1].split()[-1] if lines else None

    @property
    def challenges(self) -> list[bytes]:
        """What the 334s hold, those apart that hold no base64."""
        texts = [turn.reply[-1][4:] for turn in self.exchange if turn.code == "334"]
        return [data for data in map(octets, texts) if data]

    @property
    def responses(self) -> list[bytes]:
        """What the client answers, the initial response included."""
        texts = [turn.initial if turn.mechanism else turn.said for turn in self.exchange]
        return [data for data in map(octets, texts) if data]

    @property
    def words(self) -> object:
        """The JSON in a 334."""
        return next(filter(None, map(parsed, self.challenges)), None)

    @property
    def authenticate(self) -> bytes | None:
        """The client's last message in NTLM, where it came to that."""
        complete = self.mechanism == "NTLM" and len(self.responses) == 2
        return self.responses[1] if complete else None

    @property
    def anonymous(self) -> bool:
        """The client repeats a flag of its server that our server never has."""
        return self.authenticate is not None and bool(
            parse_authenticate(self.authenticate).flags & Flag.ANONYMOUS
        )

    @property
    def kerberos(self) -> bool:
        return self.mechanism in ("GSSAPI", "GSS-SPNEGO")

    @property
    def no_ehlo(self) -> bool:
        return bool(self.turns) and self.turns[0].auth

    @property
    def wants_tls(self) -> bool:
        """EXTERNAL where there is nothing that it could rest on."""
        return self.mechanism == "EXTERNAL" and all(turn.said != TLS for turn in self.turns)

    @property
    def hung_up(self) -> bool:
        """The client closed the connection inside an exchange."""
        return bool(self.turns) and self.turns[-1].auth and self.turns[-1].code == "334"


def octets(text: str | None) -> bytes | None:
    """None for what is no base64."""
    try:
        return base64.decode((text or "").encode())
    except base64.Base64Error:
        return None


def parsed(data: bytes) -> object:
    """The JSON object that `data` is; None when it is none."""
    try:
        found = json.loads(data)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def _connection(lines: list[str]) -> Connection:
    """Of lines that begin with `S: ` and `C: `."""
    said: deque[str] = deque()
    reply: list[str] = []
    greeting: tuple[str, ...] = ()
    turns: list[Turn] = []
    flight = 0
    for line in lines:
        sender, text = line[:3], line[3:]
        if sender == "S: ":
            reply.append(text)
            if text[3:4] != " ":
                continue
            if turns or said:
                first = said.popleft()
                auth = first.startswith("AUTH") or (
                    bool(turns) and turns[-1].auth and turns[-1].code == "334"
                )
                turns.append(Turn(first, tuple(reply), auth, flight))
            else:
                greeting = tuple(reply)
            reply = []
        elif text == TLS:
            turns.append(Turn(TLS, (), False, flight := flight + 1))
        elif sender != "C: ":
            raise ValueError(f"not a line of a dialogue: {line!r}")
        elif text != _CLOSE:
            flight += not said
            said.append(text)
    if reply or said:
        raise ValueError("a line has no reply, or a reply no end")
    return Connection(greeting, tuple(turns))


def _transcripts(text: str) -> Iterator[tuple[str, tuple[Connection, ...]]]:
    for section in re.split(r"(?m)^== ", text)[1:]:
        name, *lines = section.rstrip("\n").split("\n")
        parts: list[list[str]] = [[]]
        for line in lines:
            if line == "--":
                parts.append([])
            else:
                parts[-1].append(line)
        yield name, tuple(map(_connection, parts))


_FOUND: Final = [
    found
    for file in ("clients.txt", "servers.txt")
    for found in _transcripts((HERE / file).read_text("ascii"))
]
NAMES: Final = [name for name, _ in _FOUND]
TRANSCRIPTS: Final = dict(_FOUND)
REGISTER: Final = {
    name: Entry(**line) for name, line in tomllib.loads((HERE / "register.toml").read_text("utf-8")).items()
}
