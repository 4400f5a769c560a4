"""docs/mutation.md: how many mutants the tests find, module by module."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import attrs
from tests.mutation.register import KINDS, UNEXPLAINED

PAGE: Final = Path(__file__).parents[2] / "docs" / "mutation.md"

HEAD: Final = """\
# Mutation testing

Written by `make mutants`, with what it found last; `tests/mutation/survivors.toml` has the
survivors, and why no test kills them.

mutmut makes one small change after the other to the functions below (another operator, constant, argument,
string, branch) and runs those unit and property tests of the packages that reach the function. A mutant that
makes a test fail, or go on for ever, is killed. What stands outside functions (tables, patterns, fields), and
functions with decorators (properties among them), mutmut does not change.
"""


@attrs.frozen
class Row:
    """The mutants of one module."""

    module: str
    killed: int
    survived: Mapping[str, int]
    """How many there are of each kind."""

    @property
    def mutants(self) -> int:
        return self.killed + sum(self.survived.values())


def total(rows: Iterable[Row], name: str) -> Row:
    """One row for several."""
    survived: Counter[str] = Counter()
    killed = 0
    for row in rows:
        killed += row.killed
        survived.update(row.survived)
    return Row(name, killed, survived)


def page(rows: Sequence[Row], untried: int = 0) -> str:
    kinds = [*KINDS, *([UNEXPLAINED] if any(row.survived.get(UNEXPLAINED) for row in rows) else [])]
    return "\n".join(
        [
            f"{HEAD}\nNot tried: {untried}.\n" if untried else HEAD,
            *_table(rows, kinds),
            "",
            *(f"- **{kind}**: {KINDS[kind]}" for kind in KINDS),
            "",
        ]
    )


def _table(rows: Sequence[Row], kinds: Sequence[str]) -> Iterator[str]:
    yield f"| Module | Mutants | Killed | {' | '.join(kinds)} | Killed, of those that can be |"
    yield f"|---|{'---:|' * (len(kinds) + 3)}"
    groups: dict[str, list[Row]] = {}
    for row in sorted(rows, key=lambda row: row.module):
        groups.setdefault(row.module.rpartition(".")[0], []).append(row)
    for group, members in groups.items():
        yield from (_line(row, kinds, f"`{row.module}`") for row in members)
        if len(members) > 1:
            yield _line(total(members, group), kinds, f"**`{group}`**")
    yield _line(total(rows, "all"), kinds, "**all**")


def _line(row: Row, kinds: Sequence[str], name: str) -> str:
    possible = row.killed + row.survived.get(UNEXPLAINED, 0)
    share = f"{100 * row.killed / possible:.1f} %" if possible else ""
    numbers = (row.mutants, row.killed, *(row.survived.get(kind, 0) for kind in kinds))
    return f"| {name} | {' | '.join(map(str, numbers))} | {share} |"
