"""What the tests of abuse share."""

from __future__ import annotations

import pytest
import trustme


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    """Vouches for servers that nobody meets, or not by their name."""
    return trustme.CA()
