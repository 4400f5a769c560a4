"""`python -m benchmarks.clients NAME`: a job in JSON on each line of input, its price on a line of output."""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import sys
import time
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, Final

from benchmarks.clients import null, ours, peers
from benchmarks.clients.jobs import Job
from benchmarks.messages import message
from benchmarks.peers import load


def _asyncio(main: Callable[[Job], Coroutine[Any, Any, None]], job: Job) -> None:
    asyncio.run(main(job))


def _uvloop(main: Callable[[Job], Coroutine[Any, Any, None]], job: Job) -> None:
    with asyncio.Runner(loop_factory=load("uvloop").new_event_loop) as runner:
        runner.run(main(job))


def _trio(main: Callable[[Job], Coroutine[Any, Any, None]], job: Job) -> None:
    import trio  # noqa: PLC0415 (the others shall not pay for it)

    trio.run(main, job)


_RUNNERS: Final[dict[str, Callable[[Job], None]]] = {
    "ehlo-asyncio": partial(_asyncio, ours.run_asyncio),
    "ehlo-uvloop": partial(_uvloop, ours.run_asyncio),
    "ehlo-trio": partial(_trio, ours.run_trio),
    "ehlo-blocking": ours.run_blocking,
    "null-asyncio": partial(_asyncio, null.run_asyncio),
    "null-blocking": null.run_blocking,
    "smtplib": peers.run_smtplib,
    "aiosmtplib": partial(_asyncio, peers.run_aiosmtplib),
    "aiosmtplib-uvloop": partial(_uvloop, peers.run_aiosmtplib),
    "smtpproto-asyncio": partial(_asyncio, peers.run_smtpproto_asyncio),
    "smtpproto-trio": partial(_trio, peers.run_smtpproto_trio),
}


def _work(runner: Callable[[Job], None], job: Job) -> dict[str, Any]:
    if job.path is None:
        message(job.size)
    gc.collect()
    cpu, start = time.process_time(), time.perf_counter()
    if job.messages:
        runner(job)
    return {"seconds": time.perf_counter() - start, "cpu": time.process_time() - cpu}


def main() -> None:
    parser = argparse.ArgumentParser(prog="benchmarks.clients")
    parser.add_argument("name", choices=_RUNNERS)
    runner = _RUNNERS[parser.parse_args().name]
    for line in sys.stdin:
        try:
            answer = _work(runner, Job(**json.loads(line)))
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}"[:300]}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
