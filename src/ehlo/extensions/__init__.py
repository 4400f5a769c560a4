"""Service extensions: one record each, and the tuple that both connections start from."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from ehlo._lazy import lazily
from ehlo.extensions._base import (
    NO_PARAMETERS,
    Extension,
    OfferFacts,
    Param,
    Parameters,
    SendFacts,
    UnsupportedParameter,
    by_type,
    parameter_specs,
    parse_parameters,
    render_parameters,
)
from ehlo.extensions.auth import AUTH, AuthParam
from ehlo.extensions.capabilities import Capabilities
from ehlo.extensions.dsn import DSN, EnvId, Notify, Orcpt, Ret
from ehlo.extensions.flags import REQUIRETLS, SMTPUTF8, RequireTls, SmtpUtf8
from ehlo.extensions.simple import (
    BINARY_MIME,
    CHUNKING,
    EIGHT_BIT_MIME,
    ENHANCED_STATUS_CODES,
    PIPELINING,
    SIZE,
    STARTTLS,
    Body,
    Size,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ehlo.extensions.burl_offer import BURL, BurlSources, burl
    from ehlo.extensions.deliverby import DELIVERBY, ByMode, DeliverBy, deliver_by
    from ehlo.extensions.every import EVERY
    from ehlo.extensions.futurerelease import FUTURERELEASE, HoldFor, HoldLimits, HoldUntil, future_release
    from ehlo.extensions.limits import LIMITS, SessionLimits, session_limits
    from ehlo.extensions.priority import MT_PRIORITY, MtPriority, PriorityProfile, mt_priority
    from ehlo.extensions.rrvs import RRVS, Rrvs, RrvsAction
    from ehlo.extensions.solicit import NO_SOLICITING, Solicit, no_soliciting
    from ehlo.extensions.submitter import SUBMITTER, Submitter
    from ehlo.extensions.tracking import MTRK, Mtrk
    from ehlo.extensions.xclient_command import XCLIENT, Unavailable, XClient, xclient

STANDARD: Final[tuple[Extension, ...]] = (
    PIPELINING,
    SIZE,
    STARTTLS,
    AUTH,
    ENHANCED_STATUS_CODES,
    EIGHT_BIT_MIME,
    DSN,
    CHUNKING,
    SMTPUTF8,
)
"""What a server offers by default, in the order of the EHLO reply."""
_STANDARD_KEYWORDS: Final = frozenset(extension.keyword for extension in STANDARD)


def understood(keywords: Iterable[str]) -> tuple[Extension, ...]:
    """What is known of extensions with such keywords: the records that are not standard are loaded for
    those who meet one of theirs."""
    if _STANDARD_KEYWORDS.issuperset(keywords):
        return STANDARD
    from ehlo.extensions.every import EVERY as found  # noqa: PLC0415

    return found


__all__ = [
    "AUTH",
    "BINARY_MIME",
    "BURL",
    "CHUNKING",
    "DELIVERBY",
    "DSN",
    "EIGHT_BIT_MIME",
    "ENHANCED_STATUS_CODES",
    "EVERY",
    "FUTURERELEASE",
    "LIMITS",
    "MTRK",
    "MT_PRIORITY",
    "NO_PARAMETERS",
    "NO_SOLICITING",
    "PIPELINING",
    "REQUIRETLS",
    "RRVS",
    "SIZE",
    "SMTPUTF8",
    "STANDARD",
    "STARTTLS",
    "SUBMITTER",
    "XCLIENT",
    "AuthParam",
    "Body",
    "BurlSources",
    "ByMode",
    "Capabilities",
    "DeliverBy",
    "EnvId",
    "Extension",
    "HoldFor",
    "HoldLimits",
    "HoldUntil",
    "MtPriority",
    "Mtrk",
    "Notify",
    "OfferFacts",
    "Orcpt",
    "Param",
    "Parameters",
    "PriorityProfile",
    "RequireTls",
    "Ret",
    "Rrvs",
    "RrvsAction",
    "SendFacts",
    "SessionLimits",
    "Size",
    "SmtpUtf8",
    "Solicit",
    "Submitter",
    "Unavailable",
    "UnsupportedParameter",
    "XClient",
    "burl",
    "by_type",
    "deliver_by",
    "future_release",
    "mt_priority",
    "no_soliciting",
    "parameter_specs",
    "parse_parameters",
    "render_parameters",
    "session_limits",
    "understood",
    "xclient",
]

# Those that are not standard are loaded when they are first asked for.
lazily(
    __name__,
    {
        "ehlo.extensions.burl_offer": """
            BURL BurlSources burl
        """,
        "ehlo.extensions.deliverby": """
            DELIVERBY ByMode DeliverBy deliver_by
        """,
        "ehlo.extensions.every": """
            EVERY
        """,
        "ehlo.extensions.futurerelease": """
            FUTURERELEASE HoldFor HoldLimits HoldUntil future_release
        """,
        "ehlo.extensions.limits": """
            LIMITS SessionLimits session_limits
        """,
        "ehlo.extensions.priority": """
            MT_PRIORITY MtPriority PriorityProfile mt_priority
        """,
        "ehlo.extensions.rrvs": """
            RRVS Rrvs RrvsAction
        """,
        "ehlo.extensions.solicit": """
            NO_SOLICITING Solicit no_soliciting
        """,
        "ehlo.extensions.submitter": """
            SUBMITTER Submitter
        """,
        "ehlo.extensions.tracking": """
            MTRK Mtrk
        """,
        "ehlo.extensions.xclient_command": """
            XCLIENT Unavailable XClient xclient
        """,
    },
)
