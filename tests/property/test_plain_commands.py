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
        hostname="mx.example", policy=ehlo.SubmissionPolicy(require_auth=False, qualify_with="own.example")
    ),
    ehlo.ServerConfig(
        hostname="mx.example",
        policy=ehlo.SubmissionPolicy(
            postmaster_without_auth=True, require_return_path=True, enforce_submission_rights=True
        ),
    ),
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
    # EHLO is none of the three.
    assert short.call_count == 4


def test_what_is_remembered_is_found_without_a_look_at_the_line() -> None:
    conn = ehlo.ServerConnection(ehlo.ServerConfig(hostname="mx.example", policy=ehlo.OPEN_TEST))
    script = (b"EHLO a\r\n", b"MAIL FROM:<a@example.org>\r\n", b"RCPT TO:<b@example.org>\r\n", b"RSET\r\n")
    with mock.patch("ehlo.server.plain_command", wraps=plain_command) as long:
        for octets in script * 3:
            conn.receive_data(octets)
            while conn.next_event() is not ehlo.NEED_DATA:
                if conn.deadline is None:
                    conn.accept()
    # The first time each line; then EHLO and RSET alone.
    assert long.call_count == 4 + 2 * 2


def test_what_is_thrown_away_is_no_command_although_it_is_remembered() -> None:
    conn = ehlo.ServerConnection(CONFIGS[0])
    mail = b"MAIL FROM:<a@example.org>\r\n"
    seen: list[object] = []
    for octets in (b"EHLO a\r\n", mail, b"RSET\r\n", b"BDAT %d\r\n" % len(mail), mail, b"NOOP\r\n"):
        conn.receive_data(octets)
        while (event := conn.next_event()) is not ehlo.NEED_DATA:
            seen.append(event)
            if conn.deadline is None:
                conn.accept()
    assert sum(isinstance(event, ehlo.MailReceived) for event in seen) == 1
    assert [line[:3] for line in conn.data_to_send().splitlines()][-2:] == [b"503", b"250"]
