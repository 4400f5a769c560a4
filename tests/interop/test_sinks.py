"""The plain programs: Postfix's smtp-sink and smtp-source, and aiosmtpd, over each kind of I/O."""

import contextlib
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import attrs
import pytest
import trustme
from tests.interop import clients, ehlo_client, ehlo_server
from tests.interop.messages import fresh_recipient, message
from tests.interop.peer import directory, write_certificates
from tests.interop.processes import (
    PATIENCE,
    clean_environment,
    find_program,
    free_port,
    python_environment,
    running,
    tail,
    wait_until_listening,
)

IO = ("asyncio", "trio", "blocking")
each_io = pytest.mark.parametrize("io", IO)


@contextlib.contextmanager
def started(argv: Sequence[str], port: int, log: Path) -> Iterator[None]:
    """Run a server until the test is over; one that does not serve is an error that shows why."""
    with running([find_program(argv[0]) or argv[0], *argv[1:]], log, clean_environment()) as process:
        try:
            wait_until_listening(port, process)
        except (RuntimeError, TimeoutError) as error:
            raise RuntimeError(f"{argv[0]} does not serve: {error}\n{tail(log)}") from error
        yield


def submit(io: str, url: str, *options: str, file: Path) -> "subprocess.CompletedProcess[str]":
    """`ehlo submit` without TLS."""
    argv = [sys.executable, "-m", "ehlo_io", "submit", "--io", io, "--tls", "none", "--server", url]
    argv += ["--from", clients.SENDER, *options, str(file)]
    return subprocess.run(
        argv, capture_output=True, text=True, env=python_environment(), timeout=PATIENCE, check=False
    )


# ---- smtp-sink ----


@pytest.mark.peer("smtp-sink")
@each_io
@pytest.mark.parametrize("scheme", ["smtp", "lmtp"])
@pytest.mark.parametrize("size", [0, 500_000], ids=["short", "long"])
def test_smtp_sink_takes_it(io: str, scheme: str, size: int) -> None:
    with directory("sink") as top:
        (top / "mail").mkdir(mode=0o777)
        (top / "mail").chmod(0o777)
        port = free_port()
        argv = ["smtp-sink", "-u", "nobody", "-d", "mail/", "-R", str(top)]
        argv += [*(["-L"] if scheme == "lmtp" else []), f"127.0.0.1:{port}", "10"]
        recipient, other = fresh_recipient(), fresh_recipient("carol")
        file = top / "message"
        file.write_bytes(sent := message(recipient, size))
        with started(argv, port, top / "log"):
            done = submit(io, f"{scheme}://127.0.0.1:{port}", "--to", recipient, "--to", other, file=file)
            assert done.returncode == 0, done.stderr
            (stored,) = (top / "mail").iterdir()
            # It keeps what was on the wire but for the stuffed dots, in lines of its own.
            text = stored.read_bytes()
        assert text.endswith(sent.replace(b"\r\n", b"\n") + b"\n")
        for each in (recipient, other):
            assert f"X-Rcpt-Args: <{each}>".encode() in text


@pytest.mark.peer("smtp-sink")
@each_io
@pytest.mark.parametrize(("refusal", "status"), [("-f", 67), ("-r", 75)], ids=["for good", "for now"])
def test_smtp_sink_refuses_recipients(io: str, refusal: str, status: int) -> None:
    with directory("sink") as top:
        port = free_port()
        file = top / "message"
        file.write_bytes(message(recipient := fresh_recipient()))
        argv = ["smtp-sink", "-u", "nobody", refusal, "rcpt", f"127.0.0.1:{port}", "10"]
        with started(argv, port, top / "log"):
            done = submit(io, f"smtp://127.0.0.1:{port}", "--to", recipient, file=file)
        assert done.returncode == status, done.stderr
        assert "Traceback" not in done.stderr


# ---- aiosmtpd ----


@attrs.frozen
class Aiosmtpd:
    port: int
    ca: Path
    maildir: Path

    def stored(self, recipient: str) -> list[bytes]:
        """The messages for a recipient by now."""
        files = [file.read_bytes() for file in (self.maildir / "new").glob("*")]
        return [text for text in files if f"X-RcptTo: {recipient}\n".encode() in text]


@pytest.fixture(scope="module")
def aiosmtpd(authority: trustme.CA) -> Iterator[Aiosmtpd]:
    """aiosmtpd with STARTTLS, PLAIN and LOGIN."""
    with directory("aiosmtpd") as top:
        certificate, ca = write_certificates(authority, top)
        port = free_port()
        program = Path(__file__).with_name("aiosmtpd_server.py")
        argv = [sys.executable, str(program), str(port), str(certificate), str(top / "mail")]
        with started(argv, port, top / "log"):
            yield Aiosmtpd(port, ca, top / "mail")


def job(server: Aiosmtpd, top: Path, mechanism: str, password: str, size: int = 0) -> clients.Job:
    recipient = fresh_recipient()
    file = top / "message"
    file.write_bytes(message(recipient, size))
    return clients.Job(server.port, server.ca, recipient, file, mechanism, password)


@pytest.mark.peer("aiosmtpd")
@each_io
@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN"])
@pytest.mark.parametrize("size", [0, 500_000], ids=["short", "long"])
def test_aiosmtpd_takes_it(aiosmtpd: Aiosmtpd, tmp_path: Path, io: str, mechanism: str, size: int) -> None:
    task = job(aiosmtpd, tmp_path, mechanism, clients.PASSWORD, size)
    outcome = ehlo_client.command(io)(task)
    assert outcome.accepted, outcome.output
    (stored,) = aiosmtpd.stored(task.recipient)
    # It parses what it gets, and writes lines of its own.
    body = task.file.read_bytes().partition(b"\r\n\r\n")[2].replace(b"\r\n", b"\n")
    assert stored.partition(b"\n\n")[2] == body


@pytest.mark.peer("aiosmtpd")
@each_io
@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN"])
def test_aiosmtpd_refuses_a_wrong_password(
    aiosmtpd: Aiosmtpd, tmp_path: Path, io: str, mechanism: str
) -> None:
    task = job(aiosmtpd, tmp_path, mechanism, "wrong")
    outcome = ehlo_client.command(io)(task)
    assert not outcome.accepted
    assert "535" in outcome.output
    assert aiosmtpd.stored(task.recipient) == []


# ---- smtp-source ----


@pytest.mark.peer("smtp-source")
@each_io
@pytest.mark.parametrize("lmtp", [False, True], ids=["smtp", "lmtp"])
def test_smtp_source_delivers(tmp_path: Path, io: str, lmtp: bool) -> None:
    """Forty messages of two recipients each, over four connections at a time."""
    options = ["--no-require-auth", *(["--lmtp"] if lmtp else [])]
    with ehlo_server.serving(tmp_path, io, options) as server:
        argv = ["smtp-source", *(["-L"] if lmtp else []), "-m", "40", "-s", "4", "-r", "2", "-l", "5000"]
        argv += ["-f", clients.SENDER, "-t", "bob@local.example", f"127.0.0.1:{server.port}"]
        outcome = clients.run(argv, {})
        assert outcome.accepted, outcome.output + server.log()
        assert len(server.files("new")) == 40
        assert server.files("tmp") == frozenset()
        for file in server.files("new"):
            text = file.read_bytes()
            assert text.count(b"XXX") > 1000
            assert text.endswith(b"\r\n")


# ---- peers that fail ----


def test_a_server_that_ends_at_once_is_named(tmp_path: Path) -> None:
    argv = [sys.executable, "-c", "raise SystemExit('port in use')"]
    with (
        pytest.raises(RuntimeError, match=r"does not serve: .*status 1\n--- log ---\nport in use"),
        started(argv, free_port(), tmp_path / "log"),
    ):
        raise AssertionError("it serves")


def test_a_server_that_hangs_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.interop.processes.PATIENCE", 0.5)
    argv = [sys.executable, "-c", "import time; print('thinking', flush=True); time.sleep(600)"]
    with (
        pytest.raises(RuntimeError, match=r"does not serve: no result after 0.5 seconds"),
        started(argv, free_port(), tmp_path / "log"),
    ):
        raise AssertionError("it serves")
