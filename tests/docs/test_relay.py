"""docs/relay.md names options that there are; tests/interop runs its configuration of HAProxy."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

from ehlo_io.cli.serve import serve
from ehlo_io.relay.queue import Retry

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "relay.md").read_text("utf-8")


def test_each_option_is_one() -> None:
    known = {name for parameter in serve.params for name in parameter.opts}
    named = set(re.findall(r"--[a-z][a-z-]+", PAGE)) - {"--server"}
    assert named <= known
    assert {name for name in known if name.startswith("--relay")} <= named


def test_the_times_are_those_of_the_program() -> None:
    plain = Retry()
    assert "after one minute" in PAGE
    assert "up to 30 minutes" in PAGE
    assert "After 4 hours" in PAGE
    assert "after 5 days" in PAGE
    assert (plain.first, plain.most, plain.warn_after, plain.give_up_after) == (60, 1800, 14400, 432000)
    defaults = {parameter.name: parameter.default for parameter in serve.params}
    assert (defaults["relay_retry"], defaults["relay_warn"], defaults["relay_give_up"]) == ("1m", "4h", "5d")


def test_the_program_that_tries_it_is_there() -> None:
    (module,) = set(re.findall(r"python -m (\S+?)`", PAGE))
    assert callable(importlib.import_module(module).main)
