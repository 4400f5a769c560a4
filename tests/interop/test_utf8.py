"""Addresses and headers beyond ASCII (RFC 6531): declared where they are needed, and nowhere else."""

from pathlib import Path

import pytest
import trustme
from tests.interop import ehlo_client, ehlo_in_process, ehlo_server, relays
from tests.interop.clients import SENDER, Client, Job
from tests.interop.dovecot import Dovecot
from tests.interop.messages import added_header, fresh_recipient
from tests.interop.peer import UNICODE_DOMAIN, Peer

import ehlo

NAME, SENDER_NAME = "b\u00f8b", "al\u00edce"
# Servers add what is missing.
FIRST = (
    "From: <alice@local.example>\r\nDate: Fri, 21 Nov 1997 09:55:06 -0600\r\n"
    "Message-ID: <1@client.example>\r\nTo: undisclosed-recipients:;\r\n"
)
ASCII = FIRST + "Subject: hello\r\n\r\nhello\r\n"
HEADER = FIRST + "Subject: p\u00e5 norsk\r\n\r\nhello\r\n"
BODY = FIRST + "MIME-Version: 1.0\r\nSubject: hello\r\n\r\np\u00e5 norsk\r\n"
UNICODE_SENDER = f"{SENDER_NAME}@local.example"
A_LABELS = "xn--bcher-kva.example"

CASES = [
    pytest.param(SENDER, "bob", "local.example", ASCII, False, id="ascii"),
    pytest.param(SENDER, "bob", "local.example", BODY, False, id="body"),
    pytest.param(SENDER, "bob", "local.example", HEADER, True, id="header"),
    pytest.param(SENDER, NAME, "local.example", ASCII, True, id="local part"),
    pytest.param(SENDER, "bob", UNICODE_DOMAIN, ASCII, True, id="domain"),
    pytest.param(UNICODE_SENDER, "bob", "local.example", ASCII, True, id="sender"),
    pytest.param(UNICODE_SENDER, NAME, UNICODE_DOMAIN, HEADER, True, id="all"),
]


@pytest.mark.clause("RFC6531-3.4a", "RFC6531-3.4b", "RFC6531-3.6a")
@pytest.mark.parametrize("chunking", [True, False], ids=["chunks", "data"])
@pytest.mark.parametrize(("sender", "local", "domain", "text", "needed"), CASES)
@pytest.mark.parametrize(
    "peer", [pytest.param(name, marks=pytest.mark.peer(name)) for name in ("postfix", "exim")], indirect=True
)
def test_delivered(
    peer: Peer, sender: str, local: str, domain: str, text: str, needed: bool, chunking: bool
) -> None:
    recipient, sent = fresh_recipient(local, domain), text.encode()
    with ehlo_client.session(peer, chunking=chunking) as session:
        session.client.submit(sent, sender=sender, recipients=[recipient])
        (mail,), (rcpt,) = session.commands("MAIL"), session.commands("RCPT")
    assert mail.startswith(f"MAIL FROM:<{sender}> ")
    assert rcpt == f"RCPT TO:<{recipient}>"
    assert ("SMTPUTF8" in mail.split()) == needed
    assert ("BODY=8BITMIME" in mail.split()) == (not text.isascii())
    added = added_header(peer.wait_for(recipient), sent)
    assert peer.sender(recipient) == sender
    # RFC 6531 section 4.3; Exim writes it in lower case, and as of ESMTP.
    assert (b"with utf8" in added.lower()) == needed


@pytest.mark.peer("dovecot")
@pytest.mark.clause("RFC6531-3.2b", "RFC6531-3.2c")
def test_domain_in_ascii_where_the_server_lacks_it(dovecot: Dovecot) -> None:
    recipient = fresh_recipient("bob", UNICODE_DOMAIN)
    with ehlo_client.session(dovecot) as session:
        session.client.submit(ASCII.encode(), sender=f"alice@{UNICODE_DOMAIN}", recipients=[recipient])
        assert session.commands("MAIL")[0].startswith(f"MAIL FROM:<alice@{A_LABELS}> ")
    ascii_recipient = recipient.replace(UNICODE_DOMAIN, A_LABELS)
    assert dovecot.wait_for(ascii_recipient).endswith(ASCII.encode())
    assert dovecot.sender(ascii_recipient) == f"alice@{A_LABELS}"


@pytest.mark.peer("dovecot")
@pytest.mark.clause("RFC6531-3.2b")
@pytest.mark.parametrize(
    ("sender", "local", "text"),
    [
        (SENDER, NAME, ASCII),
        (UNICODE_SENDER, "bob", ASCII),
        (SENDER, "bob", HEADER),
    ],
    ids=["recipient", "sender", "header"],
)
def test_nothing_is_sent_where_the_server_lacks_it(
    dovecot: Dovecot, sender: str, local: str, text: str
) -> None:
    other, recipient = fresh_recipient(), fresh_recipient()
    with ehlo_client.session(dovecot) as session:
        with pytest.raises(ehlo.LocalProtocolError, match="the server lacks SMTPUTF8"):
            session.client.submit(text.encode(), sender=sender, recipients=[other, fresh_recipient(local)])
        assert session.commands("MAIL") == []
        session.client.submit(ASCII.encode(), sender=SENDER, recipients=[recipient])
    dovecot.wait_for(recipient)
    assert dovecot.stored(other) == []


# ---- to ehlo's server ----

RELAYS = [
    pytest.param(relays.postfix, id="postfix", marks=pytest.mark.peer("postfix")),
    pytest.param(relays.exim, id="exim", marks=pytest.mark.peer("exim")),
]


def unicode_job(server: ehlo_in_process.InProcess | ehlo_server.EhloServer, directory: Path) -> Job:
    """A message that needs the extension for each reason."""
    file = directory / "message"
    recipient = fresh_recipient(NAME, UNICODE_DOMAIN)
    file.write_bytes(f"X-To: <{recipient}>\r\n{HEADER}".encode())
    ca, secret = server.ca, server.secret("PLAIN")
    return Job(server.port, ca, recipient, file, "PLAIN", secret, sender=UNICODE_SENDER)


@pytest.mark.clause("RFC6531-3.2a")
@pytest.mark.parametrize("client", RELAYS)
def test_foreign_client(tmp_path: Path, authority: trustme.CA, client: Client) -> None:
    with ehlo_in_process.serving(tmp_path, authority) as server:
        task = unicode_job(server, tmp_path)
        outcome = client(task)
        assert outcome.accepted, outcome.output
        envelope = server.envelope(task.recipient)
        assert str(envelope.reverse_path) == UNICODE_SENDER
        assert envelope.parameters.get(ehlo.SmtpUtf8) is not None
        assert server.wait_for(task.recipient).endswith(task.file.read_bytes())


@pytest.mark.clause("RFC6531-3.7.3a")
@pytest.mark.parametrize("client", RELAYS)
def test_received(tmp_path: Path, client: Client) -> None:
    with ehlo_server.serving(tmp_path, "asyncio") as server:
        task = unicode_job(server, tmp_path)
        outcome = client(task)
        assert outcome.accepted, outcome.output
        # What it put on top of what the client had put there.
        ours = server.wait_for(task.recipient).split(b"Received: ")[1]
        assert b" with UTF8SMTPSA id " in ours
