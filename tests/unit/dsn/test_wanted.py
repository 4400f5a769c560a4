"""Who is to be reported on (RFC 3461 section 5.2)."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from ehlo import (
    EnhancedCode,
    Envelope,
    LocalProtocolError,
    Mailbox,
    Notify,
    Orcpt,
    Outcome,
    Parameters,
    Recipient,
    Reply,
    Ret,
    envelope,
    recipient,
)
from ehlo.dsn import (
    Action,
    Attempt,
    RecipientReport,
    Typed,
    is_wanted,
    report_envelope,
    reports_wanted,
)

ALICE = Mailbox("alice", "local.example")
BOB = Mailbox("bob", "remote.example")
NOON = datetime(1997, 11, 21, 12, tzinfo=UTC)
F, S, D = Notify.FAILURE, Notify.SUCCESS, Notify.DELAY

FAILED = Reply(550, "No such user", "5.1.1")
BUSY = Reply(451, "Busy", "4.3.2")
TAKEN = Reply(250, "OK", "2.1.5")


def to_bob(notify: Notify | None, sender: Mailbox | None = ALICE) -> Envelope:
    return Envelope(sender, recipients=(Recipient(BOB, Parameters([] if notify is None else [notify])),))


@pytest.mark.clause(
    "RFC3461-5.2.2b", "RFC3461-5.2.2c", "RFC3461-5.2.3a", "RFC3461-5.2.5a", "RFC3461-5.2.6a", "RFC3464-2.3.3b"
)
@pytest.mark.parametrize(
    ("notify", "wanted"),
    [
        (None, {Action.FAILED}),
        (Notify.NEVER, set()),
        (F, {Action.FAILED}),
        (D, {Action.DELAYED}),
        (F | D, {Action.FAILED, Action.DELAYED}),
        (S, {Action.DELIVERED, Action.RELAYED, Action.EXPANDED}),
        (S | F, {Action.DELIVERED, Action.RELAYED, Action.EXPANDED, Action.FAILED}),
        (S | F | D, set(Action)),
    ],
)
def test_notify(notify: Notify | None, wanted: set[Action]) -> None:
    sent = to_bob(notify)
    assert {action for action in Action if is_wanted(sent, sent.recipients[0], action)} == wanted


@pytest.mark.clause("RFC3461-4.3a", "RFC3461-5.2.5a")
@pytest.mark.parametrize(
    ("notify", "wanted"), [(None, True), (F, False), (Notify.NEVER, False), (D, True), (S, False)]
)
def test_delays_may_be_reported_when_notify_is_absent(notify: Notify | None, wanted: bool) -> None:
    sent = to_bob(notify)
    assert is_wanted(sent, sent.recipients[0], Action.DELAYED, delays=True) is wanted
    assert is_wanted(sent, sent.recipients[0], Action.DELIVERED, delays=True) is (notify is S)


@pytest.mark.clause("RFC3461-5.2a", "RFC5321-3.6.3a")
@pytest.mark.parametrize("notify", [None, S | F | D])
def test_nothing_is_reported_to_the_null_reverse_path(notify: Notify | None) -> None:
    sent = to_bob(notify, sender=None)
    assert not any(is_wanted(sent, sent.recipients[0], action, delays=True) for action in Action)
    assert reports_wanted(sent, [Outcome(BOB, False, FAILED)]) == ()
    with pytest.raises(LocalProtocolError, match="null reverse-path"):
        report_envelope(sent)


@pytest.mark.clause("RFC3461-6.1a", "RFC5321-4.5.5a", "RFC4409-3.2d")
def test_the_envelope_of_a_report() -> None:
    sent = envelope(ALICE, ["bob@remote.example"], ret=Ret.FULL, envid="1", notify="failure")
    assert report_envelope(sent) == Envelope(
        None, Parameters(), (Recipient(ALICE, Parameters([Notify.NEVER])),)
    )


@pytest.mark.clause("RFC3461-5.2.8a")
def test_one_report_on_all_that_want_one_and_nobody_else() -> None:
    wishes = [F, Notify.NEVER, S, None, S | F, D]
    paths = [Mailbox(f"user{number}", "remote.example") for number in range(len(wishes))]
    sent = Envelope(
        ALICE,
        recipients=tuple(
            Recipient(path, Parameters([] if wish is None else [wish]))
            for path, wish in zip(paths, wishes, strict=True)
        ),
    )
    failed = [Outcome(path, False, FAILED) for path in paths]
    assert [each.final_recipient.value for each in reports_wanted(sent, failed)] == [
        "user0@remote.example",
        "user3@remote.example",
        "user4@remote.example",
    ]


@pytest.mark.parametrize(
    ("outcome", "attempt", "found"),
    [
        (Outcome(BOB, True, TAKEN), Attempt(), None),
        (Outcome(BOB, True, TAKEN), Attempt(accepted=Action.RELAYED), (Action.RELAYED, "2.1.5")),
        (Outcome(BOB, True, TAKEN), Attempt(accepted=Action.DELIVERED), (Action.DELIVERED, "2.1.5")),
        (Outcome(BOB, True, Reply(250)), Attempt(accepted=Action.EXPANDED), (Action.EXPANDED, "2.0.0")),
        (Outcome(BOB, False, FAILED), Attempt(), (Action.FAILED, "5.1.1")),
        (Outcome(BOB, False, FAILED), Attempt(retrying=True), (Action.FAILED, "5.1.1")),
        (Outcome(BOB, False, Reply(550)), Attempt(), (Action.FAILED, "5.0.0")),
        (Outcome(BOB, False, BUSY), Attempt(), (Action.FAILED, "4.3.2")),
        (Outcome(BOB, False, BUSY), Attempt(retrying=True), (Action.DELAYED, "4.3.2")),
        (Outcome(BOB, False, Reply(451)), Attempt(), (Action.FAILED, "4.0.0")),
        (Outcome(BOB, False, Reply(552)), Attempt(retrying=True), (Action.DELAYED, "4.0.0")),
        (Outcome(BOB, False, Reply(552, "Many", "5.5.3")), Attempt(retrying=True), (Action.DELAYED, "4.0.0")),
        (Outcome(BOB, False, None), Attempt(retrying=True), (Action.DELAYED, "4.0.0")),
        (Outcome(BOB, False, None), Attempt(), (Action.FAILED, "4.0.0")),
    ],
)
@pytest.mark.clause("RFC3461-6.3e", "RFC3464-2.3.4a", "RFC3463-2b")
def test_action_and_status(outcome: Outcome, attempt: Attempt, found: tuple[Action, str] | None) -> None:
    reports = reports_wanted(to_bob(S | F | D), [outcome], attempt)
    assert [(each.action, str(each.status)) for each in reports] == ([] if found is None else [found])


@pytest.mark.clause("RFC3461-6.3c", "RFC3461-6.3d", "RFC3461-6.3f", "RFC3464-2.3a")
def test_all_that_is_known_of_a_recipient() -> None:
    sent = envelope(ALICE, [recipient(BOB, notify="delay", orcpt="Bob+List@local.example")])
    attempt = Attempt(remote_mta="mx.remote.example", when=NOON, retrying=True, will_retry_until=NOON)
    assert reports_wanted(sent, [Outcome(BOB, False, BUSY)], attempt) == (
        RecipientReport(
            final_recipient=Typed("rfc822", "bob@remote.example"),
            action=Action.DELAYED,
            status=EnhancedCode(4, 3, 2),
            original_recipient=Typed("rfc822", "Bob+List@local.example"),
            remote_mta=Typed("dns", "mx.remote.example"),
            diagnostic=Typed("smtp", "451 4.3.2 Busy"),
            last_attempt=NOON,
            will_retry_until=NOON,
        ),
    )


@pytest.mark.clause("RFC3464-2.3a", "RFC3461-6.3c")
def test_nothing_that_is_not_known() -> None:
    attempt = Attempt(remote_mta="mx.remote.example", will_retry_until=NOON)
    assert reports_wanted(to_bob(None), [Outcome(BOB, False, None)], attempt) == (
        RecipientReport(
            final_recipient=Typed("rfc822", "bob@remote.example"),
            action=Action.FAILED,
            status=EnhancedCode(4, 0, 0),
        ),
    )


def test_the_same_address_twice_has_its_own_wishes_each_time() -> None:
    first = Recipient(BOB, Parameters([Notify.NEVER, Orcpt.of("first@local.example")]))
    second = Recipient(BOB, Parameters([F, Orcpt.of("second@local.example")]))
    sent = Envelope(ALICE, recipients=(first, second))
    reports = reports_wanted(sent, [Outcome(BOB, False, FAILED), Outcome(BOB, False, FAILED)])
    assert [each.original_recipient for each in reports] == [Typed("rfc822", "second@local.example")]
    assert reports_wanted(sent, [Outcome(BOB, False, FAILED), Outcome(BOB, True, TAKEN)]) == ()


def test_outcomes_belong_to_the_envelope() -> None:
    other = Outcome(Mailbox("eve", "remote.example"), False, FAILED)
    with pytest.raises(LocalProtocolError, match="no recipient of the envelope"):
        reports_wanted(to_bob(None), [other])
    twice = [Outcome(BOB, False, FAILED)] * 2
    with pytest.raises(LocalProtocolError, match="no recipient of the envelope"):
        reports_wanted(to_bob(None), twice)


@pytest.mark.parametrize("action", [Action.FAILED, Action.DELAYED])
def test_acceptance_is_a_success(action: Action) -> None:
    with pytest.raises(LocalProtocolError, match="acceptance is"):
        reports_wanted(to_bob(None), [], Attempt(accepted=action))
