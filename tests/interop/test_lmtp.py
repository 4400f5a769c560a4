"""LMTP: ehlo's client delivers to Dovecot, and Postfix's lmtp(8) to ehlo's server."""

import contextlib
from collections.abc import Iterator

import pytest
from tests.interop import relays
from tests.interop.clients import SENDER
from tests.interop.dovecot_lmtp import FULL, DovecotLmtp
from tests.interop.ehlo_client import OpenSession
from tests.interop.messages import added_header, fresh_recipient, message

import ehlo
import ehlo_io
import ehlo_io.blocking
from ehlo.dsn import Action, parse
from ehlo_io._client import ConnectOptions

TO_FULL = f"{FULL}@local.example"
NOBODY = "nobody@local.example"
EACH = (fresh_recipient("bob+"), NOBODY, TO_FULL, fresh_recipient("carol+"), TO_FULL)
"""Bob and Carol get it; one is refused by RCPT, and one after the message."""

each_way = pytest.mark.parametrize(
    "options",
    [{}, {"pipelining": False}, {"chunking": False}, {"chunking": False, "pipelining": False}],
    ids=["chunks", "chunks in lock step", "data", "data in lock step"],
)


@contextlib.contextmanager
def connected(server: DovecotLmtp, options: ConnectOptions) -> Iterator[OpenSession]:
    lines: list[str] = []
    chosen: ConnectOptions = {
        "lmtp": True,
        "context": ehlo_io.client_context(str(server.ca)),
        "trace": lambda record: lines.append(str(record)),
    }
    chosen.update(options)
    with ehlo_io.blocking.connect("localhost", server.port, **chosen) as client:
        yield OpenSession(client, lines)


def told(outcomes: tuple[ehlo.Outcome, ...]) -> list[tuple[str, str]]:
    """Whom, and what the server said of them."""
    return [(str(each.recipient), str(each.reply).split(" <")[0]) for each in outcomes]


EACH_TOLD = list(zip(EACH, ["250 2.0.0", "550 5.1.1", "552 5.2.2", "250 2.0.0", "552 5.2.2"], strict=True))


@pytest.mark.peer("dovecot_lmtp")
@pytest.mark.clause("RFC2033-4.2c", "RFC2033-4.1a")
@pytest.mark.parametrize("size", [0, 600_000], ids=["short", "long"])
@each_way
def test_each_recipient_has_an_outcome(dovecot_lmtp: DovecotLmtp, options: ConnectOptions, size: int) -> None:
    sent = message(fresh_recipient(), size)
    with connected(dovecot_lmtp, options) as session:
        result = session.client.submit(sent, sender=SENDER, recipients=EACH)
        assert told(result.outcomes) == EACH_TOLD
        assert bool(session.commands("BDAT")) == options.get("chunking", True)
        # The session goes on, though nobody gets this.
        with pytest.raises(ehlo.SubmissionFailed) as failed:
            session.client.submit(message(NOBODY, size), sender=SENDER, recipients=[TO_FULL, NOBODY])
        assert told(failed.value.result.outcomes) == [(TO_FULL, "552 5.2.2"), (NOBODY, "550 5.1.1")]
        session.client.submit(message(NOBODY), sender=SENDER, recipients=["bob@local.example"])
    for user in ("bob", "carol"):
        (added,) = dovecot_lmtp.stored(user, sent)
        assert b"with LMTPS" in added
    assert dovecot_lmtp.stored(FULL, sent) == []


@pytest.mark.peer("dovecot_lmtp")
@pytest.mark.clause("RFC2033-4.2c", "RFC2033-4.3a")
@each_way
def test_many_messages(dovecot_lmtp: DovecotLmtp, options: ConnectOptions) -> None:
    contents = [message(fresh_recipient(), 500 * (number % 3)) for number in range(20)]
    with connected(dovecot_lmtp, options) as session:
        deliveries = session.client.submit_many(
            (content, {"sender": SENDER, "recipients": [NOBODY] if number % 4 == 1 else EACH})
            for number, content in enumerate(contents)
        )
    for number, (delivery, content) in enumerate(zip(deliveries, contents, strict=True)):
        if number % 4 == 1:
            assert isinstance(delivery, ehlo.SubmissionFailed)
        else:
            assert isinstance(delivery, ehlo.SubmissionResult)
            assert told(delivery.outcomes) == EACH_TOLD
        times = 0 if number % 4 == 1 else 1
        assert [len(dovecot_lmtp.stored(user, content)) for user in ("bob", "carol", FULL)] == [
            times,
            times,
            0,
        ]


# ---- to ehlo's server ----

MAIN_CF = """\
default_transport = lmtp:inet:[127.0.0.1]:{port}
minimal_backoff_time = 1s
maximal_backoff_time = 1s
queue_run_delay = 1s
"""

BUSY, GONE = "busy@local.example", "gone@local.example"
REPLIES = {BUSY: ehlo.Reply(450, "Busy", "4.2.0"), GONE: ehlo.Reply(550, "Gone", "5.2.1")}


class Boxes:
    """A mailbox for everybody; two make trouble after the message, one of them only once."""

    def __init__(self) -> None:
        self.attempts: list[tuple[tuple[str, ...], bytes]] = []

    def on_message(self, session: ehlo.Session, envelope: ehlo.Envelope, content: bytes) -> list[ehlo.Reply]:
        recipients = tuple(str(recipient.path) for recipient in envelope.recipients)
        tried = {each for earlier, _ in self.attempts for each in earlier}
        self.attempts.append((recipients, content))
        waits = {BUSY} & tried
        return [
            ehlo.Reply(250, "Stored") if each in waits or each not in REPLIES else REPLIES[each]
            for each in recipients
        ]


@pytest.mark.peer("postfix")
@pytest.mark.clause("RFC2033-4.2b", "RFC2033-4.1a")
def test_postfix_heeds_each_outcome() -> None:
    """What is temporary is tried again, what is not is reported, and each for its recipient alone."""
    boxes, lines = Boxes(), list[str]()
    good, other, sender = fresh_recipient(), fresh_recipient(), fresh_recipient("reporter")
    mail = relays.Mail(sender, (good, BUSY, GONE, other), message(good))

    def done(said: list[str]) -> bool:
        return any(f"to=<{sender}>" in line for line in said) and any(
            f"to=<{BUSY}>" in line and "status=sent" in line for line in said
        )

    with ehlo_io.blocking.serve(
        boxes, port=0, lmtp=True, policy=ehlo.OPEN_TEST, trace=lambda record: lines.append(str(record))
    ) as server:
        said = relays.postfix_delivers(MAIN_CF.format(port=server.address[1]), mail, done)
    statuses = sorted(
        (line.partition("to=<")[2].partition(">")[0], line.partition("status=")[2].partition(" ")[0])
        for line in said
        if " status=" in line
    )
    assert statuses == sorted(
        [
            (good, "sent"),
            (other, "sent"),
            (GONE, "bounced"),
            (BUSY, "deferred"),
            (BUSY, "sent"),
            (sender, "sent"),
        ]
    )
    first, *later = boxes.attempts
    assert set(first[0]) == {good, BUSY, GONE, other}
    assert sorted(recipients for recipients, _ in later) == sorted([(BUSY,), (sender,)])
    for recipients, content in boxes.attempts:
        if recipients == (sender,):
            (report,) = parse(content).recipients
            assert (report.action, str(report.status)) == (Action.FAILED, "5.2.1")
            assert report.final_recipient.value == GONE
        else:
            added_header(content, mail.content)
    assert "C: LHLO mail.local.example" in lines
