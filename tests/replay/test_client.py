"""Our client against what real servers said: the recorded client's octets, and the recorded outcome."""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import pairwise, repeat

import pytest
from tests.helpers.sasl import NOW, constant, session_options
from tests.replay.peers import RecordedServer, initiating
from tests.replay.recorded import (
    ACCOUNTS,
    NAMES,
    REGISTER,
    TLS,
    TRANSCRIPTS,
    Connection,
    Difference,
    Entry,
    Outcome,
    octets,
)

from ehlo import (
    AuthCause,
    AuthenticationFailed,
    ClientConnection,
    ConnectionFailed,
    Credentials,
    Envelope,
    External,
    Kerberos,
    Password,
    SessionOptions,
    Submission,
    TlsMode,
    Token,
    envelope,
    nt_hash,
)
from ehlo.flows import Flow, close, open_session, submit
from ehlo.sasl import CLIENT_MECHANISMS, gssapi
from ehlo.sasl.ntlm import acceptor
from ehlo.sasl.ntlm.messages import ClientBlob, parse_authenticate, parse_client_blob, parse_negotiate
from ehlo.sasl.scram.messages import parse_client_first
from ehlo.testing import run

AGREED = [name for name in NAMES if Difference.BY_HAND not in REGISTER[name].client]


def _credentials(connection: Connection, entry: Entry) -> Credentials:
    match connection.mechanism:
        case "XOAUTH2" | "OAUTHBEARER":
            token = re.search(rb"auth=Bearer ([^\x01]+)\x01\x01\Z", connection.responses[0])
            assert token is not None
            return Token(entry.user, token[1].decode())
        case "EXTERNAL":
            return External(entry.user)
        case "GSSAPI" | "GSS-SPNEGO":
            return Kerberos(entry.user)
        case _:
            return Password(entry.user, entry.secret)


def _random(connection: Connection) -> bytes:
    """What the source of randomness has to give for the client's nonce to be the recorded one."""
    if connection.mechanism not in ("SCRAM-SHA-1", "SCRAM-SHA-256"):
        return bytes(16)
    nonce = octets(parse_client_first(connection.responses[0]).nonce)
    assert nonce is not None
    return nonce


def _options(connection: Connection, entry: Entry) -> SessionOptions:
    said = [turn.said for turn in connection.turns]
    names = [line.split()[1] for line in said if line.upper().startswith("EHLO ")]
    first = connection.responses[0] if connection.responses else b""
    told = dict(re.findall(r"\x01(host|port)=([^\x01]*)", first.decode("latin-1")))
    mechanism = connection.mechanism or connection.offered
    random = _random(connection)
    return session_options(
        client_name=names[0] if names else "client.example",
        server_name=told.get("host", connection.host),
        port=int(told.get("port", 0)),
        tls=TlsMode.STARTTLS if TLS in said else TlsMode.NONE,
        auth=_credentials(connection, entry),
        random=lambda size: random if size == 18 else constant(random)(size),
        clock=lambda: NOW,
        mechanisms=(mechanism,) if mechanism in CLIENT_MECHANISMS else None,
        allow_cleartext_auth=True,
        allow_ntlmv1=entry.ntlmv1,
        initial_response=any(turn.initial for turn in connection.turns),
        ehlo_after_auth=any(a.auth and b.said.startswith("EHLO") for a, b in pairwise(connection.turns)),
    )


def _sent(connection: Connection) -> Envelope | None:
    """Whose message the recorded client hands over."""
    said = "\n".join(turn.said for turn in connection.turns)
    path = re.search("FROM:<(.+)>", said)
    return envelope(path[1], re.findall("TO:<(.+)>", said)) if path else None


def _session(connection: Connection, entry: Entry) -> Flow[None]:
    conn, sent = ClientConnection(), _sent(connection)
    yield from open_session(conn, _options(connection, entry))
    if sent is not None:
        result = yield from submit(conn, Submission(envelope=sent, content=b"", chunking=False))
        assert not result.refused
    yield from close(conn)


def session_of(
    connection: Connection, entry: Entry, server: RecordedServer, sizes: Iterable[int] | None = None
) -> Outcome:
    """Do what the recorded client did, and check what is told of a failure."""
    try:
        run(_session(connection, entry), server, sizes=sizes)
    except AuthenticationFailed as error:
        failure = error
    except ConnectionFailed:
        return Outcome.LOST
    else:
        return Outcome.AUTHENTICATED
    assert failure.detail == connection.words
    if failure.cause is AuthCause.NO_MECHANISM:
        return Outcome.NO_MECHANISM
    assert failure.cause is AuthCause.CREDENTIALS
    assert failure.reply is not None
    assert failure.reply.code == 535
    return Outcome.REFUSED


def _ntlm_refusal(connection: Connection, heard: list[str], user: str) -> str | None:
    """What our acceptor has against our client's answer to the recorded challenge."""
    tokens = [octets(line.removeprefix("AUTH NTLM ")) for line in heard if line != "AUTH NTLM"]
    negotiate, authenticate = (token or b"" for token in tokens)
    parse_negotiate(negotiate)
    message = parse_authenticate(authenticate)
    secret = nt_hash(ACCOUNTS[user])
    old = len(message.nt_response) == 24
    blob = ClientBlob({}) if old else parse_client_blob(message.nt_response)
    challenge = connection.challenges[0]
    if old:
        return acceptor.verify_v1(challenge[24:32], message, secret)
    return acceptor.verify(acceptor.Exchange(negotiate, challenge), authenticate, message, blob, secret)


@pytest.mark.clause("RFC4954-4h", "RFC4954-4i", "RFC4954-6d", "RFC4616-2a", "RFC2195-2b", "RFC5802-5c")
@pytest.mark.clause("XOAUTH2-client-a", "XOAUTH2-client-b", "XOAUTH2-client-c", "RFC7628-3.1a")
@pytest.mark.clause("RFC7628-3.2.2b", "RFC7628-3.2.3a", "RFC4752-3.1b", "RFC4752-3.1c", "XLOGIN-3.1.5.1b")
@pytest.mark.clause("NTLM-3.1.5.1a", "NTLM-3.1.5.1b", "NTLM-3.1.5.3a", "NTLM-nlmp-b", "NTLM-nlmp-d")
@pytest.mark.parametrize("cut", [None, 1], ids=["whole", "octets"])
@pytest.mark.parametrize("name", AGREED)
def test_what_real_servers_said(name: str, cut: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = REGISTER[name]
    found: set[Difference] = set()
    for connection in TRANSCRIPTS[name]:
        if connection.kerberos:
            monkeypatch.setattr(gssapi, "available", lambda: True)
            monkeypatch.setattr(gssapi, "_initiator", initiating(connection))
            found.add(Difference.KERBEROS)
        server = RecordedServer(connection)
        outcome = session_of(connection, entry, server, None if cut is None else repeat(cut))
        assert outcome is entry.outcome
        assert not server.turns
        if connection.authenticate is not None:
            right = entry.secret == ACCOUNTS[entry.user]
            refusal = _ntlm_refusal(connection, server.heard, entry.user)
            assert refusal == (None if right else "wrong user name or password")
            if right and outcome is Outcome.REFUSED:
                found.add(Difference.NTLM_VERSION)
        if connection.hung_up:
            # It is told of its refusal, and has nothing to add.
            assert server.heard[-1] == ""
        elif connection.offered and outcome is Outcome.LOST:
            assert server.heard[-1].startswith(f"AUTH {connection.offered} ")
        found |= server.found
    assert found == entry.client
