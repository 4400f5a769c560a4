"""Counters for Prometheus: what is counted, under which labels, and how it is read."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
import urllib.request
from collections.abc import Callable
from pathlib import Path

import attrs
import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families
from tests.interop.processes import PATIENCE, python_environment

import ehlo
from ehlo import flows
from ehlo.testing import ScriptedClient
from ehlo.testing import run as play
from ehlo_io.metrics import Metrics, RelayMetrics, enhanced_label, new_registry, serve_metrics

CONFIG = ehlo.ServerConfig(hostname="mail.example", policy=ehlo.OPEN_TEST)
HELLO = "S: 220...\nC: EHLO a.example\n" + "S: 250-...\n" * 7 + "S: 250 ...\n"


def scraped(url: str) -> dict[str, dict[tuple[tuple[str, str], ...], float]]:
    """Each sample, by its name and its labels."""
    with urllib.request.urlopen(url, timeout=PATIENCE) as answer:  # noqa: S310 (our own)
        text = answer.read().decode()
    found: dict[str, dict[tuple[tuple[str, str], ...], float]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found.setdefault(sample.name, {})[tuple(sorted(sample.labels.items()))] = sample.value
    return found


@attrs.define
class Counted:
    registry: CollectorRegistry

    def __call__(self, name: str, **labels: str) -> float:
        return self.registry.get_sample_value(f"ehlo_{name}", labels) or 0.0


@pytest.fixture
def counted() -> Counted:
    return Counted(CollectorRegistry())


def session(
    counted: Counted, script: str, handler: object = None, config: ehlo.ServerConfig = CONFIG
) -> None:
    conn = ehlo.ServerConnection(config)
    flow = flows.serve(conn, flows.hooks_of(handler), peer="192.0.2.1", observe=Metrics(counted.registry))
    play(flow, ScriptedClient(script))


class Choosy:
    def on_rcpt(self, session: object, path: object, parameters: object) -> ehlo.Reply | None:
        return ehlo.Reply(550, "No such user", "5.1.1") if str(path).startswith("bad") else None


def test_a_session(counted: Counted) -> None:
    script = (
        f"{HELLO}C: MAIL FROM:<a@x.org>\nS: 250...\nC: RCPT TO:<bad@x.org>\nS: 550...\n"
        "C: RCPT TO:<b@x.org>\nS: 250...\nC: DATA\nS: 354...\nC: hello\nC: .\nS: 250...\n"
        "C: WHAT\nS: 500...\nC: QUIT\nS: 221...\n"
    )
    session(counted, script, Choosy())
    assert counted("connections_total") == 1
    assert counted("connections_open") == 0
    assert counted("sessions_ended_total", ending="quit") == 1
    assert counted("session_seconds_count") == 1
    assert counted("recipients_total", reply_class="2yz", enhanced="2.1.5") == 1
    assert counted("recipients_total", reply_class="5yz", enhanced="5.1.1") == 1
    assert counted("messages_total", reply_class="2yz", enhanced="2.0.0") == 1
    assert counted("message_octets_total") == 7
    assert counted("commands_total", verb="MAIL", reply_class="2yz") == 1
    assert counted("commands_total", verb="no command", reply_class="5yz") == 1
    assert counted("protocol_errors_total") == 0


def test_a_refused_message_has_no_octets(counted: Counted) -> None:
    class Refusing:
        def on_message(self, session: object, envelope: object, content: object) -> ehlo.Reply:
            return ehlo.Reply(451, "Later", "4.3.0")

    script = (
        f"{HELLO}C: MAIL FROM:<a@x.org>\nS: 250...\nC: RCPT TO:<b@x.org>\nS: 250...\n"
        "C: DATA\nS: 354...\nC: hello\nC: .\nS: 451...\nC: QUIT\nS: 221...\n"
    )
    session(counted, script, Refusing())
    assert counted("messages_total", reply_class="4yz", enhanced="4.3.0") == 1
    assert counted("message_octets_total") == 0


@pytest.fixture
def metrics(counted: Counted) -> Callable[[flows.Fact], None]:
    observe, about = Metrics(counted.registry), ehlo.Session(ehlo.ServerConnection(CONFIG), "192.0.2.1")
    return lambda fact: observe(about, fact)


def test_tls_auth_and_who_is_turned_away(counted: Counted, metrics: Callable[[flows.Fact], None]) -> None:
    for fact in (
        flows.SessionOpened(),
        flows.TlsStarted(ehlo.TLSInfo(version="TLSv1.3", cipher="X")),
        flows.TlsFailed("no"),
        flows.AuthEnded("PLAIN", ehlo.Reply(235, "Yes")),
        flows.AuthEnded("PLAIN", ehlo.Reply(535, "No")),
        flows.AuthEnded(None, ehlo.Reply(454, "Later")),
        flows.ProtocolFault("plaintext"),
        flows.SessionRefused(ehlo.Reply(421, "Full", "4.3.2")),
        flows.SessionRefused(None),
    ):
        metrics(fact)
    assert counted("connections_open") == 1
    assert counted("tls_handshakes_total", version="TLSv1.3") == 1
    assert counted("tls_failures_total") == 1
    assert counted("auth_attempts_total", mechanism="PLAIN", result="accepted") == 1
    assert counted("auth_attempts_total", mechanism="PLAIN", result="refused") == 1
    assert counted("auth_attempts_total", mechanism="other", result="put off") == 1
    assert counted("protocol_errors_total") == 1
    assert counted("connections_refused_total", enhanced="4.3.2") == 1
    assert counted("connections_refused_total", enhanced="none") == 1
    metrics(flows.SessionEnded(flows.Ending.LOST))
    assert counted("connections_open") == 0


@pytest.mark.parametrize(
    ("enhanced", "label"),
    [
        ("5.1.1", "5.1.1"),
        ("4.7.30", "4.7.30"),
        ("4.7.31", "4.other"),
        ("5.999.999", "5.other"),
        ("2.0.0", "2.0.0"),
        (None, "none"),
    ],
)
def test_codes_that_nobody_listed_share_a_label(enhanced: str | None, label: str) -> None:
    code = 250 if enhanced is None else int(enhanced[0]) * 100 + 50
    assert enhanced_label(ehlo.Reply(code, "text", enhanced)) == label


def test_no_label_is_what_a_client_says(counted: Counted) -> None:
    words = [f"WORD{number}" for number in range(9)]
    lines = "".join(f"C: {word}\nS: 500...\nC: AUTH {word}\nS: 50...\n" for word in words)
    session(counted, f"{HELLO}{lines}C: QUIT\nS: 221...\n")
    samples = [sample for family in counted.registry.collect() for sample in family.samples]
    assert samples
    assert "WORD" not in str(samples)
    assert counted("commands_total", verb="no command", reply_class="5yz") == len(words)


def test_the_gateway(counted: Counted) -> None:
    tally = RelayMetrics(counted.registry)
    tally.queue(3)
    tally.sessions(2)
    tally.reported()
    path = ehlo.Mailbox("b", "x.org")
    replies = (ehlo.Reply(250, "Yes"), ehlo.Reply(450, "Later"), ehlo.Reply(550, "No"))
    tally.attempted([ehlo.Outcome(path, reply.is_success, reply) for reply in replies])
    assert counted("relay_queue_length") == 3
    assert counted("relay_sessions_open") == 2
    assert counted("relay_reports_total") == 1
    for word in ("accepted", "put off", "refused"):
        assert counted("relay_deliveries_total", outcome=word) == 1


def test_over_http() -> None:
    registry = new_registry()
    Metrics(registry)(ehlo.Session(ehlo.ServerConnection(CONFIG), None), flows.TlsFailed("no"))
    with serve_metrics(port=0, registry=registry) as (host, port):
        found = scraped(f"http://{host}:{port}/metrics")
    assert found["ehlo_tls_failures_total"] == {(): 1.0}
    assert found["process_open_fds"][()] > 0
    with pytest.raises(OSError, match="refused"):
        urllib.request.urlopen(f"http://{host}:{port}/metrics", timeout=PATIENCE)


def test_one_registry_counts_once() -> None:
    registry = CollectorRegistry()
    Metrics(registry)
    with pytest.raises(ValueError, match="Duplicated"):
        Metrics(registry)


_PARENT = """
import json, os, sys, urllib.request

from prometheus_client.parser import text_string_to_metric_families
import ehlo
from ehlo import flows
from ehlo_io.metrics import Metrics, RelayMetrics, serve_metrics, worker_ended

metrics, tally = Metrics(), RelayMetrics()
config = ehlo.ServerConfig(hostname="mail.example", policy=ehlo.OPEN_TEST)


def work(number, ready, end):
    sessions = [ehlo.Session(ehlo.ServerConnection(config), None) for _ in range(number)]
    for session in sessions:
        metrics(session, flows.SessionOpened())
        metrics(session, flows.AuthEnded("PLAIN", ehlo.Reply(235, "Yes")))
    tally.queue(number)
    os.write(ready, b".")
    os.read(end, 1)
    os._exit(0)


def scrape(address):
    text = urllib.request.urlopen("http://%s:%d/metrics" % address, timeout=10).read().decode()
    families = text_string_to_metric_families(text)
    return {sample.name: sample.value for family in families for sample in family.samples}


workers = []
ready, told = os.pipe()
for number in (2, 3):
    heard, end = os.pipe()
    pid = os.fork()
    if not pid:
        work(number, told, heard)
    workers.append((pid, end))
for _ in workers:
    os.read(ready, 1)
with serve_metrics() as address:
    found = [scrape(address)]
    for pid, end in workers:
        os.write(end, b".")
        os.waitpid(pid, 0)
        worker_ended(pid)
        found.append(scrape(address))
print(json.dumps(found))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are not forked here")
def test_the_sum_of_processes(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(_PARENT)],
        env=python_environment({"PROMETHEUS_MULTIPROC_DIR": os.fspath(tmp_path)}),
        capture_output=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    found = json.loads(done.stdout)
    assert [sample["ehlo_connections_open"] for sample in found] == [5, 3, 0]
    assert [sample["ehlo_relay_queue_length"] for sample in found] == [5, 3, 0]
    # What was counted stays.
    assert [sample["ehlo_connections_total"] for sample in found] == [5, 5, 5]
    assert [sample["ehlo_auth_attempts_total"] for sample in found] == [5, 5, 5]
