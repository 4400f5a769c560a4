"""Envelopes as JSON: what is read is what was written, whatever a client may say."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.bindings.relay.helpers import ALICE, BOB

import ehlo
from ehlo.extensions import UnsupportedParameter
from ehlo_io.relay.envelopes import from_json, to_json

PARAMETERS = [
    ehlo.Size(314),
    ehlo.Body.EIGHT_BIT_MIME,
    ehlo.Body.BINARY_MIME,
    ehlo.Body.SEVEN_BIT,
    ehlo.SmtpUtf8(),
    ehlo.RequireTls(),
    ehlo.Ret.FULL,
    ehlo.Ret.HDRS,
    ehlo.EnvId("a+b=c d"),
    ehlo.AuthParam(None),
    ehlo.AuthParam(ehlo.Mailbox("a b", "local.example"), trusted=True),
    ehlo.MtPriority(3),
]


def through_json(envelope: ehlo.Envelope) -> ehlo.Envelope:
    return from_json(json.loads(json.dumps(to_json(envelope))))


@pytest.mark.clause("RFC3461-5.2.1a")
@pytest.mark.parametrize("parameter", PARAMETERS, ids=repr)
def test_each_parameter_of_a_message(parameter: object) -> None:
    envelope = ehlo.envelope(ALICE, [BOB], parameters=[parameter])
    assert through_json(envelope) == envelope


@pytest.mark.clause("RFC3461-5.2.1a")
@pytest.mark.parametrize(
    "recipient",
    [
        ehlo.recipient(BOB, notify="never"),
        ehlo.recipient(BOB, notify="success,failure,delay", orcpt="B+b=@local.example"),
        ehlo.recipient(BOB, orcpt=ehlo.Orcpt("RFC822", "b@local.example", "RFC822;b@local.example")),
        ehlo.recipient("b\u00f8b@l\u00f8cal.example", notify="failure"),
        ehlo.recipient('"b \\" b"@local.example'),
        ehlo.recipient("bob@[192.0.2.1]"),
        ehlo.Recipient(ehlo.Mailbox("postmaster", "")),
    ],
    ids=str,
)
def test_each_kind_of_recipient(recipient: ehlo.Recipient) -> None:
    envelope = ehlo.Envelope(None, recipients=(recipient,))
    found = through_json(envelope)
    assert found == envelope
    orcpt = recipient.parameters.get(ehlo.Orcpt)
    if orcpt is not None:
        # Byte for byte, also where two spellings are equal.
        (same,) = found.recipients
        assert getattr(same.parameters.get(ehlo.Orcpt), "raw", None) == orcpt.raw


def test_a_message_without_parameters() -> None:
    envelope = ehlo.envelope("", [BOB, ALICE, BOB])
    assert through_json(envelope) == envelope


@pytest.mark.clause("RFC4954-5d")
def test_a_submitter_who_is_not_believed_is_nobody() -> None:
    claimed = ehlo.AuthParam(ehlo.Mailbox("eve", "local.example"))
    found = through_json(ehlo.envelope(ALICE, [BOB], parameters=[claimed]))
    assert found.parameters.get(ehlo.AuthParam) == ehlo.AuthParam(None)


def test_a_parameter_without_a_record_is_refused() -> None:
    envelope = ehlo.envelope(ALICE, [BOB], parameters=["of no extension"])
    with pytest.raises(ValueError, match="no known extension"):
        to_json(envelope)


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"sender": None, "parameters": []},
        {"sender": ["one"], "parameters": [], "recipients": []},
        {"sender": None, "parameters": ["BODY"], "recipients": []},
        {"sender": None, "parameters": ["NONSENSE=1"], "recipients": []},
        {"sender": None, "parameters": [], "recipients": [[None, []]]},
        {"sender": None, "parameters": [], "recipients": [["bob"]]},
        {"sender": None, "parameters": None, "recipients": []},
    ],
    ids=str,
)
def test_what_was_never_written_is_not_read(wrong: dict[str, Any]) -> None:
    with pytest.raises((ValueError, TypeError, LookupError, UnsupportedParameter)):
        from_json(wrong)
