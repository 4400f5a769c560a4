"""What next: flows over connections, as generators of actions for a binding to perform.

A client runs `open_session`, then `submit` for each message, then `close`; a server runs `serve`
for each connection. The rules between a flow and its binding are in `ehlo.flows.actions`.
"""

from __future__ import annotations

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
from ehlo.flows.close import close
from ehlo.flows.handler import HOOKS, Hooks, Session, hooks_of, mechanisms_of
from ehlo.flows.open import SessionOptions, TlsMode, open_session
from ehlo.flows.results import Outcome, SubmissionResult
from ehlo.flows.serve import serve
from ehlo.flows.submit import Submission, submit
from ehlo.wire.dot import has_bare_newline

__all__ = [
    "HOOKS",
    "SUBMISSIONS_PORT",
    "SUBMISSION_PORT",
    "Action",
    "AnyNotify",
    "AnyRecipient",
    "Ask",
    "Close",
    "Exchange",
    "Flow",
    "Hooks",
    "Outcome",
    "Poll",
    "ReadBody",
    "Receive",
    "Send",
    "Session",
    "SessionOptions",
    "Shutdown",
    "StartTLS",
    "Submission",
    "SubmissionResult",
    "TlsMode",
    "client_name",
    "close",
    "envelope",
    "has_bare_newline",
    "hooks_of",
    "mechanisms_of",
    "open_session",
    "recipient",
    "serve",
    "submit",
    "takes_eight_bit",
    "tls_mode",
]
