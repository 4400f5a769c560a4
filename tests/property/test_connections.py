"""Both connections give the same events and replies however the octets are cut."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import attrs
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.helpers.driver import Server, server_config
from tests.helpers.pair import Pair, octets, whole

from ehlo import (
    STANDARD,
    Auth,
    BodyChunk,
    Burl,
    BurlSources,
    Command,
    Data,
    Ehlo,
    Envelope,
    Helo,
    LocalProtocolError,
    Mail,
    Mailbox,
    MessageReceived,
    Noop,
    Quit,
    Rcpt,
    Recipient,
    Rset,
    ServerEvent,
    StartTls,
    Submission,
    Unavailable,
    Vrfy,
    XClient,
    XClientCommand,
)
from ehlo.extensions import burl, xclient
from ehlo.flows import hooks_of, serve, submit
from ehlo.server import ServerConnection
from ehlo.testing import drive

LINES = [
    b"EHLO a",
    b"HELO a",
    b"MAIL FROM:<a@x.org>",
    b"MAIL FROM:<a@x.org> SIZE=5 BODY=8BITMIME",
    b"MAIL FROM:<",
    b"RCPT TO:<b@x.org>",
    b"RCPT TO:<b@x.org> NOTIFY=NEVER",
    b"DATA",
    b"..x",
    b".",
    b"text\r\n.",
    b"x\n.",
    b"RSET",
    b"NOOP",
    b"AUTH PLAIN AGFsaWNlAHdvbmRlcg==",
    b"AUTH LOGIN",
    b"YWxpY2U=",
    b"d29uZGVy",
    b"*",
    b"",
    b"VRFY x",
    b"BDAT 9",
    b"FOO",
    b"x" * 5000,
    b"QUIT",
]
scripts = st.lists(st.sampled_from(LINES), max_size=25).map(
    lambda lines: b"".join(x + b"\r\n" for x in lines)
)
cuts = st.lists(st.integers(1, 40), min_size=1, max_size=30)


def cut(data: bytes, sizes: Iterable[int]) -> Iterator[bytes]:
    start = 0
    for size in sizes:
        if start < len(data):
            yield data[start : start + size]
        start += size
    if start < len(data):
        yield data[start:]


def merged(events: list[ServerEvent]) -> list[object]:
    """The events, with the pieces of one body put together."""
    found: list[object] = []
    for event in events:
        if isinstance(event, BodyChunk) and found and isinstance(found[-1], BodyChunk):
            found[-1] = BodyChunk(found[-1].data + event.data)
        else:
            found.append(event)
    return found


def messages(events: list[ServerEvent]) -> list[object]:
    """What does not depend on how much of a refused body was handed out before it was refused."""
    found = merged(events)
    kept: list[object] = []
    for index, event in enumerate(found):
        following = found[index + 1] if index + 1 < len(found) else None
        if not isinstance(event, BodyChunk) or isinstance(following, MessageReceived):
            kept.append(event)
    return kept


@given(scripts, cuts)
@settings(max_examples=150, deadline=None)
def test_the_server_does_not_care_about_cuts(script: bytes, sizes: list[int]) -> None:
    def serve_pieces(pieces: Iterable[bytes]) -> tuple[list[object], bytes]:
        server = Server(hello=False)
        replies = server.greeting + b"".join(server.feed(piece) for piece in pieces)
        replies += server.feed(b"")
        return messages(server.events), replies

    expected = serve_pieces([script] if script else [])
    assert serve_pieces(octets(script)) == expected
    assert serve_pieces(cut(script, sizes)) == expected


@given(scripts)
@settings(max_examples=150, deadline=None)
def test_every_command_gets_one_reply(script: bytes) -> None:
    server = Server(hello=False)
    for line in script.split(b"\r\n")[:-1]:
        was_body = server.conn.state.value == "body"
        closed = server.closed
        skipping = server.conn._chunk is not None
        reply = server.feed(line + b"\r\n")
        finals = [text for text in reply.split(b"\r\n")[:-1] if text[3:4] == b" "]
        if closed:
            assert finals == []
        elif was_body:
            assert len(finals) == (1 if line == b"." else 0)
        elif skipping:
            assert len(finals) <= 2
        else:
            assert len(finals) == (0 if server.conn._chunk is not None else 1), line


A, B = Mailbox("a", "x.org"), Mailbox("b", "x.org")
COMMANDS: list[Command] = [
    Ehlo("a"),
    Helo("a"),
    Mail(A),
    Rcpt(B),
    Rcpt(A),
    Data(),
    Rset(),
    Noop(),
    Vrfy("x"),
    StartTls(),
]
COMMANDS += [Auth("PLAIN", b"\0alice\0wonder"), Auth("LOGIN"), Auth("PLAIN"), Quit()]
URLS = [f"imap://mail.example/x;urlauth=submit+{name}:internal:0" for name in ("alice", "bob")]
MORE: list[Command] = [
    *COMMANDS,
    *(Burl(url, last) for url in URLS for last in (False, True)),
    XClientCommand(XClient(login="alice")),
    XClientCommand(XClient(login="bob", addr=Unavailable.PERMANENT)),
]
GENEROUS = attrs.evolve(
    server_config(), extensions=(*STANDARD, burl(BurlSources(imap=True)), xclient("LOGIN", "ADDR"))
)


def converse(commands: list[Command], how: object) -> tuple[list[str], list[object]]:
    server = Server(hello=False)
    pair = Pair(server, how)  # type: ignore[arg-type]
    pair.body = [b".a\r\n", b"b\n"]
    pair.respond = lambda text: b"alice" if text == b"VXNlcm5hbWU6" else None
    for command in commands:
        try:
            pair.send(command)
        except LocalProtocolError:
            continue
    return [repr(event) for event in pair.events], messages(server.events)


@given(st.lists(st.sampled_from(COMMANDS), max_size=15), cuts)
@settings(max_examples=100, deadline=None)
def test_joined_connections_do_not_care_about_cuts(commands: list[Command], sizes: list[int]) -> None:
    expected = converse([Ehlo("a"), *commands], whole)
    assert converse([Ehlo("a"), *commands], octets) == expected
    assert converse([Ehlo("a"), *commands], lambda data: cut(data, sizes)) == expected


STARTS: list[list[Command]] = [[], [Ehlo("a"), MORE[-2], Ehlo("a"), Mail(A), Rcpt(B)]]


@given(st.sampled_from(STARTS), st.lists(st.sampled_from(MORE), max_size=20))
@settings(max_examples=150, deadline=None)
def test_both_sides_walk_the_table_together(start: list[Command], commands: list[Command]) -> None:
    server = Server(GENEROUS, hello=False, xclient=True)
    pair = Pair(server)
    for command in (*start, *commands):
        try:
            pair.send(command)
        except LocalProtocolError:
            continue
        assert pair.client.state is server.conn.state, command


bodies = st.lists(st.sampled_from([b".", b"\r", b"\n", b"\r\n", b"a", b"..", b"\r\n.", b"\0"]), max_size=30)


@given(bodies, cuts)
@settings(max_examples=150, deadline=None)
def test_the_stored_message_is_what_was_given(pieces: list[bytes], sizes: list[int]) -> None:
    class Handler:
        content = b"nothing"

        def on_message(self, session: object, envelope: object, content: bytes) -> None:
            self.content = content

    from tests.unit.flows.test_submit import ready  # noqa: PLC0415

    handler = Handler()
    server = Server()
    conn = ready("PIPELINING")
    flow = serve(server.conn, hooks_of(handler))
    submission = Submission(envelope=Envelope(A, recipients=(Recipient(B),)))
    assert isinstance(server.conn, ServerConnection)
    drive(submit(conn, submission), flow, bodies=[pieces], sizes=sizes)
    text = b"".join(pieces).replace(b"\r\n", b"\n").replace(b"\r", b"\n").replace(b"\n", b"\r\n")
    if text and not text.endswith(b"\r\n"):
        text += b"\r\n"
    assert handler.content == text
