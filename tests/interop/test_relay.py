"""`ehlo serve --relay` in front of Postfix: a client speaks NTLM to it, and it speaks SCRAM to Postfix."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest
from tests.interop import clients, ehlo_server, haproxy
from tests.interop.ehlo_server import EhloServer
from tests.interop.messages import added_header, fresh_recipient, message
from tests.interop.postfix import Postfix
from tests.interop.processes import clean_environment, free_port, running, tail, wait_until_listening

import ehlo
from ehlo import dsn
from ehlo_io import blocking, client_context

pytestmark = pytest.mark.peer("postfix", "curl")

DOCUMENT = Path(__file__).parents[2] / "docs" / "relay.md"


@contextlib.contextmanager
def gateway(
    top: Path, postfix: Postfix, *options: str, mechanism: str = "SCRAM-SHA-256"
) -> Iterator[EhloServer]:
    top.mkdir(exist_ok=True)
    secret = top / "secret"
    secret.write_text(f"{postfix.secret(mechanism)}\n")
    argv = ["--relay", f"submission://alice@localhost:{postfix.port}", "--relay-auth", mechanism]
    argv += ["--relay-ca", str(postfix.ca), "--relay-password-file", str(secret), *options]
    with ehlo_server.serving(top, "asyncio", argv, stores=False) as server:
        yield server


def modes(top: Path) -> dict[str, tuple[str, ...]]:
    return {"spool": ("--spool", str(top / "spool")), "through": ("--relay-mode", "through")}


def submitted(
    server: EhloServer,
    top: Path,
    *,
    size: int = 0,
    port: int | None = None,
    source: str = "127.0.0.1",
    octets: bytes | None = None,
) -> clients.Job:
    """A message that curl has submitted by NTLM."""
    recipient = fresh_recipient()
    file = top / "message"
    file.write_bytes(message(recipient, size) if octets is None else octets)
    job = clients.Job(
        server.port if port is None else port, server.ca, recipient, file, "NTLM", source=source
    )
    outcome = clients.curl(job)
    assert outcome.accepted, outcome.output + server.log()
    assert "AUTH NTLM" in outcome.output
    return job


@pytest.mark.parametrize("mode", ["spool", "through"])
@pytest.mark.parametrize("size", [0, 2_000_000], ids=["short", "long"])
def test_ntlm_in_and_scram_out(postfix: Postfix, tmp_path: Path, mode: str, size: int) -> None:
    with gateway(tmp_path, postfix, *modes(tmp_path)[mode]) as server:
        job = submitted(server, tmp_path, size=size)
        header = added_header(postfix.wait_for(job.recipient), job.file.read_bytes())
    assert b" with ESMTPSA " in header
    assert re.search(rb"sasl_method=SCRAM-SHA-256, sasl_username=alice", postfix.logs()[1].read_bytes())


@pytest.mark.parametrize("mode", ["spool", "through"])
def test_a_recipient_that_postfix_refuses(postfix: Postfix, tmp_path: Path, mode: str) -> None:
    sender, good = fresh_recipient("sender"), fresh_recipient()
    with (
        gateway(tmp_path, postfix, *modes(tmp_path)[mode]) as server,
        blocking.connect(
            "localhost",
            server.port,
            auth=ehlo.Password(clients.USER, clients.PASSWORD),
            context=client_context(str(server.ca)),
        ) as client,
    ):
        client.submit(message(good), sender=sender, recipients=[good, "refused@local.example"])
        assert postfix.wait_for(good).endswith(message(good))
        report = dsn.parse(postfix.wait_for(sender))
    (fate,) = report.recipients
    assert fate.final_recipient.value == "refused@local.example"
    assert fate.action is dsn.Action.FAILED
    assert fate.diagnostic is not None
    assert fate.diagnostic.value.startswith("554 5.7.1 <refused@local.example>")


def haproxy_settings(port: int, first: int, second: int) -> str:
    """The configuration in the documentation, with the ports of a test."""
    text = DOCUMENT.read_text("utf-8").split("```haproxy\n")[1].split("```")[0]
    ports = {"bind :587": port, "one 192.0.2.11:5870": first, "two 192.0.2.12:5870": second}
    for there, here in ports.items():
        assert text.count(there) == 1, there
        text = text.replace(there, f"{there.split()[0]} 127.0.0.1:{here}")
    return text


@pytest.mark.peer("haproxy")
def test_two_gateways_behind_haproxy(postfix: Postfix, tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    port = free_port()
    settings = tmp_path / "haproxy.cfg"
    with (
        gateway(one, postfix, "--proxy-protocol", *modes(one)["spool"]) as first,
        gateway(two, postfix, "--proxy-protocol", *modes(two)["spool"]) as second,
    ):
        # Clients trust one authority; here each server made its own.
        both = tmp_path / "both.pem"
        both.write_bytes(first.ca.read_bytes() + second.ca.read_bytes())
        settings.write_text(haproxy_settings(port, first.port, second.port))
        log = tmp_path / "haproxy.log"
        argv = ["haproxy", "-db", "-f", str(settings)]
        with running(argv, log, clean_environment()) as process:
            try:
                wait_until_listening(port, process)
                jobs = [submitted(attrs.evolve(first, ca=both), tmp_path, port=port) for _ in range(4)]
            except (RuntimeError, AssertionError) as error:
                raise AssertionError(tail(log)) from error
            for job in jobs:
                added_header(postfix.wait_for(job.recipient), message(job.recipient))
            # When one is gone, the other takes it all.
            assert first.terminate() == 0
            job = submitted(attrs.evolve(second, ca=both), tmp_path, port=port)
            added_header(postfix.wait_for(job.recipient), message(job.recipient))


@pytest.mark.peer("haproxy")
def test_workers_behind_haproxy(postfix: Postfix, tmp_path: Path) -> None:
    """One gateway of two processes: a message has what it lacked, and the trace of its client."""
    client = "127.0.0.77"
    spool = tmp_path / "spool"
    options = ("--workers", "2", "--proxy-protocol", "--spool", str(spool))
    bare = b"Subject: bare\r\n\r\n.\r\nline\r\n"
    with (
        gateway(tmp_path, postfix, *options) as server,
        haproxy.in_front_of(tmp_path, f"127.0.0.1:{server.port}", "send-proxy-v2") as port,
    ):
        for _ in range(4):
            job = submitted(server, tmp_path, port=port, source=client, octets=bare)
            header, _, body = postfix.wait_for(job.recipient).partition(b"\r\n\r\n")
            assert body.rstrip() == b".\r\nline"
            names = [line.partition(b":")[0] for line in header.split(b"\r\n") if not line.startswith(b"\t")]
            assert {b"Date", b"Message-ID", b"Subject"} <= set(names)
            trace = next(text for text in header.split(b"\r\nReceived: ") if f"[{client}]".encode() in text)
            assert b" with ESMTPSA " in trace
        assert server.terminate() == 0
        assert server.errors.read_text() == ""
    assert re.search(rb"sasl_method=SCRAM-SHA-256, sasl_username=alice", postfix.logs()[1].read_bytes())
    assert sorted(path.name for path in spool.glob("worker-*")) == ["worker-0", "worker-1"]
    assert list(spool.rglob("messages/*")) == []
