"""`python -m benchmarks [NAME ...]`: all benchmarks, or those that are named; then the table of goals."""

from __future__ import annotations

import argparse
import importlib
import os
import signal
import sys
import time
from types import FrameType
from typing import Final

from benchmarks import goals, summary
from benchmarks.harness import Plan, say
from benchmarks.machine import raise_descriptor_limit
from benchmarks.record import folder

NAMES: Final = ("engine", "server", "client", "codec", "memory", "import", "scaling", "latency")
_MODULES: Final = {"import": "imports"}


def _terminated(_: int, __: FrameType | None) -> None:
    # Leaves by way of every `with` block: they end the processes.
    sys.exit("ended by a signal")


def _run(name: str, plan: Plan) -> bool:
    say(f"{name} ...")
    start = time.perf_counter()
    module = importlib.import_module(f"benchmarks.{_MODULES.get(name, name)}")
    try:
        record = module.measure(plan)
    except Exception as error:
        say(f"{name} failed: {type(error).__name__}: {error}")
        return False
    module.write(record)
    where = os.path.relpath(folder(quick=plan.quick) / f"{name}.md")
    say(f"{name}: {time.perf_counter() - start:.0f} s, {len(record.failures)} failures, see {where}")
    return True


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"{', '.join(NAMES)} or goals")
    parser.add_argument("--quick", action="store_true", help="small sizes, for trying")
    parser.add_argument("--full", action="store_true", help="the whole grid of sizes and sessions")
    parser.add_argument("--rounds", type=int, help="instead of each benchmark's own number")
    options = parser.parse_args()
    unknown = set(options.names) - {*NAMES, "goals"}
    if unknown:
        parser.error(f"there is no benchmark {min(unknown)}")
    signal.signal(signal.SIGTERM, _terminated)
    raise_descriptor_limit()
    plan = Plan(quick=options.quick, full=options.full, rounds=options.rounds)
    wanted = [name for name in NAMES if name in options.names or not options.names]
    failed = [name for name in wanted if not _run(name, plan)]
    print(goals.write(quick=plan.quick))
    summary.write(quick=plan.quick)
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
