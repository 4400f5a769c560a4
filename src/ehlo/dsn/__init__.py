"""Delivery status notifications (RFC 3464) as pure functions: whom to report on, the report, its octets.

    fates = reports_wanted(envelope, outcomes, Attempt(remote_mta="mx.example"))
    if fates:
        report = Report.of(envelope, fates, reporting_mta="mail.example").returning(message, ret=ret)
        octets = build(report, header)
        send(report_envelope(envelope), octets)

`parse` reads reports of any mail system back into the same values. Nothing here knows a clock or
randomness: dates, the Message-ID and the boundary are arguments.
"""

from __future__ import annotations

from ehlo.dsn._build import Header, build
from ehlo.dsn._parse import parse
from ehlo.dsn._values import (
    Action,
    RecipientReport,
    Report,
    ReportError,
    Returned,
    Typed,
)
from ehlo.dsn._wanted import Attempt, is_wanted, report_envelope, reports_wanted

__all__ = [
    "Action",
    "Attempt",
    "Header",
    "RecipientReport",
    "Report",
    "ReportError",
    "Returned",
    "Typed",
    "build",
    "is_wanted",
    "parse",
    "report_envelope",
    "reports_wanted",
]
