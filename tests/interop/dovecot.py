"""Dovecot's submission server on loopback, which hands every message on to a sink of the test.

With passwords, tokens and client certificates; samba.py and kerberos.py beside this add to its settings.
"""

import base64
import contextlib
import hmac
import json
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import attrs
import trustme
from tests.interop.peer import HOST, PASSWORD, USER, Peer, write_certificates
from tests.interop.processes import clean_environment, find_program, free_port, running
from tests.interop.sink import Delivery, Sink
from tests.interop.sink import serving as sink_serving

TOKENS = ("XOAUTH2", "OAUTHBEARER")
MECHANISMS = ("PLAIN", "LOGIN", "CRAM-MD5", "SCRAM-SHA-1", "SCRAM-SHA-256", *TOKENS, "EXTERNAL")
TOKEN_KEY = b"the key that signs the dummy tokens"

DOVECOT_CONF = """\
base_dir = {top}/run
state_dir = {top}/state
log_path = {top}/log
import_environment = {environment}
auth_verbose = yes
protocols = submission
listen = 127.0.0.1
hostname = {host}
default_vsz_limit = 0
ssl = required
ssl_cert = <{server}
ssl_key = <{server}
# A client may prove with a certificate who it is: its common name is the user.
ssl_ca = <{ca}
ssl_verify_client_cert = yes
ssl_require_crl = no
auth_ssl_username_from_cert = yes
auth_mechanisms = {mechanisms}
auth_username_format = %Ln
# A client that fails on purpose is not to be slowed down, nor the next one from the same address.
auth_failure_delay = 0
service anvil {{
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
mail_location = maildir:{top}/mail/%u
submission_relay_host = 127.0.0.1
submission_relay_port = {sink}
submission_max_mail_size = 20M
service submission-login {{
  chroot =
  inet_listener submission {{
    port = {port}
  }}
  inet_listener submissions {{
    port = {tls_port}
    ssl = yes
  }}
}}
passdb {{
  driver = passwd-file
  args = scheme=PLAIN {top}/users
  mechanisms = plain login cram-md5 scram-sha-1 scram-sha-256 ntlm gssapi gss-spnego
}}
passdb {{
  driver = oauth2
  args = {top}/oauth2.conf
  mechanisms = xoauth2 oauthbearer
}}
passdb {{
  driver = passwd-file
  args = {top}/certified
  mechanisms = external
}}
userdb {{
  driver = static
  args = uid=nobody gid=nogroup home={top}/mail/%u
}}
{settings}
"""

OAUTH2_CONF = """\
introspection_mode = local
local_validation_key_dict = fs:posix:prefix={top}/keys/
username_attribute = sub
"""


@attrs.frozen
class Dovecot(Peer):
    """A running server and the sink behind it."""

    sink: Sink

    def stored(self, recipient: str) -> list[bytes]:
        """The messages that reached the sink for a recipient by now."""
        return [each.content for each in self._deliveries(recipient)]

    def sender(self, recipient: str) -> str:
        """Who sent the one message for a recipient, as the sink was told."""
        (found,) = self._deliveries(recipient)
        return found.sender.split()[0].decode("utf-8").strip("<>")

    def _deliveries(self, recipient: str) -> list[Delivery]:
        return [each for each in self.sink.deliveries if each.is_for(recipient)]

    def logs(self) -> tuple[Path, ...]:
        """Its one log, and what it says before that is open."""
        return (self.top / "output", self.top / "log")

    def secret(self, mechanism: str) -> str:
        """A token for the mechanisms that want one."""
        return token() if mechanism in TOKENS else PASSWORD


def token(user: str = USER, lifetime: float = 600, key: bytes = TOKEN_KEY) -> str:
    """A signed JSON web token (RFC 7519), valid unless its lifetime is negative or its key another one."""
    now = int(time.time())
    claims = {"sub": user, "iat": now - 1000, "exp": now + int(lifetime)}
    parts = [_encode(json.dumps(part).encode()) for part in ({"alg": "HS256", "typ": "JWT"}, claims)]
    signed = b".".join(parts)
    return (signed + b"." + _encode(hmac.digest(key, signed, "sha256"))).decode("ascii")


def _encode(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def missing() -> str | None:
    """Why Dovecot cannot run here, or None."""
    if find_program("dovecot") is None:
        return "dovecot (dovecot-core) is not installed"
    if not Path("/usr/lib/dovecot/submission-login").exists():
        return "its submission server (dovecot-submissiond) is not installed"
    return None if os.geteuid() == 0 else "dovecot needs root"


@contextlib.contextmanager
def serving(
    top: Path,
    authority: trustme.CA,
    mechanisms: tuple[str, ...] = MECHANISMS,
    settings: str = "",
    environment: str = "",
) -> Iterator[Dovecot]:
    """Run Dovecot in an empty directory, which its users have to be able to reach."""
    for name in ("run", "state", "mail", "keys/default/HS256"):
        (top / name).mkdir(mode=0o755, parents=True)
    shutil.chown(top / "mail", "nobody", "nogroup")
    server, ca = write_certificates(authority, top)
    # Without "nodelay" it tells of a wrong password half a second later.
    (top / "users").write_text(f"{USER}:{PASSWORD}::::::nodelay\n")
    (top / "certified").write_text(f"{USER}:::::::nopassword\n")
    (top / "keys" / "default" / "HS256" / "default").write_bytes(base64.b64encode(TOKEN_KEY))
    (top / "oauth2.conf").write_text(OAUTH2_CONF.format(top=top))
    port, tls_port = free_port(), free_port()
    with sink_serving() as sink:
        text = DOVECOT_CONF.format(
            top=top,
            environment=environment,
            host=HOST,
            server=server,
            ca=ca,
            mechanisms=" ".join(mechanisms).lower(),
            sink=sink.port,
            port=port,
            tls_port=tls_port,
            settings=settings,
        )
        (top / "dovecot.conf").write_text(text)
        argv = [find_program("dovecot") or "dovecot", "-F", "-c", str(top / "dovecot.conf")]
        with running(argv, top / "output", clean_environment()) as process:
            dovecot = Dovecot(port, tls_port, ca, mechanisms, top, process, sink)
            dovecot.wait_until_ready()
            yield dovecot
