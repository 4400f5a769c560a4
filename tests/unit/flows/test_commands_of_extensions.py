"""The server's flow with XCLIENT and BURL: what the handler is asked, and what it may answer."""

from __future__ import annotations

from ipaddress import IPv4Address

import attrs
import pytest
from tests.helpers.driver import ALICE, server_config

from ehlo import (
    STANDARD,
    BurlSources,
    Envelope,
    LocalProtocolError,
    Reply,
    ServerConnection,
    Session,
    XClient,
)
from ehlo.extensions import burl, xclient
from ehlo.flows import hooks_of, serve
from ehlo.testing import ScriptedClient, run

CONFIG = attrs.evolve(
    server_config(), extensions=(*STANDARD, xclient("ADDR", "LOGIN"), burl(BurlSources(imap=True)))
)
HELLO = "C: EHLO a.example\n" + "S: 250-...\n" * 9 + "S: 250-SMTPUTF8\n"
URL = "imap://mail.example/INBOX;uid=20"
ENVELOPE = "C: MAIL FROM:<a@x.org>\nS: 250...\nC: RCPT TO:<b@x.org>\nS: 250...\n"
QUIT = "C: QUIT\nS: 221...\n"


def served(script: str, handler: object, **given: object) -> None:
    """Serve a scripted client to the end of its script."""
    conn = ServerConnection(CONFIG, **given)  # type: ignore[arg-type]
    client = ScriptedClient(script)
    run(serve(conn, hooks_of(handler), peer="198.51.100.1"), client)
    client.check_done()


class Doorkeeper:
    """Notes for whom it is asked to open."""

    def __init__(self, refused: str = "") -> None:
        self.seen: list[tuple[str | None, XClient | None, str | None]] = []
        self.refused = refused

    def on_connect(self, session: Session) -> Reply | None:
        identity = session.identity
        self.seen.append((session.peer, session.xclient, identity.authzid if identity else None))
        return Reply(554, "Go away", "5.7.1") if session.peer == self.refused else None


SAID = XClient(addr=IPv4Address("192.0.2.7"), login="bob")
XCLIENT = "S: 220...\nC: XCLIENT ADDR=192.0.2.7 LOGIN=bob\n"


def test_the_handler_is_asked_about_the_client_as_about_a_connection() -> None:
    handler = Doorkeeper()
    rest = HELLO + "S: 250 BURL imap\nC: MAIL FROM:<a@x.org>\nS: 250...\n"
    served(f"{XCLIENT}S: 220 mail.example ESMTP ready\n{rest}{QUIT}", handler, xclient=True)
    assert handler.seen == [("198.51.100.1", None, None), ("192.0.2.7", SAID, "bob")]


def test_the_handler_refuses_the_client() -> None:
    script = f"{XCLIENT}S: 554 5.7.1 Go away\nC: EHLO a\nS: 503...\n{QUIT}"
    served(script, Doorkeeper(refused="192.0.2.7"), xclient=True)


def test_a_handler_without_hooks_takes_the_client() -> None:
    served(f"{XCLIENT}S: 220 mail.example ESMTP ready\n{QUIT}", None, xclient=True)


def test_a_handler_that_fails_ends_the_session() -> None:
    class Failing(Doorkeeper):
        def on_connect(self, session: Session) -> Reply | None:
            if session.xclient is not None:
                raise RuntimeError("database")
            return None

    served(f"{XCLIENT}S: 421 4.3.2...\n", Failing(), xclient=True)


class Fetcher:
    """Answers with what it is made with."""

    def __init__(self, answer: object) -> None:
        self.answer = answer
        self.asked: list[tuple[str | None, str]] = []
        self.content: list[bytes] = []

    def on_burl(self, session: Session, url: str) -> object:
        self.asked.append((session.identity.authzid if session.identity else None, url))
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    def on_message(self, session: Session, envelope: Envelope, content: bytes) -> None:
        self.content.append(content)


MESSAGE = f"S: 220...\n{HELLO}S: 250 BURL imap\n{ENVELOPE}C: BURL {URL} LAST\n"


@pytest.mark.clause("RFC4468-3.2a")
def test_the_handler_fetches() -> None:
    handler = Fetcher(b"hello\r\n")
    served(f"{MESSAGE}S: 250 2.0.0...\n{QUIT}", handler, identity=ALICE)
    assert handler.asked == [("alice", URL)]
    assert handler.content == [b"hello\r\n"]


@pytest.mark.clause("RFC4468-3.2c")
@pytest.mark.parametrize(
    ("answer", "reply"),
    [
        (None, "554 5.6.6 Content not available"),
        (Reply(451, "Later", "4.4.1"), "451 4.4.1 Later"),
        (Reply(250, "ok"), "451 4.3.0 Local error in processing"),
        ("text", "451 4.3.0 Local error in processing"),
        (True, "451 4.3.0 Local error in processing"),
        (OSError("imap"), "451 4.3.0 Local error in processing"),
        (LocalProtocolError("x"), "451 4.3.0 Local error in processing"),
    ],
)
def test_what_cannot_be_fetched(answer: object, reply: str) -> None:
    handler = Fetcher(answer)
    served(f"{MESSAGE}S: {reply}\n{ENVELOPE}{QUIT}", handler, identity=ALICE)
    assert handler.content == []


@pytest.mark.clause("RFC4468-3.2c")
def test_without_the_hook_nothing_is_there() -> None:
    served(f"{MESSAGE}S: 554 5.6.6 Content not available\n{QUIT}", None, identity=ALICE)
