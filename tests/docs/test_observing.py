"""docs/observing.md says what there is."""

from __future__ import annotations

import contextlib
import io
import re
from pathlib import Path

import prometheus_client
import pytest
from click.testing import CliRunner

import ehlo
import ehlo_io.metrics
from ehlo import flows
from ehlo.testing import ScriptedClient
from ehlo.testing import run as play
from ehlo_io.cli import main

PAGE = (Path(__file__).parents[2] / "docs" / "observing.md").read_text()
SNIPPETS = dict(re.findall(r"<!-- run: (\w+) -->\n```python\n(.*?)```", PAGE, re.S))


def test_every_snippet_is_run_here() -> None:
    assert set(SNIPPETS) == {"metrics", "observer"}
    assert PAGE.count("```python") == len(SNIPPETS)


def test_each_counter_is_named() -> None:
    registry = prometheus_client.CollectorRegistry()
    ehlo_io.metrics.Metrics(registry)
    ehlo_io.metrics.RelayMetrics(registry)
    there = set()
    for family in registry.collect():
        there.add(f"{family.name}_total" if family.type == "counter" else family.name)
    assert set(re.findall(r"`(ehlo_[a-z_]+)`", PAGE)) - {"ehlo_io"} == there


def test_each_option_is_one() -> None:
    help_text = CliRunner().invoke(main, ["serve", "--help"]).output
    options = set(re.findall(r"--[a-z][a-z-]+", PAGE))
    assert len(options) == 5
    for option in options:
        assert option in help_text


def test_metrics(monkeypatch: pytest.MonkeyPatch) -> None:
    # The snippet counts in the one registry of the process.
    registry = prometheus_client.CollectorRegistry()
    monkeypatch.setattr(ehlo_io.metrics.Metrics.__init__, "__defaults__", (registry,))
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        exec(SNIPPETS["metrics"], {})  # noqa: S102 (our own page)
    assert re.match(r"http://127\.0\.0\.1:\d+/metrics \('127\.0\.0\.1', \d+\)", output.getvalue())


def test_observer(capsys: pytest.CaptureFixture[str]) -> None:
    names: dict[str, flows.Observe] = {}
    exec(SNIPPETS["observer"], names)  # noqa: S102
    conn = ehlo.ServerConnection(ehlo.ServerConfig(hostname="mail.example", policy=ehlo.OPEN_TEST))
    script = (
        "S: 220...\nC: HELO a.example\nS: 250...\nC: MAIL FROM:<a@x.org>\nS: 250...\n"
        "C: RCPT TO:<b@x.org>\nS: 250...\nC: DATA\nS: 354...\nC: hello\nC: .\nS: 250...\nC: QUIT\nS: 221...\n"
    )
    flow = flows.serve(conn, flows.hooks_of(object()), peer="192.0.2.1", observe=names["observe"])
    play(flow, ScriptedClient(script))
    assert capsys.readouterr().out == "192.0.2.1 1 of 1 recipients, 7 octets\n192.0.2.1 quit\n"
