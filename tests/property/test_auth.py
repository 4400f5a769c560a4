"""Properties of AUTH for any octets at all: what each mechanism and both connections may end in."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.fuzz.auth import MOST_ANSWERS, settle
from tests.fuzz.lines import pump, say
from tests.fuzz.mechanisms import CASES, TLS, Case, fake_kerberos
from tests.helpers.driver import server_config

from ehlo import ConnectionClosed, ServerConnection
from ehlo.sasl import Challenge, Done, MechanismError, Refuse, proved
from ehlo.wire import base64

# Pieces of the grammars, so that not every example falls at the first octet.
PIECES = st.one_of(
    st.binary(max_size=60),
    st.text(max_size=20).map(lambda text: text.encode("utf-8", "surrogatepass")),
    st.sampled_from(
        [
            *(
                b"n,,n=alice,r=abc",
                b"c=biws,r=abc,p=AAAA",
                b"r=abcdef,s=c2FsdA==,i=10",
                b"v=AAAA",
                b"e=other-error",
            ),
            *(
                b"alice",
                b"\0alice\0",
                b"user=alice\1auth=Bearer x\1\1",
                b"n,a=alice,\1auth=Bearer x\1\1",
                b"\1",
            ),
            *(
                b"NTLMSSP\0\1\0\0\0",
                b"NTLMSSP\0\2\0\0\0",
                b"NTLMSSP\0\3\0\0\0",
                bytes(8),
                b"\1\0\0\0\1\1\0\0",
            ),
            *(b"alice 0123456789abcdef0123456789abcdef", b"<1@mail.example>", b",", b"="),
        ]
    ),
)
TOKENS = st.lists(PIECES, max_size=8).map(b"".join)
TEXTS = st.one_of(
    TOKENS.map(base64.encode), TOKENS, st.from_regex(rb"[A-Za-z0-9+/]{,40}={,3}", fullmatch=True)
)
ALL = pytest.mark.parametrize("case", CASES, ids=lambda case: case.title)
FEW = settings(max_examples=50, deadline=None, derandomize=True)


@pytest.fixture(autouse=True, scope="module")
def _kerberos() -> Iterator[None]:
    with fake_kerberos():
        yield


@pytest.mark.clause("RFC4422-3.5a", "SEC-INJ-both-b")
@ALL
@FEW
@given(initial=st.none() | TOKENS, tokens=st.lists(TOKENS, min_size=MOST_ANSWERS, max_size=MOST_ANSWERS))
def test_a_server_mechanism_refuses(case: Case, initial: bytes | None, tokens: list[bytes]) -> None:
    """Octets that nobody made of the secret prove nobody, and the exchange has an end."""
    server = case.server(case.mechanisms)
    step = settle(server, server.start(initial))
    for token in tokens:
        if isinstance(step, Challenge):
            step = settle(server, server.respond(token))
    assert isinstance(step, Done | Refuse)
    if isinstance(step, Done):
        # Without a secret in them: whose certificate it is was proved before, and nobody is nobody.
        assert not proved(step.identity) or case.name == "EXTERNAL"


@pytest.mark.clause("RFC4954-4m", "RFC4422-3.5a", "SEC-INJ-both-b")
@ALL
@FEW
@given(texts=st.lists(TEXTS, min_size=MOST_ANSWERS + 1, max_size=MOST_ANSWERS + 1))
def test_a_client_mechanism_answers_or_gives_up(case: Case, texts: list[bytes]) -> None:
    client = case.client(case.client_context)
    client.initial()
    answers = []
    try:
        for text in texts:
            answers.append(client.respond(text))
    except MechanismError:
        pass
    assert all(isinstance(answer, bytes) for answer in answers)
    # Another one is not to be had by any server.
    assert len(answers) <= MOST_ANSWERS
    if case.proves_server:
        with pytest.raises(MechanismError):
            client.succeeded()


@pytest.mark.clause("RFC4954-4n", "RFC4954-4p", "RFC4422-3.5a")
@ALL
@FEW
@given(lines=st.lists(TEXTS | st.just(b"*"), max_size=6), initial=st.none() | TEXTS)
def test_a_connection_answers_each_line_once(case: Case, initial: bytes | None, lines: list[bytes]) -> None:
    """And nothing it is told that way, in or after the exchange, makes anybody of the client."""
    conn = ServerConnection(server_config(mechanisms=case.mechanisms))
    conn.start_tls_done(TLS)
    pump(conn)
    say(conn, b"EHLO client.example")
    reply = say(conn, b"AUTH " + case.name.encode() + (b"" if initial is None else b" " + initial))
    for line in lines:
        if reply.startswith(b"334 "):
            reply = say(conn, line)
    if reply.startswith(b"334 "):
        assert say(conn, b"*").startswith(b"501 5.7.0 ")
    assert not proved(conn.identity) or case.name == "EXTERNAL"
    assert isinstance(conn.next_event(), ConnectionClosed) or say(conn, b"NOOP").startswith(b"250 ")
