"""What a submission server takes in an envelope (RFC 4409 sections 4 to 6, [MS-OXSMTP] 3.2)."""

from __future__ import annotations

from enum import Enum
from typing import Literal

import attrs

from ehlo import _replies as replies
from ehlo._value import Value
from ehlo.extensions import Body
from ehlo.wire.address import ForwardPath, Mailbox, ReversePath
from ehlo.wire.reply import Reply


class BareNewlines(Enum):
    """What becomes of a message that holds a CR or LF outside CRLF."""

    REFUSE = "refuse"
    """Read to its true end, then 554 5.6.0 [SEC-SMUG-in-b]."""
    CLOSE = "close"
    """The same, with 421 and the end of the session: also for one in a command [SEC-SMUG-in-d]."""
    KEEP = "keep"
    """Taken with its octets unchanged [SEC-SMUG-in-c]; never hand such a message on as it is."""


@attrs.frozen(repr=False, eq=False, kw_only=True)
class SubmissionPolicy(Value):
    """One field for each decision; the defaults are the profile's."""

    require_auth: bool = True
    """[OXSMTP-3.2-4.3a] MAIL without authentication is 530. When False, MAIL is never refused for
    want of it [OXSMTP-3.2-4.3b]."""

    require_tls: bool = False
    """[RFC3207-4h] all but EHLO, HELO, NOOP, RSET, STARTTLS and QUIT is 530 until TLS is active."""

    allow_cleartext_auth: bool = False
    """[RFC4954-4y] PLAIN and LOGIN are offered and taken without TLS."""

    require_qualified_domains: bool = True
    """[RFC4409-4.2a] each envelope domain has two labels or is an address literal."""

    rejection_code: Literal[550, 554] = 554
    """[OXSMTP-3.2-4.1a] [OXSMTP-3.2-4.2a] the code for what has no more exact one."""

    trust_submitter: bool = False
    """[RFC4954-5d] an authenticated client is believed what its AUTH= says; else it is as if it were `<>`."""

    legacy_auth_line: bool = False
    """[EXCH-ehlo-d] EHLO has a line `AUTH=...` for very old clients beside the one with a space."""

    auth_prose: bool = False
    """[OXSMTP18-2.2.1a] the first, empty challenge of NTLM and GSSAPI says `334 NTLM supported`. Some
    clients take that for base64 and give up."""

    hello_without_name: bool = False
    """[NTLM-1.7a] EHLO and HELO are taken without an argument."""

    bad_credentials: Reply = replies.AUTH_INVALID
    authentication_required: Reply = replies.AUTH_REQUIRED
    unknown_mechanism: Reply = replies.AUTH_UNKNOWN

    bare_newlines: BareNewlines = BareNewlines.REFUSE

    require_8bitmime: bool = False
    """[RFC5321-2.4e] a message with octets over 127 is refused (554 5.6.1) unless MAIL said so."""


def _is_exempt(path: Mailbox) -> bool:
    # [RFC5321-2.3.5b] postmaster needs no domain; a literal is not an unqualified name.
    return path.is_literal or (path.is_postmaster and not path.domain)


def check_mail(policy: SubmissionPolicy, path: ReversePath, *, utf8: bool = False) -> Reply | None:
    """The refusal of a sender, or None. The null sender is never one [RFC4409-3.2c].

    `utf8`: SMTPUTF8 was declared, so that addresses need not be ASCII [RFC6531-3.2a].
    """
    if path is None:
        return None
    if not utf8 and not path.is_ascii:
        return Reply(550, "Non-ASCII address not permitted", "5.6.7")
    if policy.require_qualified_domains and "." not in path.domain and not _is_exempt(path):
        return Reply(policy.rejection_code, "Sender domain is not fully qualified", "5.1.8")
    return None


def check_rcpt(policy: SubmissionPolicy, path: ForwardPath, *, utf8: bool = False) -> Reply | None:
    """The refusal of a recipient, or None."""
    if not utf8 and not path.is_ascii:
        return Reply(553, "Non-ASCII address not permitted", "5.6.7")
    if policy.require_qualified_domains and "." not in path.domain and not _is_exempt(path):
        return Reply(policy.rejection_code, "Recipient domain is not fully qualified", "5.1.2")
    return None


def check_data(
    policy: SubmissionPolicy, *, bare_newline: bool, eight_bit: bool, declared: Body | None
) -> Reply | None:
    """The refusal of a whole body by what its octets were, or None."""
    if declared is Body.BINARY_MIME:
        # [RFC3030-3d]
        return None
    if bare_newline and policy.bare_newlines is BareNewlines.REFUSE:
        return Reply(554, "Bare newline not allowed", "5.6.0")
    if bare_newline and policy.bare_newlines is BareNewlines.CLOSE:
        return replies.BARE_NEWLINE
    if eight_bit and policy.require_8bitmime and declared is not Body.EIGHT_BIT_MIME:
        return Reply(554, "8-bit data without BODY=8BITMIME", "5.6.1")
    return None
