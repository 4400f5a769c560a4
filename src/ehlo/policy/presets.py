"""Named policies."""

from __future__ import annotations

from typing import Final

from ehlo.policy.envelope import SubmissionPolicy

OXSMTP_2008: Final = SubmissionPolicy()
"""[MS-OXSMTP] of 2008 with RFC 4409: each SHOULD of its server table is on [OXSMTP-A-a]."""

OPEN_TEST: Final = SubmissionPolicy(
    require_auth=False,
    allow_cleartext_auth=True,
    require_qualified_domains=False,
)
"""Takes mail from anybody: for tests on a loopback address, never for a network."""
