"""A Maildir that takes messages as they come in, with nothing of them in memory."""

from __future__ import annotations

import email.utils
import ipaddress
import itertools
import os
import re
import time
from pathlib import Path

import ehlo
from ehlo_io.storage.deposit import Deposit, Depository, make_folders

_FOLDERS = ("tmp", "new", "cur")
# What a domain or an address literal is made of.
_NAME = re.compile(r"[A-Za-z0-9._:\[\]-]{1,255}\Z")
_counter = itertools.count(1)


def _unique_name(hostname: str) -> str:
    """https://cr.yp.to/proto/maildir.html: no two deliveries to a machine have the same name."""
    seconds, nanoseconds = divmod(time.time_ns(), 10**9)
    host = re.sub(r"[^A-Za-z0-9.-]", "_", hostname)
    return f"{seconds}.M{nanoseconds // 1000}P{os.getpid()}Q{next(_counter)}.{host}"


class Maildir(Depository):
    """Its messages lie in `new`."""

    def __init__(self, top: Path, hostname: str) -> None:
        """Makes the folders that are not there. Raises OSError."""
        self._top = top
        self._hostname = hostname
        make_folders(top, *(top / name for name in _FOLDERS))

    def begin(self, session: ehlo.Session, envelope: ehlo.Envelope) -> tuple[Deposit, bytes]:
        head = added_header(session, envelope, self._hostname)
        name = _unique_name(self._hostname)
        return Deposit(self._top / "tmp" / name, self._top / "new" / name), head


# ---- the header lines on top ----


def added_header(session: ehlo.Session, envelope: ehlo.Envelope, hostname: str) -> bytes:
    """Return-Path and Received [RFC5321-4.4a], with the protocol names of RFC 3848."""
    sender = "" if envelope.reverse_path is None else str(envelope.reverse_path)
    literal = _literal(session.peer)
    name = session.client_name or ""
    if not _NAME.match(name):
        name = literal
    lines = [
        f"Return-Path: <{sender}>",
        # [RFC5321-4.4b]
        f"Received: from {name} ({literal})",
        f"\tby {hostname} with {_protocol(session, envelope)}{_more_clauses(session, envelope)};",
        f"\t{email.utils.format_datetime(email.utils.localtime())}",
    ]
    return "".join(f"{line}\r\n" for line in lines).encode("utf-8", "replace")


def _more_clauses(session: ehlo.Session, envelope: ehlo.Envelope) -> str:
    clauses = []
    if len(envelope.recipients) == 1:
        # [RFC5321-4.4c] of several recipients none learns of the others.
        clauses.append(f"for <{envelope.recipients[0].path}>")
    if session.tls is not None and session.tls.cipher.startswith("TLS_"):
        # [RFC8314-4b] by its registered name, which OpenSSL has for TLS 1.3 only.
        clauses.append(f"tls {session.tls.cipher}")
    return "".join(f"\r\n\t{clause}" for clause in clauses)


def _protocol(session: ehlo.Session, envelope: ehlo.Envelope) -> str:
    if not session.extended:
        return "SMTP"
    # [RFC4505-2c] of an anonymous client nobody was authenticated.
    known = session.identity is not None and not session.identity.anonymous
    # [RFC6531-3.7.3a]
    name = "ESMTP" if envelope.parameters.get(ehlo.SmtpUtf8) is None else "UTF8SMTP"
    return f"{name}{'S' if session.tls else ''}{'A' if known else ''}"


def _literal(peer: str | None) -> str:
    """The peer as an address literal; 0.0.0.0 where the transport knows no address."""
    try:
        address = ipaddress.ip_address((peer or "0.0.0.0").partition("%")[0])  # noqa: S104
    except ValueError:
        return "[0.0.0.0]"
    return f"[IPv6:{address}]" if address.version == 6 else f"[{address}]"
