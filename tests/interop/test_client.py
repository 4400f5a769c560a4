"""`ehlo submit` against Postfix, over each kind of I/O."""

import email
import json
import subprocess
import sys
from pathlib import Path

import pytest
import trustme
from tests.interop.messages import added_header, fresh_recipient, message
from tests.interop.postfix import Postfix
from tests.interop.processes import PATIENCE, free_port, python_environment

pytestmark = pytest.mark.peer("postfix")

SENDER = "alice@local.example"
PASSWORD = "secret"
BIG = 3_000_000
ACCEPTED, RECIPIENT_REFUSED, UNAVAILABLE, AUTHENTICATION_REFUSED = 0, 67, 69, 77

each_io = pytest.mark.parametrize("io", ["asyncio", "trio", "blocking"])


class Submission:
    """One message and the command that submits it; options given later win."""

    def __init__(self, postfix: Postfix, directory: Path, size: int = 0) -> None:
        self.postfix = postfix
        self.recipient = fresh_recipient()
        self.sent = message(self.recipient, size)
        self.file = directory / "message"
        self.file.write_bytes(self.sent)

    def run(
        self,
        *options: str,
        server: str | None = None,
        ca: Path | None = None,
        to: tuple[str, ...] = (),
        password: str = PASSWORD,
    ) -> "subprocess.CompletedProcess[str]":
        """Run `ehlo submit`; a traceback is an error whatever the exit status."""
        argv = [sys.executable, "-m", "ehlo_io", "submit", "--from", SENDER]
        argv += ["--server", server or f"submission://alice@localhost:{self.postfix.port}"]
        for recipient in to or (self.recipient,):
            argv += ["--to", recipient]
        argv += ["--ca", str(ca or self.postfix.ca), *options, str(self.file)]
        environment = python_environment({"EHLO_PASSWORD": password})
        done = subprocess.run(
            argv,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            env=environment,
            timeout=PATIENCE,
            check=False,
        )
        assert "Traceback" not in done.stderr, done.stderr
        assert password not in done.stdout + done.stderr
        return done

    def expect(self, done: "subprocess.CompletedProcess[str]", status: int) -> None:
        """Check the exit status, and for a failure that something is said and nothing stored."""
        context = f"{done.stdout}\n{done.stderr}\n{self.postfix.log()}"
        assert done.returncode == status, context
        if status != ACCEPTED:
            assert done.stdout + done.stderr, "a failure without a word"
            assert self.postfix.stored(self.recipient) == []

    def expect_stored(self) -> bytes:
        """Check that Postfix stored what was sent; what it put on top."""
        return added_header(self.postfix.wait_for(self.recipient), self.sent)


@pytest.fixture
def submission(postfix: Postfix, tmp_path: Path) -> Submission:
    """A small message."""
    return Submission(postfix, tmp_path)


@pytest.mark.clause("OXSMTP-3.1-3.3b", "OXSMTP-3.1-3.3c", "OXSMTP-3.1-7c", "OXSMTP-3.1-8a", "RFC5321-4.5.2b")
@each_io
@pytest.mark.parametrize("mechanism", ["NTLM", "LOGIN", "PLAIN"])
def test_delivers_over_starttls(submission: Submission, io: str, mechanism: str) -> None:
    done = submission.run("--auth", mechanism, "--tls", "starttls", "--io", io)
    submission.expect(done, ACCEPTED)
    # RFC 3848: ESMTPSA says that there was TLS and AUTH.
    assert b"with ESMTPSA" in submission.expect_stored()


@each_io
@pytest.mark.parametrize("mechanism", ["NTLM", "LOGIN", "PLAIN"])
def test_wrong_password(submission: Submission, io: str, mechanism: str) -> None:
    done = submission.run("--auth", mechanism, "--tls", "starttls", "--io", io, password="not-secret")
    submission.expect(done, AUTHENTICATION_REFUSED)


@pytest.mark.clause("RFC8314-3.3a")
@each_io
def test_delivers_over_implicit_tls(submission: Submission, postfix: Postfix, io: str) -> None:
    done = submission.run("--io", io, server=f"submissions://alice@localhost:{postfix.tls_port}")
    submission.expect(done, ACCEPTED)
    assert b"with ESMTPSA" in submission.expect_stored()


@each_io
@pytest.mark.parametrize("implicit", [False, True], ids=["starttls", "implicit"])
def test_unknown_authority(
    submission: Submission, postfix: Postfix, tmp_path: Path, io: str, implicit: bool
) -> None:
    other = tmp_path / "other-ca.pem"
    trustme.CA().cert_pem.write_to_path(str(other))
    scheme, port = ("submissions", postfix.tls_port) if implicit else ("submission", postfix.port)
    done = submission.run("--io", io, ca=other, server=f"{scheme}://alice@localhost:{port}")
    submission.expect(done, UNAVAILABLE)


@each_io
def test_nobody_listens(submission: Submission, io: str) -> None:
    done = submission.run("--io", io, server=f"submission://alice@localhost:{free_port()}")
    submission.expect(done, UNAVAILABLE)


@each_io
@pytest.mark.parametrize("options", [(), ("--no-pipelining",)])
def test_delivers_three_megabytes(
    postfix: Postfix, tmp_path: Path, io: str, options: tuple[str, ...]
) -> None:
    submission = Submission(postfix, tmp_path, BIG)
    submission.expect(submission.run("--auth", "PLAIN", "--io", io, *options), ACCEPTED)
    submission.expect_stored()


def test_refused_recipient(submission: Submission) -> None:
    refused = "refused@local.example"
    done = submission.run(to=(refused,))
    submission.expect(done, RECIPIENT_REFUSED)
    assert refused in done.stdout + done.stderr


def test_one_of_two_recipients_refused(submission: Submission) -> None:
    refused = "refused@local.example"
    done = submission.run(to=(refused, submission.recipient))
    assert done.returncode == RECIPIENT_REFUSED, done.stderr
    assert refused in done.stdout + done.stderr
    submission.expect_stored()


@pytest.mark.clause("OXSMTP-3.1-7a")
def test_report_on_success_comes_back(submission: Submission, postfix: Postfix, tmp_path: Path) -> None:
    """NOTIFY, RET and ENVID arrive: Postfix sends a report that follows them."""
    sender = fresh_recipient("reporter")
    done = submission.run(
        "--from", sender, "--notify", "success,failure", "--ret", "hdrs", "--envid", "QQ314"
    )
    submission.expect(done, ACCEPTED)
    submission.expect_stored()
    report = email.message_from_bytes(postfix.wait_for(sender))
    parts = {part.get_content_type(): part.as_string() for part in report.walk()}
    assert "Original-Envelope-Id: QQ314" in parts["message/delivery-status"]
    assert f"Original-Recipient: rfc822;{submission.recipient}" in parts["message/delivery-status"]
    assert "text/rfc822-headers" in parts


def test_no_report_on_failure_when_none_is_wanted(submission: Submission, postfix: Postfix) -> None:
    sender = fresh_recipient("reporter")
    # Accepted and then found undeliverable, the first before the second.
    for envid, notify in (("FIRST", "never"), ("SECOND", "failure")):
        options = ("--from", sender, "--notify", notify, "--envid", envid)
        submission.expect(submission.run(*options, to=("bob@elsewhere.example",)), ACCEPTED)
    assert b"Original-Envelope-Id: SECOND\r\n" in postfix.wait_for(sender)


def test_json_has_one_outcome_for_each_recipient(submission: Submission) -> None:
    recipients = (submission.recipient, "refused@local.example")
    done = submission.run("--json", to=recipients)
    assert done.returncode == RECIPIENT_REFUSED, done.stderr
    assert sorted(_addresses(json.loads(done.stdout))) == sorted(recipients)


def _addresses(report: dict[str, list[dict[str, str]]]) -> list[str]:
    """The addresses in the list of a JSON report that has an entry for each recipient."""
    return [next(value for value in entry.values() if "@" in str(value)) for entry in report["recipients"]]
