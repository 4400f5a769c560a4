"""XCLIENT (Postfix) in both roles: who may say for whom it speaks, and what comes of it."""

from __future__ import annotations

from ipaddress import IPv4Address

import attrs
import pytest
from tests.helpers.driver import ALICE, OPEN, TLS, Client, Server, server_config
from tests.unit.test_client import ready, refuses

from ehlo import (
    EVERY,
    OXSMTP_2008,
    STANDARD,
    Ehlo,
    Extension,
    Identity,
    Limits,
    LocalProtocolError,
    Mail,
    Mailbox,
    Quit,
    Rcpt,
    Reply,
    ReplyReceived,
    ServerConfig,
    Session,
    StartTls,
    State,
    TransactionReset,
    XClient,
    XClientCommand,
    XClientReceived,
)
from ehlo.extensions import xclient

ALL = xclient("NAME", "ADDR", "PORT", "PROTO", "HELO", "LOGIN")
CONFIG = attrs.evolve(server_config(), extensions=(*STANDARD, ALL))
GREETING = "220 mail.example ESMTP ready"
MAIL = "MAIL FROM:<a@x.org>"
CLIENT = XClient(name="a.example", addr=IPv4Address("192.0.2.7"), helo="b.example", login="bob")


def proxied(config: ServerConfig = CONFIG, *, hello: bool = True, identity: Identity | None = None) -> Server:
    """A server whose client is trusted."""
    return Server(config, identity=identity, hello=hello, xclient=True)


def peer_of(server: Server) -> str | None:
    return Session(server.conn, "198.51.100.1").peer


# ---- the server ----


@pytest.mark.parametrize("hello", [False, True])
def test_a_session_begins_anew(hello: bool) -> None:
    server = proxied(hello=hello)
    assert server.one(f"XCLIENT {CLIENT.render()}") == GREETING
    conn = server.conn
    assert server.of(XClientReceived) == [XClientReceived(CLIENT)]
    assert (conn.state, conn.xclient, peer_of(server)) == (State.HELLO, CLIENT, "192.0.2.7")
    assert (conn.client_name, conn.extended) == ("b.example", False)
    assert conn.identity == Identity("bob", "bob", "XCLIENT")
    assert server.one(MAIL) == "503 5.5.1 Send EHLO first"
    assert not any("XCLIENT" in line for line in server.say("EHLO b.example"))
    assert conn.state is State.READY
    assert server.one(MAIL) == "250 2.1.0 Sender OK"


@pytest.mark.parametrize(
    ("said", "peer"),
    [
        ("ADDR=192.0.2.1", "192.0.2.1"),
        ("ADDR=IPV6:2001:db8::1", "2001:db8::1"),
        ("ADDR=[UNAVAILABLE]", None),
        ("NAME=a.example", "198.51.100.1"),
    ],
)
def test_the_address_of_the_client(said: str, peer: str | None) -> None:
    server = proxied()
    assert peer_of(server) == "198.51.100.1"
    assert server.one(f"xclient {said}") == GREETING
    assert peer_of(server) == peer


def test_offered_to_the_trusted_alone() -> None:
    offer = "250-XCLIENT NAME ADDR PORT PROTO HELO LOGIN"
    assert offer.replace("-", " ", 1) in proxied().say("EHLO proxy.example")
    stranger = Server(CONFIG)
    assert not any("XCLIENT" in line for line in stranger.say("EHLO a.example"))


@pytest.mark.parametrize("hello", [False, True])
def test_strangers_are_refused(hello: bool) -> None:
    server = Server(CONFIG, hello=hello)
    for line in ("XCLIENT NAME=a.example", "XCLIENT", "xclient LOGIN=root"):
        assert server.one(line) == "550 5.7.0 Not authorized to use XCLIENT"
    assert server.conn.xclient is None
    assert server.conn.identity is None
    assert server.say("EHLO a.example", MAIL)[-1].startswith("250")
    assert server.one("XCLIENT NAME=a.example").startswith("550 5.7.0 ")
    assert server.one("XFORWARD NAME=a.example") == "500 5.5.1 Command not recognized"


@pytest.mark.parametrize("extensions", [STANDARD, EVERY])
def test_no_command_where_nobody_is_trusted(extensions: tuple[Extension, ...]) -> None:
    server = proxied(attrs.evolve(server_config(), extensions=extensions))
    for line in ("XCLIENT NAME=a.example", "XFORWARD NAME=a.example"):
        assert server.one(line) == "500 5.5.1 Command not recognized"


def test_a_client_behind_the_proxy_is_a_stranger() -> None:
    server = proxied()
    assert server.one("XCLIENT NAME=a.example LOGIN=[UNAVAILABLE]") == GREETING
    server.say("EHLO a.example")
    assert server.one("XCLIENT LOGIN=root") == "550 5.7.0 Not authorized to use XCLIENT"
    assert server.conn.identity is None
    server.start_tls()
    assert server.one("XCLIENT LOGIN=root") == "550 5.7.0 Not authorized to use XCLIENT"


def test_attributes_of_several_commands_add_up() -> None:
    server = proxied()
    assert server.say("XCLIENT NAME=a.example LOGIN=bob", "XCLIENT ADDR=192.0.2.7 HELO=c.example PROTO=ESMTP")
    assert server.conn.xclient == XClient(
        name="a.example", login="bob", addr=CLIENT.addr, helo="c.example", proto="ESMTP"
    )
    assert (server.conn.client_name, server.conn.extended) == ("c.example", True)
    assert server.conn.identity == Identity("bob", "bob", "XCLIENT")


@pytest.mark.parametrize("said", ["NAME=a.example", "LOGIN=[UNAVAILABLE]"])
def test_the_client_has_no_rights_of_the_proxy(said: str) -> None:
    config = attrs.evolve(CONFIG, policy=attrs.evolve(OXSMTP_2008, require_tls=False))
    server = proxied(config, identity=ALICE)
    assert server.one(f"XCLIENT {said}") == GREETING
    assert server.conn.identity is None
    server.say("EHLO a.example")
    assert server.one(MAIL).startswith("530 5.7.0 ")
    server.start_tls()
    server.say("EHLO a.example")
    assert server.conn.identity is None
    assert server.one("AUTH PLAIN AGFsaWNlAHdvbmRlcg==").startswith("235 ")
    assert server.one(MAIL).startswith("250 ")


def test_what_is_known_holds_through_tls() -> None:
    server = proxied()
    server.say("XCLIENT " + CLIENT.render(), "EHLO a.example")
    server.start_tls()
    assert server.conn.identity == Identity("bob", "bob", "XCLIENT")
    assert peer_of(server) == "192.0.2.7"


def test_not_before_required_tls() -> None:
    config = attrs.evolve(CONFIG, policy=attrs.evolve(OPEN, require_tls=True))
    for hello in (False, True):
        server = proxied(config, hello=hello)
        assert server.one("XCLIENT NAME=a.example").startswith("530 5.7.0 ")
        assert server.conn.xclient is None
    server = proxied(config)
    server.start_tls()
    assert server.one("XCLIENT NAME=a.example") == GREETING
    assert server.conn.tls == TLS


def test_not_in_a_transaction() -> None:
    server = proxied()
    assert server.say(MAIL, "XCLIENT NAME=a.example")[1] == "503 5.5.1 Bad sequence of commands"
    assert server.say("RCPT TO:<b@x.org>", "XCLIENT NAME=a.example")[1].startswith("503 5.5.1 ")
    assert server.conn.xclient is None
    assert server.of(TransactionReset) == []
    assert server.say("RSET", "XCLIENT NAME=a.example")[1] == GREETING


@pytest.mark.parametrize(
    "line",
    [
        "XCLIENT",
        "XCLIENT ",
        "XCLIENT NAME",
        "XCLIENT NAME=a NAME=b",
        "XCLIENT SOURCE=LOCAL",
        "XCLIENT ADDR=::1",
        "XCLIENT NAME=a+0D+0AMAIL",
        "XCLIENT DESTADDR=192.0.2.1",
        "XCLIENT NAME=\xe9",
    ],
)
def test_a_refused_command_ends_the_session(line: str) -> None:
    server = proxied(identity=ALICE)
    replies = server.say(line, "EHLO a.example", MAIL, "XCLIENT NAME=a.example", "QUIT")
    assert [reply[:9] for reply in replies] == ["501 5.5.4", "503 Bad s", *["503 5.5.1"] * 2, "221 2.0.0"]
    assert server.conn.xclient is None


def test_the_application_may_refuse_the_client() -> None:
    server = proxied()
    server.decisions[XClientReceived] = Reply(554, "Go away", "5.7.1")
    assert server.say("XCLIENT NAME=a.example", MAIL) == [
        "554 5.7.1 Go away",
        "503 5.5.1 Bad sequence of commands",
    ]
    assert server.conn.state is State.REFUSED


def test_it_is_no_way_to_go_on_for_ever() -> None:
    config = attrs.evolve(CONFIG, limits=Limits(idle_commands=3))
    server = proxied(config)
    replies = server.say(*["XCLIENT NAME=a.example"] * 3)
    assert [reply[:3] for reply in replies] == ["220", "220", "421"]


def test_the_transcript_has_the_login() -> None:
    server = proxied()
    server.say("XCLIENT LOGIN=bob")
    assert [str(record) for record in server.trace[-2:]] == ["C: XCLIENT LOGIN=bob", f"S: {GREETING}"]


# ---- the client ----

COMMAND = XClientCommand(CLIENT)
OFFER = "XCLIENT NAME ADDR HELO LOGIN"


def test_the_client_begins_anew() -> None:
    client = ready("PIPELINING", OFFER)
    client.conn.authenticated = True
    client.conn.send(COMMAND)
    assert client.wire() == b"XCLIENT NAME=a.example ADDR=192.0.2.7 HELO=b.example LOGIN=bob\r\n"
    refuses(client, Ehlo("b.example"))
    reply = Reply(220, "mail.example ESMTP")
    assert client.hear("220 mail.example ESMTP") == [ReplyReceived(COMMAND, reply)]
    assert client.conn.state is State.HELLO
    assert not client.conn.authenticated
    assert "PIPELINING" not in client.conn.capabilities
    refuses(client, COMMAND, Mail(Mailbox("a", "x.org")))
    client.conn.send(Ehlo("b.example"))
    assert client.wire() == b"EHLO b.example\r\n"


@pytest.mark.parametrize("offers", [("SIZE",), ("XCLIENT",), ("XCLIENT NAME ADDR HELO",)])
def test_only_what_is_offered_is_sent(offers: tuple[str, ...]) -> None:
    refuses(ready(*offers), COMMAND)


def test_offers_in_any_case() -> None:
    client = ready("xclient name addr helo login")
    client.conn.send(COMMAND)
    assert client.wire().startswith(b"XCLIENT ")


def test_a_line_has_512_octets() -> None:
    client = ready(OFFER)
    with pytest.raises(LocalProtocolError, match="fit"):
        client.conn.send(XClientCommand(XClient(name="x" * 255, login="y" * 255)))
    assert client.wire() == b""
    client.conn.send(XClientCommand(XClient(name="x" * 255)))


@pytest.mark.parametrize("code", [421, 450, 501, 550])
def test_a_client_that_is_not_believed_can_but_go(code: int) -> None:
    client = ready(OFFER)
    client.conn.send(COMMAND)
    client.wire()
    assert client.hear(f"{code} no")[0] == ReplyReceived(COMMAND, Reply(code, "no"))
    assert client.conn.state is (State.CLOSED if code == 421 else State.REFUSED)
    refuses(client, Ehlo("a"), Mail(Mailbox("a", "x.org")), COMMAND, StartTls())
    if code != 421:
        client.conn.send(Quit())


def test_not_within_a_transaction_of_the_client() -> None:
    client = ready(OFFER)
    client.conn.send(Mail(Mailbox("a", "x.org")))
    client.hear("250 ok")
    client.wire()
    refuses(client, COMMAND)
    client.conn.send(Rcpt(Mailbox("b", "x.org")))


def test_both_roles_agree() -> None:
    server = proxied(hello=False)
    client = Client()
    client.feed(server.conn.config.greeting_reply.render())
    for command in (Ehlo("p.example"), COMMAND, Ehlo("b.example"), Mail(Mailbox("a", "x.org"))):
        client.conn.send(command)
        client.feed(server.feed(client.wire()))
        assert client.conn.state is server.conn.state
    assert server.conn.state is State.MAIL
    assert server.conn.xclient == CLIENT
