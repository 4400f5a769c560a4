"""Decisions of a submission server as pure functions over facts and events.

What is about messages, and not about envelopes, is imported when it is first asked for.
"""

from __future__ import annotations

from ehlo._lazy import lazily
from ehlo.policy.envelope import (
    BareNewlines,
    SubmissionPolicy,
    check_data,
    check_mail,
    check_rcpt,
    completed,
)
from ehlo.policy.presets import EXCHANGE, OPEN_TEST, OXSMTP_2008, RFC6409_STRICT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ehlo.policy.convert import ConversionError, to_eight_bit, to_seven_bit
    from ehlo.policy.message import Fixup, MessageFixer, MessagePolicy
    from ehlo.policy.needs import MessageNeed, NeedScanner, needs_of
    from ehlo.policy.rights import SenderRights, owns
    from ehlo.policy.trace import MessageFacts
    from ehlo.policy.trust import Network, networks_of, trusted

__all__ = [
    "EXCHANGE",
    "OPEN_TEST",
    "OXSMTP_2008",
    "RFC6409_STRICT",
    "BareNewlines",
    "ConversionError",
    "Fixup",
    "MessageFacts",
    "MessageFixer",
    "MessageNeed",
    "MessagePolicy",
    "NeedScanner",
    "Network",
    "SenderRights",
    "SubmissionPolicy",
    "check_data",
    "check_mail",
    "check_rcpt",
    "completed",
    "needs_of",
    "networks_of",
    "owns",
    "to_eight_bit",
    "to_seven_bit",
    "trusted",
]

lazily(
    __name__,
    {
        "ehlo.policy.convert": "ConversionError to_eight_bit to_seven_bit",
        "ehlo.policy.message": "Fixup MessageFixer MessagePolicy",
        "ehlo.policy.needs": "MessageNeed NeedScanner needs_of",
        "ehlo.policy.rights": "SenderRights owns",
        "ehlo.policy.trace": "MessageFacts",
        "ehlo.policy.trust": "Network networks_of trusted",
    },
)
