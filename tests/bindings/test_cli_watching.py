"""What `ehlo serve` shows of itself to whoever runs it."""

from __future__ import annotations

import json
import os
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.bindings.programs import ALICE, BOB, MESSAGE, SENDER, USER, Peer, each_io, one_line, run, serving
from tests.bindings.test_metrics import scraped
from tests.interop.processes import PATIENCE

import ehlo
import ehlo_io
from ehlo_io.cli.watching import WatchArguments

OPEN = "--no-require-auth"


def scraped_until(url: str, condition: Callable[[Any], bool]) -> Any:
    """The end of a session is counted a moment after its client has seen it."""
    end = time.monotonic() + PATIENCE
    while not condition(found := scraped(url)):
        assert time.monotonic() < end, found
        time.sleep(0.02)
    return found


@each_io
def test_metrics_of_a_server(io: str) -> None:
    with serving(*USER, "--allow-cleartext-auth", "--metrics-port", 0, "--io", io) as program:
        assert program.metrics.startswith("http://127.0.0.1:")
        with program.connect(auth=ALICE, allow_cleartext_auth=True) as client:
            client.submit(MESSAGE, sender=SENDER, recipients=[BOB])
            during = scraped(program.metrics)
        after = scraped_until(program.metrics, lambda found: found["ehlo_connections_open"][()] == 0)
        assert program.end() == 0
    assert during["ehlo_connections_open"] == {(): 1.0}
    assert after["ehlo_connections_total"] == {(): 1.0}
    assert list(after["ehlo_messages_total"].values()) == [1.0]
    (labels,) = after["ehlo_auth_attempts_total"]
    assert labels == (("mechanism", "SCRAM-SHA-256"), ("result", "accepted"))
    assert after["ehlo_message_octets_total"][()] >= len(MESSAGE)


def test_metrics_of_a_gateway(server: Peer, tmp_path: Path) -> None:
    secret = tmp_path / "password"
    secret.write_text(ALICE.password if isinstance(ALICE.password, str) else "")
    server.handler.refusals[BOB] = ehlo.Reply(550, "No such user", "5.1.1")
    relay = ("--relay", f"submission://alice@localhost:{server.port}", "--relay-ca", server.ca)
    more = ("--relay-password-file", secret, "--spool", tmp_path / "spool")
    with serving(OPEN, *relay, *more, "--metrics-port", 0) as program:
        with program.connect() as client:
            client.submit(MESSAGE, sender=SENDER, recipients=[BOB, "carol@local.example"])
        # The report makes a second message, and is taken.
        found = scraped_until(
            program.metrics,
            lambda found: (
                sum(found.get("ehlo_relay_deliveries_total", {}).values()) == 3
                and found["ehlo_relay_queue_length"][()] == 0
            ),
        )
        assert program.end() == 0
    assert found["ehlo_relay_deliveries_total"] == {
        (("outcome", "accepted"),): 2.0,
        (("outcome", "refused"),): 1.0,
    }
    assert found["ehlo_relay_reports_total"] == {(): 1.0}
    assert found["ehlo_relay_sessions_open"][()] >= 1


def test_metrics_where_another_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = run("serve", OPEN, "--port", 0, "--metrics-port", port)
    assert one_line(result) == f"no metrics on 127.0.0.1 port {port}: Address already in use"
    assert result.exit_code == 1


def test_metrics_without_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "ehlo_io.metrics", raising=False)
    monkeypatch.delattr(ehlo_io, "metrics", raising=False)
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    result = run("serve", OPEN, "--metrics-port", 0)
    assert one_line(result) == "--metrics-port needs the extra metrics: pip install 'ehlo[metrics]'"


def test_a_folder_for_processes_that_count_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PROMETHEUS_MULTIPROC_DIR", raising=False)
    watch = WatchArguments(metrics_port=0, metrics_host="127.0.0.1")
    with watch.shared(several=True):
        folder = Path(os.environ["PROMETHEUS_MULTIPROC_DIR"])
        assert folder.is_dir()
        with watch.shared(several=True):
            assert os.environ["PROMETHEUS_MULTIPROC_DIR"] == os.fspath(folder)
        assert folder.is_dir()
    assert not folder.exists()
    assert "PROMETHEUS_MULTIPROC_DIR" not in os.environ
    for port, several in ((None, True), (0, False)):
        with WatchArguments(metrics_port=port, metrics_host="127.0.0.1").shared(several=several):
            assert "PROMETHEUS_MULTIPROC_DIR" not in os.environ


# ---- the log ----


@each_io
def test_a_log_in_json(io: str, tmp_path: Path) -> None:
    options = ("--log-format", "json", "--log-level", "debug", "--maildir", tmp_path, "--io", io)
    with serving(*USER, "--allow-cleartext-auth", *options) as program:
        with program.connect(auth=ALICE, allow_cleartext_auth=True) as client:
            client.submit(MESSAGE, sender=SENDER, recipients=[BOB])
        with pytest.raises(ehlo.AuthenticationFailed):
            program.connect(auth=ehlo.Password("alice", "wrong"), allow_cleartext_auth=True)
        assert program.end() == 0
    entries = [json.loads(line) for line in program.err.splitlines()]
    by_event = {entry["event"]: entry for entry in entries if "event" in entry}
    message = by_event["message accepted"]
    assert (message["user"], message["sender"], message["code"]) == ("alice", SENDER, 250)
    assert [path.name for path in (tmp_path / "new").iterdir()] == [message["message"]]
    assert by_event["AUTH accepted"]["session"] == message["session"]
    assert by_event["AUTH refused"]["session"] != message["session"]
    assert by_event["AUTH refused"]["reason"]
    assert {"session opened", "session ended"} <= set(by_event)


def test_a_log_says_no_more_than_it_shall() -> None:
    with serving(OPEN) as program:
        with program.connect() as client:
            client.submit(MESSAGE, sender=SENDER, recipients=[BOB])
        assert program.end() == 0
    assert program.err == ""
    with serving(OPEN, "--log-level", "info") as program:
        with program.connect() as client:
            client.submit(MESSAGE, sender=SENDER, recipients=[BOB])
        assert program.end() == 0
    (line,) = program.err.splitlines()
    assert line.startswith("INFO ehlo_io: message accepted (session with 127.0.0.1): session=")
