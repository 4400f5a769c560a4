"""Replies that are not ASCII: to whom they are said (RFC 6531 section 3.7.4)."""

from __future__ import annotations

import pytest
from tests.helpers.driver import Server
from tests.unit.test_client import ready, refuses

from ehlo import (
    Command,
    Expn,
    ExpnReceived,
    LocalProtocolError,
    Mail,
    Mailbox,
    MailReceived,
    Parameters,
    RcptReceived,
    Reply,
    ReplyReceived,
    SmtpUtf8,
    Vrfy,
    VrfyReceived,
)

NAME = "Zo\xeb <zo\xeb@x.org>"
NEEDED = "The reply needs SMTPUTF8"
KINDS = [("VRFY", VrfyReceived), ("EXPN", ExpnReceived)]


@pytest.mark.clause("RFC6531-3.1e", "RFC6531-3.7.4.2a", "RFC6531-3.7.4.2b")
@pytest.mark.parametrize(("verb", "kind"), KINDS)
@pytest.mark.parametrize(
    ("reply", "said"),
    [
        (Reply(250, NAME, "2.1.5"), f"252 2.6.8 {NEEDED}"),
        (Reply(252, NAME, "2.5.0"), f"252 2.6.8 {NEEDED}"),
        (Reply(551, NAME, "5.1.6"), f"550 5.6.8 {NEEDED}"),
        (Reply(450, "Sp\xe4ter", "4.2.1"), "450 4.2.1 Sp?ter"),
        (Reply(250, "Zoe <zoe@x.org>", "2.1.5"), "250 2.1.5 Zoe <zoe@x.org>"),
    ],
)
def test_a_mailbox_is_shown_to_those_who_can_read_it(
    verb: str, kind: type[VrfyReceived | ExpnReceived], reply: Reply, said: str
) -> None:
    server = Server(decisions={kind: reply})
    plain, utf8 = server.one(f"{verb} zoe"), server.one(f"{verb} zo\xeb smtputf8")
    assert (plain, utf8) == (said, f"{reply.code} {reply.enhanced} {reply.text}")
    # What was allowed was allowed for that command alone.
    assert server.one(f"{verb} zoe") == said
    assert server.of(kind) == [kind("zoe"), kind("zo\xeb", True), kind("zoe")]


@pytest.mark.clause("RFC6531-3.1e")
@pytest.mark.parametrize(
    ("argument", "text", "utf8"),
    [
        ("alice SMTPUTF8", "alice", True),
        ("al ice  smtputf8 ", "al ice", True),
        ("SMTPUTF8", "SMTPUTF8", False),
        ("alice SMTPUTF8=1", "alice SMTPUTF8=1", False),
        ("aliceSMTPUTF8", "aliceSMTPUTF8", False),
        ("alice SMTPUTF8 x", "alice SMTPUTF8 x", False),
    ],
)
def test_the_parameter(argument: str, text: str, utf8: bool) -> None:
    server = Server()
    server.say(f"VRFY {argument}", f"EXPN {argument}")
    assert server.of(VrfyReceived) == [VrfyReceived(text, utf8)]
    assert server.of(ExpnReceived) == [ExpnReceived(text, utf8)]


@pytest.mark.clause("RFC6531-3.1e")
@pytest.mark.parametrize("hello", [None, "HELO a"])
def test_no_parameter_where_smtputf8_is_not_offered(hello: str | None) -> None:
    server = Server(hello=False)
    server.say(*([hello] if hello else []), "VRFY alice SMTPUTF8")
    assert server.of(VrfyReceived) == [VrfyReceived("alice SMTPUTF8")]


@pytest.mark.clause("RFC6531-3.7.4.1a")
@pytest.mark.parametrize(
    ("reply", "plain"),
    [
        (Reply(251, NAME, "2.1.5"), "250 2.1.5 Recipient OK"),
        (Reply(551, NAME, "5.1.6"), "550 5.6.8 Mailbox unavailable"),
        (Reply(550, "N\xf6", "5.1.1"), "550 5.1.1 N?"),
    ],
)
def test_another_address_is_told_in_messages_with_smtputf8(reply: Reply, plain: str) -> None:
    for parameter, told in (("", plain), (" SMTPUTF8", f"{reply.code} {reply.enhanced} {reply.text}")):
        server = Server(decisions={RcptReceived: reply})
        server.say(f"MAIL FROM:<a@x.org>{parameter}")
        assert server.one("RCPT TO:<b@x.org>") == (plain if reply.code == 550 else told)


@pytest.mark.clause("RFC6531-3.7.4.2b")
def test_no_other_reply_is_in_utf8() -> None:
    server = Server(decisions={MailReceived: Reply(550, NAME, "5.7.1")})
    assert server.one("MAIL FROM:<a@x.org> SMTPUTF8") == "550 5.7.1 Zo? <zo?@x.org>"
    server.decisions[VrfyReceived] = None
    server.say("VRFY zoe SMTPUTF8")
    server.conn.close(Reply(421, NAME))
    assert server.pump() == b"421 Zo? <zo?@x.org>\r\n"


@pytest.mark.clause("RFC6531-3.7.4.2b")
def test_a_reply_that_cannot_be_leaves_nothing_behind() -> None:
    server = Server(decisions={VrfyReceived: None})
    server.say("VRFY zoe SMTPUTF8")
    with pytest.raises(LocalProtocolError, match="354"):
        server.conn.reply(Reply(354, NAME))
    server.conn.close(Reply(421, NAME))
    assert server.pump() == b"421 Zo? <zo?@x.org>\r\n"


# ---- the client ----


@pytest.mark.clause("RFC6531-3.1e", "RFC6531-3.7.4.2c")
@pytest.mark.parametrize("kind", [Vrfy, Expn])
def test_the_client_asks_for_utf8(kind: type[Vrfy | Expn]) -> None:
    client = ready("SMTPUTF8", "8BITMIME")
    command: Command = kind("zo\xeb", utf8=True)
    client.conn.send(command)
    assert client.wire() == f"{command.verb.value} zo\xeb SMTPUTF8\r\n".encode()
    assert client.hear(f"250 2.1.5 {NAME}") == [ReplyReceived(command, Reply(250, NAME, "2.1.5"))]


@pytest.mark.clause("RFC6531-3.1e")
@pytest.mark.parametrize("kind", [Vrfy, Expn])
def test_the_client_asks_for_it_where_it_is_offered(kind: type[Vrfy | Expn]) -> None:
    refuses(ready("8BITMIME"), kind("zoe", utf8=True), kind("zo\xeb", utf8=True), kind("zo\xeb"))


@pytest.mark.parametrize("kind", [Vrfy, Expn])
def test_what_a_message_allows_is_for_the_message(kind: type[Vrfy | Expn]) -> None:
    client = ready("PIPELINING", "SMTPUTF8", "8BITMIME")
    client.conn.send(Mail(Mailbox("zo\xeb", "x.org"), Parameters([SmtpUtf8()])))
    client.wire()
    refuses(client, kind("zo\xeb"))
