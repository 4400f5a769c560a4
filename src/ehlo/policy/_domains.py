"""Names of ours in policies and facts."""

from __future__ import annotations

from typing import Any

import attrs

from ehlo._errors import LocalProtocolError
from ehlo.wire.address import AddressError, check_domain


def own_domain(_: object, attribute: attrs.Attribute[Any], value: Any) -> None:
    """Validator of a field that holds a name of ours, or None."""
    if value is not None:
        try:
            check_domain(value)
        except AddressError as error:
            raise LocalProtocolError(f"{attribute.name}: {error}") from None
