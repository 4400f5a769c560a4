"""What a benchmark found: samples by case, subject, round and metric; kept as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs

from benchmarks.stats import Stat, ratios

RESULTS = Path(__file__).parent / "results"

Round = dict[str, float] | None
"""The metrics of one run; None: it failed."""


def folder(*, quick: bool) -> Path:
    """Where results go; quick ones are for trying and never replace real ones."""
    return RESULTS / "quick" if quick else RESULTS


@attrs.define
class Record:
    """All samples of one benchmark."""

    benchmark: str
    quick: bool
    date: str
    machine: dict[str, str]
    cases: dict[str, dict[str, list[Round]]] = attrs.Factory(dict)
    skipped: dict[str, str] = attrs.Factory(dict)
    """Subjects that could not take part, and why."""
    failures: list[str] = attrs.Factory(list)

    def add(self, case: str, subject: str, metrics: Mapping[str, float] | None) -> None:
        """The run of one round; None: it failed."""
        rounds = self.cases.setdefault(case, {}).setdefault(subject, [])
        rounds.append(None if metrics is None else dict(metrics))

    def samples(self, case: str, subject: str, metric: str) -> list[float | None]:
        rounds = self.cases.get(case, {}).get(subject, [])
        return [None if found is None else found.get(metric) for found in rounds]

    def stat(self, case: str, subject: str, metric: str) -> Stat | None:
        return Stat.of(self.samples(case, subject, metric))

    def ratio(self, case: str, above: str, below: str, metric: str) -> Stat | None:
        """`above / below`, round by round."""
        return Stat.of(ratios(self.samples(case, above, metric), self.samples(case, below, metric)))

    def subjects(self) -> list[str]:
        return list(dict.fromkeys(name for subjects in self.cases.values() for name in subjects))

    def save(self, where: Path) -> None:
        where.mkdir(parents=True, exist_ok=True)
        text = json.dumps(attrs.asdict(self), indent=1)
        (where / f"{self.benchmark}.json").write_text(text + "\n")

    @classmethod
    def load(cls, path: Path) -> Record:
        """Raises OSError, ValueError or TypeError for what is no record."""
        found: dict[str, Any] = json.loads(path.read_text())
        return cls(**found)
