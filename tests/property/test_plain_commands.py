"""The short way through MAIL, RCPT and DATA gives what the long way gives."""

from __future__ import annotations

from unittest import mock

from hypothesis import given, settings
from hypothesis import strategies as st

import ehlo
from ehlo._intake import plain_command

WORDS = st.sampled_from(["MAIL", "mail", "RCPT", "DATA", "RSET"])
ATOMS = st.text(st.sampled_from("ab-._+'1A é\"\\@<>:["), max_size=5)
EDGES = st.sampled_from(
    ["", "a" * 64, "a" * 65, "x" * 63 + ".example", "x" * 64 + ".example", "a--b.example"]
)


@st.composite
def lines(draw: st.DrawFn) -> bytes:
    word = draw(WORDS)
    if word in ("DATA", "RSET"):
        return word.encode() + draw(st.sampled_from([b"", b" ", b" x"]))
    keyword = draw(st.sampled_from([" FROM:", " TO:", " from:", "FROM:"]))
    local = draw(st.one_of(ATOMS, EDGES, st.just("alice")))
    domain = draw(st.one_of(ATOMS, EDGES, st.just("example.org"), st.just("[127.0.0.1]")))
    tail = draw(st.sampled_from(["", "", " SIZE=1", " ", " X", "\t"]))
    return f"{word}{keyword}<{local}@{domain}>{tail}".encode()


def session(script: list[bytes], config: ehlo.ServerConfig) -> list[object]:
    """Everything that can be seen of a session in which each decision is accepted."""
    conn = ehlo.ServerConnection(config)
    seen: list[object] = []
    conn.receive_data(b"EHLO me.example\r\n" + b"".join(line + b"\r\n" for line in script))
    while (event := conn.next_event()) is not ehlo.NEED_DATA:
        seen.append(event)
        if event is ehlo.PAUSED:
            conn.accept()
            seen.append(conn.data_to_send())
        if isinstance(event, (ehlo.BodyStarted, ehlo.ConnectionClosed)):
            break
    return [*seen, conn.state, conn.data_to_send(), conn.transaction.envelope, conn.transaction.rcpt_seen]


CONFIGS = [
    ehlo.ServerConfig(hostname="mx.example", policy=ehlo.OPEN_TEST),
    ehlo.ServerConfig(hostname="mx.example", policy=ehlo.SubmissionPolicy(require_auth=False)),
    ehlo.ServerConfig(hostname="mx.example"),
    ehlo.ServerConfig(
        hostname="mx.example",
        policy=ehlo.OPEN_TEST,
        limits=ehlo.Limits(recipients=1, idle_commands=3, errors=2),
    ),
]


@settings(max_examples=400)
@given(st.lists(lines(), max_size=6), st.sampled_from(CONFIGS))
def test_the_short_way_gives_what_the_long_way_gives(script: list[bytes], config: ehlo.ServerConfig) -> None:
    short = session(script, config)
    config.remembered.clear()
    with mock.patch("ehlo.server.plain_command", return_value=None):
        assert session(script, config) == short


def test_the_short_way_is_taken() -> None:
    with mock.patch("ehlo.server.plain_command", wraps=plain_command) as short:
        session([b"MAIL FROM:<a@example.org>", b"RCPT TO:<b@example.org>", b"DATA"], CONFIGS[0])
    assert short.call_count >= 1
    # All but EHLO, which is none of the three, were found by what is remembered of them.
    with mock.patch("ehlo.server.plain_command", wraps=plain_command) as short:
        session([b"MAIL FROM:<a@example.org>", b"RCPT TO:<b@example.org>", b"DATA"], CONFIGS[0])
    assert short.call_count == 1
