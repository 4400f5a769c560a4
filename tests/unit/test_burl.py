"""BURL (RFC 4468) in both roles: pieces of a message that the application fetches."""

from __future__ import annotations

from collections.abc import Mapping

import attrs
import pytest
from tests.helpers.driver import ALICE, OPEN, Client, Server, server_config, state_of
from tests.unit.test_client import ready, refuses

from ehlo import (
    EVERY,
    OXSMTP_2008,
    PAUSED,
    STANDARD,
    BodyChunk,
    BodyStarted,
    Burl,
    BurlReceived,
    BurlSources,
    Command,
    Data,
    Extension,
    Identity,
    Limits,
    LocalProtocolError,
    Mail,
    Mailbox,
    MessageReceived,
    Rcpt,
    Reply,
    ReplyReceived,
    Rset,
    ServerConfig,
    State,
    SubmissionPolicy,
    TransactionReset,
    Wait,
)
from ehlo.extensions import burl
from ehlo.extensions.burl_offer import parse_burl, submitter

URL = "imap://mail.example/INBOX;uid=20/;section=1.2;urlauth=submit+alice:internal:91354a473744909de6"
SOURCES = BurlSources(servers=("mail.example", "[::1]:143"))
CONFIG = attrs.evolve(server_config(), extensions=(*STANDARD, burl(SOURCES)))
MAIL, RCPT = "MAIL FROM:<a@x.org>", "RCPT TO:<b@x.org>"
ACCEPTED = "250 2.0.0 Message accepted"


class Fetching(Server):
    """A server whose application fetches `content`; a Reply refuses, None leaves it undecided."""

    def __init__(
        self,
        content: bytes | Reply | None = b"text\r\n",
        config: ServerConfig = CONFIG,
        identity: Identity | None = ALICE,
        *,
        hello: bool = True,
        decisions: Mapping[type, Reply] | None = None,
    ) -> None:
        fetched: Mapping[type, Reply | None] = {}
        if isinstance(content, bytes):
            self.content = content
        else:
            fetched = {BurlReceived: content}
        super().__init__(config, identity=identity, hello=hello, decisions={**fetched, **(decisions or {})})


def in_rcpt(*args: object, **given: object) -> Fetching:
    server = Fetching(*args, **given)  # type: ignore[arg-type]
    assert [line[:3] for line in server.say(MAIL, RCPT)] == ["250", "250"]
    return server


# ---- what EHLO and the argument say ----


@pytest.mark.clause("RFC4468-3.1a")
def test_offered_with_its_sources_to_those_who_are_known() -> None:
    known, unknown = (Fetching(identity=identity).say("EHLO a") for identity in (ALICE, None))
    assert "250 BURL imap://mail.example imap://[::1]:143" in known
    assert "250 BURL" in unknown


@pytest.mark.clause("RFC4468-3.2a")
@pytest.mark.parametrize(
    ("argument", "found"),
    [
        (b"imap://x/y", ("imap://x/y", False)),
        (b"imap://x/y LAST", ("imap://x/y", True)),
        (b"x:y last ", ("x:y", True)),
        (b"", None),
        (b"LAST", None),
        (b"/inbox LAST", None),
        (b"imap://x/y FIRST", None),
        (b"imap://x/y LAST LAST", None),
        (b" imap://x/y", None),
        (b"imap:// LAST", ("imap://", True)),
        (b"imap://x/\xc3\xa9", None),
    ],
)
def test_arguments(argument: bytes, found: tuple[str, bool] | None) -> None:
    assert parse_burl(argument) == found


@pytest.mark.parametrize(
    ("url", "covered", "by_any"),
    [
        ("imap://mail.example/x", True, True),
        ("IMAP://alice;AUTH=*@Mail.Example/x", True, True),
        ("imap://[::1]:143/x", True, True),
        ("imap://[::1]/x", False, True),
        ("imap://other.example/x", False, True),
        ("imap://mail.example.other.example/x", False, True),
        ("imap://mail.example@other.example/x", False, True),
        ("imap://other.example?@mail.example/x", False, False),
        ("imap://other.example#@mail.example/x", False, False),
        ("imap://other.example\\@mail.example/x", False, False),
        ("imap://a@b@mail.example/x", False, False),
        ("imap://mail.example", False, False),
        ("imap:///x", False, False),
        ("http://mail.example/x", False, False),
        ("file:///etc/passwd", False, False),
    ],
)
def test_what_the_sources_cover(url: str, covered: bool, by_any: bool) -> None:
    assert SOURCES.cover(url) is covered
    assert BurlSources(imap=True).cover(url) is by_any
    assert not BurlSources().cover(url)


@pytest.mark.clause("RFC4468-3.3a")
@pytest.mark.parametrize(
    ("url", "user"),
    [
        (URL, "alice"),
        (URL.upper(), "ALICE"),
        ("imap://x/y;URLAUTH=submit+al%20ice:internal:0", "al ice"),
        ("imap://x/y;URLAUTH=submit+:internal:0", ""),
        ("imap://x/y;URLAUTH=user+alice:internal:0", None),
        ("imap://x/y", None),
    ],
)
def test_for_whom_a_url_is(url: str, user: str | None) -> None:
    assert submitter(url) == user


# ---- the server ----


@pytest.mark.clause("RFC4468-3.2a")
def test_a_message_that_is_fetched() -> None:
    server = in_rcpt()
    assert server.say(f"BURL {URL} LAST") == [ACCEPTED]
    assert server.of(BurlReceived) == [BurlReceived(URL)]
    assert [type(event) for event in server.events[-4:]] == [
        BodyStarted,
        BurlReceived,
        BodyChunk,
        MessageReceived,
    ]
    assert server.body == b"text\r\n"
    assert server.of(MessageReceived)[0].size == 6
    assert server.conn.state is State.READY
    assert server.say(MAIL)[0].startswith("250 ")


@pytest.mark.clause("RFC4468-3.2a")
@pytest.mark.parametrize(
    ("sent", "body", "sizes"),
    [
        ([f"BURL {URL}\r\n", "BDAT 5 LAST\r\nmore\n"], b"te\nxmore\n", [4]),
        (["BDAT 2\r\na\r", f"BURL {URL}\r\n", "BDAT 0 LAST\r\n"], b"a\rte\nx", [2, 4]),
        ([f"BURL {URL}\r\n", f"burl {URL}\r\n", f"BURL {URL} last\r\n"], b"te\nx" * 3, [4, 4]),
    ],
)
def test_mixed_with_chunks(sent: list[str], body: bytes, sizes: list[int]) -> None:
    config = attrs.evolve(CONFIG, extensions=(*EVERY[:-2], burl(SOURCES)))
    server = Fetching(b"te\nx", config)
    server.say(f"{MAIL} BODY=BINARYMIME", RCPT)
    replies = server.feed("".join(sent).encode()).decode().splitlines()
    assert replies == [*(f"250 2.0.0 {size} octets received" for size in sizes), ACCEPTED]
    assert server.body == body
    assert len(server.of(BodyStarted)) == 1


@pytest.mark.parametrize(
    ("content", "reply"),
    [(b"a\nb\r\n", "5"), (b"a\r", "5"), ("\xe9\r\n".encode(), "5"), (b"x" * 101, "552 5.3.4 ")],
)
def test_what_is_fetched_is_looked_at_like_what_is_sent(content: bytes, reply: str) -> None:
    config = attrs.evolve(
        CONFIG, limits=Limits(message_size=100), policy=attrs.evolve(OPEN, require_8bitmime=True)
    )
    server = in_rcpt(content, config)
    assert server.one(f"BURL {URL} LAST").startswith(reply)
    assert server.of(MessageReceived) == []
    assert server.events[-1] == TransactionReset()


def test_the_size_of_all_pieces_counts() -> None:
    config = attrs.evolve(CONFIG, limits=Limits(message_size=100))
    server = in_rcpt(b"x" * 60, config)
    assert server.say(f"BURL {URL}", f"BURL {URL}", f"BURL {URL} LAST", "RSET") == [
        "250 2.0.0 60 octets received",
        "552 5.3.4 Message size exceeds limit",
        "503 5.5.1 A chunk failed, send RSET",
        "250 2.0.0 Reset",
    ]
    assert server.body == b"x" * 60


@pytest.mark.clause("RFC4468-3.2b")
def test_order() -> None:
    server = Fetching(hello=False)
    line = f"BURL {URL} LAST"
    assert server.one(line) == "503 5.5.1 Send EHLO first"
    server.say("EHLO a")
    assert server.one(line) == "503 5.5.1 Need MAIL first"
    server.say(MAIL)
    assert server.one(line) == "503 5.5.1 Need RCPT first"
    server.say(RCPT)
    assert server.one(f"BURL {URL}").startswith("250 ")
    assert server.say("DATA", RCPT, MAIL)[0] == "503 5.5.1 Use BDAT"
    assert server.one(line) == ACCEPTED
    assert len(server.of(BurlReceived)) == 2


@pytest.mark.clause("RFC4468-3.1b")
@pytest.mark.parametrize("policy", [OPEN, attrs.evolve(OXSMTP_2008, require_auth=False)])
def test_nothing_is_fetched_for_a_stranger(policy: SubmissionPolicy) -> None:
    server = in_rcpt(config=attrs.evolve(CONFIG, policy=policy), identity=None)
    replies = server.say(f"BURL {URL}", "BDAT 0 LAST", MAIL, "RSET", MAIL)
    assert replies[0] == "530 5.7.0 Authentication required"
    # What is left of the message must not pass for all of it.
    assert [reply[:3] for reply in replies[1:]] == ["503", "503", "250", "250"]
    assert server.of(BurlReceived) == server.of(MessageReceived) == []


@pytest.mark.clause("RFC4468-3.1b")
def test_strangers_get_no_farther_than_mail() -> None:
    server = Fetching(
        config=attrs.evolve(CONFIG, policy=attrs.evolve(OXSMTP_2008, require_tls=False)), identity=None
    )
    assert [line[:9] for line in server.say(MAIL, f"BURL {URL} LAST")] == ["530 5.7.0", "503 5.5.1"]


@pytest.mark.clause("RFC4468-3.3a", "RFC4468-3.2c")
@pytest.mark.parametrize(
    ("argument", "reply"),
    [
        (URL.replace("alice", "bob"), "554 5.7.0 URL is for another user"),
        (
            URL.replace("mail.example", "other.example"),
            "554 5.7.14 URL resolution requires trust relationship",
        ),
        ("http://mail.example/x", "554 5.7.14 URL resolution requires trust relationship"),
        ("mail.example", "501 5.5.4 Syntax: BURL url [LAST]"),
        (f"{URL} 5", "501 5.5.4 Syntax: BURL url [LAST]"),
        ("", "501 5.5.4 Syntax: BURL url [LAST]"),
    ],
)
def test_what_is_not_fetched(argument: str, reply: str) -> None:
    server = in_rcpt()
    assert server.say(f"BURL {argument}", "BDAT 0 LAST") == [reply, "503 5.5.1 A chunk failed, send RSET"]
    assert server.of(BurlReceived) == server.of(MessageReceived) == []
    assert server.of(TransactionReset) == [TransactionReset()]
    assert server.conn.state is State.VOID


@pytest.mark.clause("RFC4468-3.2c")
@pytest.mark.parametrize(
    "refusal", [Reply(554, "x", "5.6.6"), Reply(451, "x", "4.4.1"), Reply(554, "x", "5.7.0")]
)
@pytest.mark.parametrize(("last", "state"), [("", State.VOID), (" LAST", State.READY)])
def test_a_url_that_cannot_be_fetched_fails_the_message(refusal: Reply, last: str, state: State) -> None:
    server = in_rcpt(refusal)
    server.feed(b"BDAT 2\r\n\r\n")
    assert server.one(f"BURL {URL}{last}") == f"{refusal.code} {refusal.enhanced} x"
    assert server.conn.state is state
    assert server.of(TransactionReset) == [TransactionReset()]
    assert server.say("RSET", MAIL)[1].startswith("250 ")
    assert len(server.of(TransactionReset)) == 1


@pytest.mark.clause("RFC4468-3.2c")
@pytest.mark.parametrize("end", ["\t", "\x00 LAST", "x" * 5000])
@pytest.mark.parametrize("before", [[], [f"BURL {URL}"]])
def test_a_command_that_cannot_be_read_fails_the_message(end: str, before: list[str]) -> None:
    server = in_rcpt()
    server.say(*before)
    replies = server.say(f"BURL {URL}{end}", f"BURL {URL} LAST", "RSET")
    assert [reply[:3] for reply in replies] == ["500", "503", "250"]
    assert server.of(MessageReceived) == []
    assert server.of(TransactionReset) == [TransactionReset()]


def test_a_url_without_end_ends_the_session() -> None:
    server = in_rcpt()
    assert server.say(f"BURL {URL}{'x' * 20000}", f"BURL {URL} LAST")[0].startswith("421 ")
    assert server.closed
    assert server.of(MessageReceived) == []


def test_accepting_without_octets_is_a_refusal() -> None:
    server = in_rcpt(None)
    server.say(f"BURL {URL} LAST")
    server.conn.accept()
    assert server.pump() == b"554 5.6.6 Content not available\r\n"


def test_a_refused_message_fetches_nothing() -> None:
    server = in_rcpt(decisions={BodyStarted: Reply(452, "Full", "4.3.1")})
    assert server.one(f"BURL {URL}") == "452 4.3.1 Full"
    assert server.of(BurlReceived) == []
    assert server.conn.state is State.VOID


def test_an_answer_needs_its_question() -> None:
    server = in_rcpt(None)
    with pytest.raises(LocalProtocolError, match="fetched"):
        server.conn.burl_answer(b"x")
    assert server.say(f"BURL {URL} LAST", "NOOP") == []
    assert server.last is PAUSED
    assert server.conn.deadline is None
    with pytest.raises(LocalProtocolError, match="bytes"):
        server.conn.burl_answer("x")  # type: ignore[arg-type]
    with pytest.raises(LocalProtocolError, match="250"):
        server.conn.reply(Reply(250, "x"))
    server.conn.burl_answer(b"x\r\n")
    assert server.pump().splitlines() == [ACCEPTED.encode(), b"250 2.0.0 OK"]


@pytest.mark.parametrize("extensions", [STANDARD, EVERY])
def test_no_command_without_sources(extensions: tuple[Extension, ...]) -> None:
    server = in_rcpt(config=attrs.evolve(CONFIG, extensions=extensions))
    assert server.one(f"BURL {URL} LAST") == "502 5.5.1 Command not implemented"
    # As any word that is no command: the transaction is what it was.
    assert server.one("DATA").startswith("354 ")
    assert not any("BURL" in line for line in server.say("EHLO a"))


def test_helo_enables_nothing() -> None:
    server = Fetching(hello=False)
    server.say("HELO a", MAIL, RCPT)
    assert server.one(f"BURL {URL} LAST") == "502 5.5.1 Command not implemented"


def test_empty_pieces_and_refusals_come_to_an_end() -> None:
    config = attrs.evolve(CONFIG, limits=Limits(idle_commands=5, errors=2))
    server = in_rcpt(b"", config)
    assert [line[:3] for line in server.say(*[f"BURL {URL}"] * 20)][-1] == "421"
    server = in_rcpt(b"", config)
    assert [line[:3] for line in server.say(*["BURL x"] * 20)][-1] == "421"
    assert server.closed


def test_for_each_recipient_in_lmtp() -> None:
    config = attrs.evolve(CONFIG, lmtp=True)
    for content, code in ((b"x\r\n", "250"), (Reply(554, "x", "5.6.6"), "554")):
        server = Fetching(content, config, hello=False)
        replies = server.say("LHLO a", MAIL, RCPT, RCPT, f"BURL {URL} LAST", "NOOP")
        assert [line[:3] for line in replies[-6:]] == ["250"] * 3 + [code] * 2 + ["250"]


def test_the_end_of_patience_is_said_once_in_lmtp() -> None:
    config = attrs.evolve(CONFIG, lmtp=True, limits=Limits(errors=0))
    server = Fetching(config=config, hello=False)
    replies = server.say("LHLO a", MAIL, RCPT, RCPT, "BURL http://x/y LAST")
    assert [line[:3] for line in replies[-4:]] == ["250"] * 3 + ["421"]


# ---- secrets ----


@pytest.mark.clause("SEC-INJ-both-a")
def test_the_path_of_a_url_is_in_no_record() -> None:
    server = in_rcpt()
    token = URL.rpartition(":")[2]
    lines = [
        f"BURL {URL}",
        f"BURL imap://alice:{token}@mail.example/{token}",
        f"BURL {token} LAST",
        f"burl {URL} {token}",
    ]
    server.say(*lines, "RSET", MAIL, RCPT, f"burl {URL} last")
    texts = [*map(str, server.trace), *map(repr, server.events), repr(Burl(URL)), repr(BurlReceived(URL))]
    assert [text for text in texts if token in text or "INBOX" in text] == []
    assert [str(record) for record in server.trace if "BURL" in str(record) and record.sender == "C"] == [
        "C: BURL imap://mail.example/***",
        "C: BURL ***",
        "C: BURL *** LAST",
        "C: BURL imap://mail.example/*** ***",
        "C: BURL imap://mail.example/*** LAST",
    ]


# ---- the client ----

OFFER = "BURL imap://mail.example"


def sending(*offers: str) -> Client:
    client = ready("PIPELINING", "CHUNKING", *offers)
    client.conn.send(Mail(Mailbox("a", "x.org")))
    client.conn.send(Rcpt(Mailbox("b", "x.org")))
    client.wire()
    return client


@pytest.mark.clause("RFC4468-3.2a")
def test_the_client_mixes_urls_and_chunks() -> None:
    client = sending(OFFER)
    client.conn.send_chunk(b"a\r\n")
    client.conn.send(Burl(URL))
    client.conn.send_chunk(b"b")
    client.conn.send(Burl(URL, last=True))
    assert client.wire().split(b"\r\n") == [
        *(b"BDAT 3", b"a", f"BURL {URL}".encode(), b"BDAT 1"),
        *(b"b" + f"BURL {URL} LAST".encode(), b""),
    ]
    client.hear(*["250 ok"] * 5)
    assert state_of(client.conn) is State.CHUNK
    assert client.hear("250 ok") == [ReplyReceived(Burl(URL, last=True), Reply(250, "ok"))]
    assert state_of(client.conn) is State.READY


@pytest.mark.clause("RFC4468-3.2d")
@pytest.mark.parametrize("by_url", [True, False])
def test_the_client_waits_for_the_last_reply(by_url: bool) -> None:
    client = sending(OFFER)
    client.conn.send(Burl(URL, last=by_url))
    if not by_url:
        client.conn.send_chunk(b"x\r\n", last=True)
    client.wire()
    following = Mail(Mailbox("a", "x.org"))
    refuses(client, following)
    client.hear(*["250 ok"] * (3 if by_url else 4))
    client.conn.send(following)
    client.conn.send(Rcpt(Mailbox("b", "x.org")))
    client.conn.send_chunk(b"x\r\n", last=True)
    client.conn.send(following)


@pytest.mark.parametrize("offers", [(), ("BURL imap://other.example",)])
def test_only_where_it_is_offered(offers: tuple[str, ...]) -> None:
    refuses(sending(*offers), Burl(URL), Burl(URL, last=True))


@pytest.mark.parametrize("offer", [OFFER, "BURL imap", "BURL"])
def test_offers_that_will_do(offer: str) -> None:
    client = sending(offer)
    client.conn.send(Burl(URL, last=True))
    assert client.wire() == f"BURL {URL} LAST\r\n".encode()
    client.hear("250 ok", "250 ok")
    deadline = client.conn.deadline
    assert deadline is not None
    assert deadline.wait is Wait.FINAL_REPLY


@pytest.mark.parametrize("url", ["", "x", "imap://x y", "imap://x\r\nQUIT", "imap://\xe9/", "imap://x LAST"])
def test_what_is_no_url_is_not_sent(url: str) -> None:
    refuses(sending("BURL"), Burl(url), Burl(url, last=True))


def test_the_order_of_the_client() -> None:
    client = ready("PIPELINING", "CHUNKING", OFFER)
    refuses(client, Burl(URL), Burl(URL, last=True))
    client.conn.send(Mail(Mailbox("a", "x.org")))
    client.conn.send(Rcpt(Mailbox("b", "x.org")))
    client.conn.send(Data())
    client.wire()
    client.hear("250 ok", "250 ok", "354 go")
    refuses(client, Burl(URL), Burl(URL, last=True))


def test_half_a_line_end_waits_for_no_url() -> None:
    client = sending(OFFER)
    client.conn.send_chunk(b"a\r")
    client.wire()
    refuses(client, Burl(URL))
    client.conn.send_chunk(b"\nb")
    client.wire()
    client.conn.send(Burl(URL))
    client.conn.send_chunk(b"", last=True)
    assert client.wire() == f"BURL {URL}\r\nBDAT 0 LAST\r\n".encode()


@pytest.mark.parametrize(("last", "after"), [(False, State.VOID), (True, State.READY)])
def test_a_failure_is_the_same_to_both_roles(last: bool, after: State) -> None:
    server = in_rcpt(Reply(554, "x", "5.6.6"))
    client = sending(OFFER)
    client.hear("250 ok", "250 ok")
    commands: list[Command] = [Burl(URL, last=last), Rset()]
    client.conn.send(commands[0])
    client.feed(server.feed(client.wire()))
    assert (client.conn.state, server.conn.state) == (after, after)
    client.conn.send(commands[1])
    client.feed(server.feed(client.wire()))
    assert (client.conn.state, server.conn.state) == (State.READY, State.READY)
