"""Dovecot's LMTP server on loopback, which stores messages for bob, carol and full.

It knows nobody else. Addresses may have a detail, as bob+1@local.example; full has no room for any message.
"""

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import attrs
import trustme
from tests.interop.messages import added_header
from tests.interop.peer import HOST, write_certificates
from tests.interop.processes import (
    clean_environment,
    find_program,
    free_port,
    running,
    tail,
    wait_until_listening,
)

USERS = ("bob", "carol")
FULL = "full"

DOVECOT_CONF = """\
base_dir = {top}/run
state_dir = {top}/state
log_path = {top}/log
protocols = lmtp
listen = 127.0.0.1
hostname = {host}
default_vsz_limit = 0
ssl = yes
ssl_cert = <{server}
ssl_key = <{server}
auth_username_format = %Ln
recipient_delimiter = +
mail_location = maildir:{top}/mail/%u
mail_plugins = quota
plugin {{
  quota = maildir:Mailbox
}}
service lmtp {{
  inet_listener lmtp {{
    port = {port}
  }}
}}
passdb {{
  driver = passwd-file
  args = {top}/users
}}
userdb {{
  driver = passwd-file
  args = {top}/users
}}
"""


@attrs.frozen
class DovecotLmtp:
    """A running server."""

    port: int
    """In clear, and STARTTLS."""
    ca: Path
    top: Path
    process: subprocess.Popen[bytes]

    def stored(self, user: str, sent: bytes) -> list[bytes]:
        """What was put on top of a message, for each time it is in a mailbox."""
        files = sorted((self.top / "mail" / user / "new").glob("*"))
        found = [file.read_bytes().replace(b"\n", b"\r\n") for file in files]
        return [added_header(data, sent) for data in found if data.endswith(sent)]

    def log(self) -> str:
        """The end of its log."""
        return tail(self.top / "log")


def missing() -> str | None:
    """Why Dovecot's LMTP server cannot run here, or None."""
    if find_program("dovecot") is None:
        return "dovecot (dovecot-core) is not installed"
    if not Path("/usr/lib/dovecot/lmtp").exists():
        return "its LMTP server (dovecot-lmtpd) is not installed"
    return None if os.geteuid() == 0 else "dovecot needs root"


@contextlib.contextmanager
def serving(top: Path, authority: trustme.CA) -> Iterator[DovecotLmtp]:
    """Run Dovecot in an empty directory, which its users have to be able to reach."""
    for name in ("run", "state", "mail"):
        (top / name).mkdir(mode=0o755)
    shutil.chown(top / "mail", "nobody", "nogroup")
    owner = (top / "mail").stat()
    server, ca = write_certificates(authority, top)
    quotas = {**dict.fromkeys(USERS, ""), FULL: "userdb_quota_rule=*:bytes=1"}
    lines = [
        f"{user}::{owner.st_uid}:{owner.st_gid}::{top}/mail/{user}::{quota}\n"
        for user, quota in quotas.items()
    ]
    (top / "users").write_text("".join(lines))
    port = free_port()
    text = DOVECOT_CONF.format(top=top, host=HOST, server=server, port=port)
    (top / "dovecot.conf").write_text(text)
    argv = [find_program("dovecot") or "dovecot", "-F", "-c", str(top / "dovecot.conf")]
    with running(argv, top / "output", clean_environment()) as process:
        wait_until_listening(port, process)
        yield DovecotLmtp(port, ca, top, process)
