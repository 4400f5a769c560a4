"""Our server against what real clients said: the recorded challenges, and the recorded verdicts."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from itertools import groupby, repeat

import attrs
import pytest
from tests.helpers.driver import server_config
from tests.helpers.sasl import EVERY_KIND, server_settings
from tests.replay.peers import RecordedClient, accepting
from tests.replay.recorded import (
    ACCOUNTS,
    NAMES,
    REGISTER,
    TLS,
    TOKEN,
    TRANSCRIPTS,
    Connection,
    Difference,
    Entry,
    Outcome,
    Turn,
    octets,
    parsed,
)

from ehlo import (
    ConnectionClosed,
    Identity,
    ServerConnection,
    Session,
    State,
    StoredSecret,
    SubmissionPolicy,
    UserStore,
)
from ehlo.flows import hooks_of, serve
from ehlo.sasl import SERVER_MECHANISMS, ServerMechanisms, gssapi, standard_mechanisms
from ehlo.sasl.ntlm import acceptor
from ehlo.sasl.ntlm.messages import (
    SIGNATURE,
    Flag,
    parse_authenticate,
    parse_challenge,
    parse_client_blob,
)
from ehlo.sasl.scram import server as scram_server
from ehlo.sasl.scram.keys import SHA_1, SHA_256
from ehlo.sasl.scram.messages import encoded, parse_client_first, parse_server_first
from ehlo.testing import run
from ehlo.wire import base64

SENDER = "alice@local.example"


class Handler(UserStore):
    """Knows the accounts of the recordings, the one good token, and remembers why it refused."""

    def __init__(self, connection: Connection, accounts: Mapping[str, str]) -> None:
        super().__init__({user: _stored(password, connection) for user, password in accounts.items()})
        self.refusals: list[str] = []

    def on_auth_token(self, session: Session, username: str, token: str, host: str, port: int) -> bool:
        return (username, token) == ("alice", TOKEN)

    def on_auth_kerberos(self, session: Session, principal: str) -> str:
        return principal.partition("@")[0]

    def on_auth_refused(self, session: Session, mechanism: str, reason: str, failures: int) -> None:
        self.refusals.append(reason)


def _stored(password: str, connection: Connection) -> str | StoredSecret:
    """SCRAM keys with the recorded salt, where there is one."""
    if connection.mechanism not in ("SCRAM-SHA-1", "SCRAM-SHA-256"):
        return password
    first = parse_server_first(connection.challenges[0])
    hash = SHA_1 if connection.mechanism == "SCRAM-SHA-1" else SHA_256
    return StoredSecret.of(hash.kind, password, first.salt, first.iterations)


# ---- the recorded challenge, by what it is made of ----


class _Words(bytes):
    """Octets whose hexadecimal form is what CRAM-MD5 shall say."""

    def hex(self, sep: object = None, bytes_per_sep: object = 1) -> str:
        return self.decode()


def _nonce(connection: Connection, monkeypatch: pytest.MonkeyPatch) -> bytes:
    """What the source of randomness has to give for the server's part of the recorded exchange."""
    challenges = connection.challenges
    match connection.mechanism:
        case "CRAM-MD5":
            return _Words(challenges[0][1:].partition(b"@")[0])
        case "NTLM":
            return challenges[0][24:32] if challenges else bytes(8)
        case "SCRAM-SHA-1" | "SCRAM-SHA-256":
            first = parse_client_first(connection.responses[0])
            nonce = parse_server_first(challenges[0]).nonce.removeprefix(first.nonce)
            found = octets(nonce)
            if found is not None:
                return found
            # dovecot's is no base64.
            monkeypatch.setattr(
                scram_server, "encoded", lambda data: nonce if data == b"nonce" else encoded(data)
            )
            return b"nonce"
        case _:
            return b""


def _mechanisms(connection: Connection, entry: Entry, monkeypatch: pytest.MonkeyPatch) -> ServerMechanisms:
    nonce = _nonce(connection, monkeypatch)
    if connection.kerberos:
        monkeypatch.setattr(gssapi, "available", lambda: True)
        monkeypatch.setattr(gssapi, "_acceptor", accepting(connection))
    used = {turn.mechanism for turn in connection.turns} & set(SERVER_MECHANISMS)
    settings = server_settings(
        target=connection.host,
        random=lambda size: bytes(size) if size == 32 else nonce,
        passwords=True,
        secrets=EVERY_KIND,
        tokens=True,
        certificates=True,
        principals=True,
        token_scope="mail",
        allow_ntlmv1=entry.ntlmv1,
    )
    return standard_mechanisms(settings, ["PLAIN", *filter(None, used)])


# ---- the replay ----


@attrs.frozen
class Replayed:
    """What our server made of one connection."""

    connection: Connection
    replies: list[tuple[Turn, tuple[str, ...]]]
    """To each line of the connection."""
    first: list[tuple[str, ...]]
    """To what is put in front of them."""
    probes: list[str]
    """The codes of the commands that show the state behind the exchange."""
    server: ServerConnection
    refusals: list[str]

    @property
    def accepted(self) -> bool:
        return any(reply[-1].startswith("235 ") for _, reply in self.replies)


def replay(
    connection: Connection,
    entry: Entry,
    monkeypatch: pytest.MonkeyPatch,
    *,
    sizes: Iterable[int] | None = None,
    accounts: Mapping[str, str] = ACCOUNTS,
) -> Replayed:
    prose = any(turn.reply[-1:] == ("334 NTLM supported",) for turn in connection.turns)
    policy = SubmissionPolicy(allow_cleartext_auth=True, auth_prose=prose)
    mechanisms = _mechanisms(connection, entry, monkeypatch)
    server = ServerConnection(server_config(policy=policy, mechanisms=mechanisms))
    handler = Handler(connection, accounts)

    exchange = [_line_to_us(turn) for turn in connection.exchange]
    # Once as it came, to be refused, and once more behind an EHLO.
    front = [*exchange, "EHLO client.example"] if connection.no_ehlo else []
    probes = ["NOOP", f"MAIL FROM:<{SENDER}>", "RSET"] if exchange and not connection.hung_up else []
    flights = [list(flight) for _, flight in groupby(connection.turns, lambda turn: turn.flight)]
    at = max((i + 1 for i, flight in enumerate(flights) if flight[0].auth), default=0)
    said: list[tuple[str, ...]] = [tuple(map(_line_to_us, flight)) for flight in flights]
    before, after = ([(line,) for line in lines] for lines in (front, probes))
    client = RecordedClient(deque([*before, *said[:at], *after, *said[at:]]))
    run(serve(server, hooks_of(handler), implicit_tls=connection.wants_tls), client, sizes=sizes)

    assert not client.flights
    assert isinstance(server.next_event(), ConnectionClosed)
    assert server.state is State.CLOSED
    greeting, *replies = client.replies()
    assert greeting[0].startswith("220 ")
    first, replies = replies[: len(front)], replies[len(front) :]
    turns = [turn for turn in connection.turns if turn.said != TLS]
    split = max((i + 1 for i, turn in enumerate(turns) if turn.auth), default=0)
    shown, replies = replies[split : split + len(probes)], replies[:split] + replies[split + len(probes) :]
    return Replayed(
        connection,
        list(zip(turns, replies, strict=True)),
        first,
        [reply[-1][:3] for reply in shown],
        server,
        handler.refusals,
    )


def _line_to_us(turn: Turn) -> str:
    """What the client says, without the flag that only its own server made it repeat."""
    token = octets(turn.said)
    if token is None or token[:12] != SIGNATURE + b"\3\0\0\0":
        return turn.said
    flags = int.from_bytes(token[60:64], "little") & ~Flag.ANONYMOUS
    return base64.encode(token[:60] + flags.to_bytes(4, "little") + token[64:]).decode()


# The codes of a reply in the recording, and of ours.
_CODES: Mapping[tuple[str, str], Difference] = {
    ("334", "504"): Difference.UNKNOWN,
    ("535", "235"): Difference.NTLM_VERSION,
    ("535", "501"): Difference.CODES,
    ("535", "504"): Difference.CODES,
}


def differences(replayed: Replayed) -> set[Difference]:
    """In what our replies are not those of the recording; fails where that is for no known reason."""
    found: set[Difference] = set()
    ended = False
    connection = replayed.connection
    for turn, ours in replayed.replies:
        code = ours[-1][:3]
        if not turn.auth or ended:
            assert code[0] == turn.code[0], (turn, ours)
        elif code == turn.code:
            found |= _unlike(turn, ours)
        else:
            found.add(_CODES[turn.code, code])
        ended = turn.auth and (ended or (turn.code == "334" and code != "334"))
    reasons = {
        Difference.SILENT: not connection.exchange,
        Difference.NO_EHLO: connection.no_ehlo,
        Difference.INSIDE_TLS: connection.wants_tls,
        Difference.ANONYMOUS: connection.anonymous,
        Difference.HUNG_UP: connection.hung_up,
        Difference.KERBEROS: connection.kerberos,
    }
    return found | {reason for reason, holds in reasons.items() if holds}


def _unlike(turn: Turn, ours: tuple[str, ...]) -> set[Difference]:
    if turn.code != "334" or ours == turn.reply:
        return set()
    if (turn.reply, ours) == (("334 =",), ("334 ",)):
        return {Difference.PROMPT}
    theirs, mine = (parsed(octets(reply[-1][4:]) or b"") for reply in (turn.reply, ours))
    assert isinstance(theirs, dict), (turn, ours)
    assert isinstance(mine, dict), (turn, ours)
    assert {"status"} <= mine.keys() & theirs.keys()
    return {Difference.ERROR_WORDS}


def checked(replayed: Replayed, entry: Entry) -> None:
    """The server knows whom it serves, and goes on accordingly."""
    accepted, mechanism = replayed.accepted, replayed.connection.mechanism
    assert replayed.server.identity == (
        Identity(entry.user, entry.user, mechanism or "") if accepted else None
    )
    if replayed.probes:
        assert replayed.probes == ["250", "250" if accepted else "530", "250"]
    # No EHLO, no AUTH; and what answers the challenge that did not come is no command.
    codes = [reply[-1][:3] for reply in replayed.first]
    assert codes == (["503", *["500"] * (len(codes) - 2), "250"] if codes else [])


def _challenge_recorded(connection: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    """All of NTLM's challenge, not its nonce alone: a MIC is computed over the message as it came."""
    if connection.mechanism == "NTLM" and connection.challenges:
        monkeypatch.setattr(acceptor, "write_challenge", lambda _: connection.challenges[0])


@pytest.mark.clause("RFC4954-4e", "RFC4954-4h", "RFC4954-6d", "RFC2920-3.2a", "RFC7628-3.2.3b", "NTLM-nlmp-c")
@pytest.mark.clause("NTLM-2.2.1.2a", "NTLM-3.2.5.1a", "NTLM-3.2.5.2a", "XLOGIN-3.2.5.1a", "XLOGIN-3.2.5.1b")
@pytest.mark.parametrize("cut", [None, 1], ids=["whole", "octets"])
@pytest.mark.parametrize("name", NAMES)
def test_what_real_clients_said(name: str, cut: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = REGISTER[name]
    found: set[Difference] = set()
    for connection in TRANSCRIPTS[name]:
        _challenge_recorded(connection, monkeypatch)
        replayed = replay(connection, entry, monkeypatch, sizes=None if cut is None else repeat(cut))
        found |= differences(replayed)
        checked(replayed, entry)
        assert replayed.refusals == list(entry.refusals)
    assert found == entry.server


REFUSED = [
    name
    for name, entry in REGISTER.items()
    if entry.outcome is Outcome.REFUSED and entry.secret and Difference.CODES not in entry.server
]


@pytest.mark.parametrize("name", REFUSED)
def test_nothing_but_the_password_was_wrong(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the client's password, and any NTLM allowed, the account is the client's."""
    entry = attrs.evolve(REGISTER[name], ntlmv1=True)
    for connection in TRANSCRIPTS[name]:
        _challenge_recorded(connection, monkeypatch)
        replayed = replay(connection, entry, monkeypatch, accounts={entry.user: entry.secret})
        last = [reply[-1] for turn, reply in replayed.replies if turn.auth][-1]
        if (connection.mechanism or "").startswith("SCRAM"):
            # The recorded client has no line for the server's proof.
            assert (octets(last.removeprefix("334 ")) or b"").startswith(b"v=")
        else:
            assert last.startswith("235 ")
            checked(replayed, entry)


NTLM = [name for name in NAMES if any(connection.authenticate for connection in TRANSCRIPTS[name])]


@pytest.mark.clause("NTLM-nlmp-d")
@pytest.mark.parametrize("name", NTLM)
def test_a_challenge_of_our_own_with_the_recorded_nonce(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It proves the password as well, but for a MIC over another challenge."""
    entry = REGISTER[name]
    for connection in TRANSCRIPTS[name]:
        assert connection.authenticate is not None
        replayed = replay(connection, entry, monkeypatch)
        sent = [octets(reply[-1][4:]) for _, reply in replayed.replies if reply[-1].startswith("334 ")]
        challenge = parse_challenge(sent[-1] or b"")
        assert challenge.server_challenge == parse_challenge(connection.challenges[0]).server_challenge
        assert sent[-1] != connection.challenges[0]
        refusals = list(entry.refusals)
        if not refusals and _has_mic(connection.authenticate):
            refusals = ["the MIC does not fit the messages"]
        assert replayed.refusals == refusals
        assert replayed.accepted is not bool(refusals)


def _has_mic(token: bytes) -> bool:
    response = parse_authenticate(token).nt_response
    return len(response) > 24 and parse_client_blob(response).announces_mic
