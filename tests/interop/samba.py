"""Dovecot whose AUTH NTLM is Samba's: winbindd with a user database of its own, asked by ntlm_auth.

NTLMv2 only. Without a change to the system: nss_wrapper makes the one account that Samba wants to find there.
"""

import contextlib
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path

import trustme
from tests.interop import dovecot
from tests.interop.dovecot import Dovecot
from tests.interop.peer import PASSWORD, USER
from tests.interop.processes import attempts, clean_environment, command, find_program, running, tail

MECHANISMS = ("PLAIN", "NTLM")
DOMAIN = "MAIL"
"""The name of the machine is the name of its user database, and so the domain of its users."""

SMB_CONF = """\
[global]
netbios name = {domain}
workgroup = WORKGROUP
server role = standalone server
security = user
passdb backend = tdbsam:{top}/passdb.tdb
private dir = {top}/private
lock directory = {top}/lock
state directory = {top}/state
cache directory = {top}/cache
pid directory = {top}/pid
ncalrpc dir = {top}/ncalrpc
winbindd socket directory = {top}/pipe
log file = {top}/log
log level = 1 auth:3
max log size = 0
idmap config * : backend = tdb
idmap config * : range = 100000-200000
interfaces = 127.0.0.1
bind interfaces only = yes
disable netbios = yes
ntlm auth = ntlmv2-only
load printers = no
# Those helpers would leave the process group, and so survive the test.
rpc start on demand helpers = no
"""

# Dovecot starts the helper itself and says with which protocol.
HELPER = """\
#!/bin/sh
exec env {environment} {program} --configfile={configuration} "$@"
"""

SETTINGS = """\
auth_use_winbind = yes
auth_winbind_helper_path = {helper}
# The pipe to winbindd that checks passwords is for root only.
service auth {{
  user = root
}}
"""


def missing() -> str | None:
    """Why Samba and Dovecot cannot run here, or None."""
    for program, package in (
        ("winbindd", "winbind"),
        ("ntlm_auth", "winbind"),
        ("smbpasswd", "samba-common-bin"),
    ):
        if find_program(program) is None:
            return f"{program} ({package}) is not installed"
    return dovecot.missing() if _wrappers() else "nss_wrapper (libnss-wrapper) is not installed"


@contextlib.contextmanager
def serving(top: Path, authority: trustme.CA) -> Iterator[Dovecot]:
    """Run both in an empty directory, which Dovecot's users have to be able to reach."""
    for name in ("samba", "dovecot"):
        (top / name).mkdir(mode=0o755)
    with _winbind(top / "samba") as helper:
        settings = SETTINGS.format(helper=helper)
        with dovecot.serving(top / "dovecot", authority, MECHANISMS, settings) as running_dovecot:
            yield running_dovecot


@contextlib.contextmanager
def _winbind(top: Path) -> Iterator[Path]:
    """Run winbindd; the program that checks NTLM with its help."""
    for name in ("private", "lock", "state", "cache", "pid", "ncalrpc", "pipe"):
        (top / name).mkdir(mode=0o755)
    configuration = top / "smb.conf"
    configuration.write_text(SMB_CONF.format(top=top, domain=DOMAIN))
    wrapped = _account(top)
    environment = clean_environment(wrapped)
    given = f"{PASSWORD}\n{PASSWORD}\n".encode()
    command(["smbpasswd", "-c", str(configuration), "-s", "-a", USER], given, environment)
    helper = top / "ntlm_auth"
    program = find_program("ntlm_auth") or "ntlm_auth"
    assignments = shlex.join(f"{name}={value}" for name, value in wrapped.items())
    helper.write_text(HELPER.format(environment=assignments, program=program, configuration=configuration))
    helper.chmod(0o755)
    winbindd = find_program("winbindd") or "winbindd"
    argv = [winbindd, "--foreground", "--no-process-group", f"--configfile={configuration}"]
    with running(argv, top / "output", environment) as process:
        asked = [str(helper), f"--username={USER}", f"--password={PASSWORD}", f"--domain={DOMAIN}"]
        try:
            for _ in attempts(process):
                # Its pipe is there before it knows its own domain.
                with contextlib.suppress(RuntimeError):
                    command(asked)
                    break
        except (RuntimeError, TimeoutError) as error:
            logs = tail(top / "output") + tail(top / "log")
            raise RuntimeError(f"winbindd does not serve: {error}\n{logs}") from error
        yield helper


def _wrappers() -> list[Path]:
    return sorted(Path("/usr/lib").glob("*/libnss_wrapper.so"))


def _account(top: Path) -> Mapping[str, str]:
    """An environment in which the system has one user more, and winbindd its pipe in the directory."""
    number = 23001
    for name, line in (
        ("passwd", f"{USER}:x:{number}:{number}::/nonexistent:/bin/false"),
        ("group", f"{USER}:x:{number}:"),
    ):
        (top / name).write_text(Path("/etc", name).read_text("utf-8") + line + "\n")
    return {
        "LD_PRELOAD": str(_wrappers()[0]),
        "NSS_WRAPPER_PASSWD": str(top / "passwd"),
        "NSS_WRAPPER_GROUP": str(top / "group"),
        "SELFTEST_WINBINDD_SOCKET_DIR": str(top / "pipe"),
    }
