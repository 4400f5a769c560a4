"""All extensions that there is a record for."""

from __future__ import annotations

from typing import Final

from ehlo.extensions import BINARY_MIME, REQUIRETLS, STANDARD
from ehlo.extensions._base import Extension
from ehlo.extensions.burl_offer import BURL
from ehlo.extensions.deliverby import DELIVERBY
from ehlo.extensions.futurerelease import FUTURERELEASE
from ehlo.extensions.limits import LIMITS
from ehlo.extensions.priority import MT_PRIORITY
from ehlo.extensions.rrvs import RRVS
from ehlo.extensions.solicit import NO_SOLICITING
from ehlo.extensions.submitter import SUBMITTER
from ehlo.extensions.tracking import MTRK
from ehlo.extensions.xclient_command import XCLIENT

EVERY: Final[tuple[Extension, ...]] = (
    *STANDARD,
    BINARY_MIME,
    REQUIRETLS,
    DELIVERBY,
    FUTURERELEASE,
    MT_PRIORITY,
    LIMITS,
    NO_SOLICITING,
    MTRK,
    SUBMITTER,
    RRVS,
    BURL,
    XCLIENT,
)
"""What a client understands. A server takes from here what it means to keep, and no more."""
