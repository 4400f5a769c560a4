"""`--metrics-port`, `--log-format` and the like: what whoever runs a server gets to see of it."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import sys
import tempfile
from collections.abc import Iterator
from typing import Any, Final

import attrs
import click

from ehlo import flows
from ehlo_io._common import LOGGER
from ehlo_io.cli.common import reason, say, with_options
from ehlo_io.cli.exits import Failure
from ehlo_io.cli.runners import Told, signals_heard, signals_of
from ehlo_io.logs import JsonFormatter, SessionLog, TextFormatter
from ehlo_io.relay.tally import Tally

_SHARED: Final = "PROMETHEUS_MULTIPROC_DIR"
_OPTIONS: Final = (
    click.option(
        "--metrics-port",
        type=click.IntRange(0, 65535),
        help="Counters for Prometheus, over HTTP (extra metrics); 0: any free one.",
    ),
    click.option("--metrics-host", default="127.0.0.1", show_default=True, help="Its address."),
    click.option(
        "--log-format",
        type=click.Choice(["text", "json"]),
        default="text",
        show_default=True,
        help="On stderr.",
    ),
    click.option(
        "--log-level",
        type=click.Choice(["debug", "info", "warning", "error"]),
        default="warning",
        show_default=True,
        help="What is worth a line; info: each message.",
    ),
)


watch_options = with_options(*_OPTIONS)


@attrs.define(kw_only=True)
class WatchArguments:
    """The command line, and where it is counted."""

    metrics_port: int | None
    metrics_host: str
    log_format: str = "text"
    log_level: str = "warning"
    _registry: Any = attrs.field(default=None, init=False, repr=False)

    @classmethod
    def taken_from(cls, given: dict[str, Any]) -> WatchArguments:
        """Takes its own out of `given`."""
        return cls(**{field.name: given.pop(field.name) for field in attrs.fields(cls) if field.init})

    @property
    def counts(self) -> bool:
        return self.metrics_port is not None

    def observers(self) -> list[flows.Observe]:
        """Those of the server. Call it once. Raises Failure."""
        counters = [] if self.metrics_port is None else [_metrics().Metrics(self._counted_in())]
        return [SessionLog(), *counters]

    @contextlib.contextmanager
    def logged(self) -> Iterator[None]:
        """Inside, the log goes to stderr."""
        output = logging.StreamHandler(sys.stderr)
        output.setFormatter(JsonFormatter() if self.log_format == "json" else TextFormatter())
        root, before = logging.getLogger(), LOGGER.level
        root.addHandler(output)
        LOGGER.setLevel(self.log_level.upper())
        try:
            yield
        finally:
            root.removeHandler(output)
            LOGGER.setLevel(before)

    def tally(self) -> Tally:
        """That of the gateway. Call it once. Raises Failure."""
        if self.metrics_port is None:
            return Tally()
        tally: Tally = _metrics().RelayMetrics(self._counted_in())
        return tally

    def _counted_in(self) -> Any:
        if self._registry is None:
            self._registry = _metrics().new_registry()
        return self._registry

    @contextlib.contextmanager
    def shared(self, *, several: bool) -> Iterator[None]:
        """Inside, processes that are forked count together, where there are several. Enter it before anything
        else is called here."""
        if not several or not self.counts or _SHARED in os.environ:
            yield
            return
        with tempfile.TemporaryDirectory(prefix="ehlo-metrics-") as folder:
            os.environ[_SHARED] = folder
            try:
                yield
            finally:
                del os.environ[_SHARED]

    @contextlib.contextmanager
    def served(self) -> Iterator[None]:
        """Inside, the counters can be read: of this process, or of all that count together.

        Raises Failure.
        """
        if self.metrics_port is None:
            yield
            return
        with contextlib.ExitStack() as stack:
            try:
                address = _metrics().serve_metrics(self.metrics_host, self.metrics_port, self._counted_in())
                host, port = stack.enter_context(address)
            except (OSError, ValueError) as error:
                why = reason(error) if isinstance(error, OSError) else str(error)
                raise Failure(f"no metrics on {self.metrics_host} port {self.metrics_port}: {why}") from None
            say(f"metrics on http://{f'[{host}]' if ':' in host else host}:{port}/metrics")
            yield

    def tell(self, told: Told, *, renews: bool) -> None:
        """Let the counters of all processes be read until a signal, in one that does nothing else. Raises
        Failure."""
        with signals_heard(signals_of(renews=renews)) as (heard, _), self.served():
            told.listening("")
            while heard.recv(1)[0] == signal.SIGHUP:
                told.reloading()
                told.reloaded()
            told.stopping()

    def ended(self, process: int) -> None:
        """One of several processes is no more."""
        if self.counts:
            _metrics().worker_ended(process)


def _metrics() -> Any:
    try:
        from ehlo_io import metrics  # noqa: PLC0415 (its library is an extra)
    except ImportError:
        raise Failure("--metrics-port needs the extra metrics: pip install 'ehlo[metrics]'") from None
    return metrics
