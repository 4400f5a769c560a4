"""What next: flows over connections, as generators of actions for a binding to perform.

A client runs `open_session`, then `submit` for each message, then `close`; a server runs `serve`
for each connection. The rules between a flow and its binding are in `ehlo.flows.actions`.
"""

from __future__ import annotations

from ehlo._lazy import lazily

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ehlo.flows._close import close
    from ehlo.flows._crowd import Crowd
    from ehlo.flows._fixups import Fixups
    from ehlo.flows._many import Delivery, submit_many
    from ehlo.flows._open import open_session
    from ehlo.flows._proxied import UNIX_PEER, TrustedProxies
    from ehlo.flows._service import serve
    from ehlo.flows._still_open import still_open
    from ehlo.flows._submit import Submission, submit
    from ehlo.flows.actions import (
        Action,
        Ask,
        Close,
        Exchange,
        Flow,
        Poll,
        ReadBody,
        Receive,
        Send,
        Shutdown,
        StartTLS,
    )
    from ehlo.flows.arguments import (
        SUBMISSION_PORT,
        SUBMISSIONS_PORT,
        AnyNotify,
        AnyRecipient,
        client_name,
        envelope,
        recipient,
        takes_eight_bit,
        tls_mode,
    )
    from ehlo.flows.facts import (
        Answered,
        AuthEnded,
        Ending,
        Fact,
        MessageEnded,
        Observe,
        ProtocolFault,
        SessionEnded,
        SessionOpened,
        SessionRefused,
        TlsFailed,
        TlsStarted,
    )
    from ehlo.flows.handler import HOOKS, Hooks, Session, hooks_of, mechanisms_of
    from ehlo.flows.options import HostFacts, Notice, Opened, SessionOptions, TlsMode
    from ehlo.flows.results import Outcome, SubmissionResult
    from ehlo.wire.text import has_bare_newline, may_be_eight_bit

__all__ = [
    "HOOKS",
    "SUBMISSIONS_PORT",
    "SUBMISSION_PORT",
    "UNIX_PEER",
    "Action",
    "Answered",
    "AnyNotify",
    "AnyRecipient",
    "Ask",
    "AuthEnded",
    "Close",
    "Crowd",
    "Delivery",
    "Ending",
    "Exchange",
    "Fact",
    "Fixups",
    "Flow",
    "Hooks",
    "HostFacts",
    "MessageEnded",
    "Notice",
    "Observe",
    "Opened",
    "Outcome",
    "Poll",
    "ProtocolFault",
    "ReadBody",
    "Receive",
    "Send",
    "Session",
    "SessionEnded",
    "SessionOpened",
    "SessionOptions",
    "SessionRefused",
    "Shutdown",
    "StartTLS",
    "Submission",
    "SubmissionResult",
    "TlsFailed",
    "TlsMode",
    "TlsStarted",
    "TrustedProxies",
    "client_name",
    "close",
    "envelope",
    "has_bare_newline",
    "hooks_of",
    "may_be_eight_bit",
    "mechanisms_of",
    "open_session",
    "recipient",
    "serve",
    "still_open",
    "submit",
    "submit_many",
    "takes_eight_bit",
    "tls_mode",
]

lazily(
    __name__,
    {
        "ehlo.flows.actions": """
            Action Ask Close Exchange Flow Poll ReadBody Receive Send Shutdown StartTLS
        """,
        "ehlo.flows.arguments": """
            SUBMISSION_PORT SUBMISSIONS_PORT AnyNotify AnyRecipient client_name envelope recipient
            takes_eight_bit tls_mode
        """,
        "ehlo.flows._close": """
            close
        """,
        "ehlo.flows._crowd": """
            Crowd
        """,
        "ehlo.flows.facts": """
            Answered AuthEnded Ending Fact MessageEnded Observe ProtocolFault SessionEnded SessionOpened
            SessionRefused TlsFailed TlsStarted
        """,
        "ehlo.flows._fixups": """
            Fixups
        """,
        "ehlo.flows.handler": """
            HOOKS Hooks Session hooks_of mechanisms_of
        """,
        "ehlo.flows._open": """
            open_session
        """,
        "ehlo.flows.options": """
            HostFacts Notice Opened SessionOptions TlsMode
        """,
        "ehlo.flows._proxied": """
            UNIX_PEER TrustedProxies
        """,
        "ehlo.flows.results": """
            Outcome SubmissionResult
        """,
        "ehlo.flows._service": """
            serve
        """,
        "ehlo.flows._still_open": """
            still_open
        """,
        "ehlo.flows._many": """
            Delivery submit_many
        """,
        "ehlo.flows._submit": """
            Submission submit
        """,
        "ehlo.wire.text": """
            has_bare_newline may_be_eight_bit
        """,
    },
)
