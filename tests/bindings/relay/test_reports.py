"""What an attempt means for a message and its sender, by the time and by what was asked for."""

from __future__ import annotations

import io
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import attrs
import pytest
from tests.bindings.relay.helpers import (
    ALICE,
    BOB,
    CAROL,
    HOSTNAME,
    MESSAGE,
    NO_SUCH,
    NOT_NOW,
    START,
    LeapingClock,
)

import ehlo
from ehlo import dsn
from ehlo_io.relay.delivery import Attempted
from ehlo_io.relay.queue import Retry
from ehlo_io.relay.reports import Reporter, Verdict, judge
from ehlo_io.relay.spool import Entry, Progress

RETRY = Retry(warn_after=100, give_up_after=1000)
TAKEN = ehlo.Reply(250, "OK", "2.1.5")
HOP = "next.example"


def verdict(
    replies: Iterable[ehlo.Reply],
    *,
    after: float = 0.0,
    notify: str | None = None,
    sender: str = ALICE,
    warned: bool = False,
    left: tuple[int, ...] | None = None,
    **more: Any,
) -> Verdict:
    """After an attempt with these replies, one for each recipient that was left."""
    replies = tuple(replies)
    names = [BOB, CAROL][: len(replies) if left is None else 2]
    envelope = ehlo.envelope(sender, names, notify=notify)
    progress = attrs.evolve(Progress.start(envelope), warned=warned)
    if left is not None:
        progress = attrs.evolve(progress, left=left)
    entry = Entry(name="one", envelope=envelope, arrival=START, path=Path("one"), start=0, size=0)
    outcomes = tuple(
        ehlo.Outcome(envelope.recipients[index].path, reply.is_success, reply)
        for index, reply in zip(progress.left, replies, strict=True)
    )
    attempted = Attempted(outcomes=outcomes, **more)
    return judge(entry, progress, attempted, retry=RETRY, now=START + after, hop=HOP)


def actions(found: Verdict) -> list[tuple[str, str]]:
    return [(fate.final_recipient.value, fate.action.value) for fate in found.fates]


def test_all_is_well() -> None:
    assert verdict([TAKEN, TAKEN]) == Verdict(left=(), fates=(), warned=False)


@pytest.mark.clause("RFC5321-4.2.1a", "RFC5321-3.6.3a")
def test_each_recipient_for_itself() -> None:
    found = verdict([NOT_NOW, NO_SUCH])
    assert found.left == (0,)
    assert actions(found) == [(CAROL, "failed")]
    (fate,) = found.fates
    assert str(fate.status) == "5.1.1"


def test_only_those_who_were_left_are_tried() -> None:
    found = verdict([NOT_NOW], left=(1,))
    assert found.left == (1,)
    assert verdict([NO_SUCH], left=(1,)).fates[0].final_recipient.value == CAROL


@pytest.mark.clause("RFC3461-6.3f")
@pytest.mark.parametrize("ours", [False, True])
def test_who_said_so(ours: bool) -> None:
    (fate,) = verdict([NO_SUCH], ours=ours).fates
    assert fate.remote_mta == (None if ours else dsn.Typed("dns", HOP))
    assert fate.diagnostic == dsn.Typed("smtp", "550 5.1.1 No such user")
    assert fate.last_attempt == datetime.fromtimestamp(START, UTC)


@pytest.mark.clause("RFC3461-5.2.2c", "RFC3461-5.2.6a")
@pytest.mark.parametrize(("notify", "told"), [(None, 1), ("failure", 1), ("success,delay", 0), ("never", 0)])
@pytest.mark.parametrize(("reply", "after"), [(NO_SUCH, 0), (NOT_NOW, 1000)], ids=["refused", "given up"])
def test_failures_go_by_what_was_asked_for(
    reply: ehlo.Reply, after: float, notify: str | None, told: int
) -> None:
    found = verdict([reply], after=after, notify=notify)
    assert found.left == ()
    assert actions(found) == [(BOB, "failed")] * told


@pytest.mark.clause("RFC3461-5.2a")
@pytest.mark.parametrize("after", [0, 100, 1000])
@pytest.mark.parametrize("reply", [NO_SUCH, NOT_NOW], ids=str)
def test_the_null_sender_is_told_nothing(reply: ehlo.Reply, after: float) -> None:
    assert verdict([reply], sender="", after=after).fates == ()


@pytest.mark.clause("RFC3461-5.2.5a")
@pytest.mark.parametrize(
    ("after", "warned", "notify", "told"),
    [
        (99, False, None, 0),
        (100, False, None, 1),
        (100, False, "delay", 1),
        (100, False, "failure", 0),
        (100, False, "never", 0),
        (500, True, None, 0),
    ],
)
def test_a_delay_is_told_once(after: float, warned: bool, notify: str | None, told: int) -> None:
    found = verdict([NOT_NOW], after=after, warned=warned, notify=notify)
    assert found.left == (0,)
    assert actions(found) == [(BOB, "delayed")] * told
    assert found.warned == (after >= 100)
    for fate in found.fates:
        assert fate.will_retry_until == datetime.fromtimestamp(START + 1000, UTC)


def test_a_failure_and_a_delay_are_one_report() -> None:
    found = verdict([NOT_NOW, NO_SUCH], after=100)
    assert sorted(actions(found)) == [(BOB, "delayed"), (CAROL, "failed")]
    assert found.left == (0,)


@pytest.mark.clause("RFC3461-5.2.2b")
@pytest.mark.parametrize(
    ("relayed", "notify", "told"),
    [(True, "success", 1), (True, "failure", 0), (True, None, 0), (False, "success", 0)],
)
def test_a_server_that_reports_nothing(relayed: bool, notify: str | None, told: int) -> None:
    found = verdict([TAKEN], notify=notify, relayed=relayed)
    assert actions(found) == [(BOB, "relayed")] * told


# ---- the report ----


def written(
    original: bytes = MESSAGE, sender: str = ALICE, parameters: Iterable[object] = (), **more: Any
) -> tuple[ehlo.Envelope, dsn.Report, bytes]:
    envelope = ehlo.envelope(sender, [BOB], parameters=parameters, **more)
    fates = dsn.reports_wanted(envelope, [ehlo.Outcome(envelope.recipients[0].path, False, NO_SUCH)])
    reporter = Reporter(HOSTNAME, LeapingClock())
    carrier, octets = reporter.report(envelope, fates, START, lambda: io.BytesIO(original))
    return carrier, dsn.parse(octets), octets


@pytest.mark.clause("RFC3461-6.1a", "RFC5321-3.6.3a")
def test_a_report_and_its_envelope() -> None:
    carrier, report, octets = written(ret="full", envid="314")
    assert carrier.reverse_path is None
    assert [str(recipient.path) for recipient in carrier.recipients] == [ALICE]
    assert carrier.recipients[0].parameters.get(ehlo.Notify) is ehlo.Notify.NEVER
    assert len(carrier.parameters) == 0
    assert report.reporting_mta == dsn.Typed("dns", HOSTNAME)
    assert report.envelope_id == "314"
    assert report.arrival == datetime.fromtimestamp(START, UTC)
    assert report.returned == dsn.Returned(ehlo.Ret.FULL, MESSAGE)
    assert f"From: Mail Delivery System <postmaster@{HOSTNAME}>".encode() in octets
    assert f"@{HOSTNAME}>\r\n".encode() in octets


@pytest.mark.parametrize(
    ("original", "ret", "returned"),
    [
        (MESSAGE, None, b"Subject: hand on\r\n"),
        (MESSAGE + b"x" * 100_000, "full", b"Subject: hand on\r\n"),
    ],
    ids=["not asked for", "too long"],
)
def test_a_header_comes_back(original: bytes, ret: str | None, returned: bytes) -> None:
    _, report, _ = written(original, ret=ret)
    assert report.returned == dsn.Returned(ehlo.Ret.HDRS, returned)


def test_a_header_without_end_does_not() -> None:
    assert written(b"x" * 100_000)[1].returned is None


@pytest.mark.clause("RFC8689-5a")
def test_a_report_on_what_required_tls() -> None:
    carrier, report, _ = written(ret="full", parameters=[ehlo.RequireTls()])
    assert carrier.parameters.get(ehlo.RequireTls) is not None
    assert report.returned is not None
    assert report.returned.ret is ehlo.Ret.HDRS


def test_a_sender_in_utf8() -> None:
    carrier, report, octets = written(sender="\u00e5lice@local.example")
    assert str(carrier.recipients[0].path) == "\u00e5lice@local.example"
    assert report.has_failure
    assert "To: <\u00e5lice@local.example>".encode() in octets
