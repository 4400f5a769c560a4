"""Named policies."""

from __future__ import annotations

from typing import Final

from ehlo.policy.envelope import SubmissionPolicy
from ehlo.wire.reply import Reply

OXSMTP_2008: Final = SubmissionPolicy()
"""[MS-OXSMTP] of 2008 with RFC 4409: each SHOULD of its server table is on [OXSMTP-A-a]."""

EXCHANGE: Final = SubmissionPolicy(
    legacy_auth_line=True,
    auth_prose=True,
    hello_without_name=True,
    reply_hostname=True,
    bad_credentials=Reply(535, "Authentication unsuccessful", "5.7.3"),
    authentication_required=Reply(
        530, "Client was not authenticated to send anonymous mail during MAIL FROM", "5.7.57"
    ),
    unknown_mechanism=Reply(504, "Unrecognized authentication type", "5.7.4"),
)
"""The profile as Microsoft's own servers speak it: their replies and their leniences [EXCH-reply-a,
EXCH-reply-b, EXCH-reply-c, EXCH-reply-d]."""

RFC6409_STRICT: Final = SubmissionPolicy(
    require_tls=True,
    require_return_path=True,
    enforce_submission_rights=True,
    require_8bitmime=True,
)
"""RFC 6409 with all that it lets a server demand of envelopes: TLS (RFC 8314), a return path, senders that
are the user's own [RFC4409-6.1a], and 8-bit content that is declared [RFC5321-2.4e]."""

OPEN_TEST: Final = SubmissionPolicy(
    require_auth=False,
    allow_cleartext_auth=True,
    require_qualified_domains=False,
)
"""Takes mail from anybody: for tests on a loopback address, never for a network."""
