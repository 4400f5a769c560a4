"""A Postfix of our own, with Cyrus SASL, on loopback and in a directory that vanishes with the test.

Mail for other places than local.example bounces. Root only: Postfix changes users.
"""

import contextlib
import os
import shutil
import subprocess
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
from tests.interop.processes import clean_environment, command, find_program, free_port, running

MECHANISMS = ("PLAIN", "LOGIN", "CRAM-MD5", "SCRAM-SHA-1", "SCRAM-SHA-256", "NTLM")
DAEMONS = "/usr/lib/postfix/sbin"

COMMON_MAIN_CF = """\
compatibility_level = 3.6
queue_directory = {top}/spool
data_directory = {top}/data
command_directory = /usr/sbin
daemon_directory = {daemons}
mail_owner = postfix
setgid_group = postdrop
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
myhostname = {host}
mydestination =
mynetworks =
local_recipient_maps =
alias_maps =
alias_database =
maillog_file = {top}/log/maillog
maillog_file_prefixes = {top}
in_flow_delay = 0
smtputf8_enable = yes
"""

COMMON_MASTER_CF = """\
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
tlsmgr unix - - n 1000? 1 tlsmgr
proxymap unix - - n - - proxymap
proxywrite unix - - n - 1 proxymap
error unix - - n - - error
retry unix - - n - - error
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
"""

MESSAGE_SIZE = 20_000_000

MAIN_CF = """\
message_size_limit = {message_size}
# A client that makes mistakes on purpose is not to be slowed down.
smtpd_error_sleep_time = 0
smtpd_authorized_xclient_hosts = 127.0.0.1
smtpd_tls_chain_files = {server}
smtpd_tls_security_level = may
smtpd_sasl_auth_enable = yes
smtpd_sasl_type = cyrus
smtpd_sasl_path = smtpd
smtpd_sasl_security_options =
smtpd_sasl_local_domain = {host}
smtpd_relay_restrictions = permit_sasl_authenticated, reject
smtpd_recipient_restrictions = check_recipient_access inline:{{refused@local.example=REJECT}}
# virtual(8) stores what arrived in one maildir. Mail for other places is accepted and then bounces.
virtual_mailbox_domains = local.example, {unicode_domain}
virtual_mailbox_base = {top}
virtual_mailbox_maps = static:mail/
virtual_minimum_uid = 1
virtual_uid_maps = static:{uid}
virtual_gid_maps = static:{gid}
default_transport = undeliverable
relay_transport = undeliverable
"""

MASTER_CF = """\
127.0.0.1:{port} inet n - n - - smtpd
127.0.0.1:{tls_port} inet n - n - - smtpd -o smtpd_tls_wrappermode=yes
127.0.0.1:{open_port} inet n - n - 20 smtpd
    -o smtpd_hard_error_limit=100000 -o smtpd_junk_command_limit=100000
    -o smtpd_client_connection_count_limit=0 -o smtpd_client_event_limit_exceptions=127.0.0.1
    -o smtpd_helo_required=yes -o strict_rfc821_envelopes=yes -o smtpd_authorized_xclient_hosts=
    -o {{ smtpd_relay_restrictions = check_client_access static:OK, reject }}
    -o {{ smtpd_recipient_restrictions = check_client_access static:DISCARD }}
virtual unix - n n - - virtual
undeliverable unix - n n - - virtual -o virtual_mailbox_maps=inline:{{nobody@nowhere.example=mail/}}
anvil unix - - n - 1 anvil
"""


@attrs.frozen
class Postfix(Peer):
    """A running server."""

    open_port: int
    """Takes everything from anybody, for as many mistakes as one likes, and throws it away."""

    def stored(self, recipient: str) -> list[bytes]:
        """The messages stored for a recipient by now."""
        return maildir_messages(self.top / "mail", "X-Original-To", recipient)

    def logs(self) -> tuple[Path, ...]:
        """Its one log, and what it says before that is open."""
        return (self.top / "log" / "master", self.top / "log" / "maillog")


def missing() -> str | None:
    """Why Postfix cannot run here, or None."""
    for program in ("postfix", "saslpasswd2"):
        if find_program(program) is None:
            return f"{program} is not installed"
    if not any(Path("/usr/lib").glob("*/sasl2/libntlm.so*")):
        return "the Cyrus SASL mechanisms (libsasl2-modules) are not installed"
    return None if os.geteuid() == 0 else "postfix needs root"


@contextlib.contextmanager
def serving(top: Path, authority: trustme.CA, mechanisms: tuple[str, ...] = MECHANISMS) -> Iterator[Postfix]:
    """Run Postfix in an empty directory, which its users have to be able to reach."""
    (top / "mail").mkdir(mode=0o755)
    shutil.chown(top / "mail", "nobody", "nogroup")
    owner = (top / "mail").stat()
    server, ca = write_certificates(authority, top)
    write_accounts(top / "accounts")
    shutil.chown(top / "accounts", "postfix")
    (top / "etc" / "sasl").mkdir(mode=0o755, parents=True)
    # Debian's Postfix reads this file whatever cyrus_sasl_config_path says.
    (top / "etc" / "sasl" / "smtpd.conf").write_text(
        f"pwcheck_method: auxprop\nauxprop_plugin: sasldb\nsasldb_path: {top / 'accounts'}\n"
        f"mech_list: {' '.join(mechanisms)}\n"
    )
    port, tls_port, open_port = free_port(), free_port(), free_port()
    main = MAIN_CF.format(
        top=top,
        message_size=MESSAGE_SIZE,
        host=HOST,
        server=server,
        unicode_domain=UNICODE_DOMAIN,
        uid=owner.st_uid,
        gid=owner.st_gid,
    )
    write_settings(top, main, MASTER_CF.format(port=port, tls_port=tls_port, open_port=open_port))
    with master(top) as process:
        postfix = Postfix(port, tls_port, ca, mechanisms, top, process, open_port)
        postfix.wait_until_ready()
        yield postfix


def write_settings(top: Path, main: str, services: str) -> None:
    """Make a Postfix's directories and configuration; the settings come on top of what all have in common."""
    for name in ("etc", "log", "data", "spool", "spool/pid"):
        (top / name).mkdir(mode=0o755, exist_ok=True)
    shutil.chown(top / "data", "postfix")
    common = COMMON_MAIN_CF.format(top=top, daemons=DAEMONS, host=HOST)
    (top / "etc" / "main.cf").write_text(common + main, "utf-8")
    (top / "etc" / "master.cf").write_text(COMMON_MASTER_CF + services)
    # Postfix waits until nobody has written to this file for two seconds.
    os.utime(top / "etc" / "main.cf", (0, 0))
    command(["postfix", "-c", str(top / "etc"), "check"])


def master(top: Path) -> contextlib.AbstractContextManager[subprocess.Popen[bytes]]:
    """Run the daemon itself, in the foreground: one process to signal, which `postfix start` would hide."""
    environment = clean_environment({"MAIL_CONFIG": str(top / "etc"), "MAIL_LOGTAG": "postfix"})
    return running([f"{DAEMONS}/master", "-c", str(top / "etc"), "-d"], top / "log" / "master", environment)


def write_accounts(file: Path) -> None:
    """Write an account file of Cyrus SASL that holds alice."""
    command(["saslpasswd2", "-c", "-p", "-f", str(file), "-u", HOST, USER], PASSWORD.encode())
