"""aiosmtpd as a program: STARTTLS, AUTH for alice, and each message in a maildir.

python aiosmtpd_server.py PORT CERTIFICATE MAILDIR
"""

import signal
import ssl
import sys
import threading
from pathlib import Path
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.handlers import Mailbox
from aiosmtpd.smtp import AuthResult, LoginPassword


class Refusing(Mailbox):
    """A maildir for all but one."""

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: Any) -> str:
        if address == "refused@local.example":
            return "550 5.1.1 no such mailbox"
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 ok"


def check(server: Any, session: Any, envelope: Any, mechanism: str, data: LoginPassword) -> AuthResult:
    """alice, and nobody else."""
    known = (data.login, data.password) == (b"alice", b"secret")
    return AuthResult(success=known, handled=False)


def main(port: str, certificate: str, maildir: str) -> None:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    controller = Controller(
        Refusing(Path(maildir)),
        hostname="127.0.0.1",
        port=int(port),
        tls_context=context,
        require_starttls=True,
        authenticator=check,
        auth_required=True,
    )
    ended = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ended.set())
    controller.start()
    ended.wait()
    controller.stop()


if __name__ == "__main__":
    main(*sys.argv[1:])
