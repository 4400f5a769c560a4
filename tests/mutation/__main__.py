"""Mutation testing: `make mutants`, or `python -m tests.mutation 'ehlo.wire.dot.*'` for some modules.

Fails on a survivor that the register does not explain, and on an entry of the register whose mutant no
longer survives. A whole run writes docs/mutation.md.
"""

from __future__ import annotations

import shutil
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import click
from tests.mutation.page import PAGE, Row, page
from tests.mutation.register import faults, kinds, read_register
from tests.mutation.results import KILLED, SURVIVED, Result, read, run, survivors

MUTANTS = Path("mutants")


@click.command()
@click.argument("patterns", nargs=-1, metavar="[PATTERN]...")
@click.option("--processes", default=2, show_default=True, help="How many mutants are tried at a time.")
@click.option("--keep", is_flag=True, help="Do not make all mutants, and ask which tests reach them, anew.")
@click.option("--judge", is_flag=True, help="Try nothing: judge, and write down, what was found before.")
def main(patterns: Sequence[str], processes: int, keep: bool, judge: bool) -> None:
    """Try the mutants whose names match a PATTERN (`ehlo.sasl.*`), or all of them."""
    if not judge:
        if not keep:
            shutil.rmtree(MUTANTS, ignore_errors=True)
        run(patterns, processes)
    results = read()
    tried = [result for result in results if result.status in KILLED | SURVIVED]
    register = read_register()
    functions = {result.function for result in tried}
    found = faults(survivors(tried), register, functions.__contains__)
    if not patterns:
        untried = [result for result in results if result.status not in KILLED | SURVIVED]
        found += [f"{result.name}: {result.status}" for result in untried]
        PAGE.write_text(page(_rows(tried), len(untried)), "utf-8")
    for line in found:
        click.echo(line)
    killed = sum(result.status in KILLED for result in tried)
    click.echo(f"{killed} of {len(tried)} mutants were killed; faults: {len(found)}")
    sys.exit(bool(found))


def _rows(tried: Sequence[Result]) -> list[Row]:
    register = read_register()
    of_module: dict[str, list[Result]] = {}
    for result in tried:
        of_module.setdefault(result.module, []).append(result)
    return [
        Row(
            module,
            sum(result.status in KILLED for result in results),
            Counter(kinds(survivors(results), register)),
        )
        for module, results in of_module.items()
    ]


if __name__ == "__main__":
    main()
