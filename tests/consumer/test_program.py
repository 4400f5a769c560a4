"""The program of the wheel runs here, too: on each version, and from the sources."""

import pytest
from tests.consumer import program


def test_it_runs(capsys: pytest.CaptureFixture[str]) -> None:
    program.main()
    assert capsys.readouterr().out == "consumer: ok\n"
