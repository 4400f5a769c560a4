"""`ehlo serve` against foreign clients, over each kind of I/O; test_server_auth.py has the mechanisms."""

from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest
from tests.interop import clients
from tests.interop.cases import cases
from tests.interop.dialogue import dialogue
from tests.interop.ehlo_server import EhloServer, serving
from tests.interop.expect import expect_delivered, expect_refused, job
from tests.interop.messages import added_header, fresh_recipient, message
from tests.interop.processes import PATIENCE, wait_until_read

IO = ("asyncio", "trio", "blocking")
BIG = 5_000_000

PEERS = [
    *cases(("NTLM",), ["curl"]),
    *cases(("LOGIN",), ["curl", "swaks", "smtplib"]),
    *cases(("PLAIN",), ["msmtp", "aiosmtplib", "postfix", "exim"]),
]


@pytest.fixture(scope="module", params=IO)
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[EhloServer]:
    """One server for each kind of I/O, with STARTTLS; all tests of the module share it."""
    with serving(tmp_path_factory.mktemp("serve"), request.param) as running:
        yield running


def deliver(server: EhloServer, client: clients.Client, task: clients.Job) -> bytes:
    """Submit a message; what the server put on top of it in the one file that this made."""
    before = server.files()
    added = expect_delivered(server, client, task)
    (stored,) = server.files() - before
    assert stored.parent.name == "new"
    return added


@pytest.mark.clause("OXSMTP-3.2-7c", "OXSMTP-3.2-7d", "OXSMTP-3.2-7e", "RFC5321-4.5.2a")
@pytest.mark.parametrize(("client", "mechanism"), PEERS)
def test_foreign_client_delivers(
    server: EhloServer, tmp_path: Path, client: clients.Client, mechanism: str
) -> None:
    deliver(server, client, job(server, tmp_path, mechanism))


@pytest.mark.peer("curl")
def test_curl_delivers_five_megabytes(server: EhloServer, tmp_path: Path) -> None:
    deliver(server, clients.curl, job(server, tmp_path, "PLAIN", size=BIG))


@pytest.mark.peer("curl")
@pytest.mark.parametrize("io", IO)
def test_maildir_holds_what_was_accepted_and_no_more(tmp_path: Path, io: str) -> None:
    with serving(tmp_path, io) as server:
        printed = expect_refused(server, clients.curl, job(server, tmp_path, "NTLM", "wrong"))
        assert "< 535 5.7." in printed
        assert server.files() == frozenset()
        deliver(server, clients.curl, job(server, tmp_path, "NTLM"))
        assert len(server.files("new")) == 1
        assert server.files("tmp", "cur") == frozenset()
        assert server.terminate() == 0


@pytest.mark.clause("OXSMTP-3.2-4.3a", "RFC4954-6e")
def test_mail_needs_authentication(server: EhloServer) -> None:
    with dialogue(server.port, server.ca) as talk:
        assert talk.ask(b"MAIL FROM:<alice@local.example>").startswith(b"530 5.7.")
        assert talk.ask(b"RCPT TO:<bob@local.example>").startswith((b"503 ", b"530 "))
        assert talk.ask(b"QUIT").startswith(b"221 ")
        assert talk.rest() == b""


@pytest.mark.clause("OXSMTP-3.2-4.3b", "RFC5321-2.1a")
@pytest.mark.parametrize("io", IO)
def test_mail_without_authentication_when_allowed(tmp_path: Path, io: str) -> None:
    with serving(tmp_path, io, ["--no-require-auth"]) as server, dialogue(server.port, server.ca) as talk:
        sent = message(recipient := fresh_recipient())
        assert talk.ask(b"MAIL FROM:<alice@local.example>").startswith(b"250 ")
        assert talk.ask(b"RCPT TO:<%s>" % recipient.encode()).startswith(b"250 ")
        assert talk.ask(b"DATA").startswith(b"354")
        talk.send(sent.replace(b"\r\n.", b"\r\n.."))
        assert talk.ask(b".").startswith(b"250 ")
        # It is on disk when the client reads 250, not later.
        (stored,) = server.files()
        added_header(stored.read_bytes(), sent)


@pytest.mark.clause("RFC8314-3.3a")
@pytest.mark.peer("curl")
@pytest.mark.parametrize("io", IO)
def test_tls_from_the_first_byte(tmp_path: Path, io: str) -> None:
    with serving(tmp_path, io, ["--implicit-tls"]) as server:
        for client in (clients.curl, clients.standard_library):
            task = attrs.evolve(job(server, tmp_path, "PLAIN"), implicit_tls=True)
            deliver(server, client, task)


@pytest.mark.clause("RFC5321-3.8b")
@pytest.mark.parametrize("io", IO)
def test_end_in_the_middle_of_a_message(tmp_path: Path, io: str) -> None:
    """SIGTERM: the client is told 421, the server ends without an error, and half a message is no message."""
    with serving(tmp_path, io, ["--no-require-auth"]) as server, dialogue(server.port, server.ca) as talk:
        talk.ask(b"MAIL FROM:<alice@local.example>")
        talk.ask(b"RCPT TO:<bob@local.example>")
        assert talk.ask(b"DATA").startswith(b"354")
        talk.send(b"Subject: half\r\n\r\n" + b"a line of the message\r\n" * 5000)
        # Data that is unread when the server closes would make TCP drop the reply.
        wait_until_read(server.port, server.process)
        server.process.terminate()
        replies = talk.rest()
        assert replies.startswith(b"421 ")
        assert replies.endswith(b"\r\n")
        assert server.process.wait(PATIENCE) == 0
        assert server.files() == frozenset()


@pytest.mark.clause("RFC5321-3.8b")
@pytest.mark.parametrize("io", IO)
def test_end_while_a_client_is_idle(tmp_path: Path, io: str) -> None:
    with serving(tmp_path, io) as server, dialogue(server.port, server.ca) as talk:
        server.process.terminate()
        assert talk.rest().startswith(b"421 ")
        assert server.process.wait(PATIENCE) == 0
