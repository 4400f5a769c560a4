"""The gateway is killed again and again and loses nothing; `python -m tests.crash.relay` is the long form."""

import pytest
from tests.crash.relay import Plan, run


@pytest.mark.parametrize("workers", [1, 2])
def test_killed_by_sigkill(workers: int) -> None:
    report = run(Plan(messages=60, every=0.4, pause=0.15, workers=workers))
    report.check()
    assert report.kills >= 3
    assert report.accepted >= 60
