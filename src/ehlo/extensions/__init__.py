"""Service extensions: one record each, and the tuple that both connections start from."""

from __future__ import annotations

from typing import Final

from ehlo.extensions._base import (
    NO_PARAMETERS,
    Extension,
    OfferFacts,
    Param,
    Parameters,
    UnsupportedParameter,
    by_type,
    parameter_specs,
    parse_parameters,
    render_parameters,
)
from ehlo.extensions.auth import AUTH, AuthParam
from ehlo.extensions.capabilities import Capabilities
from ehlo.extensions.dsn import DSN, EnvId, Notify, Orcpt, Ret
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

STANDARD: Final[tuple[Extension, ...]] = (
    PIPELINING,
    SIZE,
    STARTTLS,
    AUTH,
    ENHANCED_STATUS_CODES,
    EIGHT_BIT_MIME,
    DSN,
    CHUNKING,
)
"""What a server offers by default, in the order of the EHLO reply."""
EVERY: Final[tuple[Extension, ...]] = (*STANDARD, BINARY_MIME)
"""What a client understands, and a server may offer."""

__all__ = [
    "AUTH",
    "BINARY_MIME",
    "CHUNKING",
    "DSN",
    "EIGHT_BIT_MIME",
    "ENHANCED_STATUS_CODES",
    "EVERY",
    "NO_PARAMETERS",
    "PIPELINING",
    "SIZE",
    "STANDARD",
    "STARTTLS",
    "AuthParam",
    "Body",
    "Capabilities",
    "EnvId",
    "Extension",
    "Notify",
    "OfferFacts",
    "Orcpt",
    "Param",
    "Parameters",
    "Ret",
    "Size",
    "UnsupportedParameter",
    "by_type",
    "parameter_specs",
    "parse_parameters",
    "render_parameters",
]
