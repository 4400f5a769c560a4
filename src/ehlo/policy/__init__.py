"""Decisions of a submission server as pure functions over facts and events."""

from __future__ import annotations

from ehlo.policy.envelope import (
    BareNewlines,
    SubmissionPolicy,
    check_data,
    check_mail,
    check_rcpt,
)
from ehlo.policy.presets import EXCHANGE, OPEN_TEST, OXSMTP_2008

__all__ = [
    "EXCHANGE",
    "OPEN_TEST",
    "OXSMTP_2008",
    "BareNewlines",
    "SubmissionPolicy",
    "check_data",
    "check_mail",
    "check_rcpt",
]
