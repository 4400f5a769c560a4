"""The session table as an object."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest
from tests.helpers.driver import ALICE, OPEN, TLS, Server, server_config

from ehlo import ALLOWED, TRANSITIONS, ReplyClass, State, Verb
from ehlo._state import IN_TRANSACTION, advance

ROOT = Path(__file__).parents[2]
GREEDY = {ReplyClass.SUCCESS: 250, ReplyClass.INTERMEDIATE: 354, ReplyClass.TRANSIENT: 450}
CODES = GREEDY | {ReplyClass.PERMANENT: 550}


def reach(start: State) -> set[State]:
    """The states that some replies lead to, 421 left out."""
    found: set[State] = set()
    todo = [start]
    while todo:
        state = todo.pop()
        if state not in found:
            found.add(state)
            todo += TRANSITIONS[state].values()
    return found


def test_both_tables_are_total() -> None:
    assert set(TRANSITIONS) == set(State)
    assert set(ALLOWED) == set(State)


def test_every_state_can_be_reached() -> None:
    assert reach(State.GREETING) == set(State)


@pytest.mark.parametrize("state", State)
def test_every_state_can_be_left_without_a_421(state: State) -> None:
    assert State.CLOSED in reach(state)


@pytest.mark.clause("RFC5321-3.8d")
@pytest.mark.parametrize("verb", Verb)
def test_421_closes_whatever_it_answers(verb: Verb) -> None:
    assert {advance(state, verb, 421) for state in State} == {State.CLOSED}


@pytest.mark.clause("RFC5321-4.2c")
@pytest.mark.parametrize("state", State)
def test_the_first_digit_decides(state: State) -> None:
    for verb in Verb:
        for code in {*range(200, 600)} - {421}:
            after = TRANSITIONS[state].get((verb, ReplyClass(code // 100)), state)
            assert advance(state, verb, code) is after


def test_rows_are_about_verbs_in_sequence() -> None:
    # A DATA that a server should have refused is the one exception: see the table.
    odd = {
        (state, verb) for state, rows in TRANSITIONS.items() for verb, _ in rows if verb not in ALLOWED[state]
    }
    assert odd == {(State.READY, Verb.DATA), (State.MAIL, Verb.DATA)}


def test_every_verb_is_in_sequence_somewhere() -> None:
    assert {verb for verbs in ALLOWED.values() for verb in verbs} == set(Verb) - {Verb.NONE}


@pytest.mark.clause("RFC5321-4.1.4f", "RFC5321-4.5.1a")
def test_what_needs_no_hello() -> None:
    free = {Verb.EHLO, Verb.HELO, Verb.LHLO, Verb.RSET, Verb.NOOP, Verb.VRFY, Verb.EXPN, Verb.HELP, Verb.QUIT}
    assert ALLOWED[State.HELLO] == free | {Verb.XCLIENT}
    for state in (State.READY, State.MAIL, State.RCPT):
        assert free < ALLOWED[state]
    assert ALLOWED[State.READY] - free == {Verb.STARTTLS, Verb.AUTH, Verb.MAIL, Verb.XCLIENT}
    assert ALLOWED[State.MAIL] - free == {Verb.RCPT}
    assert ALLOWED[State.RCPT] - free == {Verb.RCPT, Verb.DATA, Verb.BDAT, Verb.BURL, Verb.END_OF_DATA}
    assert ALLOWED[State.CHUNK] - free == {Verb.BDAT, Verb.BURL, Verb.END_OF_DATA}
    assert ALLOWED[State.VOID] == free
    assert ALLOWED[State.REFUSED] == {Verb.QUIT}


@pytest.mark.clause("RFC5321-4.1.1.1g", "RFC5321-4.1.4c", "RFC5321-4.1.4d")
@pytest.mark.parametrize("state", [State.READY, State.MAIL, State.RCPT])
@pytest.mark.parametrize("verb", [Verb.EHLO, Verb.HELO])
def test_an_accepted_hello_ends_a_transaction_and_a_refused_one_does_not(state: State, verb: Verb) -> None:
    assert advance(state, verb, 250) is State.READY
    for code in (450, 501, 550):
        assert advance(state, verb, code) is state


def test_an_absent_row_means_stay() -> None:
    for state in State:
        for verb in Verb:
            for klass, code in CODES.items():
                if (verb, klass) not in TRANSITIONS[state]:
                    assert advance(state, verb, code) is state


def test_a_transaction_is_open_between_mail_and_the_final_reply() -> None:
    assert set(IN_TRANSACTION) == {State.MAIL, State.RCPT, State.BODY, State.CHUNK}
    for state in (State.RCPT, State.BODY, State.CHUNK):
        for code in (250, 450, 550):
            assert advance(state, Verb.END_OF_DATA, code) is State.READY


@pytest.mark.parametrize("state", [State.HELLO, State.READY])
def test_xclient_begins_a_session_or_ends_it(state: State) -> None:
    assert advance(state, Verb.XCLIENT, 220) is State.HELLO
    for code in (450, 501, 550):
        assert advance(state, Verb.XCLIENT, code) is State.REFUSED
    assert {other for other in State if Verb.XCLIENT in ALLOWED[other]} == {State.HELLO, State.READY}


@pytest.mark.clause("RFC3030-2i", "RFC3030-2k", "RFC4468-3.2a", "RFC4468-3.2c")
@pytest.mark.parametrize("verb", [Verb.BDAT, Verb.BURL])
@pytest.mark.parametrize("state", [State.RCPT, State.CHUNK])
def test_a_chunk_leads_on_or_leaves_nothing(state: State, verb: Verb) -> None:
    assert advance(state, verb, 250) is State.CHUNK
    for code in (450, 503, 552):
        assert advance(state, verb, code) is State.VOID
    assert not ALLOWED[State.CHUNK] & {Verb.DATA, Verb.MAIL, Verb.RCPT, Verb.AUTH, Verb.STARTTLS}
    assert advance(State.VOID, Verb.END_OF_DATA, 250) is State.VOID
    assert advance(State.VOID, Verb.RSET, 250) is State.READY


S = State
WALKS: dict[str, list[tuple[str | None, State]]] = {
    "a message": [
        ("EHLO a", S.READY),
        ("MAIL FROM:<a@x.org>", S.MAIL),
        ("RCPT TO:<b@x.org>", S.RCPT),
        ("RCPT TO:<c@x.org>", S.RCPT),
        ("DATA", S.BODY),
        ("text\r\n.", S.READY),
        ("QUIT", S.CLOSED),
    ],
    "LOGIN": [
        ("EHLO a", S.READY),
        ("AUTH LOGIN", S.AUTH),
        ("YWxpY2U=", S.AUTH),
        ("d29uZGVy", S.READY),
        ("AUTH PLAIN", S.READY),
    ],
    "cancel": [("EHLO a", S.READY), ("AUTH PLAIN", S.AUTH), ("*", S.READY)],
    "STARTTLS": [
        ("EHLO a", S.READY),
        ("STARTTLS", S.TLS),
        (None, S.HELLO),
        ("MAIL FROM:<a@x.org>", S.HELLO),
        ("EHLO a", S.READY),
        ("STARTTLS", S.READY),
    ],
    "RSET": [("EHLO a", S.READY), ("MAIL FROM:<a@x.org>", S.MAIL), ("RSET", S.READY)],
    "HELO": [("HELO a", S.READY), ("MAIL FROM:<a@x.org>", S.MAIL), ("EHLO a", S.READY)],
    "AUTH in a transaction": [
        ("EHLO a", S.READY),
        ("MAIL FROM:<a@x.org>", S.MAIL),
        ("AUTH PLAIN", S.MAIL),
        ("RCPT TO:<b@x.org>", S.RCPT),
    ],
    "QUIT at once": [("QUIT", S.CLOSED)],
}


@pytest.mark.parametrize("name", WALKS)
def test_documented_dialogues_walk_the_table(name: str) -> None:
    server = Server(server_config(policy=OPEN), identity=ALICE, hello=False)
    state = server.conn.state
    assert state is S.HELLO
    for line, wanted in WALKS[name]:
        if line is None:
            server.conn.start_tls_done(TLS)
        else:
            server.say(line)
        after = server.conn.state
        assert after is wanted, line
        # Nothing but a row of the table, or staying, leads from one to the other.
        assert after is state or after in TRANSITIONS[state].values(), line
        state = after


def test_the_page_of_the_documentation_is_what_the_table_says() -> None:
    make = runpy.run_path(str(ROOT / "docs" / "make_state.py"))["page"]
    assert (ROOT / "docs" / "state.md").read_text("utf-8") == make(), "run docs/make_state.py"


def test_the_page_names_every_state_and_row() -> None:
    text = (ROOT / "docs" / "state.md").read_text("utf-8")
    for state, rows in TRANSITIONS.items():
        for (verb, klass), after in rows.items():
            assert f"| {state.name} | {verb.value} | {klass.value}yz | {after.name} |" in text
