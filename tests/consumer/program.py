"""A program of somebody else's: both roles, over each kind of I/O, typed from end to end.

`make wheel` checks it against the built wheel with mypy and pyright, both strict, and runs it.
"""

from __future__ import annotations

import asyncio
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import assert_never

import attrs
import trio
import trustme

import ehlo
import ehlo_io
import ehlo_io.asyncio
import ehlo_io.blocking
import ehlo_io.trio
from ehlo import dsn, policy

MESSAGE = b"From: alice@local.example\r\nSubject: Hello\r\n\r\nHello Bob!\r\n"
BUSY = ehlo.Reply(450, "Not today", "4.2.1")


@attrs.frozen
class Colour:
    """The parameter of an extension of our own."""

    name: str


def parse_colour(value: str | None) -> Colour:
    if value not in ("red", "green"):
        raise ValueError("a colour is red or green")
    return Colour(value)


def offer_colours(facts: ehlo.OfferFacts) -> tuple[str, ...] | None:
    del facts
    return ("red", "green")


def write_colour(colour: Colour) -> str:
    return colour.name


COLOUR = ehlo.Extension(
    keyword="X-COLOUR",
    rfc="none",
    summary="the colour of the paper that the message is printed on",
    offer=offer_colours,
    mail=(ehlo.Param("X-COLOUR", Colour, parse_colour, write_colour),),
    mail_octets=len(" X-COLOUR=green"),
)
EXTENSIONS: tuple[ehlo.Extension, ...] = (*ehlo.STANDARD, COLOUR)
STRICT: ehlo.SubmissionPolicy = attrs.evolve(ehlo.RFC6409_STRICT, require_tls=True)


class Shop(ehlo.UserStore):
    """A handler whose hooks block."""

    def __init__(self, log: list[str]) -> None:
        super().__init__({"alice": "secret"})
        self._log = log
        self.rights = ehlo.SenderRights({"alice": ["alice@local.example", "@sales.example"]})

    def on_sender(self, session: ehlo.Session, identity: ehlo.Identity, path: ehlo.Mailbox) -> bool:
        return self.rights.on_sender(session, identity, path)

    def on_mail(
        self, session: ehlo.Session, path: ehlo.ReversePath, parameters: ehlo.Parameters
    ) -> ehlo.Reply | None:
        colour: Colour | None = parameters.get(Colour)
        size = parameters.get(ehlo.Size)
        self._log.append(f"{path} {colour and colour.name} {size and size.octets} {session.peer}")
        return None

    def on_rcpt(
        self, session: ehlo.Session, path: ehlo.ForwardPath, parameters: ehlo.Parameters
    ) -> ehlo.Reply | ehlo.Mailbox | None:
        if path.local == "busy":
            return BUSY
        if path.local == "info":
            return ehlo.Mailbox.parse("bob@local.example")
        notify: ehlo.Notify | None = parameters.get(ehlo.Notify)
        self._log.append(f"{path} {notify}")
        return None

    def on_message(self, session: ehlo.Session, envelope: ehlo.Envelope, content: bytes) -> ehlo.Reply | None:
        identity = session.identity
        assert identity is not None
        self._log.append(f"{identity.authcid} {len(envelope.recipients)} {MESSAGE.endswith(content[-12:])}")
        return ehlo.Reply(250, "Sold", "2.6.0")


class AsyncShop:
    """A handler whose hooks wait; it needs no base."""

    def __init__(self, log: list[str]) -> None:
        self._log = log

    async def on_auth_password(
        self, session: ehlo.Session, username: str, password: str, authzid: str
    ) -> bool:
        return (username, password) == ("alice", "secret")

    async def on_body(self, session: ehlo.Session, data: bytes) -> None:
        self._log.append(f"{len(data)} octets")

    async def on_message(
        self, session: ehlo.Session, envelope: ehlo.Envelope, content: bytes
    ) -> ehlo.Reply | None:
        self._log.append(f"{envelope.reverse_path}")
        return None


def certificate(place: Path) -> tuple[str, str]:
    authority = trustme.CA()
    server, ca = place / "server.pem", place / "ca.pem"
    authority.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(str(server))
    authority.cert_pem.write_to_path(str(ca))
    return str(server), str(ca)


def describe(result: ehlo.SubmissionResult) -> list[str]:
    return [
        f"{outcome.recipient} {outcome.accepted} {outcome.reply.code if outcome.reply else None}"
        for outcome in result.outcomes
    ]


def password() -> str:
    return "secret"


async def async_password() -> str:
    return "secret"


def over_blocking_sockets(server_file: str, ca: str) -> None:
    log: list[str] = []
    records: list[ehlo.WireRecord] = []
    with (
        ehlo_io.blocking.serve(
            Shop(log),
            port=0,
            tls=ehlo_io.server_context(server_file),
            policy=STRICT,
            extensions=EXTENSIONS,
            message_policy=ehlo.MessagePolicy(),
            limits=ehlo.Limits(),
            connections=10,
        ) as server,
        ehlo_io.blocking.connect(
            "localhost",
            server.address[1],
            auth=ehlo.Password("alice", password),
            mechanisms=["SCRAM-SHA-256-PLUS", "SCRAM-SHA-256", "NTLM"],
            context=ehlo_io.client_context(ca),
            trace=records.append,
        ) as client,
    ):
        capabilities: ehlo.Capabilities = client.capabilities
        assert capabilities.supports(COLOUR)
        recipients: list[str | ehlo.Recipient] = [
            "bob@local.example",
            "info@local.example",
            ehlo.recipient("busy@local.example", notify="never"),
        ]
        result = client.submit(
            MESSAGE,
            sender="alice@local.example",
            recipients=recipients,
            notify={"success", "failure"},
            ret="hdrs",
            envid="42",
        )
        assert [outcome.accepted for outcome in result.outcomes] == [True, True, False], describe(result)
        assert result.refused[0].temporary
        deliveries = client.submit_many(
            [
                (MESSAGE, {"sender": "alice@sales.example", "recipients": ["bob@local.example"]}),
                (MESSAGE, {"sender": "mallory@else.example", "recipients": ["bob@local.example"]}),
            ]
        )
        fates = [
            delivery.reply if isinstance(delivery, ehlo.SubmissionResult) else delivery
            for delivery in deliveries
        ]
        assert isinstance(fates[0], ehlo.Reply)
        assert isinstance(fates[1], ehlo.SessionError)
    assert "alice 2 True" in log
    assert not any("secret" in str(record) for record in records)


async def over_asyncio(server_file: str, ca: str) -> None:
    log: list[str] = []
    context = ehlo_io.server_context(server_file)
    async with ehlo_io.asyncio.serve(AsyncShop(log), port=0, tls=context, implicit_tls=True) as server:
        async with ehlo_io.asyncio.connect(
            "localhost",
            server.address[1],
            auth=ehlo.Password("alice", async_password),
            tls=ehlo.TlsMode.IMPLICIT,
            context=ehlo_io.client_context(ca),
        ) as client:
            result: ehlo.SubmissionResult = await client.submit(
                MESSAGE, sender=None, recipients=[ehlo.Mailbox("bob", "local.example")]
            )
            assert result.reply is not None
            assert result.reply.code == 250
        server.renew(AsyncShop(log), tls=context)
        refusal = await refused_login(server.address[1], ca)
        assert refusal.cause is ehlo.AuthCause.CREDENTIALS
        assert refusal.reply is not None
    assert log == [f"{len(MESSAGE)} octets", "None"]


async def refused_login(port: int, ca: str) -> ehlo.AuthenticationFailed:
    try:
        await ehlo_io.asyncio.connect(
            "localhost",
            port,
            auth=ehlo.Password("alice", "wrong"),
            tls="implicit",
            context=ehlo_io.client_context(ca),
        )
    except ehlo.AuthenticationFailed as error:
        return error
    raise AssertionError("a wrong password was taken")


async def over_trio(server_file: str, ca: str) -> None:
    log: list[str] = []
    async with (
        ehlo_io.trio.serve(
            AsyncShop(log), port=0, tls=ehlo_io.server_context(server_file), mechanisms=["PLAIN"]
        ) as server,
        ehlo_io.trio.connect(
            "localhost",
            server.address[1],
            auth=ehlo.Password("alice", "secret"),
            context=ehlo_io.client_context(ca),
        ) as client,
    ):
        result = await client.submit(MESSAGE, sender="alice@local.example", recipients=["bob@local.example"])
        assert describe(result) == ["bob@local.example True 250"]
    assert log[-1] == "alice@local.example"


def without_sockets() -> None:
    """The engine alone: each event of the union has its case."""
    conn = ehlo.ServerConnection(
        ehlo.ServerConfig(hostname="mx.example", policy=ehlo.OPEN_TEST, extensions=EXTENSIONS)
    )
    conn.receive_data(b"EHLO me.example\r\nMAIL FROM:<a@example.org> X-COLOUR=red\r\nQUIT\r\n")
    colours: list[Colour | None] = []
    while not isinstance(event := conn.next_event(), ehlo.ConnectionClosed):
        answer_event(conn, event, colours)
    assert colours == [Colour("red")]
    assert conn.data_to_send().startswith(b"220 mx.example ")


def answer_event(
    conn: ehlo.ServerConnection, event: ehlo.ServerEvent | ehlo.Pause, colours: list[Colour | None]
) -> None:
    match event:
        case ehlo.ConnectionOpened() | ehlo.HelloReceived() | ehlo.RcptReceived() | ehlo.XClientReceived():
            conn.accept()
        case ehlo.MailReceived(path, parameters):
            assert path is not None
            colours.append(parameters.get(Colour))
            conn.accept()
        case ehlo.BodyStarted() | ehlo.MessageReceived():
            conn.accept()
        case ehlo.VrfyReceived() | ehlo.ExpnReceived() | ehlo.HelpReceived() | ehlo.BurlReceived():
            conn.reject(ehlo.Reply(502, "Not here", "5.5.1"))
        case ehlo.TlsRequested() | ehlo.AuthNeed() | ehlo.Authenticated() | ehlo.AuthRefused():
            raise AssertionError("neither is offered")
        case ehlo.BodyChunk() | ehlo.TransactionReset() | ehlo.QuitReceived() | ehlo.ConnectionClosed():
            pass
        case ehlo.Pause():
            pass
        case _:
            assert_never(event)


def reports() -> None:
    envelope = ehlo.envelope("alice@local.example", ["bob@remote.example"], ret="full", envid="42")
    (bob,) = envelope.recipients
    outcomes = [ehlo.Outcome(bob.path, False, ehlo.Reply(550, "No such user", "5.1.1"))]
    now = datetime(2026, 1, 2, tzinfo=UTC)
    wanted = dsn.reports_wanted(envelope, outcomes, dsn.Attempt(remote_mta="mx.remote.example", when=now))
    report = dsn.Report.of(envelope, wanted, reporting_mta="mail.local.example")
    report = report.returning(MESSAGE, ret=envelope.parameters.get(ehlo.Ret))
    carrier: ehlo.Envelope = dsn.report_envelope(envelope)
    header = dsn.Header(
        to=carrier.recipients[0].path,
        postmaster=ehlo.Mailbox.parse("postmaster@mail.local.example"),
        date=now,
        message_id="<20260102.1@mail.local.example>",
        boundary="report-1",
    )
    (fate,) = dsn.parse(dsn.build(report, header)).recipients
    assert fate.action is dsn.Action.FAILED
    assert policy.needs_of(MESSAGE) == policy.MessageNeed(0)


def main() -> None:
    with tempfile.TemporaryDirectory() as place:
        server_file, ca = certificate(Path(place))
        over_blocking_sockets(server_file, ca)
        asyncio.run(over_asyncio(server_file, ca))
        trio.run(over_trio, server_file, ca)
    without_sockets()
    reports()
    print("consumer: ok")


if __name__ == "__main__":
    main()
