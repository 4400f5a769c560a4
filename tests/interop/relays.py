"""Postfix and Exim as clients: each is given one message and relays it to the server under test.

A client of its own for each message: started, watched until the message is gone or stays, and ended.
"""

import shutil
from collections.abc import Callable
from pathlib import Path

import attrs
from tests.interop import exim as exim_peer
from tests.interop import postfix as postfix_peer
from tests.interop.clients import Job, Outcome, run
from tests.interop.peer import directory
from tests.interop.processes import attempts, clean_environment, command

MAIN_CF = """\
relayhost = [localhost]:{port}
smtp_host_lookup = native
smtp_tls_security_level = secure
smtp_tls_CAfile = {ca}
smtp_tls_wrappermode = {wrapped}
smtp_sasl_auth_enable = yes
smtp_sasl_password_maps = inline:{{{{[localhost]:{port} = {user}:{password}}}}}
smtp_sasl_security_options =
smtp_sasl_tls_security_options =
smtp_sasl_mechanism_filter = {mechanism}
"""

# Verbose, so that the log shows the dialogue.
MASTER_CF = """\
pickup unix n - n 60 1 pickup
smtp unix - - n - - smtp -v
lmtp unix - - n - - lmtp -v
"""

EXIM_CONF = """\
message_size_limit = 20M

begin routers
relay:
  driver = manualroute
  transport = submission
  route_list = * localhost byname
  self = send

begin transports
submission:
  driver = smtp
  port = {port}
  protocol = {protocol}
  hosts_require_tls = *
  hosts_require_auth = *
  tls_verify_certificates = {ca}
  tls_verify_cert_hostnames = *

begin authenticators
client:
  driver = {driver}
  public_name = {mechanism}
  {options}
"""

EXIM_DRIVERS = {
    "PLAIN": ("plaintext", "client_send = ^{user}^{password}"),
    "LOGIN": ("plaintext", "client_send = : {user} : {password}"),
    "CRAM-MD5": ("cram_md5", "client_name = {user}\n  client_secret = {password}"),
    "NTLM": ("spa", "client_username = {user}\n  client_password = {password}"),
}


@attrs.frozen
class Mail:
    """A message and its envelope."""

    sender: str
    recipients: tuple[str, ...]
    content: bytes


def postfix(job: Job) -> Outcome:
    """Submit with Postfix's smtp(8), whose AUTH is Cyrus SASL's."""
    main = MAIN_CF.format(
        port=job.port,
        ca=job.ca,
        wrapped="yes" if job.implicit_tls else "no",
        user=job.user,
        password=job.password,
        mechanism=job.mechanism.lower(),
    )
    mail = Mail(job.sender, (job.recipient,), job.file.read_bytes())
    shown = postfix_delivers(main, mail, lambda lines: any(" status=" in line for line in lines))
    return Outcome(any("status=sent" in line for line in shown), "\n".join(shown))


def postfix_delivers(main: str, mail: Mail, done: Callable[[list[str]], bool]) -> list[str]:
    """Run a Postfix with these settings and one message until its log says that it is done: the dialogue
    of its smtp(8) or lmtp(8), and what became of each recipient."""
    with directory("postfix-client") as top:
        postfix_peer.write_settings(top, main, MASTER_CF)
        # Queued first, so that it is there when the daemon starts.
        argv = ["sendmail", "-C", str(top / "etc"), "-i", "-f", mail.sender, *mail.recipients]
        command(argv, mail.content, clean_environment({"MAIL_CONFIG": str(top / "etc")}))
        log = top / "log" / "maillog"
        shown: list[str] = []
        with postfix_peer.master(top) as process:
            for _ in attempts(process):
                lines = log.read_text("utf-8", "replace").splitlines() if log.exists() else []
                said = [line.partition("]: ")[2] for line in lines if "/smtp[" in line or "/lmtp[" in line]
                shown = [line for line in said if line.startswith(("> ", "< ")) or " status=" in line]
                if done(shown):
                    break
    return shown


def exim(job: Job) -> Outcome:
    """Submit with Exim's smtp transport."""
    with directory("exim-client") as top:
        driver, options = EXIM_DRIVERS[job.mechanism]
        # Its own user reads it, who may not look where the test keeps it.
        ca = Path(shutil.copy(job.ca, top))
        ca.chmod(0o644)
        settings = EXIM_CONF.format(
            port=job.port,
            protocol="smtps" if job.implicit_tls else "smtp",
            ca=ca,
            driver=driver,
            mechanism=job.mechanism,
            options=options.format(user=job.user, password=job.password),
        )
        argv = exim_peer.write_settings(top, settings)
        # Delivered before the command returns.
        argv += ["-odf", "-oi", "-v", "-f", job.sender, job.recipient]
        outcome = run(argv, {}, job.file.read_bytes())
        log = (top / "log" / "mainlog").read_text("utf-8", "replace")
    return Outcome(f" => {job.recipient} " in log, outcome.output + log)
