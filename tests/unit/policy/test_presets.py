from __future__ import annotations

import attrs
import pytest

from ehlo.policy import OPEN_TEST, OXSMTP_2008, SubmissionPolicy


@pytest.mark.clause("OXSMTP-A-a")
def test_the_profile_is_the_default() -> None:
    assert SubmissionPolicy() == OXSMTP_2008


@pytest.mark.clause("OXSMTP-A-b")
def test_what_the_profile_leaves_open_is_off() -> None:
    profile = OXSMTP_2008
    open_to_choice = (
        profile.trust_submitter,
        profile.legacy_auth_line,
        profile.auth_prose,
        profile.hello_without_name,
        profile.allow_cleartext_auth,
    )
    assert not any(open_to_choice)
    assert profile.rejection_code == 554


def test_the_open_policy_still_refuses_bare_newlines() -> None:
    expected = attrs.evolve(
        OXSMTP_2008, require_auth=False, allow_cleartext_auth=True, require_qualified_domains=False
    )
    assert expected == OPEN_TEST
