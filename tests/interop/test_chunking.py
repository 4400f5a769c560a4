"""Messages in chunks: ehlo's client with servers that take BDAT, and foreign clients with ehlo's server."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme
from tests.interop import clients, ehlo_client, ehlo_in_process, relays
from tests.interop.clients import SENDER, Client
from tests.interop.expect import expect_delivered, job
from tests.interop.messages import added_header, fresh_recipient, message
from tests.interop.peer import Peer

import ehlo
from ehlo.extensions import SIZE
from ehlo_io._client import SubmitOptions

REFUSED = "refused@local.example"
VICTIM = "victim@local.example"
COMMANDS = (
    "NOOP\r\nMAIL FROM:<mallory@local.example>\r\nRCPT TO:<victim@local.example>\r\nDATA\r\n"
    "Subject: hidden\r\n\r\n.\r\nBDAT 3 LAST\r\n.\r\nRSET\r\n"
).encode("ascii")
"""What would send a message of its own, if it were obeyed."""
LONG = 1_000_000
"""Octets of a message of several chunks."""

SERVERS = ("postfix", "exim", "dovecot")
each_server = pytest.mark.parametrize(
    "peer", [pytest.param(name, marks=pytest.mark.peer(name)) for name in SERVERS], indirect=True
)
each_pace = pytest.mark.parametrize("pipelining", [True, False], ids=["one flight", "lock step"])


def pieces(content: bytes) -> Iterator[bytes]:
    """A message that comes bit by bit, of a length that nobody knows."""
    return (content[start : start + 50_000] for start in range(0, len(content), 50_000))


def octets(commands: list[str]) -> int:
    """How many octets the chunks had, of which only the last may say LAST."""
    assert commands[-1].endswith(" LAST")
    assert not any(command.endswith(" LAST") for command in commands[:-1])
    return sum(int(command.split()[1]) for command in commands)


@pytest.mark.clause("RFC3030-2d", "RFC3030-2n", "RFC3030-4.2a")
@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("size", [0, LONG], ids=["short", "long"])
@each_pace
@each_server
def test_delivered_in_chunks(peer: Peer, pipelining: bool, size: int, streamed: bool) -> None:
    sent = message(recipient := fresh_recipient(), size)
    with ehlo_client.session(peer, pipelining=pipelining) as session:
        source = pieces(sent) if streamed else sent
        result = session.client.submit(source, sender=SENDER, recipients=[REFUSED, recipient])
        assert [outcome.accepted for outcome in result.outcomes] == [False, True]
        chunks = session.commands("BDAT")
        assert octets(chunks) == len(sent)
        assert (len(chunks) > 1) == bool(size)
        assert session.commands("DATA") == []
        begun = next(at for at, line in enumerate(session.lines) if line.startswith("C: MAIL"))
        # The first chunk leaves with the envelope, or each command waits for the reply to the one before.
        who = "".join(line[0] for line in session.lines[begun : begun + 4])
        assert who == ("CCCC" if pipelining else "CSCS")
        # The session goes on.
        session.client.submit(message(other := fresh_recipient()), sender=SENDER, recipients=[other])
    added_header(peer.wait_for(recipient), sent)
    peer.wait_for(other)


@each_pace
@each_server
def test_chunking_off(peer: Peer, pipelining: bool) -> None:
    sent = message(recipient := fresh_recipient(), LONG)
    with ehlo_client.session(peer, pipelining=pipelining, chunking=False) as session:
        session.client.submit(sent, sender=SENDER, recipients=[recipient])
        assert session.commands("BDAT", "DATA") == ["DATA"]
    added_header(peer.wait_for(recipient), sent)


@pytest.mark.clause("RFC3030-2i", "RFC3030-4.2a")
@pytest.mark.parametrize("repeats", [1, 2000], ids=["short", "long"])
@pytest.mark.parametrize("step", ["MAIL", "RCPT"])
@each_server
def test_octets_for_nobody_are_no_commands(peer: Peer, step: str, repeats: int) -> None:
    """The envelope is refused when the first chunk is on its way already."""
    recipient = fresh_recipient()
    options: SubmitOptions = {"sender": SENDER, "recipients": [REFUSED]}
    if step == "MAIL":
        options = {"sender": SENDER, "recipients": [recipient], "parameters": [ehlo.Size(30_000_000)]}
    with ehlo_client.session(peer) as session:
        with pytest.raises(ehlo.SubmissionFailed) as failed:
            session.client.submit(COMMANDS * repeats, **options)
        assert failed.value.reply is not None
        assert failed.value.reply.code in ((552,) if step == "MAIL" else (550, 554))
        assert len(session.commands("BDAT")) == 1
        assert session.commands("RSET") == ([] if step == "MAIL" else ["RSET"])
        session.client.submit(message(recipient), sender=SENDER, recipients=[recipient])
    added_header(peer.wait_for(recipient), message(recipient))
    assert peer.stored(VICTIM) == []


@pytest.mark.parametrize("chunking", [True, False])
@each_server
def test_whole_and_too_long(peer: Peer, chunking: bool) -> None:
    content, recipient = message(fresh_recipient(), 21_000_000), fresh_recipient()
    with ehlo_client.session(peer, chunking=chunking) as session:
        with pytest.raises(ehlo.LocalProtocolError, match="octets and the server takes"):
            session.client.submit(content, sender=SENDER, recipients=[recipient])
        assert session.commands("MAIL") == []
        session.client.submit(message(recipient), sender=SENDER, recipients=[recipient])
    added_header(peer.wait_for(recipient), message(recipient))


@each_pace
@each_server
def test_streamed_and_too_long(peer: Peer, pipelining: bool) -> None:
    """Exim runs as commands what is left of a chunk that goes too far: none is sent."""
    recipient, read = fresh_recipient(), 0

    def endless() -> Iterator[bytes]:
        nonlocal read
        while True:
            read += 1
            yield COMMANDS * 1000

    with ehlo_client.session(peer, pipelining=pipelining) as session:
        with pytest.raises(ehlo.LocalProtocolError, match="octets that the server takes"):
            session.client.submit(endless(), sender=SENDER, recipients=[recipient])
        chunks = session.commands("BDAT")
        most = session.client.capabilities.offer(SIZE)
    assert most - 500_000 < sum(int(command.split()[1]) for command in chunks) <= most
    assert read * len(COMMANDS) * 1000 < most + 500_000
    assert not chunks[-1].endswith(" LAST")
    assert peer.stored(recipient) == peer.stored(VICTIM) == []


@pytest.mark.clause("RFC1870-7b")
@each_server
def test_streamed_and_too_long_without_chunks(peer: Peer) -> None:
    recipient = fresh_recipient()
    with ehlo_client.session(peer, chunking=False) as session:
        with pytest.raises(ehlo.SessionError) as failed:
            session.client.submit(
                pieces(message(recipient, 21_500_000)), sender=SENDER, recipients=[recipient]
            )
        assert failed.value.reply is not None
        assert failed.value.reply.code == 552
    assert peer.stored(recipient) == []


# ---- many ----


@pytest.mark.clause("RFC3030-4.2a", "RFC2920-3.1e")
@pytest.mark.parametrize("chunking", [True, False])
@each_server
def test_many_messages(peer: Peer, chunking: bool) -> None:
    """Fifty on one session: some for nobody, some for two, one too long; each arrives as it was sent."""
    wanted = [[fresh_recipient() for _ in range(1 + number % 2)] for number in range(50)]
    given = [[REFUSED, *to] if number % 5 == 2 else to for number, to in enumerate(wanted)]
    for number in (0, 7, 8, 30, 49):
        given[number] = [REFUSED]
    contents = [message(to[0], 400 * (number % 7)) for number, to in enumerate(wanted)]
    contents[20] = b"x" * 21_000_000
    with ehlo_client.session(peer, chunking=chunking) as session:
        deliveries = session.client.submit_many(
            (content, {"sender": f"sender-{number}@local.example", "recipients": to})
            for number, (content, to) in enumerate(zip(contents, given, strict=True))
        )
        assert session.commands("DATA" if chunking else "BDAT") == []
        # All but the one that is too long; DATA may be left out where nobody was accepted.
        assert 44 <= len(session.commands("BDAT" if chunking else "DATA")) <= 49
    for number, (delivery, content) in enumerate(zip(deliveries, contents, strict=True)):
        if number == 20:
            assert isinstance(delivery, ehlo.LocalProtocolError)
            wanted[number] = []
        elif given[number] == [REFUSED]:
            assert isinstance(delivery, ehlo.SubmissionFailed)
            assert peer.stored(wanted[number][0]) == []
        else:
            assert isinstance(delivery, ehlo.SubmissionResult)
            assert [str(each.recipient) for each in delivery.accepted] == wanted[number]
            for recipient in wanted[number]:
                added_header(peer.wait_for(recipient), content)
                assert peer.sender(recipient) == f"sender-{number}@local.example"


# ---- to ehlo's server ----


@pytest.mark.clause("RFC3030-2a", "RFC3030-2f")
@pytest.mark.parametrize("size", [0, LONG], ids=["short", "long"])
@pytest.mark.parametrize(
    ("client", "verb"),
    [
        pytest.param(relays.exim, "BDAT", id="exim", marks=pytest.mark.peer("exim")),
        # These two leave it at DATA, whatever is offered.
        pytest.param(relays.postfix, "DATA", id="postfix", marks=pytest.mark.peer("postfix")),
        pytest.param(clients.curl, "DATA", id="curl", marks=pytest.mark.peer("curl")),
    ],
)
def test_foreign_client(tmp_path: Path, authority: trustme.CA, client: Client, verb: str, size: int) -> None:
    lines: list[str] = []
    with ehlo_in_process.serving(
        tmp_path, authority, trace=lambda record: lines.append(str(record))
    ) as server:
        added = expect_delivered(server, client, job(server, tmp_path, "PLAIN", size=size))
    assert (b"Received: " in added) == (client is not clients.curl)
    used = [line for line in lines if line.startswith(("C: BDAT", "C: DATA"))]
    assert {line.split()[1] for line in used} == {verb}
    assert "S: 250-CHUNKING" in lines
