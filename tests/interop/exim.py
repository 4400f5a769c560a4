"""An Exim of our own, unpacked by install-peers, on loopback and in a directory that vanishes with the test.

Its NTLM knows NTLMv1 only. EXTERNAL takes the common name of the client's certificate. Root only.
"""

import contextlib
import os
import pwd
import shutil
from collections.abc import Iterator
from pathlib import Path

import attrs
import trustme
from tests.interop.peer import (
    HOST,
    PASSWORD,
    UNICODE_DOMAIN,
    USER,
    Peer,
    maildir_messages,
    write_certificates,
)
from tests.interop.processes import clean_environment, free_port, running

PROGRAM = Path("/var/lib/ehlo-peers/exim4/usr/sbin/exim4")
ACCOUNT = "Debian-exim"
MECHANISMS = ("PLAIN", "LOGIN", "CRAM-MD5", "NTLM", "EXTERNAL")

COMMON = """\
primary_hostname = {host}
spool_directory = {top}/spool
log_file_path = {top}/log/%slog
pid_file_path = {top}/pid
exim_path = {program}
exim_user = {account}
exim_group = {account}
never_users =
keep_environment =
timezone = UTC
"""

SERVER = """\
local_interfaces = 127.0.0.1
daemon_smtp_ports = {port} : {tls_port}
tls_on_connect_ports = {tls_port}
tls_advertise_hosts = *
tls_certificate = {server}
tls_verify_certificates = {ca}
tls_try_verify_hosts = *
host_lookup =
rfc1413_query_timeout = 0s
chunking_advertise_hosts = *
dsn_advertise_hosts = *
smtputf8_advertise_hosts = *
message_size_limit = 20M
# Nothing is to be slowed down, queued because of the load, or looked up.
smtp_accept_max = 0
smtp_accept_queue = 0
smtp_accept_queue_per_connection = 0
queue_run_max = 0
acl_smtp_rcpt = recipient
acl_smtp_mail = accept

begin acl
recipient:
  deny !authenticated = *
       message = authentication required
  deny recipients = refused@local.example
       message = no such mailbox
  accept

begin routers
stored:
  driver = accept
  domains = local.example : {unicode_domain}
  transport = maildir

begin transports
maildir:
  driver = appendfile
  maildir_format
  directory = {top}/mail
  envelope_to_add
  return_path_add
  user = {account}

begin authenticators
plain:
  driver = plaintext
  public_name = PLAIN
  server_prompts = :
  server_condition = ${{if and {{{{eq{{$auth2}}{{{user}}}}}{{eq{{$auth3}}{{{password}}}}}}}}}
  server_set_id = $auth2
login:
  driver = plaintext
  public_name = LOGIN
  server_prompts = Username:: : Password::
  server_condition = ${{if and {{{{eq{{$auth1}}{{{user}}}}}{{eq{{$auth2}}{{{password}}}}}}}}}
  server_set_id = $auth1
cram:
  driver = cram_md5
  public_name = CRAM-MD5
  server_secret = ${{if eq{{$auth1}}{{{user}}}{{{password}}}fail}}
  server_set_id = $auth1
ntlm:
  driver = spa
  public_name = NTLM
  server_password = ${{if eq{{$auth1}}{{{user}}}{{{password}}}fail}}
  server_set_id = $auth1
external:
  driver = external
  public_name = EXTERNAL
  server_advertise_condition = ${{if def:tls_in_cipher}}
  server_param2 = ${{certextract{{subject,CN}}{{$tls_in_peercert}}}}
  server_condition = ${{if and {{{{bool{{$tls_in_certificate_verified}}}}{{eq{{$auth2}}{{{user}}}}}}}}}
  server_set_id = $auth2
"""


@attrs.frozen
class Exim(Peer):
    """A running server."""

    def stored(self, recipient: str) -> list[bytes]:
        """The messages stored for a recipient by now."""
        return maildir_messages(self.top / "mail", "Envelope-to", recipient)

    def logs(self) -> tuple[Path, ...]:
        """Its one log, and what it says before that is open."""
        return (self.top / "output", self.top / "log" / "mainlog")


def missing() -> str | None:
    """Why Exim cannot run here, or None."""
    if not PROGRAM.exists():
        return "exim4 (exim4-daemon-heavy) is not unpacked"
    try:
        pwd.getpwnam(ACCOUNT)
    except KeyError:
        return f"there is no user {ACCOUNT}"
    return None if os.geteuid() == 0 else "exim needs root"


def write_settings(top: Path, settings: str) -> list[str]:
    """Make an Exim's directories and configuration; the command that runs it, without what it is to do."""
    for name in ("spool", "log", "mail"):
        (top / name).mkdir(mode=0o755)
        shutil.chown(top / name, ACCOUNT, ACCOUNT)
    configuration = top / "exim.conf"
    common = COMMON.format(top=top, host=HOST, program=PROGRAM, account=ACCOUNT)
    configuration.write_text(common + settings, "utf-8")
    return [str(PROGRAM), "-C", str(configuration)]


@contextlib.contextmanager
def serving(top: Path, authority: trustme.CA) -> Iterator[Exim]:
    """Run Exim in an empty directory, which its user has to be able to reach."""
    server, ca = write_certificates(authority, top)
    port, tls_port = free_port(), free_port()
    settings = SERVER.format(
        top=top,
        account=ACCOUNT,
        port=port,
        tls_port=tls_port,
        server=server,
        ca=ca,
        user=USER,
        password=PASSWORD,
        unicode_domain=UNICODE_DOMAIN,
    )
    argv = write_settings(top, settings)
    # In the foreground, and no queue runner beside it.
    with running([*argv, "-bdf"], top / "output", clean_environment()) as process:
        exim = Exim(port, tls_port, ca, MECHANISMS, top, process)
        exim.wait_until_ready()
        yield exim
