"""Foreign mail clients behind one signature: each submits one message over TLS and says how it went.

tests/interop/relays.py has mail servers that are clients, tests/interop/cases.py which client knows what.
"""

import asyncio
import re
import smtplib
import ssl
import subprocess
import threading
from collections.abc import Callable, Mapping
from pathlib import Path

import aiosmtplib
import attrs
from tests.interop import peer
from tests.interop.dialogue import saying_ehlo
from tests.interop.processes import PATIENCE, clean_environment, find_program

SENDER = "alice@local.example"
USER, PASSWORD = peer.USER, peer.PASSWORD
TOKENS = ("XOAUTH2", "OAUTHBEARER")
NO_PASSWORD = ("EXTERNAL", "GSSAPI")


@attrs.frozen
class Job:
    """What is to be submitted, where and as whom."""

    port: int
    ca: Path
    recipient: str
    file: Path
    mechanism: str
    password: str = PASSWORD
    """Or the token, for the mechanisms that want one."""
    implicit_tls: bool = False
    user: str = USER
    authzid: str = ""
    """Whom the user wants to act as; curl, gsasl and ehlo only."""
    certificate: Path | None = None
    """The client's own, with its key, for EXTERNAL."""
    environment: Mapping[str, str] = attrs.field(factory=dict[str, str])
    """Additional variables, which name the tickets for GSSAPI."""
    service: str = "smtp"
    """For which service the ticket is to be; curl and ehlo only."""
    sender: str = SENDER
    """Postfix and Exim only."""
    source: str = "127.0.0.1"
    """The address that the client has; curl only."""


@attrs.frozen
class Outcome:
    """Whether the client was content, and what it printed."""

    accepted: bool
    output: str


Client = Callable[[Job], Outcome]


def curl(job: Job) -> Outcome:
    """Submit with curl; its output shows the dialogue."""
    return _curl(job)


def curl_at_once(job: Job) -> Outcome:
    """Submit with curl, which sends an initial response with AUTH."""
    return _curl(job, "--sasl-ir")


def _curl(job: Job, *options: str) -> Outcome:
    scheme = "smtps" if job.implicit_tls else "smtp"
    # The certificate is for localhost; the connection goes to the IPv4 address in any case.
    target = f"localhost:{job.port}"
    argv = ["curl", "-q", "-v", "--silent", "--show-error", "--noproxy", "*", "--max-time", str(PATIENCE)]
    argv += ["--ssl-reqd", "--cacert", str(job.ca), "--connect-to", f"{target}:127.0.0.1:{job.port}"]
    argv += ["--url", f"{scheme}://{target}", "--login-options", f"AUTH={job.mechanism}", *options]
    if job.mechanism in TOKENS:
        argv += ["-u", f"{job.user}:", "--oauth2-bearer", job.password]
    else:
        argv += ["-u", f"{job.user}:{'' if job.mechanism in NO_PASSWORD else job.password}"]
    if job.authzid:
        argv += ["--sasl-authzid", job.authzid]
    if job.mechanism == "GSSAPI":
        argv += ["--service-name", job.service]
    argv += ["--interface", job.source]
    if job.certificate is not None:
        argv += ["--cert", str(job.certificate)]
    argv += ["--mail-from", SENDER, "--mail-rcpt", job.recipient]
    return run([*argv, "-T", str(job.file)], job.environment)


def swaks(job: Job) -> Outcome:
    """Submit with swaks; its output shows the dialogue."""
    # Told to send a file as it is, swaks leaves the dots and the final dot to the file.
    wire = job.file.with_suffix(".wire")
    wire.write_bytes(re.sub(rb"(?m)^\.", b"..", job.file.read_bytes()) + b".")
    tls = "--tls-on-connect" if job.implicit_tls else "--tls"
    argv = ["swaks", "--server", "127.0.0.1", "--port", str(job.port), "--timeout", str(int(PATIENCE))]
    argv += [tls, "--tls-verify", "--tls-ca-path", str(job.ca)]
    argv += ["--auth", job.mechanism, "--auth-user", job.user, "--auth-password", job.password]
    argv += ["--helo", "client.example", "--from", SENDER, "--to", job.recipient, "--suppress-data"]
    return run([*argv, "--no-data-fixup", "--data", f"@{wire}"], job.environment)


def swaks_missing() -> str | None:
    """Why swaks cannot do all of its mechanisms here, or None."""
    if find_program("swaks") is None:
        return "swaks is not installed"
    modules = ["-MNet::SSLeay", "-MDigest::HMAC_MD5", "-MAuthen::NTLM"]
    done = subprocess.run(
        ["perl", *modules, "-e", "1"], env=clean_environment(), capture_output=True, check=False
    )
    return None if done.returncode == 0 else "a Perl module that swaks needs is not installed"


def msmtp(job: Job) -> Outcome:
    """Submit with msmtp, which reads the message from its standard input."""
    host = "localhost" if job.mechanism == "GSSAPI" else "127.0.0.1"
    text = (
        f"account default\nhost {host}\nport {job.port}\nfrom {SENDER}\ntimeout {int(PATIENCE)}\n"
        f"tls on\ntls_starttls {'off' if job.implicit_tls else 'on'}\ntls_trust_file {job.ca}\n"
        f"auth {job.mechanism.lower()}\nuser {job.user}\n"
    )
    if job.mechanism not in NO_PASSWORD:
        text += f"password {job.password}\n"
    if job.certificate is not None:
        text += f"tls_cert_file {job.certificate}\ntls_key_file {job.certificate}\n"
    settings = job.file.with_suffix(".msmtp")
    settings.touch(mode=0o600)
    settings.write_text(text)
    argv = ["msmtp", "--debug", f"--file={settings}", "--", job.recipient]
    return run(argv, job.environment, job.file.read_bytes())


def gsasl(job: Job) -> Outcome:
    """Authenticate with gsasl and give it the commands of a submission, one by one; over STARTTLS only."""
    # It says STARTTLS before EHLO, which not every server likes.
    with saying_ehlo(job.port) as port:
        return _gsasl(job, port)


def _gsasl(job: Job, port: int) -> Outcome:
    # Its input has to be unbuffered, or it forgets to look at the second of two lines.
    argv = ["stdbuf", "--input=0", find_program("gsasl") or "gsasl", "--smtp", "--starttls"]
    argv += ["--connect", f"localhost:{port}", "--x509-ca-file", str(job.ca)]
    argv += ["--mechanism", job.mechanism, "-a", job.user, "-p", job.password]
    if not job.mechanism.endswith("-PLUS"):
        argv.append("--no-cb")
    if job.authzid:
        argv += ["-z", job.authzid]
    stuffed = job.file.read_bytes().replace(b"\r\n.", b"\r\n..")
    # What it is given, each after the reply that stands before it.
    orders = iter(
        (
            (b"235 ", f"MAIL FROM:<{SENDER}>\r\n".encode()),
            (b"250 ", f"RCPT TO:<{job.recipient}>\r\n".encode()),
            (b"250 ", b"DATA\r\n"),
            (b"354 ", stuffed + b".\r\n"),
            (b"250 ", b""),
        )
    )
    printed: list[bytes] = []
    with subprocess.Popen(
        argv,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=clean_environment(job.environment),
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        impatience = threading.Timer(PATIENCE, process.kill)
        impatience.start()
        awaited, order = next(orders)
        accepted = False
        for line in process.stdout:
            printed.append(line)
            if line.startswith(awaited):
                accepted = not order
                if accepted:
                    break
                process.stdin.write(order)
                process.stdin.flush()
                awaited, order = next(orders)
            elif re.match(rb"[45]\d\d ", line):
                break
        process.stdin.close()
        printed += process.stdout
        impatience.cancel()
    return Outcome(accepted, b"".join(printed).decode("utf-8", "replace"))


def standard_library(job: Job) -> Outcome:
    """Submit with smtplib."""
    context = ssl.create_default_context(cafile=str(job.ca))
    try:
        with _smtplib_connection(job, context) as smtp:
            smtp.user, smtp.password = job.user, job.password
            answer: Callable[..., str] = getattr(smtp, f"auth_{job.mechanism.lower().replace('-', '_')}")
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


def asyncio_library(job: Job) -> Outcome:
    """Submit with aiosmtplib."""
    try:
        refused = asyncio.run(_aiosmtplib(job))
    except (aiosmtplib.SMTPException, OSError) as error:
        return Outcome(False, repr(error))
    return Outcome(not refused, str(refused))


async def _aiosmtplib(job: Job) -> Mapping[str, object]:
    smtp = aiosmtplib.SMTP(
        hostname="127.0.0.1",
        port=job.port,
        local_hostname="client.example",
        timeout=PATIENCE,
        use_tls=job.implicit_tls,
        start_tls=not job.implicit_tls,
        tls_context=ssl.create_default_context(cafile=str(job.ca)),
    )
    async with smtp:
        transport = smtp.transport
        try:
            await smtp.ehlo()
            log_on = {
                "PLAIN": smtp.auth_plain,
                "LOGIN": smtp.auth_login,
                "CRAM-MD5": smtp.auth_crammd5,
                "XOAUTH2": smtp.auth_xoauth2,
            }[job.mechanism]
            await log_on(job.user, job.password)
            refused, _ = await smtp.sendmail(SENDER, [job.recipient], job.file.read_bytes())
            await smtp.quit()
        finally:
            # Its own way to close would outlive the event loop.
            if isinstance(transport, asyncio.WriteTransport):
                transport.abort()
        return refused


def run(argv: list[str], environment: Mapping[str, str], given: bytes = b"") -> Outcome:
    """Run a program; it was content when its exit status is 0."""
    done = subprocess.run(
        [find_program(argv[0]) or argv[0], *argv[1:]],
        input=given,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=clean_environment(environment),
        timeout=PATIENCE * 2,
        check=False,
    )
    return Outcome(done.returncode == 0, done.stdout.decode("utf-8", "replace"))
