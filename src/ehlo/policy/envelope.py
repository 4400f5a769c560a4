"""What a submission server takes in an envelope (RFC 4409 sections 3 to 6, [MS-OXSMTP] 3.2).

What is not here: the rows of the server table on ports, mechanisms and extensions (3.1, 3.2, 3.3 and 7) are
the binding's and `ehlo.ServerConfig`'s, how much of something a client may have is in `ehlo.Limits`, what
is asked of a message in `MessagePolicy`, and permissions that only the application knows are the decisions
of its hooks [RFC4409-6.2a] [RFC4409-6.3a]. An address that breaks the grammar is 501 whatever the policy
says [RFC4409-5.1c], and the null sender alone is no reason to refuse [RFC4409-3.2c].
"""

from __future__ import annotations

from enum import Enum
from typing import Literal

import attrs

from ehlo import _replies as replies
from ehlo._value import Value
from ehlo.extensions import Body
from ehlo.policy._domains import own_domain
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
    """One field for each decision; the defaults are the profile's: each SHOULD of its server table is on,
    what is a MAY is off [OXSMTP-A-b]. Raises LocalProtocolError for a `qualify_with` that is no domain."""

    require_auth: bool = True
    """[OXSMTP-3.2-4.3a] MAIL without authentication is 530. When False, MAIL is never refused for
    want of it [OXSMTP-3.2-4.3b]."""

    postmaster_without_auth: bool = False
    """[RFC4409-6.4a] with `require_auth` MAIL is taken from anybody, and RCPT for `postmaster`, without a
    domain or at the server's own name; every other recipient is 530."""

    require_tls: bool = False
    """[RFC3207-4h] all but EHLO, HELO, NOOP, RSET, STARTTLS and QUIT is 530 until TLS is active."""

    allow_cleartext_auth: bool = False
    """[RFC4954-4y] PLAIN and LOGIN are offered and taken without TLS."""

    require_qualified_domains: bool = True
    """[RFC4409-4.2a] each envelope domain has two labels or is an address literal."""

    qualify_with: str | None = attrs.field(default=None, validator=own_domain)
    """[RFC4409-4.2a] the domain that completes one of a single label in the envelope: `user@host` is
    `user@host.domain`. Those of several labels are whole, or refused [RFC4409-4.2c]."""

    require_return_path: bool = False
    """[RFC4409-3.2b] the null sender is 550 5.1.7 from a client that did not authenticate, for then nobody
    is known who could be told of a failure. With `require_auth` MAIL is refused before that."""

    enforce_submission_rights: bool = False
    """[RFC4409-6.1a] an authenticated client may only send as what is its own, else MAIL is
    `sender_not_permitted`. The hook `on_sender` decides; without it an identity owns the address that it is
    itself. The null sender is everybody's."""

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

    reply_hostname: bool = False
    """[EXCH-reply-d] what the engine refuses ends in the server's name in brackets, to be found in its
    logs."""

    bad_credentials: Reply = replies.AUTH_INVALID
    authentication_required: Reply = replies.AUTH_REQUIRED
    unknown_mechanism: Reply = replies.AUTH_UNKNOWN
    sender_not_permitted: Reply = replies.SENDER_NOT_PERMITTED
    """[RFC4409-6.1a]"""

    bare_newlines: BareNewlines = BareNewlines.REFUSE

    require_8bitmime: bool = False
    """[RFC5321-2.4e] a message with octets over 127 is refused (554 5.6.1) unless MAIL said so."""


def _is_exempt(path: Mailbox) -> bool:
    # [RFC5321-2.3.5b] postmaster needs no domain; a literal is not an unqualified name.
    return path.is_literal or (path.is_postmaster and not path.domain)


def completed(policy: SubmissionPolicy, path: Mailbox) -> Mailbox:
    """The path with the domain that local policy gives to a single label [RFC4409-4.2a]."""
    if policy.qualify_with is None or "." in path.domain or _is_exempt(path):
        return path
    return Mailbox(path.local, f"{path.domain}.{policy.qualify_with}")


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
