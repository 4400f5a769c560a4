"""What a report is made from: types of names, replies as diagnostics, what is returned."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from ehlo import EnhancedCode, HoldFor, HoldUntil, Mailbox, Notify, Reply, Ret, envelope, recipient
from ehlo.dsn import Action, RecipientReport, Report, Returned, Typed

MESSAGE = b"Subject: Hello\r\nTo: Bob\r\n\r\nHi Bob!\r\n"
HEADER = b"Subject: Hello\r\nTo: Bob\r\n"


def about(*actions: Action) -> Report:
    recipients = tuple(
        RecipientReport(
            final_recipient=Typed("rfc822", "bob@remote.example"),
            action=action,
            status=EnhancedCode({Action.FAILED: 5, Action.DELAYED: 4}.get(action, 2), 0, 0),
        )
        for action in actions
    )
    return Report(reporting_mta=Typed.host("mail.local.example"), recipients=recipients)


@pytest.mark.clause("RFC3461-6.3b", "RFC3464-2.2.4a")
@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("mail.local.example", "dns"),
        ("[192.0.2.1]", "dns"),
        ("localhost", "x-local-hostname"),
        ("Alice's own computer", "x-local-hostname"),
        ("", "x-local-hostname"),
    ],
)
def test_hosts(name: str, kind: str) -> None:
    assert Typed.host(name) == Typed(kind, name)
    assert Typed.host(name, "192.0.2.9") == Typed(kind, f"{name} ([192.0.2.9])")


@pytest.mark.clause("RFC3461-6.3d", "RFC3464-2.3.2a")
def test_addresses() -> None:
    assert Typed.address(Mailbox("Bob", "remote.example")) == Typed("rfc822", "Bob@remote.example")
    assert Typed.address(Mailbox("a b", "x.example")) == Typed("rfc822", '"a b"@x.example')
    assert Typed.address(Mailbox("bø", "x.example")) == Typed("utf-8", "bø@x.example")


def test_types_are_equal_in_any_letter_case_and_values_are_not() -> None:
    assert Typed("DNS", "mx.example") == Typed("dns", "mx.example")
    assert Typed("dns", "MX.example") != Typed("dns", "mx.example")


@pytest.mark.clause("RFC3461-9.2a")
@pytest.mark.parametrize(
    ("reply", "text"),
    [
        (Reply(550, "No such user", "5.1.1"), "550 5.1.1 No such user"),
        (Reply(250), "250"),
        (Reply(550, ("unavailable", "moved")), "550-unavailable 550 moved"),
        (Reply(550, "x\r\nAction: delivered\0"), "550-x 550 Action: delivered?"),
        (Reply(550, "caf\udce9"), "550 caf�"),
    ],
)
def test_replies(reply: Reply, text: str) -> None:
    assert Typed.reply(reply) == Typed("smtp", text)


@pytest.mark.clause("RFC3461-6.3a", "RFC3464-2.2.1a")
def test_the_envelope_id_is_there_exactly_when_envid_was() -> None:
    sent = envelope("alice@local.example", ["bob@remote.example"], envid="QQ=+ a")
    assert Report.of(sent, (), reporting_mta="mail.local.example").envelope_id == "QQ=+ a"
    sent = envelope("alice@local.example", [recipient("bob@remote.example", notify=Notify.NEVER)])
    assert Report.of(sent, (), reporting_mta="mail.local.example").envelope_id is None


@pytest.mark.clause("RFC3461-6.2a", "RFC6522-4a")
@pytest.mark.parametrize(
    ("actions", "ret", "returned"),
    [
        ((Action.FAILED,), Ret.FULL, Returned(Ret.FULL, MESSAGE)),
        ((Action.DELIVERED, Action.FAILED), Ret.FULL, Returned(Ret.FULL, MESSAGE)),
        ((Action.FAILED,), Ret.HDRS, Returned(Ret.HDRS, HEADER)),
        ((Action.FAILED,), None, Returned(Ret.HDRS, HEADER)),
        ((Action.DELAYED,), Ret.FULL, Returned(Ret.HDRS, HEADER)),
        ((Action.DELIVERED, Action.EXPANDED), Ret.FULL, Returned(Ret.HDRS, HEADER)),
        ((Action.RELAYED,), Ret.FULL, Returned(Ret.HDRS, HEADER)),
    ],
)
def test_what_is_returned(actions: tuple[Action, ...], ret: Ret | None, returned: Returned) -> None:
    assert about(*actions).returning(MESSAGE, ret=ret).returned == returned


@pytest.mark.clause("RFC3461-6.2a")
@pytest.mark.parametrize(
    ("room", "returned"),
    [
        (len(MESSAGE), Returned(Ret.FULL, MESSAGE)),
        (len(MESSAGE) - 1, Returned(Ret.HDRS, HEADER)),
        (len(HEADER), Returned(Ret.HDRS, HEADER)),
        (len(HEADER) - 1, None),
    ],
)
def test_no_more_is_returned_than_there_is_room_for(room: int, returned: Returned | None) -> None:
    report = about(Action.FAILED).returning(MESSAGE, ret=Ret.FULL, max_size=room)
    assert report.returned == returned


@pytest.mark.clause("RFC8689-5a")
@pytest.mark.parametrize("ret", [Ret.FULL, Ret.HDRS, None])
def test_of_a_message_that_requires_tls_only_the_header_comes_back(ret: Ret | None) -> None:
    report = about(Action.FAILED).returning(MESSAGE, ret=ret, requires_tls=True)
    assert report.returned == Returned(Ret.HDRS, HEADER)


@pytest.mark.parametrize(
    ("message", "header"),
    [
        (b"A: b\n\nbody\n", b"A: b\r\n"),
        (b"A: b\r\rbody", b"A: b\r\n"),
        (b"\r\nbody", b""),
        (b"", b""),
        (b"A: b", b"A: b"),
    ],
)
def test_the_header_ends_at_the_first_blank_line(message: bytes, header: bytes) -> None:
    report = about(Action.FAILED).returning(message, ret=Ret.HDRS)
    assert report.returned == Returned(Ret.HDRS, header)


NOON = datetime(2026, 11, 26, 12, tzinfo=UTC)


@pytest.mark.clause("RFC4865-5.1b")
@pytest.mark.parametrize(
    ("parameters", "fields"),
    [
        ([], ()),
        ([HoldFor(60)], (("Future-Release-Request", "for;60"),)),
        ([HoldUntil(NOON)], (("Future-Release-Request", "until;2026-11-26T12:00:00Z"),)),
    ],
)
def test_a_message_that_was_held(parameters: list[object], fields: tuple[tuple[str, str], ...]) -> None:
    sent = envelope("alice@local.example", ["bob@remote.example"], parameters=parameters)
    report = Report.of(sent, (), reporting_mta="mail.local.example", arrival=NOON)
    assert report.extensions == fields
    assert report.arrival == NOON
