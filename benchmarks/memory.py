"""Memory of a big message on its way in and out, and of connections that do nothing."""

from __future__ import annotations

import resource
import socket
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path
from typing import Final

from benchmarks import peers, plot, report
from benchmarks.harness import Job, Metrics, Plan, interleave
from benchmarks.machine import DRIVER_CORE, SERVER_CORE, new_record
from benchmarks.messages import CLIENT_NAME, EHLO, KIB, MIB, RECIPIENT, SENDER, message
from benchmarks.processes import HOST, Child, Processes, RunFailed, run
from benchmarks.record import Record

TITLE: Final = "Memory"
HOW: Final = (
    "Growth of the peak of resident memory while one message of 100 MB passes through a process that has "
    "handled a small one before (a message that is sent from memory is there already and does not count); "
    "and resident memory of a server for each connection that said EHLO and waits. TLS is from the first "
    "octet, with an RSA key of 2048 bits."
)
RECEIVED: Final = "100 MB received"
SENT: Final = "100 MB sent"
PLAIN: Final = "idle connections"
TLS: Final = "idle connections, TLS"

_SERVERS: Final = {
    "ehlo asyncio": ("ehlo-asyncio", None),
    "ehlo uvloop": ("ehlo-uvloop", "uvloop"),
    "ehlo trio": ("ehlo-trio", "trio"),
    "ehlo blocking": ("ehlo-blocking", None),
    "aiosmtpd": ("aiosmtpd", "aiosmtpd"),
    "null asyncio": ("null-asyncio", None),
}
_WITH_TLS: Final = ("ehlo asyncio", "ehlo trio", "ehlo blocking", "aiosmtpd", "null asyncio")
_SENDERS: Final = {
    "ehlo asyncio": ("ehlo-asyncio", None),
    "ehlo trio": ("ehlo-trio", "trio"),
    "ehlo blocking": ("ehlo-blocking", None),
    "smtplib": ("smtplib", None),
    "aiosmtplib": ("aiosmtplib", "aiosmtplib"),
    "smtpproto": ("smtpproto-asyncio", "smtpproto"),
}


def _start(processes: Processes, name: str, arguments: Sequence[str] = ()) -> Child:
    argv = [sys.executable, "-m", "benchmarks.servers", name, *arguments]
    return processes.server(name, argv, SERVER_CORE)


def _growth(child: Child, act: Callable[[], object], size: int) -> Metrics:
    cpu = child.cpu()
    child.reset_peak()
    before = child.memory("VmHWM")
    act()
    growth = child.memory("VmHWM") - before
    return {"growth": growth / MIB, "of_body": growth / size, "cpu": child.cpu() - cpu}


def _receive(name: str, arguments: Sequence[str], size: int) -> Metrics:
    source = peers.program("smtp-source")
    if source is None:
        raise RunFailed("smtp-source is not installed")
    with Processes() as processes:
        child = _start(processes, name, arguments)

        def send(octets: int) -> None:
            argv = [source, "-l", str(octets), "-M", CLIENT_NAME, "-f", SENDER, "-t", RECIPIENT]
            run([*argv, f"{HOST}:{child.port}"], DRIVER_CORE)

        send(KIB)
        return _growth(child, partial(send, size), size)


def _send(name: str, size: int, path: str | None) -> Metrics:
    with Processes() as processes:
        sink = _start(processes, "sink")
        child = processes.python(name, "benchmarks.clients", [name], DRIVER_CORE)
        job: dict[str, object] = {"port": sink.port, "messages": 1, "size": KIB}
        child.ask(job)
        # The message itself is made before anything is measured.
        child.ask({**job, "messages": 0, "size": KIB if path else size})
        job = {**job, "size": KIB if path else size, "path": path}
        return _growth(child, partial(child.ask, job), size)


def _hello(sock: socket.socket) -> None:
    sock.settimeout(10)
    sock.recv(512)
    sock.sendall(EHLO)
    while b"250 " not in (reply := sock.recv(2048)):
        if not reply:
            raise RunFailed("the server closed the connection")


def _idle(name: str, count: int, tls: tuple[str, str] | None) -> Metrics:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with Processes() as processes, ExitStack() as stack:
        child = _start(processes, name, ["--tls", *tls] if tls else [])

        def connect() -> None:
            sock = stack.enter_context(socket.create_connection((HOST, child.port), 10))
            if tls:
                sock = stack.enter_context(context.wrap_socket(sock))
            _hello(sock)

        for _ in range(20):
            connect()
        time.sleep(0.1)
        before, cpu = child.memory(), child.cpu()
        for _ in range(count):
            connect()
        time.sleep(0.1)
        return {
            "kib": (child.memory() - before) / count / KIB,
            "setup": (child.cpu() - cpu) / count * 1e6,
            "count": count,
        }


def _certificate(folder: Path) -> tuple[str, str]:
    """Of RSA, as most servers have; trustme where there is no openssl."""
    with suppress(FileNotFoundError, subprocess.CalledProcessError):
        paths = str(folder / "rsa.pem"), str(folder / "rsa.key")
        command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
        command += ["-subj", "/CN=localhost", "-out", paths[0], "-keyout", paths[1]]
        subprocess.run(command, check=True, capture_output=True)  # noqa: S603
        return paths
    trustme = peers.load("trustme")
    issued = trustme.CA().issue_cert("localhost", key_type=trustme.KeyType.RSA)
    found = folder / "chain.pem"
    issued.private_key_and_cert_chain_pem.write_to_path(found)
    return str(found), str(found)


def _available(record: Record, named: dict[str, tuple[str, str | None]]) -> dict[str, str]:
    found: dict[str, str] = {}
    for subject, (name, module) in named.items():
        lacking = peers.lacks_module(module) if module else None
        if lacking:
            record.skipped[subject] = lacking
        else:
            found[subject] = name
    return found


def _jobs(record: Record, plan: Plan, path: Path, certificate: tuple[str, str]) -> list[Job]:
    size = path.stat().st_size
    jobs = []
    servers, senders = _available(record, _SERVERS), _available(record, _SENDERS)
    for subject, name in servers.items():
        jobs.append(Job(RECEIVED, subject, partial(_receive, name, [], size)))
        if subject.startswith("ehlo"):
            run_streamed = partial(_receive, name, ["--stream"], size)
            jobs.append(Job(RECEIVED, f"{subject}, streamed", run_streamed))
    for subject, name in senders.items():
        jobs.append(Job(SENT, subject, partial(_send, name, size, None)))
        if subject.startswith("ehlo"):
            jobs.append(Job(SENT, f"{subject}, from a file", partial(_send, name, size, str(path))))
    # Each connection is a descriptor here and one in the server.
    allowed = resource.getrlimit(resource.RLIMIT_NOFILE)[0] - 200
    plain, with_tls = min(plan.share(5000), allowed), min(plan.share(500), allowed)
    if allowed < 5000:
        record.skipped["5,000 connections"] = f"only {plain:,} are allowed (RLIMIT_NOFILE)"
    jobs += [Job(PLAIN, subject, partial(_idle, name, plain, None)) for subject, name in servers.items()]
    jobs += [
        Job(TLS, subject, partial(_idle, servers[subject], with_tls, certificate))
        for subject in _WITH_TLS
        if subject in servers
    ]
    return jobs


def measure(plan: Plan) -> Record:
    record = new_record("memory", quick=plan.quick)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path = folder / "message"
        path.write_bytes(message(plan.share(100) * MIB))
        jobs = _jobs(record, plan, path, _certificate(folder))
        interleave(record, jobs, plan.number_of_rounds(2))
    return record


_BODIES: Final = (("ehlo asyncio", "aiosmtpd"), ("ehlo asyncio", "smtplib"), ("ehlo asyncio", "aiosmtplib"))
_IDLE: Final = (
    ("ehlo asyncio", "aiosmtpd"),
    ("ehlo asyncio", "null asyncio"),
    ("ehlo trio", "aiosmtpd"),
    ("ehlo blocking", "aiosmtpd"),
)


def write(record: Record) -> None:
    drawn = plot.bars(record, "kib", "KiB a connection (less is better)", [PLAIN, TLS])
    sections = (
        report.Ratios(
            title="Idle: memory of the peer / memory of ehlo (over 1: ehlo needs less)",
            metric="kib",
            pairs=_IDLE,
            less_is_better=True,
        ),
        report.Ratios(
            title="Big message: growth of the peer / growth of ehlo (over 1: ehlo needs less)",
            metric="growth",
            pairs=_BODIES,
            less_is_better=True,
        ),
        report.Values(title="Peak growth, as a multiple of the message", metric="of_body"),
        report.Values(title="Peak growth in MiB", metric="growth"),
        report.Values(title="CPU seconds for the big message", metric="cpu"),
        report.Values(title="KiB of each idle connection", metric="kib"),
        report.Values(title="CPU microseconds to set a connection up", metric="setup"),
        report.Values(title="How many connections", metric="count"),
    )
    report.write(record, TITLE, HOW, sections, plot=drawn)
