"""The gateway is killed again and again and loses nothing; `python -m tests.crash.relay` is the long form."""

from tests.crash.relay import Plan, run


def test_killed_by_sigkill() -> None:
    report = run(Plan(messages=60, every=0.4, pause=0.15))
    report.check()
    assert report.kills >= 3
    assert report.accepted >= 60
