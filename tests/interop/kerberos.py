"""A Kerberos realm that lives in a directory, and Dovecot with AUTH GSSAPI as a service in it.

Principals: alice and mallory with the password secret; smtp/localhost and submission/localhost, whose keys
the server has; imap/localhost, whose key it has not, so that it refuses tickets for it.
"""

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path

import attrs
import trustme
from tests.interop import dovecot
from tests.interop.clients import Job
from tests.interop.dovecot import Dovecot
from tests.interop.peer import PASSWORD, USER
from tests.interop.processes import (
    clean_environment,
    command,
    find_program,
    free_port,
    running,
    wait_until_listening,
)

REALM = "TEST.EXAMPLE"
HOST = "localhost"
SERVICES = (f"smtp/{HOST}", f"submission/{HOST}")
STRANGER = "imap"
"""A service for which tickets are to be had that the server cannot read."""
NOBODY = "mallory"
"""Who has tickets but no account."""
MECHANISMS = ("GSSAPI", "GSS-SPNEGO")

KRB5_CONF = """\
[libdefaults]
    default_realm = {realm}
    default_ccache_name = FILE:{top}/tickets
    default_keytab_name = FILE:{top}/keytab
    dns_lookup_realm = false
    dns_lookup_kdc = false
    dns_canonicalize_hostname = false
    rdns = false
    # TCP alone, so that nothing waits for an answer to a lost datagram.
    udp_preference_limit = 1
[realms]
    {realm} = {{
        kdc = 127.0.0.1:{port}
    }}
[domain_realm]
    {host} = {realm}
"""

KDC_CONF = """\
[kdcdefaults]
    kdc_listen = ""
    kdc_tcp_listen = 127.0.0.1:{port}
[realms]
    {realm} = {{
        database_name = {top}/database
        key_stash_file = {top}/stash
        supported_enctypes = aes256-cts-hmac-sha1-96:normal
        max_life = 1h
    }}
"""

SETTINGS = """\
auth_krb5_keytab = {keytab}
# The service may be called smtp or submission: any key of the keytab will do.
auth_gssapi_hostname = "$ALL"
"""


@attrs.frozen
class Realm:
    """A running key distribution centre."""

    top: Path
    keytab: Path
    """The keys of the services."""

    def variables(self) -> Mapping[str, str]:
        """The environment variables with which a program is in this realm, without tickets."""
        return {"KRB5_CONFIG": str(self.top / "krb5.conf"), "KRB5CCNAME": f"FILE:{self.top / 'no-tickets'}"}

    def service_variables(self) -> Mapping[str, str]:
        """The same for a service, with its keys; what it remembers of tickets would outlive the test."""
        return {**self.variables(), "KRB5_KTNAME": str(self.keytab), "KRB5RCACHENAME": "none:"}

    def log_on(self, cache: Path, user: str = USER, password: str = PASSWORD) -> Mapping[str, str]:
        """Get a ticket for a user; the environment variables with which a program uses it."""
        variables = {**self.variables(), "KRB5CCNAME": f"FILE:{cache}"}
        command(["kinit", f"{user}@{REALM}"], f"{password}\n".encode(), clean_environment(variables))
        return variables


def with_ticket(realm: Realm, job: Job, user: str = USER) -> Job:
    """The same submission by who has a ticket of a user's."""
    tickets = realm.log_on(job.file.with_suffix(".tickets"), user)
    return attrs.evolve(job, user=f"{user}@{REALM}", environment=tickets)


@attrs.frozen
class KerberosDovecot(Dovecot):
    """A running server, its sink and its realm."""

    realm: Realm


def missing() -> str | None:
    """Why the realm and Dovecot cannot run here, or None."""
    for program, package in (
        ("krb5kdc", "krb5-kdc"),
        ("kdb5_util", "krb5-kdc"),
        ("kadmin.local", "krb5-admin-server"),
        ("kinit", "krb5-user"),
    ):
        if find_program(program) is None:
            return f"{program} ({package}) is not installed"
    if not Path("/usr/lib/dovecot/modules/auth/libmech_gssapi.so").exists():
        return "GSSAPI for Dovecot (dovecot-gssapi) is not installed"
    return dovecot.missing()


@contextlib.contextmanager
def realm_serving(top: Path) -> Iterator[Realm]:
    """Run a key distribution centre in an empty directory."""
    port = free_port()
    values = {"top": top, "realm": REALM, "host": HOST, "port": port}
    (top / "krb5.conf").write_text(KRB5_CONF.format(**values))
    (top / "kdc.conf").write_text(KDC_CONF.format(**values))
    environment = clean_environment(
        {"KRB5_CONFIG": str(top / "krb5.conf"), "KRB5_KDC_PROFILE": str(top / "kdc.conf")}
    )
    command(["kdb5_util", "create", "-s", "-W", "-P", "master"], env=environment)
    keytab = top / "keytab"
    orders = [f"addprinc -pw {PASSWORD} {name}" for name in (USER, NOBODY)]
    orders += [f"addprinc -randkey {name}" for name in (*SERVICES, f"{STRANGER}/{HOST}")]
    orders += [f"ktadd -k {keytab} {name}" for name in SERVICES]
    command(["kadmin.local"], "\n".join(orders).encode(), environment)
    with running([find_program("krb5kdc") or "krb5kdc", "-n"], top / "output", environment) as process:
        wait_until_listening(port, process)
        yield Realm(top, keytab)


@contextlib.contextmanager
def serving(top: Path, authority: trustme.CA) -> Iterator[KerberosDovecot]:
    """Run both in an empty directory, which Dovecot's users have to be able to reach."""
    for name in ("realm", "dovecot"):
        (top / name).mkdir(mode=0o755)
    with realm_serving(top / "realm") as realm:
        # The key file is for root only; Dovecot's own user reads it.
        realm.keytab.chmod(0o644)
        settings = SETTINGS.format(keytab=realm.keytab)
        environment = " ".join(f"{name}={value}" for name, value in realm.service_variables().items())
        with dovecot.serving(top / "dovecot", authority, MECHANISMS, settings, environment) as plain:
            yield KerberosDovecot(**attrs.asdict(plain, recurse=False), realm=realm)
