"""The statistics, tables and goals of the benchmarks: nothing is timed here and no peer imported."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
from benchmarks import goals, report, stats, summary
from benchmarks.harness import Job, Metrics, Plan, interleave
from benchmarks.imports import parse_importtime
from benchmarks.record import Record
from benchmarks.stats import Stat

MACHINE = {"cpu": "some", "cores": "2", "kernel": "Linux", "python": "CPython", "packages": "h11"}


def a_record(name: str = "server") -> Record:
    return Record(name, quick=True, date="2026-01-01", machine=dict(MACHINE))


def test_a_stat_has_the_median_and_both_ends() -> None:
    assert Stat.of([3.0, None, 1.0, 2.0]) == Stat(2.0, 1.0, 3.0, 3)
    assert Stat.of([None, float("inf")]) is None


def test_ratios_are_taken_round_by_round() -> None:
    assert stats.ratios([2.0, None, 9.0, 1.0], [1.0, 1.0, 3.0, 0.0]) == [2.0, None, 3.0, None]


@pytest.mark.parametrize("power", [1.0, 2.0])
def test_the_exponent_of_a_power_is_that_power(power: float) -> None:
    sizes = [100.0, 200.0, 400.0, 800.0]
    times = [size**power * 1e-6 for size in sizes]
    assert stats.exponent(sizes, times) == pytest.approx(power)
    assert stats.worst_doubling(sizes, times) == pytest.approx(2**power)


def test_an_exponent_needs_two_points() -> None:
    with pytest.raises(ValueError, match="at least two"):
        stats.exponent([1.0], [1.0])


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (0.00123, "0.00123"),
        (4.5168, "4.52"),
        (9.999, "10.0"),
        (45.168, "45.2"),
        (99.96, "100"),
        (28_412.7, "28,400"),
    ],
)
def test_numbers_have_three_digits(value: float, text: str) -> None:
    assert stats.number(value) == text


def test_a_spread_is_written_with_both_ends() -> None:
    assert stats.with_spread(Stat(4.5, 4.0, 5.0, 5), "x") == "4.50x (4.00..5.00)"
    assert stats.with_spread(Stat(4.5, 4.5, 4.5, 1)) == "4.50"
    assert stats.with_spread(None) == "-"


def test_rounds_are_interleaved_and_every_other_one_runs_backwards() -> None:
    order: list[str] = []

    def run(name: str) -> Metrics:
        order.append(name)
        return {"cpu": float(len(order))}

    jobs = [Job("case", name, partial(run, name)) for name in "abc"]
    record = a_record()
    interleave(record, jobs, 2)
    assert "".join(order) == "abccba"
    assert record.samples("case", "a", "cpu") == [1.0, 6.0]


def test_what_fails_is_written_down_and_not_tried_again() -> None:
    calls: list[None] = []

    def run() -> Metrics:
        calls.append(None)
        raise ValueError("broken")

    record = a_record()
    interleave(record, [Job("case", "subject", run)], 3)
    assert len(calls) == 1
    assert record.samples("case", "subject", "cpu") == [None, None, None]
    assert record.failures == ["case: subject: ValueError: broken"]


def test_a_record_comes_back_from_its_file(tmp_path: Path) -> None:
    record = a_record()
    record.add("case", "subject", {"cpu": 1.5})
    record.add("case", "subject", None)
    record.save(tmp_path)
    assert Record.load(tmp_path / "server.json") == record


def test_a_plan_shrinks_in_quick_mode() -> None:
    assert Plan().share(100) == 100
    assert (Plan(quick=True).share(100), Plan(quick=True).share(3)) == (5, 1)
    assert (Plan(quick=True).number_of_rounds(5), Plan(rounds=7).number_of_rounds(5)) == (2, 7)


def test_a_table_is_aligned_markdown() -> None:
    assert report.table(["", "cpu"], [["ehlo", "1.00"]]) == (
        "|      |  cpu |\n| ---- | ---: |\n| ehlo | 1.00 |".replace("|  cpu |", "| cpu  |")
    )


def test_costs_are_turned_round_so_that_more_is_better() -> None:
    record = a_record()
    record.add("case", "ehlo", {"cpu": 2.0})
    record.add("case", "peer", {"cpu": 6.0})
    section = report.Ratios(title="CPU", metric="cpu", pairs=[("ehlo", "peer")], less_is_better=True)
    text = report.markdown(record, "Title", "How.", [section], plot=False)
    assert "| ehlo : peer | 3.00x |" in text


def test_what_was_left_out_and_what_failed_is_said() -> None:
    record = a_record()
    record.skipped["peer"] = "it is not installed"
    record.failures.append("case: subject: broken")
    text = report.markdown(record, "Title", "How.", [], plot=True)
    assert "- peer: it is not installed" in text
    assert "- case: subject: broken" in text
    assert "![Title](server.png)" in text
    assert "A quick run" in text


def test_importtime_is_summed_over_what_the_command_imported() -> None:
    text = "\n".join(
        (
            "import time: self [us] | cumulative | imported package",
            "import time:       100 |        900 | site",
            "import time:        50 |         50 |   enum",
            "import time:       200 |        250 | re",
            "import time:        30 |         30 | json",
        )
    )
    assert parse_importtime(text) == {"ms": 0.28, "modules": 3}


def test_a_goal_is_judged_by_its_median() -> None:
    part = goals.Part(
        benchmark="server", case="case", metric="cpu", above="peer", below="ehlo", floor=2.0, goal=3.0
    )
    record = a_record()
    for cost in (1.0, 1.2, 0.9):
        record.add("case", "ehlo", {"cpu": cost})
        record.add("case", "peer", {"cpu": 2.5})
    reached = part.reached({"server": record})
    assert reached is not None
    assert reached.median == 2.5
    assert part.verdict(reached) == "floor"
    assert part.verdict(Stat(3.0, 1.0, 4.0, 3)) == "goal"
    assert part.verdict(Stat(1.9, 1.0, 4.0, 3)) == "BELOW"
    assert part.verdict(part.reached({})) == "not measured"


def test_the_table_of_goals_has_every_row() -> None:
    wanted = [f"S{n}" for n in range(1, 11)] + [f"C{n}" for n in range(1, 8)] + [f"E{n}" for n in range(1, 6)]
    wanted += [f"M{n}" for n in range(1, 6)] + ["I1", "I2"]
    assert [goal.name for goal in goals.GOALS] == wanted
    found = goals.rows({})
    assert {row[-1] for row in found} == {"not measured"}
    assert list(dict.fromkeys(row[0] for row in found)) == wanted


def test_the_summary_says_how_many_times_better_ehlo_is() -> None:
    records: dict[str, Record] = {}
    for part in (line.part for line in summary.LINES):
        record = records.setdefault(part.benchmark, a_record(part.benchmark))
        ours, peers = (30.0, 10.0) if part.metric in {"rate", "per_second"} else (10.0, 30.0)
        for subject, value in ((part.ours, ours), (str(part.peer), peers)):
            if record.stat(part.case, subject, part.metric) is None:
                record.add(part.case, subject, {part.metric: value})
    assert {stat.median for _, stat in summary.reached(records)} == {3.0}
    assert all(line.part.ours.startswith("ehlo") for line in summary.LINES)
    text = summary.text(records, picture=False)
    assert "Measured 2026-01-01 on" in text
    assert "| server CPU | 1 KB, kept, 10 | ehlo asyncio : aiosmtpd | 3.00x" in " ".join(text.split())
    assert summary.reached({}) == []


def test_the_summary_replaces_only_what_stands_between_its_marks() -> None:
    readme = summary.README.read_text()
    changed = summary.put_in(readme, "| table |\n")
    assert "\n\n| table |\n\n<!-- /benchmarks -->\n" in changed
    head, _, tail = changed.partition("| table |\n")
    assert readme.startswith(head)
    assert readme.endswith(tail)
    with pytest.raises(ValueError, match="no place"):
        summary.put_in("# A text without marks\n", "| table |\n")
