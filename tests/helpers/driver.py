"""Connections with somebody at their side: an application that decides, a peer that speaks in lines."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeVar

import attrs
from tests.helpers.sasl import constant, server_settings

from ehlo import (
    NEED_DATA,
    PAUSED,
    AuthNeed,
    Authorize,
    BodyChunk,
    BodyStarted,
    BurlReceived,
    ClientConnection,
    ClientEvent,
    ConnectionClosed,
    ConnectionOpened,
    ExpnReceived,
    FetchSecret,
    HelloReceived,
    HelpReceived,
    Identity,
    Limits,
    MailReceived,
    MessageReceived,
    Pause,
    RcptReceived,
    Reply,
    ServerConfig,
    ServerConnection,
    ServerEvent,
    State,
    SubmissionPolicy,
    TLSInfo,
    TlsRequested,
    UserStore,
    VerifyPassword,
    VrfyReceived,
    WireRecord,
    XClientReceived,
)
from ehlo.sasl import SecretKind, ServerMechanisms, standard_mechanisms

E = TypeVar("E")

USER, PASSWORD = "alice", "wonder"
STORE = UserStore({USER: PASSWORD})
TLS = TLSInfo(version="TLSv1.3", cipher="X", verified=True)
WEAK_TLS = TLSInfo(version="TLSv1", cipher="RC4")
ALICE = Identity(USER, USER, "EXTERNAL")

MECHANISMS: ServerMechanisms = standard_mechanisms(
    server_settings(
        random=constant(bytes(range(8))), clock=None, passwords=True, secrets={SecretKind.NT_HASH}
    )
)
OPEN = SubmissionPolicy(require_auth=False, allow_cleartext_auth=True)
"""Without authentication, and PLAIN in clear: for tests of something else."""

DECIDED = (
    ConnectionOpened
    | HelloReceived
    | XClientReceived
    | TlsRequested
    | MailReceived
    | RcptReceived
    | BodyStarted
    | MessageReceived
    | VrfyReceived
    | ExpnReceived
    | HelpReceived
)


def server_config(
    *,
    policy: SubmissionPolicy = OPEN,
    limits: Limits | None = None,
    tls_available: bool = True,
    mechanisms: ServerMechanisms = MECHANISMS,
) -> ServerConfig:
    return ServerConfig(
        hostname="mail.example",
        policy=policy,
        limits=limits or Limits(),
        tls_available=tls_available,
        mechanisms=mechanisms,
    )


def answer(need: object) -> object:
    """What the user store says to a mechanism's question."""
    match need:
        case VerifyPassword(username, password, authzid):
            return STORE.on_auth_password(None, username, password, authzid)
        case FetchSecret(username, kind, domain):
            return STORE.on_auth_secret(None, username, kind, domain)
        case Authorize():
            return False
        case _:
            raise AssertionError(need)


def state_of(conn: ClientConnection | ServerConnection) -> State:
    """The state, for comparing it twice: a type checker takes it for unchanged otherwise."""
    return conn.state


class Server:
    """A ServerConnection whose application accepts everything, except for what `decisions` says.

    A decision is a Reply, or None: leave it undecided. It may also be a function of the event. What is to be
    fetched is `content`, where that is not for `decisions` to refuse.
    """

    content: bytes = b"text\r\n"

    def __init__(
        self,
        config: ServerConfig | None = None,
        *,
        identity: Identity | None = None,
        decisions: Mapping[type, Reply | Callable[..., Reply | None] | None] | None = None,
        hello: bool = True,
        xclient: bool = False,
    ) -> None:
        self.trace: list[WireRecord] = []
        self.conn = ServerConnection(
            config or server_config(), identity=identity, xclient=xclient, trace=self.trace.append
        )
        self.decisions = dict(decisions or {})
        self.events: list[ServerEvent] = []
        self.last: Pause | None = None
        self.greeting = self.pump()
        if hello:
            assert self.say("EHLO client.example")[-1].startswith("250 ")

    def pump(self) -> bytes:
        """Run until input, a decision or nothing is due; what is to be sent."""
        while True:
            event = self.conn.next_event()
            if isinstance(event, Pause):
                self.last = event
                return self.conn.data_to_send()
            if isinstance(event, ConnectionClosed):
                if not self.events or self.events[-1] != event:
                    self.events.append(event)
                return self.conn.data_to_send()
            self.events.append(event)
            self.decide(event)

    def decide(self, event: ServerEvent) -> None:
        if not isinstance(event, DECIDED | AuthNeed | BurlReceived):
            return
        if type(event) in self.decisions:
            decision = self.decisions[type(event)]
            reply = decision(event) if callable(decision) else decision
            if reply is not None:
                self.conn.reply(reply)
        elif isinstance(event, AuthNeed):
            self.conn.auth_answer(answer(event.need))
        elif isinstance(event, BurlReceived):
            self.conn.burl_answer(self.content)
        else:
            self.conn.accept()

    def feed(self, data: bytes) -> bytes:
        self.conn.receive_data(data)
        return self.pump()

    def say(self, *lines: str) -> list[str]:
        """Send lines in one segment; the lines of all replies."""
        if not lines:
            return []
        return self.feed("".join(f"{line}\r\n" for line in lines).encode()).decode().split("\r\n")[:-1]

    def one(self, line: str) -> str:
        """Send a line that must get exactly one line of a reply."""
        replies = self.say(line)
        assert len(replies) == 1, replies
        return replies[0]

    def start_tls(self, info: TLSInfo = TLS, *, accept: bool = True) -> None:
        assert self.one("STARTTLS").startswith("220 2.0.0 ")
        self.conn.start_tls_done(info, accept=accept)

    def of(self, kind: type[E]) -> list[E]:
        return [event for event in self.events if isinstance(event, kind)]

    @property
    def body(self) -> bytes:
        return b"".join(chunk.data for chunk in self.of(BodyChunk))

    @property
    def closed(self) -> bool:
        return isinstance(self.conn.next_event(), ConnectionClosed)


@attrs.define
class Client:
    """A ClientConnection and what its server says to it."""

    conn: ClientConnection = attrs.Factory(ClientConnection)
    events: list[ClientEvent] = attrs.Factory(list)

    def hear(self, *lines: str) -> list[ClientEvent]:
        """Receive lines in one segment; the events that come of them."""
        return self.feed("".join(f"{line}\r\n" for line in lines).encode("utf-8", "surrogateescape"))

    def feed(self, data: bytes) -> list[ClientEvent]:
        self.conn.receive_data(data)
        found: list[ClientEvent] = []
        while True:
            event = self.conn.next_event()
            if isinstance(event, Pause):
                assert event in (NEED_DATA, PAUSED)
                break
            found.append(event)
            if isinstance(event, ConnectionClosed):
                break
        self.events += found
        return found

    def wire(self) -> bytes:
        return self.conn.data_to_send()
