"""Foreign mail clients behind one signature: each submits one message over TLS and says how it went."""

import re
import smtplib
import ssl
import subprocess
from collections.abc import Callable
from pathlib import Path

import attrs
from tests.interop.processes import PATIENCE, clean_environment, find_program

SENDER = "alice@local.example"
PASSWORD = "secret"


@attrs.frozen
class Job:
    """What is to be submitted, where and as whom."""

    port: int
    ca: Path
    recipient: str
    file: Path
    mechanism: str
    password: str = PASSWORD
    implicit_tls: bool = False


@attrs.frozen
class Outcome:
    """Whether the client was content, and what it printed."""

    accepted: bool
    output: str


Client = Callable[[Job], Outcome]


def curl(job: Job) -> Outcome:
    """Submit with curl; its output shows the dialogue."""
    scheme = "smtps" if job.implicit_tls else "smtp"
    # The certificate is for localhost; the connection goes to the IPv4 address in any case.
    target = f"localhost:{job.port}"
    argv = ["curl", "-q", "-v", "--silent", "--show-error", "--noproxy", "*", "--max-time", str(PATIENCE)]
    argv += ["--ssl-reqd", "--cacert", str(job.ca), "--connect-to", f"{target}:127.0.0.1:{job.port}"]
    argv += ["--url", f"{scheme}://{target}", "--login-options", f"AUTH={job.mechanism}"]
    argv += ["-u", f"alice:{job.password}", "--mail-from", SENDER, "--mail-rcpt", job.recipient]
    return _run([*argv, "-T", str(job.file)])


def swaks(job: Job) -> Outcome:
    """Submit with swaks; its output shows the dialogue."""
    # Told to send a file as it is, swaks leaves the dots and the final dot to the file.
    wire = job.file.with_suffix(".wire")
    wire.write_bytes(re.sub(rb"(?m)^\.", b"..", job.file.read_bytes()) + b".")
    tls = "--tls-on-connect" if job.implicit_tls else "--tls"
    argv = ["swaks", "--server", "127.0.0.1", "--port", str(job.port), "--timeout", str(int(PATIENCE))]
    argv += [tls, "--tls-verify", "--tls-ca-path", str(job.ca)]
    argv += ["--auth", job.mechanism, "--auth-user", "alice", "--auth-password", job.password]
    argv += ["--helo", "client.example", "--from", SENDER, "--to", job.recipient, "--suppress-data"]
    return _run([*argv, "--no-data-fixup", "--data", f"@{wire}"])


def msmtp(job: Job) -> Outcome:
    """Submit with msmtp, which reads the message from its standard input."""
    settings = job.file.with_suffix(".msmtp")
    settings.touch(mode=0o600)
    settings.write_text(
        f"account default\nhost 127.0.0.1\nport {job.port}\nfrom {SENDER}\ntimeout {int(PATIENCE)}\n"
        f"tls on\ntls_starttls {'off' if job.implicit_tls else 'on'}\ntls_trust_file {job.ca}\n"
        f"auth {job.mechanism.lower()}\nuser alice\npassword {job.password}\n"
    )
    return _run(["msmtp", "--debug", f"--file={settings}", "--", job.recipient], job.file.read_bytes())


def standard_library(job: Job) -> Outcome:
    """Submit with smtplib."""
    context = ssl.create_default_context(cafile=str(job.ca))
    try:
        with _smtplib_connection(job, context) as smtp:
            smtp.user, smtp.password = "alice", job.password
            answer = {"PLAIN": smtp.auth_plain, "LOGIN": smtp.auth_login}[job.mechanism]
            smtp.ehlo_or_helo_if_needed()
            smtp.auth(job.mechanism, answer)
            refused = smtp.sendmail(SENDER, [job.recipient], job.file.read_bytes())
    except (smtplib.SMTPException, OSError) as error:
        return Outcome(False, repr(error))
    return Outcome(not refused, str(refused))


def _smtplib_connection(job: Job, context: ssl.SSLContext) -> smtplib.SMTP:
    if job.implicit_tls:
        return smtplib.SMTP_SSL("127.0.0.1", job.port, "client.example", timeout=PATIENCE, context=context)
    smtp = smtplib.SMTP("127.0.0.1", job.port, "client.example", timeout=PATIENCE)
    try:
        smtp.starttls(context=context)
    except (smtplib.SMTPException, OSError):
        smtp.close()
        raise
    return smtp


def _run(argv: list[str], given: bytes = b"") -> Outcome:
    done = subprocess.run(
        [find_program(argv[0]) or argv[0], *argv[1:]],
        input=given,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=clean_environment(),
        timeout=PATIENCE * 2,
        check=False,
    )
    return Outcome(done.returncode == 0, done.stdout.decode("utf-8", "replace"))
