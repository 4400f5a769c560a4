"""The recordings of what goes wrong or is said in an odd way: what ours makes of each line."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tests.helpers.driver import Client
from tests.replay.peers import RecordedServer
from tests.replay.recorded import NAMES, REGISTER, TRANSCRIPTS, octets
from tests.replay.test_client import session_of
from tests.replay.test_server import replay

from ehlo import (
    Auth,
    AuthChallenge,
    AuthFailed,
    AuthSucceeded,
    ClientConnection,
    Ehlo,
    EhloReceived,
    LocalProtocolError,
    Quit,
    ReplyReceived,
)
from ehlo.extensions import AUTH
from ehlo.sasl.ntlm.messages import parse_negotiate

EDGES = "auth-edge-cases-postfix-dovecot"
FIRST_334 = {"empty": "334 ", "eq": "334 =", "text": "334 NTLM supported"}
ASKED = [
    name
    for name in NAMES
    if name.startswith("ntlm334-") and all(turn.initial is None for turn in TRANSCRIPTS[name][0].turns)
]

ANSWERS: dict[str, list[tuple[str, str]]] = {
    EDGES: [
        ("EHLO client.example", "250 "),
        ("AUTH LOGIN", "334 VXNlcm5hbWU6"),
        ("*", "501 5.7.0 "),
        ("AUTH PLAIN", "334 "),
        ("!!", "501 5.5.2 "),
        ("AUTH NOPE", "504 5.5.4 "),
        ("AUTH", "501 5.5.4 "),
        ("AUTH PLAIN =", "501 5.5.2 "),
        ("AUTH PLAIN AGFsaWNlAHNlY3JldA==", "235 2.7.0 "),
        ("AUTH PLAIN AGFsaWNlAHNlY3JldA==", "503 5.5.1 "),
        ("QUIT", "221 2.0.0 "),
    ],
    "ntlm-garbage-to-dovecot-samba": [
        ("EHLO client.example", "250 "),
        ("AUTH NTLM", "334 "),
        ("Z2FyYmFnZQ==", "501 5.5.2 "),
        ("QUIT", "221 2.0.0 "),
    ],
}


@pytest.mark.clause("RFC4954-4b", "RFC4954-4d", "RFC4954-4g", "RFC4954-4j", "RFC4954-4l", "NTLM-3.2.5.2b")
@pytest.mark.parametrize("name", ANSWERS)
def test_what_our_server_answers(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (connection,) = TRANSCRIPTS[name]
    replayed = replay(connection, REGISTER[name], monkeypatch)
    assert [turn.said for turn in connection.turns] == [line for line, _ in ANSWERS[name]]
    for (_, ours), (line, answer) in zip(replayed.replies, ANSWERS[name], strict=True):
        assert ours[-1].startswith(answer), (line, ours)


@pytest.mark.clause("OXSMTP18-2.2.1a", "OXSMTP18-2.2.1b", "NTLM-2.2.1.2a")
@pytest.mark.parametrize("name", ASKED)
def test_the_first_334_to_ntlm(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Prose where the policy has it, else nothing; our client takes each for the same."""
    recorded = FIRST_334[name.split("-")[2]]
    for connection in TRANSCRIPTS[name]:
        replies = replay(connection, REGISTER[name], monkeypatch).replies
        theirs, ours = next((turn.reply, reply) for turn, reply in replies if turn.mechanism)
        assert theirs == (recorded,)
        assert ours == ("334 " if recorded == "334 =" else recorded,)
        server = RecordedServer(connection)
        session_of(connection, REGISTER[name], server)
        assert server.heard[0] == "AUTH NTLM"
        parse_negotiate(octets(server.heard[1]) or b"")


_Act = Callable[[ClientConnection], object]
# A line that our client cannot be made to send is None; what comes of each other one.
HEARD: list[tuple[_Act, type[object] | None]] = [
    (lambda conn: conn.send(Ehlo("client.example")), EhloReceived),
    (lambda conn: conn.send(Auth("LOGIN")), AuthChallenge),
    (lambda conn: conn.auth_cancel(), AuthFailed),
    (lambda conn: conn.send(Auth("PLAIN")), AuthChallenge),
    (lambda conn: conn.auth_respond(b""), AuthFailed),
    (lambda conn: conn.send(Auth("NOPE")), AuthFailed),
    (lambda conn: conn.send(Auth("")), None),
    (lambda conn: conn.send(Auth("PLAIN", b"")), AuthFailed),
    (lambda conn: conn.send(Auth("PLAIN", b"\0alice\0secret")), AuthSucceeded),
    (lambda conn: conn.send(Auth("PLAIN", b"\0alice\0secret")), None),
    (lambda conn: conn.send(Quit()), ReplyReceived),
]


@pytest.mark.clause("RFC4954-4b", "RFC4954-4d", "RFC4954-4g", "RFC4954-4j", "EXCH-ehlo-b")
def test_what_our_client_makes_of_each_answer() -> None:
    (connection,) = TRANSCRIPTS[EDGES]
    client = Client()
    client.hear(*connection.greeting)
    for turn, (act, kind) in zip(connection.turns, HEARD, strict=True):
        if kind is None:
            with pytest.raises(LocalProtocolError):
                act(client.conn)
            continue
        act(client.conn)
        # `!!` is the one line that nothing is encoded as.
        assert client.wire().decode() == f"{'' if turn.said == '!!' else turn.said}\r\n"
        event = client.hear(*turn.reply)[0]
        assert isinstance(event, kind)
        if isinstance(event, AuthFailed | AuthSucceeded | ReplyReceived):
            assert str(event.reply.code) == turn.code
    names = "PLAIN LOGIN CRAM-MD5 DIGEST-MD5 SCRAM-SHA-1 SCRAM-SHA-256 ANONYMOUS"
    assert client.conn.capabilities.offer(AUTH) == tuple(names.split())
