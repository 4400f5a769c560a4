"""Counters of a server for Prometheus (extra `metrics`), kept by the library prometheus-client.

    metrics = Metrics()                               an observer: serve(..., observers=[metrics])
    RelaySettings(..., tally=RelayMetrics())          the same for the gateway
    with serve_metrics("127.0.0.1", 9587): ...        GET /metrics, in a thread of its own

No label is a client's own word: verbs, mechanisms and codes come from closed sets, and what is in none of
them is "other".

Several processes (a parent that forks workers) count together in prometheus-client's multiprocess mode: the
environment variable PROMETHEUS_MULTIPROC_DIR names an empty folder before this module is imported. The parent
calls `serve_metrics`, which then tells the sum of all, and `worker_ended` for each worker that is no more.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final, assert_never

from prometheus_client import (
    REGISTRY,
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    multiprocess,
)
from prometheus_client.exposition import start_http_server

import ehlo
from ehlo import flows
from ehlo_io.relay.tally import Tally

__all__ = ["Metrics", "RelayMetrics", "new_registry", "serve_metrics", "worker_ended"]

_OTHER: Final = "other"
_SECONDS: Final = (0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0)
# The highest detail of each subject in IANA's registry of enumerated status codes.
_DETAILS: Final = {0: 0, 1: 10, 2: 4, 3: 5, 4: 7, 5: 6, 6: 10, 7: 30}
_MULTIPROCESS: Final = "PROMETHEUS_MULTIPROC_DIR"


class Metrics:
    """An observer of servers that counts. In one registry there is but one."""

    def __init__(self, registry: CollectorRegistry = REGISTRY) -> None:
        """Raises ValueError for a registry that has these counters already."""

        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(f"ehlo_{name}", text, labels, registry=registry)

        self._connections = counter("connections", "Sessions that began.")
        self._refused = counter(
            "connections_refused", "Connections turned away at once: too many, or not the proxy.", "enhanced"
        )
        self._open = Gauge(
            "ehlo_connections_open", "Sessions now.", registry=registry, multiprocess_mode="livesum"
        )
        self._ended = counter("sessions_ended", "Sessions that ended.", "ending")
        self._seconds = Histogram(
            "ehlo_session_seconds", "How long sessions last.", registry=registry, buckets=_SECONDS
        )
        self._tls = counter("tls_handshakes", "TLS handshakes that ended well.", "version")
        self._no_tls = counter("tls_failures", "TLS handshakes that did not.")
        self._auth = counter("auth_attempts", "AUTH commands by what came of them.", "mechanism", "result")
        self._commands = counter("commands", "Replies to commands.", "verb", "reply_class")
        self._recipients = counter("recipients", "Replies to RCPT.", "reply_class", "enhanced")
        self._messages = counter(
            "messages",
            "Replies to the end of messages; in LMTP one for each recipient.",
            "reply_class",
            "enhanced",
        )
        self._octets = counter("message_octets", "Octets of messages that were accepted.")
        self._faults = counter("protocol_errors", "Sessions that ended for what only an attacker sends.")
        self._began: dict[ehlo.Session, float] = {}

    def __call__(self, session: ehlo.Session, fact: flows.Fact) -> None:
        match fact:
            case flows.Answered(verb, reply):
                self._answered(verb, reply)
            case flows.MessageEnded():
                self._message(fact)
            case flows.AuthEnded(mechanism, reply):
                self._auth.labels(mechanism or _OTHER, _result(reply)).inc()
            case flows.SessionOpened():
                self._began[session] = time.monotonic()
                self._connections.inc()
                self._open.inc()
            case flows.SessionEnded(ending):
                self._open.dec()
                self._ended.labels(ending.value).inc()
                self._seconds.observe(time.monotonic() - self._began.pop(session))
            case flows.SessionRefused(reply):
                self._refused.labels("none" if reply is None else enhanced_label(reply)).inc()
            case flows.TlsStarted(info):
                self._tls.labels(info.version if info.version.startswith(("TLSv1", "SSLv")) else _OTHER).inc()
            case flows.TlsFailed():
                self._no_tls.inc()
            case flows.ProtocolFault():
                self._faults.inc()
            case _:
                assert_never(fact)

    def _answered(self, verb: ehlo.Verb, reply: ehlo.Reply) -> None:
        self._commands.labels(verb.value, _class(reply)).inc()
        if verb is ehlo.Verb.RCPT:
            self._recipients.labels(_class(reply), enhanced_label(reply)).inc()

    def _message(self, fact: flows.MessageEnded) -> None:
        for reply in fact.replies:
            self._messages.labels(_class(reply), enhanced_label(reply)).inc()
        if fact.accepted:
            self._octets.inc(fact.size)


class RelayMetrics(Tally):
    """What the gateway does, counted. In one registry there is but one."""

    def __init__(self, registry: CollectorRegistry = REGISTRY) -> None:
        """Raises ValueError for a registry that has these counters already."""
        self._queue = Gauge(
            "ehlo_relay_queue_length",
            "Messages in the spool.",
            registry=registry,
            multiprocess_mode="livesum",
        )
        self._sessions = Gauge(
            "ehlo_relay_sessions_open",
            "Sessions with the next server.",
            registry=registry,
            multiprocess_mode="livesum",
        )
        self._deliveries = Counter(
            "ehlo_relay_deliveries",
            "Recipients of attempts by what came of them.",
            ("outcome",),
            registry=registry,
        )
        self._reports = Counter("ehlo_relay_reports", "Reports to senders.", registry=registry)

    def queue(self, length: int) -> None:
        self._queue.set(length)

    def sessions(self, number: int) -> None:
        self._sessions.set(number)

    def attempted(self, outcomes: Sequence[ehlo.Outcome]) -> None:
        for outcome in outcomes:
            word = "accepted" if outcome.accepted else "put off" if outcome.temporary else "refused"
            self._deliveries.labels(word).inc()

    def reported(self) -> None:
        self._reports.inc()


def _class(reply: ehlo.Reply) -> str:
    return f"{reply.code // 100}yz"


def _result(reply: ehlo.Reply) -> str:
    return "accepted" if reply.is_success else "put off" if reply.is_transient else "refused"


def enhanced_label(reply: ehlo.Reply) -> str:
    """The enhanced code if it is one that IANA lists: hooks and next servers may say any of three million."""
    code = reply.enhanced
    if code is None:
        return "none"
    known = code.detail <= _DETAILS.get(code.subject, -1)
    return str(code) if known else f"{code.klass}.{_OTHER}"


def new_registry() -> CollectorRegistry:
    """One with the process's own numbers in it, as `REGISTRY` has them."""
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    GCCollector(registry=registry)
    return registry


@contextmanager
def serve_metrics(
    host: str = "127.0.0.1", port: int = 0, registry: CollectorRegistry = REGISTRY
) -> Iterator[tuple[str, int]]:
    """Answer GET /metrics over HTTP while the `with` block runs; its address, port 0 being any free one.

    Whoever reaches it reads all of it. With PROMETHEUS_MULTIPROC_DIR it tells the sum of all processes, and
    `registry` is not asked. Raises OSError when the address cannot be had, ValueError for a folder that is
    none.
    """
    if _MULTIPROCESS in os.environ:
        registry = CollectorRegistry()
        multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    server, thread = start_http_server(port, host, registry)
    try:
        yield host, server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def worker_ended(pid: int) -> None:
    """What a process that has ended had open is not open any more; what it counted stays. To call in the
    parent."""
    multiprocess.mark_process_dead(pid)  # type: ignore[no-untyped-call]
