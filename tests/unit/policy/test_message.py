from __future__ import annotations

import email
import email.utils
from collections.abc import Iterable
from typing import Any, Final

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.helpers.driver import server_config
from tests.helpers.splits import agreed

from ehlo import Envelope, LocalProtocolError, Mailbox, Reply, ServerConnection, Session
from ehlo.flows import hooks_of, serve
from ehlo.policy import Fixup, MessageFacts, MessageFixer, MessagePolicy
from ehlo.policy.trace import received
from ehlo.testing import ScriptedClient, run

ALICE: Final = Mailbox("alice", "a.example")
FACTS: Final = MessageFacts(
    hostname="mx.example",
    timestamp=1795715655,
    utc_offset=60,
    unique="1a2b",
    domain="id.example",
    client_name="client.example",
    peer="192.0.2.1",
    identity=ALICE,
)
DATE: Final = b"Date: Thu, 26 Nov 2026 18:54:15 +0100\r\n"
ID: Final = b"Message-ID: <1a2b@id.example>\r\n"
RECEIVED: Final = received(FACTS)
NONE: Final = MessagePolicy(received=False, date=False, message_id=False, most_received=None)
ALL: Final = MessagePolicy(
    correct_date=True,
    sender=True,
    remove_return_path=True,
    remove_bcc=True,
    qualify_with="q.example",
    refuse_unqualified=True,
    check_syntax=True,
    require_from=True,
    refuse_repeated=True,
    refuse_raw_header=True,
    refuse_nul=True,
    refuse_long_lines=True,
)
GOOD: Final = b"From: alice@a.example\r\nDate: Thu, 1 Jan 1970 00:00:00 +0000\r\nMessage-ID: <x@y>\r\n"


def only(**chosen: Any) -> MessagePolicy:
    return attrs.evolve(NONE, **chosen)


def fix(
    pieces: Iterable[bytes], policy: MessagePolicy, facts: MessageFacts = FACTS
) -> tuple[bytes, Reply | None, tuple[Fixup, ...]]:
    fixer = MessageFixer(policy, facts)
    octets = b"".join(map(fixer.feed, pieces)) + fixer.finish()
    return octets, fixer.refusal, fixer.changes


def fixed(message: bytes, policy: MessagePolicy, facts: MessageFacts = FACTS) -> bytes:
    """The message however it is cut, never refused."""
    octets, refusal, _ = agreed(lambda pieces: fix(pieces, policy, facts), message)
    assert refusal is None
    return octets


def told(message: bytes, policy: MessagePolicy, facts: MessageFacts = FACTS) -> tuple[int, str] | None:
    """The refusal, however the message is cut."""
    refusal = agreed(lambda pieces: fix(pieces, policy, facts)[1], message)
    return None if refusal is None else (refusal.code, str(refusal.enhanced))


# ---- what is mended ----


@pytest.mark.clause("RFC5321-4.4a", "RFC4409-8.2a", "RFC4409-8.3a", "RFC4409-8a")
def test_by_default_a_message_gets_what_it_lacks() -> None:
    message = b"From: alice@a.example\r\nBcc: bob\r\n\r\nbody \0\xff\r\n"
    assert fixed(message, MessagePolicy()) == (
        RECEIVED + b"From: alice@a.example\r\nBcc: bob\r\n" + DATE + ID + b"\r\nbody \0\xff\r\n"
    )


@pytest.mark.clause("RFC6409-8a", "RFC5321-4.4d", "RFC6532-3.1a")
@pytest.mark.parametrize(
    "message",
    [
        GOOD + b"\r\n",
        GOOD,
        GOOD.removesuffix(b"\r\n"),
        b"Received: from x\r\n\tby y; z\r\n" + GOOD + "Subject: gru\u0308n\r\n\r\nx".encode(),
        b"MESSAGE-id :\r\n (so) <a.b..c@d@e> (or so)\r\ndate:now\r\n\r\n",
        b"From alice\r\n" + GOOD + b"no field\r\n\r\n",
        GOOD.replace(b"\r\n", b"\n") + b"\nx\ry\n",
    ],
)
def test_what_needs_nothing_gets_received_only(message: bytes) -> None:
    expected = (RECEIVED + message, None, (Fixup.RECEIVED,))
    assert agreed(lambda pieces: fix(pieces, MessagePolicy()), message) == expected
    assert agreed(lambda pieces: fix(pieces, NONE), message) == (message, None, ())


MENDED: Final[dict[str, tuple[dict[str, Any], bytes, bytes, Fixup]]] = {
    "no date": ({"date": True}, b"X: y\r\n", b"X: y\r\n" + DATE, Fixup.DATE),
    "no field at all": ({"date": True}, b"", DATE, Fixup.DATE),
    "a date that is none": (
        {"date": True, "correct_date": True},
        b"Date: yesterday\r\nX: y\r\n",
        DATE + b"X: y\r\n",
        Fixup.DATE,
    ),
    "dates that are none": (
        {"date": True, "correct_date": True},
        b"X: y\r\ndate: 2026-11-26\r\nDate:\r\n",
        b"X: y\r\n" + DATE,
        Fixup.DATE,
    ),
    "no message id": ({"message_id": True}, b"X: y\r\n", b"X: y\r\n" + ID, Fixup.MESSAGE_ID),
    "a message id that names nothing": (
        {"message_id": True},
        b"Message-Id: <>\r\nX: y\r\n",
        ID + b"X: y\r\n",
        Fixup.MESSAGE_ID,
    ),
    "a message id of two words": (
        {"message_id": True},
        b"X: y\r\nMessage-Id: <a b@c>\r\n",
        b"X: y\r\n" + ID,
        Fixup.MESSAGE_ID,
    ),
    "a sender": (
        {"sender": True},
        b"From: bob@b.example\r\n",
        b"From: bob@b.example\r\nSender: <alice@a.example>\r\n",
        Fixup.SENDER,
    ),
    "the sender of several authors": (
        {"sender": True},
        b"From: alice@a.example, bob@b.example\r\n",
        b"From: alice@a.example, bob@b.example\r\nSender: <alice@a.example>\r\n",
        Fixup.SENDER,
    ),
    "another sender": (
        {"sender": True},
        b"sender: bob@b.example\r\nFrom: bob@b.example\r\n",
        b"Sender: <alice@a.example>\r\nFrom: bob@b.example\r\n",
        Fixup.SENDER,
    ),
    "a return path": (
        {"remove_return_path": True},
        b"Return-Path: <bob@b.example>\r\nX: y\r\nreturn-path:\r\n <>\r\n",
        b"X: y\r\n",
        Fixup.RETURN_PATH,
    ),
    "blind copies": (
        {"remove_bcc": True},
        b"To: a@a.test\r\nBCC: x@b.test,\r\n y@b.test\r\nResent-Bcc: z@b.test\r\nBccs: b\r\n",
        b"To: a@a.test\r\nBccs: b\r\n",
        Fixup.BCC,
    ),
    "addresses": (
        {"qualify_with": "q.example"},
        b"From: Alice <alice>\r\nTo: bob,\r\n\tcarol@host\r\nSubject: dave\r\n",
        b"From: Alice <alice@q.example>\r\nTo: bob@q.example,\r\n\tcarol@host.q.example\r\nSubject: dave\r\n",
        Fixup.QUALIFIED,
    ),
}


@pytest.mark.clause(
    "RFC4409-8.1a",
    "RFC4409-8.2a",
    "RFC4409-8.3a",
    "RFC5321-4.4h",
    "RFC5321-B-a",
    "RFC4409-4.2b",
    "RFC6409-8a",
)
@pytest.mark.parametrize(("chosen", "before", "after", "change"), MENDED.values(), ids=list(MENDED))
def test_mended(chosen: dict[str, Any], before: bytes, after: bytes, change: Fixup) -> None:
    policy = only(**chosen)
    for rest in (b"\r\n", b"\r\nDate: x\r\n\r\nBcc: y"):
        assert agreed(lambda pieces: fix(pieces, policy), before + rest) == (after + rest, None, (change,))
    assert agreed(lambda pieces: fix(pieces, policy), before) == (after, None, (change,))
    assert fix([before + b"\r\n"], NONE)[0] == before + b"\r\n"
    again = fix([after + b"\r\n"], policy)
    assert again == (after + b"\r\n", None, ())


@pytest.mark.parametrize(
    ("chosen", "header"),
    [
        ({"date": True}, b"Date: whenever\r\n"),
        ({"date": True, "correct_date": True}, b"Date: Thu, 26 Nov 2026 18:54:15 +0100 (CET)\r\n"),
        ({"date": True, "correct_date": True}, b"Date:\r\n 1 jan 99 1:02 GMT\r\n"),
        ({"correct_date": True}, b"Date: whenever\r\n"),
        ({"sender": True}, b"From: Alice <alice@A.example>\r\n"),
        ({"sender": True}, b"From: Alice <alice@a.example>\r\nSender: bob@b.example\r\n"),
        ({"sender": True}, b"From: bob@b.example\r\nSender: Alice <alice@a.example>\r\n"),
        ({"sender": True}, b"Subject: nobody\r\n"),
        ({"qualify_with": "q.example"}, b"To: a@a.test, b@[192.0.2.1], Some Body <>\r\nX-To: bob\r\n"),
    ],
)
def test_left_as_it_is(chosen: dict[str, Any], header: bytes) -> None:
    assert agreed(lambda pieces: fix(pieces, only(**chosen)), header + b"\r\n") == (
        header + b"\r\n",
        None,
        (),
    )


@pytest.mark.clause("RFC4409-8.1b")
@pytest.mark.parametrize(
    ("identity", "utf8", "added"),
    [
        (None, False, b""),
        (Mailbox("postmaster", ""), False, b""),
        (Mailbox("x\r\nBcc: y", "a.example"), False, b""),
        (Mailbox("a", "not a domain"), False, b""),
        (Mailbox("ålice", "a.example"), False, b""),
        (Mailbox("ålice", "a.example"), True, "Sender: <ålice@a.example>\r\n".encode()),
        (Mailbox("two words", "a.example"), False, b'Sender: <"two words"@a.example>\r\n'),
    ],
)
def test_sender_is_an_address_or_is_not_added(identity: Mailbox | None, utf8: bool, added: bytes) -> None:
    facts = attrs.evolve(FACTS, identity=identity, utf8=utf8)
    header = b"From: bob@b.example\r\n"
    assert fixed(header + b"\r\n", only(sender=True), facts) == header + added + b"\r\n"


def test_a_header_block_without_its_last_line_end_gets_one_before_more() -> None:
    assert fixed(b"X: y", only(date=True)) == b"X: y\r\n" + DATE
    assert fixed(b"Date: never", only(date=True, correct_date=True)) == DATE


def test_a_message_id_is_of_the_host_unless_said_otherwise() -> None:
    facts = attrs.evolve(FACTS, domain=None)
    assert fixed(b"\r\n", only(message_id=True), facts) == b"Message-ID: <1a2b@mx.example>\r\n\r\n"


# ---- what is refused ----

TWICE: Final = (
    b"From: a@b.test\r\n",
    b"Sender: a@b.test\r\n",
    b"Date: x\r\n",
    b"Subject: x\r\n",
    b"To: a@b.test\r\n",
)


@pytest.mark.clause("RFC4409-6.3b", "RFC4409-6.3a", "RFC4409-5.1b", "RFC4409-5.1d")
@pytest.mark.parametrize(
    ("chosen", "message", "refusal"),
    [
        ({"check_syntax": True}, b"From alice\r\nX: y\r\n\r\n", (554, "5.6.0")),
        ({"check_syntax": True}, b" X: y\r\n\r\n", (554, "5.6.0")),
        ({"check_syntax": True}, b"X: y\r\nHello, you\r\n\r\n", (554, "5.6.0")),
        ({"check_syntax": True}, b"X: y\r\nHello, you", (554, "5.6.0")),
        ({"check_syntax": True}, b"X: y\r\n\r\nHello, you\r\n", None),
        ({"check_syntax": True}, b"", None),
        *(
            ({"refuse_bad_addresses": True}, field + b"\r\n\r\n", refusal)
            for field, refusal in [
                (b"To: Alice Liddell", (554, "5.6.0")),
                (b"From: a@b.test, <c d@e.test>", (554, "5.6.0")),
                (b"From: ", (554, "5.6.0")),
                (b"Sender: nobody:;", (554, "5.6.0")),
                (b"Subject: Alice Liddell", None),
                (b"From: Alice <a@b.test>\r\nBcc:", None),
            ]
        ),
        ({"require_from": True}, b"To: a@b.test\r\n\r\nFrom: a@b.test\r\n", (554, "5.6.0")),
        ({"require_from": True}, b"", (554, "5.6.0")),
        ({"require_from": True}, b"FROM: a@b.test\r\n\r\n", None),
        *(({"refuse_repeated": True}, field + field.lower() + b"\r\n", (554, "5.6.0")) for field in TWICE),
        ({"refuse_repeated": True}, b"".join(TWICE) + b"X: y\r\nX: y\r\nReceived: x\r\n" * 2 + b"\r\n", None),
        ({"refuse_repeated": True}, b"From: a@b.test\r\n\r\nFrom: a@b.test\r\n", None),
        ({"refuse_unqualified": True}, b"To: bob\r\n\r\n", (554, "5.6.0")),
        ({"refuse_unqualified": True}, b"To: bob@host\r\n\r\n", (554, "5.6.0")),
        ({"refuse_unqualified": True}, b"To: bob@b.test, bob@[192.0.2.1]\r\nX: bob\r\n\r\nTo: bob\r\n", None),
        ({"refuse_unqualified": True, "qualify_with": "q.example"}, b"To: bob\r\n\r\n", None),
        ({"refuse_unqualified": True, "qualify_with": "q.example"}, b"To: bob@\r\n\r\n", (554, "5.6.0")),
    ],
)
def test_refused(chosen: dict[str, Any], message: bytes, refusal: tuple[int, str] | None) -> None:
    assert told(message, only(**chosen)) == refusal
    assert told(message, NONE) is None


@pytest.mark.clause("RFC6531-3.2b")
@pytest.mark.parametrize(
    ("message", "utf8", "refusal"),
    [
        ("Subject: grün\r\n\r\n", False, (554, "5.6.9")),
        ("Subject: grün\r\n\r\n", True, None),
        ("Subject: x\r\n\r\ngrün\r\n", False, None),
    ],
)
def test_raw_header(message: str, utf8: bool, refusal: tuple[int, str] | None) -> None:
    facts = attrs.evolve(FACTS, utf8=utf8)
    assert told(message.encode(), only(refuse_raw_header=True), facts) == refusal


@pytest.mark.clause("RFC4409-8b")
@pytest.mark.parametrize("message", [b"X: \0\r\n\r\n", b"X: y\r\n\r\n\0", b"\0"])
def test_nul(message: bytes) -> None:
    assert told(message, only(refuse_nul=True)) == (554, "5.6.0")
    assert told(message, only(refuse_long_lines=True)) is None


@pytest.mark.clause("RFC6532-3.4a")
@pytest.mark.parametrize("before", [b"", b"X: y\r\n\r\nx\r\n"])
@pytest.mark.parametrize("behind", [b"", b"\r\n", b"\r\nx\r\n"])
def test_long_lines(before: bytes, behind: bytes) -> None:
    policy = only(refuse_long_lines=True)
    for octets, refusal in ((998, None), (999, (554, "5.6.0"))):
        assert told(before + b"x" * octets + behind, policy) == refusal
        assert told(before + b"x" * octets + behind, only(refuse_nul=True)) is None


@pytest.mark.clause("RFC5321-6.3a")
@pytest.mark.parametrize(("fields", "refusal"), [(100, None), (101, (554, "5.4.6"))])
def test_a_loop(fields: int, refusal: tuple[int, str] | None) -> None:
    message = b"Received: x\r\n" * fields + GOOD + b"\r\n" + b"Received: x\r\n" * 5
    _, found, _ = fix([message], MessagePolicy())
    assert (None if found is None else (found.code, str(found.enhanced))) == refusal
    assert fix([message], NONE) == (message, None, ())


@pytest.mark.clause("RFC5321-4.5.3.1.7a")
@pytest.mark.parametrize("end", [b"\r\n", b"", b"\r\n" + b"body " * 30])
def test_the_header_block_has_a_limit(end: bytes) -> None:
    header = b"X: " + b"y" * 20 + b"\r\n"
    assert told(header + end, only(header_octets=len(header))) is None
    assert told(header + end, only(header_octets=len(header) - 1)) == (552, "5.3.4")


def test_no_more_than_the_limit_is_kept_of_a_header_block_without_end() -> None:
    fixer = MessageFixer(MessagePolicy(header_octets=1000), FACTS)
    for _ in range(100):
        assert fixer.feed(b"x" * 100) == b""
    assert fixer.refusal is not None
    assert fixer._buffer is None
    assert fixer.feed(b"\r\n\r\n") == fixer.finish() == b""
    assert fixer.changes == ()


def test_a_refusal_is_told_as_soon_as_it_is_known() -> None:
    fixer = MessageFixer(ALL, FACTS)
    assert fixer.feed(GOOD + b"\r\nbody").endswith(b"\r\n\r\nbody")
    assert fixer.refusal is None
    assert fixer.feed(b"more\0more") == b""
    assert fixer.refusal is not None
    assert fixer.feed(b"more") == b""


def test_the_body_passes_through_without_a_copy() -> None:
    fixer = MessageFixer(MessagePolicy(), FACTS)
    fixer.feed(b"\r\n")
    piece = b"x" * 1000
    assert fixer.feed(piece) is piece


@pytest.mark.parametrize("wrong", ["", "a b", "-a", "x\r\n"])
def test_the_domain_of_addresses_is_one(wrong: str) -> None:
    with pytest.raises(LocalProtocolError, match="qualify_with"):
        MessagePolicy(qualify_with=wrong)


# ---- in a server ----


class Keeper:
    """A handler as the documentation shows it, with a list of messages for a file."""

    def __init__(self) -> None:
        self.kept: list[bytes] = []
        self.octets = bytearray()

    def on_data(self, session: Session, envelope: Envelope) -> None:
        facts = MessageFacts(
            hostname="mx.example",
            timestamp=FACTS.timestamp,
            unique="1a2b",
            client_name=session.client_name,
            peer=session.peer,
            extended=session.extended,
            tls=session.tls,
            authenticated=session.identity is not None,
            recipients=tuple(recipient.path for recipient in envelope.recipients),
        )
        session.state = MessageFixer(MessagePolicy(require_from=True), facts)

    def on_body(self, session: Session, data: bytes) -> None:
        self.octets += session.state.feed(data)

    def on_message(self, session: Session, envelope: Envelope, content: bytes) -> Reply | None:
        fixer: MessageFixer = session.state
        self.octets += fixer.finish()
        if fixer.refusal is None:
            self.kept.append(bytes(self.octets))
        return fixer.refusal

    def on_reset(self, session: Session) -> None:
        self.octets.clear()


def test_a_handler_keeps_mended_messages_and_refuses_others() -> None:
    envelope = "C: MAIL FROM:<a@x.test>\nS: 250...\nC: RCPT TO:<b@x.test>\nS: 250...\nC: DATA\nS: 354...\n"
    client = ScriptedClient(
        "S: 220...\nC: HELO client.example\nS: 250...\n"
        + envelope
        + "C: Subject: nobody wrote this\nC:\nC: x\nC: .\nS: 554 5.6.0 From field is missing\n"
        + envelope
        + "C: From: a@x.test\nC:\nC: hello\nC: .\nS: 250...\nC: QUIT\nS: 221...\n"
    )
    handler = Keeper()
    run(serve(ServerConnection(server_config()), hooks_of(handler), peer="192.0.2.1"), client)
    client.check_done()
    (message,) = handler.kept
    assert message.decode().splitlines() == [
        "Received: from client.example ([192.0.2.1])",
        "\tby mx.example with SMTP id 1a2b",
        "\tfor <b@x.test>;",
        "\tThu, 26 Nov 2026 17:54:15 +0000",
        "From: a@x.test",
        "Date: Thu, 26 Nov 2026 17:54:15 +0000",
        "Message-ID: <1a2b@mx.example>",
        "",
        "hello",
    ]


# ---- any message ----

LINES: Final = st.lists(
    st.sampled_from(
        [
            *(b"From: a@b.test\r\n", b"From: Bob <bob>\r\n", b"Sender: x@host\r\n", b"To: a, b@c\r\n"),
            *(b"To: u: v;\r\n", b"Cc: ((\r\n", b"Bcc: a\r\n", b"Return-Path: <>\r\n", b"Received: x\r\n"),
            *(b"Date: now\r\n", b"Date:\r\n", b"Message-ID: <a@b>\r\n", b"message-id: x\r\n"),
            *(b"Subject: \xfc\r\n", b"no field\r\n", b" folded\r\n", b"\r\n", b"x\0", b"\n", b"\r"),
        ]
    ),
    max_size=14,
).map(b"".join)
POLICIES: Final = st.sampled_from(
    [
        MessagePolicy(),
        only(correct_date=True, date=True, sender=True, qualify_with="q.example"),
        attrs.evolve(ALL, check_syntax=False, require_from=False, refuse_nul=False, refuse_raw_header=False),
        ALL,
    ]
)


@given(LINES, POLICIES, st.lists(st.integers(0, 200), max_size=6))
def test_cuts_change_nothing(message: bytes, policy: MessagePolicy, cuts: list[int]) -> None:
    places = sorted(min(cut, len(message)) for cut in cuts)
    pieces = [message[a:b] for a, b in zip([0, *places], [*places, len(message)], strict=True)]
    octets, refusal, changes = fix([message], policy)
    cut_octets, cut_refusal, cut_changes = fix(pieces, policy)
    assert (cut_refusal is None) == (refusal is None)
    if refusal is None:
        assert (cut_octets, cut_changes) == (octets, changes)


@pytest.mark.clause("RFC6409-8a")
@given(LINES, POLICIES)
def test_a_second_pass_adds_received_only(message: bytes, policy: MessagePolicy) -> None:
    once, refusal, _ = fix([message], policy)
    if refusal is None:
        added = RECEIVED if policy.received else b""
        assert fix([once], policy) == (added + once, None, (Fixup.RECEIVED,) * policy.received)


@given(LINES)
def test_what_passes_all_checks_is_a_message_for_everybody(message: bytes) -> None:
    octets, refusal, _ = fix([message], ALL)
    if refusal is None:
        parsed = email.message_from_bytes(octets)
        assert [len(parsed.get_all(name, [])) for name in ("From", "Date", "Message-ID")] == [1, 1, 1]
        assert email.utils.parsedate(parsed["Date"]) is not None
        assert next(iter(parsed)) == "Received"
        assert not {"Bcc", "Return-Path"} & set(parsed.keys())
