"""A Postfix of our own, with Cyrus SASL, on loopback and in a directory that vanishes with the test.

Accounts: alice with the password secret. Mail for anyone at local.example is stored, one file per recipient;
refused@local.example is not accepted, and mail for other places bounces. Root only: Postfix changes users.
"""

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import attrs
import trustme
from tests.interop.processes import (
    PATIENCE,
    attempts,
    clean_environment,
    find_program,
    free_port,
    running,
    tail,
    wait_until_listening,
)

MECHANISMS = ("PLAIN", "LOGIN", "NTLM")
DAEMONS = "/usr/lib/postfix/sbin"
REALM = "mail.local.example"

MAIN_CF = """\
compatibility_level = 3.6
queue_directory = {top}/spool
data_directory = {top}/data
command_directory = /usr/sbin
daemon_directory = {daemons}
mail_owner = postfix
setgid_group = postdrop
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
myhostname = {realm}
mydestination =
mynetworks =
local_recipient_maps =
alias_maps =
alias_database =
maillog_file = {top}/log/maillog
maillog_file_prefixes = {top}
message_size_limit = 20000000
in_flow_delay = 0
# A client that makes mistakes on purpose is not to be slowed down.
smtpd_error_sleep_time = 0
smtpd_tls_chain_files = {top}/etc/server.pem
smtpd_tls_security_level = may
smtpd_sasl_auth_enable = yes
smtpd_sasl_type = cyrus
smtpd_sasl_path = smtpd
smtpd_sasl_security_options =
smtpd_sasl_local_domain = {realm}
smtpd_relay_restrictions = permit_sasl_authenticated, reject
smtpd_recipient_restrictions = check_recipient_access inline:{{refused@local.example=REJECT}}
# virtual(8) stores what arrived in one maildir. Mail for other places is accepted and then bounces.
virtual_mailbox_domains = local.example
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
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
virtual unix - n n - - virtual
tlsmgr unix - - n 1000? 1 tlsmgr
anvil unix - - n - 1 anvil
proxymap unix - - n - - proxymap
proxywrite unix - - n - 1 proxymap
error unix - - n - - error
undeliverable unix - n n - - virtual -o virtual_mailbox_maps=inline:{{nobody@nowhere.example=mail/}}
retry unix - - n - - error
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
"""


@attrs.frozen
class Postfix:
    """A running server: where it listens and what it has stored."""

    port: int
    """STARTTLS."""
    tls_port: int
    """TLS from the first byte."""
    ca: Path
    """The certificate authority a client has to trust."""
    top: Path
    process: subprocess.Popen[bytes]

    def stored(self, recipient: str) -> list[bytes]:
        """The messages stored for a recipient by now, as they are: line ends are LF, added headers on top."""
        mark = f"\nX-Original-To: {recipient}\n".encode()
        files = sorted((self.top / "mail" / "new").glob("*"))
        return [data for data in (file.read_bytes() for file in files) if mark in data]

    def wait_for(self, recipient: str) -> bytes:
        """The one message for a recipient, once it is stored; its lines end in CRLF again."""
        try:
            for _ in attempts(self.process):
                if found := self.stored(recipient):
                    (message,) = found
                    return message.replace(b"\n", b"\r\n")
        except (RuntimeError, TimeoutError) as error:
            raise AssertionError(f"no message for {recipient}: {error}\n{self.log()}") from error
        raise AssertionError("unreachable")

    def log(self) -> str:
        """The end of the server's log."""
        return tail(self.top / "log" / "maillog")


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
    for directory in ("etc", "etc/sasl", "spool", "spool/pid", "data", "log", "mail"):
        (top / directory).mkdir(mode=0o755)
    shutil.chown(top / "data", "postfix")
    shutil.chown(top / "mail", "nobody", "nogroup")
    certificate = authority.issue_cert("localhost", "127.0.0.1")
    certificate.private_key_and_cert_chain_pem.write_to_path(str(top / "etc" / "server.pem"))
    authority.cert_pem.write_to_path(str(top / "etc" / "ca.pem"))
    _write_accounts(top, mechanisms)
    port, tls_port = free_port(), free_port()
    owner = (top / "mail").stat()
    values = {"top": top, "daemons": DAEMONS, "realm": REALM, "uid": owner.st_uid, "gid": owner.st_gid}
    (top / "etc" / "main.cf").write_text(MAIN_CF.format(**values))
    (top / "etc" / "master.cf").write_text(MASTER_CF.format(port=port, tls_port=tls_port))
    _run(["postfix", "-c", str(top / "etc"), "check"])
    # The daemon itself, in the foreground: one process to signal, which `postfix start` would hide.
    argv = [f"{DAEMONS}/master", "-c", str(top / "etc"), "-d"]
    environment = clean_environment({"MAIL_CONFIG": str(top / "etc"), "MAIL_LOGTAG": "postfix"})
    with running(argv, top / "log" / "master", environment) as process:
        postfix = Postfix(port, tls_port, top / "etc" / "ca.pem", top, process)
        try:
            for listener in (port, tls_port):
                wait_until_listening(listener, process)
        except (RuntimeError, TimeoutError) as error:
            logs = tail(top / "log" / "master") + postfix.log()
            raise RuntimeError(f"postfix does not serve: {error}\n{logs}") from error
        yield postfix


def _write_accounts(top: Path, mechanisms: tuple[str, ...]) -> None:
    accounts = top / "accounts"
    # Debian's Postfix reads this file whatever cyrus_sasl_config_path says.
    (top / "etc" / "sasl" / "smtpd.conf").write_text(
        f"pwcheck_method: auxprop\nauxprop_plugin: sasldb\nsasldb_path: {accounts}\n"
        f"mech_list: {' '.join(mechanisms)}\n"
    )
    _run(["saslpasswd2", "-c", "-p", "-f", str(accounts), "-u", REALM, "alice"], b"secret")
    shutil.chown(accounts, "postfix")


def _run(argv: list[str], given: bytes = b"") -> None:
    """Run a set-up command; what it printed goes into the error."""
    done = subprocess.run(
        [find_program(argv[0]) or argv[0], *argv[1:]],
        input=given,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=clean_environment(),
        timeout=PATIENCE,
        check=False,
    )
    if done.returncode != 0:
        raise RuntimeError(f"{argv[0]} ended with status {done.returncode}: {done.stdout.decode()}")
