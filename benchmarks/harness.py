"""Runs jobs in interleaved rounds and keeps what they found; knows no benchmark."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping, Sequence

import attrs

from benchmarks.record import Record

Metrics = Mapping[str, float]


@attrs.frozen
class Job:
    """One subject in one case: a run of it gives the metrics of one round."""

    case: str
    subject: str
    run: Callable[[], Metrics]


@attrs.frozen(kw_only=True)
class Plan:
    """How much to measure."""

    quick: bool = False
    """For trying: the smallest sizes, two rounds."""
    full: bool = False
    """The whole grid of cases where a benchmark has one."""
    rounds: int | None = None

    def number_of_rounds(self, usual: int) -> int:
        return self.rounds or (2 if self.quick else usual)

    def share(self, amount: int) -> int:
        """An amount of work: a twentieth of it in quick mode, at least one."""
        return max(1, amount // 20) if self.quick else amount


def say(text: str) -> None:
    """Progress, beside the results."""
    print(text, file=sys.stderr, flush=True)


def interleave(record: Record, jobs: Sequence[Job], rounds: int) -> None:
    """Run every job once a round. Within a case the subjects stand side by side, so that both sides
    of a ratio see the machine in the same mood; every other round runs them backwards.

    A job that fails is written down, and not tried again.
    """
    cases: dict[str, list[Job]] = {}
    for job in jobs:
        cases.setdefault(job.case, []).append(job)
    broken: set[tuple[str, str]] = set()
    for index in range(rounds):
        start = time.perf_counter()
        for case, mates in cases.items():
            for job in mates if index % 2 == 0 else reversed(mates):
                if (case, job.subject) in broken:
                    record.add(case, job.subject, None)
                    continue
                metrics = _run(record, job)
                record.add(case, job.subject, metrics)
                if metrics is None:
                    broken.add((case, job.subject))
        took = time.perf_counter() - start
        say(f"  {record.benchmark}: round {index + 1} of {rounds}, {took:.1f} s")


def _run(record: Record, job: Job) -> Metrics | None:
    try:
        return job.run()
    except Exception as error:
        text = f"{job.case}: {job.subject}: {type(error).__name__}: {error}"
        record.failures.append(text)
        say("  failed: " + text)
        return None
