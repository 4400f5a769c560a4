"""`ehlo probe`: what a server offers, and how far it follows [MS-OXSMTP].

A flow of its own drives the engine: it asks and looks, sends no message and no password.
"""

from __future__ import annotations

import json
import secrets
import socket
import ssl
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Final

import attrs
import click

import ehlo
from ehlo import flows
from ehlo_io._client import CONNECT_TIMEOUT
from ehlo_io._common import printable
from ehlo_io._socket_pump import SocketPump
from ehlo_io._tls import Channel
from ehlo_io.cli.common import ca_option, reason, say, trust
from ehlo_io.cli.exits import Exit, complain, status_of
from ehlo_io.cli.urls import ServerUrl, server_url

# Long enough for a server that makes strangers wait, short enough for somebody at a terminal.
_LIMITS: Final = ehlo.Limits(greeting_timeout=60, command_timeout=60, tls_timeout=30)


@attrs.define
class Findings:
    """What was seen, in the order in which it was."""

    implicit: bool
    greeting: ehlo.Reply | None = None
    before: ehlo.Capabilities | None = None
    """Offered in clear."""
    tls: ehlo.TLSInfo | None = None
    after: ehlo.Capabilities | None = None
    """Offered inside TLS."""
    to_mail: ehlo.Reply | None = None
    """The reply to a sender without authentication."""

    @property
    def offered(self) -> ehlo.Capabilities:
        """What counts: the last list."""
        return self.after or self.before or ehlo.Capabilities()

    def mechanisms(self) -> tuple[str, ...]:
        return mechanisms_of(self.offered)


def mechanisms_of(capabilities: ehlo.Capabilities | None) -> tuple[str, ...]:
    return () if capabilities is None else tuple(word.upper() for word in capabilities.words("AUTH"))


@click.command()
@click.argument("url", callback=server_url)
@ca_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_context
def probe(context: click.Context, url: ServerUrl, ca: Path | None, as_json: bool) -> None:
    """Show what the server at URL offers before and inside TLS, and which rows of [MS-OXSMTP] it meets."""
    if url.path is not None:
        raise click.UsageError("a UNIX socket has no name that a certificate could prove: give a host")
    if url.lmtp:
        raise click.UsageError("the rows are about SMTP, and the URL is of LMTP")
    findings = Findings(implicit=url.tls is ehlo.TlsMode.IMPLICIT)
    status, error = Exit.OK, None
    try:
        _look(url, trust(ca), findings)
    except ehlo.Error as failure:
        status, error = status_of(failure, connected=True), str(failure)
    if as_json:
        say(json.dumps(as_object(url, findings, error), indent=2))
    elif findings.greeting is not None or findings.tls is not None:
        for line in as_lines(url, findings):
            say(printable(line))
    if error is not None:
        complain(error)
    context.exit(int(status))


# ---- the session ----


def _look(url: ServerUrl, context: ssl.SSLContext, findings: Findings) -> None:
    """Fills the findings as far as it gets. Raises SessionError or RemoteProtocolError."""
    try:
        sock = socket.create_connection((url.host, url.port), CONNECT_TIMEOUT)
    except OSError as error:
        message = f"no connection to {url}: {reason(error)}"
        raise ehlo.ConnectionFailed(message, temporary=False) from error
    name = flows.client_name(socket.gethostname(), sock.getsockname()[0])
    conn = ehlo.ClientConnection(limits=_LIMITS)
    try:
        with sock:
            make_channel = partial(Channel, context, server_side=False)
            SocketPump(sock, make_channel).run(_session(conn, url, name, findings))
    except ssl.SSLError as error:
        raise ehlo.TlsFailed(f"the TLS handshake failed: {error}") from error
    except TimeoutError as error:
        raise ehlo.ConnectionFailed("out of time") from error
    except OSError as error:
        raise ehlo.ConnectionFailed(f"the connection broke: {reason(error)}") from error


def _session(conn: ehlo.ClientConnection, url: ServerUrl, name: str, findings: Findings) -> flows.Flow[None]:
    if findings.implicit:
        yield from _handshake(conn, url, findings)
    event = yield from _event(conn)
    assert isinstance(event, ehlo.GreetingReceived), "the engine takes nothing else first"
    findings.greeting = event.reply
    if not event.reply.is_success:
        yield from flows.close(conn)
        raise ehlo.ServiceRefused(f"the server refused the session: {event.reply}", reply=event.reply)
    yield from _ask(conn, url, name, findings)
    yield from flows.close(conn)


def _ask(conn: ehlo.ClientConnection, url: ServerUrl, name: str, findings: Findings) -> flows.Flow[None]:
    offered = yield from _hello(conn, name)
    if findings.implicit:
        findings.after = offered
    else:
        findings.before = offered
        if "STARTTLS" in offered:
            conn.send(ehlo.StartTls())
            event = yield from _event(conn)
            if isinstance(event, ehlo.TlsReady):
                yield from _handshake(conn, url, findings)
                findings.after = yield from _hello(conn, name)
    # [OXSMTP-3.2-4.3a] the null sender: nobody can be asked whether they are allowed to be it.
    conn.send(ehlo.Mail(None))
    event = yield from _event(conn)
    if isinstance(event, ehlo.ReplyReceived):
        findings.to_mail = event.reply
        if event.reply.is_success:
            conn.send(ehlo.Rset())
            yield from _event(conn)


def _hello(conn: ehlo.ClientConnection, name: str) -> flows.Flow[ehlo.Capabilities]:
    conn.send(ehlo.Ehlo(name))
    event = yield from _event(conn)
    if isinstance(event, ehlo.EhloReceived):
        return event.capabilities
    reply = event.reply if isinstance(event, ehlo.ReplyReceived) else None
    yield from flows.close(conn)
    raise ehlo.ServiceRefused(f"the server refused EHLO: {reply}", reply=reply)


def _handshake(conn: ehlo.ClientConnection, url: ServerUrl, findings: Findings) -> flows.Flow[None]:
    deadline = ehlo.Deadline(ehlo.Wait.HANDSHAKE, conn.limits.tls_timeout)
    info: ehlo.TLSInfo = yield flows.StartTLS(url.host, deadline)
    conn.start_tls_done(info)
    findings.tls = info


def _event(conn: ehlo.ClientConnection) -> flows.Flow[ehlo.ClientEvent]:
    while isinstance(event := conn.next_event(), ehlo.Pause):
        data, deadline = conn.data_to_send(), conn.deadline
        conn.receive_data((yield flows.Exchange(data, deadline) if data else flows.Receive(deadline)))
    if isinstance(event, ehlo.ConnectionClosed):
        raise ehlo.ConnectionFailed("the server closed the connection")
    if isinstance(event, ehlo.Disconnecting):
        raise ehlo.ConnectionFailed(f"the server ended the session: {event.reply}", reply=event.reply)
    return event


def mechanism_for_password(findings: Findings) -> str | None:
    """What `submit` would choose there. Its own flow is asked, over a connection that is not one."""
    protected = findings.tls is not None
    options = ehlo.SessionOptions(
        client_name="client.example",
        server_name="server.example",
        tls=ehlo.TlsMode.IMPLICIT if protected else ehlo.TlsMode.NONE,
        auth=ehlo.Password("user", "password"),
        random=secrets.token_bytes,
        clock=time.time,
    )
    words = " ".join(findings.mechanisms())
    replies = iter(
        (
            b"220 server.example\r\n",
            f"250-server.example\r\n250 AUTH {words}\r\n".encode("utf-8", "surrogateescape"),
        )
    )
    flow = flows.open_session(ehlo.ClientConnection(), options)
    try:
        action = next(flow)
        while True:
            answer: object = None
            if isinstance(action, flows.StartTLS):
                answer = findings.tls
            elif isinstance(action, flows.Ask):
                answer = action.question()
            elif isinstance(action, flows.Exchange) and action.data.startswith(b"AUTH "):
                return action.data.split()[1].decode()
            elif isinstance(action, flows.Exchange | flows.Receive):
                answer = next(replies, b"")
            action = flow.send(answer)
    except (ehlo.Error, StopIteration):
        return None
    finally:
        flow.close()


# ---- what it means ----


@attrs.frozen
class Row:
    """One thing that the profile asks of a server."""

    source: str
    demand: str
    met: Callable[[Findings], bool | None]
    """None: it cannot be told."""


def _seen(findings: Findings, met: bool) -> bool | None:
    """What is not offered in clear may be inside a TLS that was not reached."""
    hidden = findings.before is not None and "STARTTLS" in findings.before and findings.after is None
    return None if hidden and not met else met


def _offers(keyword: str) -> Callable[[Findings], bool | None]:
    return lambda findings: _seen(findings, keyword in findings.offered)


def _offers_mechanism(name: str) -> Callable[[Findings], bool | None]:
    return lambda findings: _seen(findings, name in findings.mechanisms())


def _offers_starttls(findings: Findings) -> bool | None:
    # It has no place inside TLS, and there was nothing before.
    return None if findings.before is None else "STARTTLS" in findings.before


def _requires_authentication(findings: Findings) -> bool | None:
    return None if findings.to_mail is None else findings.to_mail.code == 530


_SEED = "[MS-OXSMTP] 3.2"
ROWS: Final = (
    Row(f"{_SEED} row 3.3", "AUTH", _offers("AUTH")),
    Row(f"{_SEED} row 4.3", "authentication required for MAIL", _requires_authentication),
    Row(f"{_SEED} row 7", "DSN", _offers("DSN")),
    Row(f"{_SEED} row 7", "STARTTLS", _offers_starttls),
    Row(f"{_SEED} row 7", "AUTH LOGIN", _offers_mechanism("LOGIN")),
    Row(f"{_SEED} row 7", "AUTH NTLM", _offers_mechanism("NTLM")),
    Row("RFC 4409 7", "PIPELINING", _offers("PIPELINING")),
    Row("RFC 4409 7", "ENHANCEDSTATUSCODES", _offers("ENHANCEDSTATUSCODES")),
    Row("RFC 4409 7", "8BITMIME", _offers("8BITMIME")),
    Row("RFC 4409 7", "SIZE", _offers("SIZE")),
)
_WORDS: Final = {True: "yes", False: "no", None: "?"}


def as_lines(url: ServerUrl, findings: Findings) -> list[str]:
    """For people."""
    lines = [f"Server     {url}"]
    if findings.greeting is not None:
        lines.append(f"Greeting   {findings.greeting}")
    lines += _offer_lines("in clear", findings.before)
    if findings.tls is not None:
        verified = "verified" if findings.tls.verified else "not verified"
        lines.append(f"TLS        {findings.tls.version} {findings.tls.cipher}, certificate {verified}")
    lines += _offer_lines("inside TLS", findings.after)
    if findings.to_mail is not None:
        lines.append(f"MAIL       without authentication: {findings.to_mail}")
    lines.append(f"Mechanism  for a password: {mechanism_for_password(findings) or 'none'}")
    if meanings := _meanings(findings):
        lines.append("Extensions")
        lines += [f"  {keyword:<21}{rfc:<12}{summary}" for keyword, (rfc, summary) in meanings.items()]
    lines.append("Profile")
    for row in ROWS:
        lines.append(f"  {_WORDS[row.met(findings)]:<4}{row.source:<25}{row.demand}")
    return lines


def _meanings(findings: Findings) -> dict[str, tuple[str, str]]:
    """What each extension that was offered, in clear or inside TLS, means for a message."""
    offered = {*(findings.before or ()), *(findings.after or ())}
    return {x.keyword: (x.rfc, x.summary) for x in ehlo.EVERY if x.keyword in offered}


def _offer_lines(where: str, offered: ehlo.Capabilities | None) -> list[str]:
    if offered is None:
        return []
    mechanisms = " ".join(mechanisms_of(offered)) or "none"
    return [f"Offered    {where}; mechanisms: {mechanisms}", *(f"  {line}" for line in offered.lines)]


def as_object(url: ServerUrl, findings: Findings, error: str | None) -> dict[str, Any]:
    """For programs."""
    tls = findings.tls
    return {
        "server": str(url),
        "error": error,
        "greeting": _text(findings.greeting),
        "clear": _offer_object(findings.before),
        "tls": tls and {"version": tls.version, "cipher": tls.cipher, "verified": tls.verified},
        "inside_tls": _offer_object(findings.after),
        "mail_without_authentication": _text(findings.to_mail),
        "mechanism_for_password": mechanism_for_password(findings),
        "extensions": {
            keyword: {"rfc": rfc, "summary": summary}
            for keyword, (rfc, summary) in _meanings(findings).items()
        },
        "rows": [{"source": row.source, "demand": row.demand, "met": row.met(findings)} for row in ROWS],
    }


def _offer_object(offered: ehlo.Capabilities | None) -> dict[str, Any] | None:
    if offered is None:
        return None
    return {
        "name": printable(offered.name),
        "extensions": [printable(line) for line in offered.lines],
        "mechanisms": [printable(name) for name in mechanisms_of(offered)],
    }


def _text(reply: ehlo.Reply | None) -> str | None:
    return None if reply is None else str(reply)
