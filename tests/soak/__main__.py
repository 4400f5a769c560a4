"""A server with all its features under mixed load: run it with the interpreter that has ehlo.

    python -m tests.soak [--seconds 300] [--io asyncio|trio|blocking]...

The exit status is 1 when something leaked, or a message was lost, doubled or damaged.
"""

from __future__ import annotations

import argparse
import sys

from tests.soak.run import soak

IO = ("asyncio", "trio", "blocking")


def main() -> int:
    assert __doc__ is not None
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=300.0, help="of each run (default: 300)")
    parser.add_argument("--io", action="append", choices=IO, help="repeatable; by default each in its turn")
    arguments = parser.parse_args()
    failed = False
    for io in arguments.io or IO:
        findings = soak(io, arguments.seconds)
        failed |= bool(findings.faults)
        print("\n".join(findings.lines()), flush=True)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
