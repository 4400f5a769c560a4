"""What happened, as values: the events of both roles. Both unions are closed: match them whole."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import TypeAlias

import attrs

from ehlo._commands import Command
from ehlo._value import Value
from ehlo.extensions import NO_PARAMETERS, Capabilities, Parameters
from ehlo.sasl import Identity, Need
from ehlo.wire.address import ForwardPath, ReversePath
from ehlo.wire.reply import Reply


class Pause(Enum):
    """Why `next_event` has no event."""

    NEED_DATA = "need data"
    """Receive octets and call `receive_data`."""
    PAUSED = "paused"
    """A decision is due, or TLS: octets that come meanwhile are kept."""


NEED_DATA = Pause.NEED_DATA
PAUSED = Pause.PAUSED


class Wait(Enum):
    """What is waited for (RFC 5321 section 4.5.3.2)."""

    GREETING = "greeting"
    REPLY = "reply"
    DATA_START = "data start"
    BLOCK = "data block"
    FINAL_REPLY = "final reply"
    COMMAND = "command"
    QUIT = "quit"
    HANDSHAKE = "handshake"
    PROXY_HEADER = "PROXY header"


@attrs.frozen(eq=False)
class Deadline:
    """`seconds` from when this object was first seen.

    The same object means that the same wait goes on: octets that complete nothing do not earn
    more time. A new object starts a new clock.
    """

    wait: Wait
    seconds: float


@attrs.frozen(repr=False, eq=False, kw_only=True)
class TLSInfo(Value):
    """The outcome of a handshake, as far as the engine must know it."""

    version: str
    """As `ssl.SSLSocket.version()` spells it: "TLSv1.3"."""
    cipher: str
    verified: bool = False
    """Client role: the server's certificate and name were verified [RFC4954-14a]; server role: the
    client has shown a certificate, and it was."""
    peer_certificate: bytes | None = None
    """DER."""
    peer_names: tuple[str, ...] = ()
    """Server role: the addresses and names in a verified client certificate, its subject's last."""
    server_certificate: bytes | None = None
    """DER, in either role: what `tls-server-end-point` binds to."""
    tls_unique: bytes | None = attrs.field(default=None, repr=False)
    """The first Finished message (RFC 5929 section 3), where there is TLS below 1.3 with the extended
    master secret."""
    tls_exporter: bytes | None = attrs.field(default=None, repr=False)
    """32 octets of keying material with the label EXPORTER-Channel-Binding and an empty context
    [RFC9266-2a]."""

    @property
    def channel_bindings(self) -> Mapping[str, bytes]:
        """Data of each type of channel binding that can be had; never to be logged [RFC9266-4a]."""
        found = {"tls-exporter": self.tls_exporter}
        # [RFC5929-3a]
        if self.version != "TLSv1.3":
            found["tls-unique"] = self.tls_unique
        if self.server_certificate is not None:
            from ehlo.sasl import tls_server_end_point  # noqa: PLC0415 (for those who bind)

            found["tls-server-end-point"] = tls_server_end_point(self.server_certificate)
        return {kind: data for kind, data in found.items() if data is not None}


@attrs.frozen(repr=False, eq=False)
class Recipient(Value):
    """One accepted RCPT."""

    path: ForwardPath
    parameters: Parameters = NO_PARAMETERS


@attrs.frozen(repr=False, eq=False)
class Envelope(Value):
    """A transaction: who sends, to whom, and on which terms."""

    reverse_path: ReversePath
    parameters: Parameters = NO_PARAMETERS
    recipients: tuple[Recipient, ...] = ()


# ---- client ----


@attrs.frozen(repr=False, eq=False)
class GreetingReceived(Value):
    """The first reply, 220 or a refusal."""

    reply: Reply


@attrs.frozen(repr=False, eq=False)
class EhloReceived(Value):
    """EHLO or HELO was accepted; after HELO there are no capabilities."""

    capabilities: Capabilities
    reply: Reply


@attrs.frozen(repr=False, eq=False)
class ReplyReceived(Value):
    """Any other reply, with the command that it answers."""

    command: Command
    reply: Reply


@attrs.frozen(repr=False, eq=False)
class AuthChallenge(Value):
    """334. `text` is raw, for it is not always base64. Answer with `auth_respond` or `auth_cancel`."""

    text: bytes = attrs.field(repr=lambda _: "***")


@attrs.frozen(repr=False, eq=False)
class AuthSucceeded(Value):
    reply: Reply


@attrs.frozen(repr=False, eq=False)
class AuthFailed(Value):
    """AUTH ended with a 4yz or 5yz."""

    reply: Reply


@attrs.frozen(repr=False, eq=False)
class TlsReady(Value):
    """STARTTLS was accepted. Do the handshake, then call `start_tls_done`."""


@attrs.frozen(repr=False, eq=False)
class BodyWanted(Value):
    """354. Call `send_body` for each piece, then `end_body`."""

    reply: Reply


@attrs.frozen(repr=False, eq=False)
class Disconnecting(Value):
    """421 that answers no command: the server is going away [RFC5321-3.8d]."""

    reply: Reply


# ---- server: (decide) marks those that wait for accept, reject or reply ----


@attrs.frozen(repr=False, eq=False)
class ConnectionOpened(Value):
    """(decide) Somebody connected: the reply is the greeting."""


@attrs.frozen(repr=False, eq=False)
class HelloReceived(Value):
    """(decide) EHLO (`extended`) or HELO."""

    name: str
    extended: bool


@attrs.frozen(repr=False, eq=False)
class TlsRequested(Value):
    """(decide) STARTTLS. After `accept`: send what is queued, do the handshake, `start_tls_done`."""


@attrs.frozen(repr=False, eq=False)
class AuthNeed(Value):
    """(`auth_answer`) A mechanism asks about credentials."""

    need: Need
    mechanism: str


@attrs.frozen(repr=False, eq=False)
class Authenticated(Value):
    identity: Identity


@attrs.frozen(repr=False, eq=False)
class AuthRefused(Value):
    """An exchange failed. `reason` is for the application and never went over the wire."""

    mechanism: str
    reason: str
    failures: int
    """How many failed on this connection."""


@attrs.frozen(repr=False, eq=False)
class MailReceived(Value):
    """(decide)"""

    reverse_path: ReversePath
    parameters: Parameters


@attrs.frozen(repr=False, eq=False)
class RcptReceived(Value):
    """(decide)"""

    forward_path: ForwardPath
    parameters: Parameters


@attrs.frozen(repr=False, eq=False)
class BodyStarted(Value):
    """(decide) DATA with at least one recipient; `accept` is 354."""

    envelope: Envelope


@attrs.frozen(repr=False, eq=False)
class BodyChunk(Value):
    """The next octets of the message, dots unstuffed, CRLF kept. Never empty."""

    data: bytes = attrs.field(repr=lambda data: f"<{len(data)} octets>")


@attrs.frozen(repr=False, eq=False)
class MessageReceived(Value):
    """(decide) The message is complete; make it durable before `accept` [RFC5321-2.1a]."""

    envelope: Envelope
    size: int


@attrs.frozen(repr=False, eq=False)
class TransactionReset(Value):
    """The open transaction ended without a message: RSET, EHLO, QUIT, a refused body, a lost connection.

    Whatever was kept of it must be thrown away.
    """


@attrs.frozen(repr=False, eq=False)
class VrfyReceived(Value):
    """(decide) `accept` is 252: nothing is verified [RFC5321-3.5.3a]."""

    text: str


@attrs.frozen(repr=False, eq=False)
class ExpnReceived(Value):
    """(decide) `accept` needs a reply of the caller's own; the default is a refusal."""

    text: str


@attrs.frozen(repr=False, eq=False)
class HelpReceived(Value):
    """(decide)"""

    topic: str


@attrs.frozen(repr=False, eq=False)
class QuitReceived(Value):
    """221 is queued."""


# ---- both ----


@attrs.frozen(repr=False, eq=False)
class ConnectionClosed(Value):
    """Nothing more will happen: send what is queued and close."""


ClientEvent: TypeAlias = (
    GreetingReceived
    | EhloReceived
    | ReplyReceived
    | AuthChallenge
    | AuthSucceeded
    | AuthFailed
    | TlsReady
    | BodyWanted
    | Disconnecting
    | ConnectionClosed
)

ServerEvent: TypeAlias = (
    ConnectionOpened
    | HelloReceived
    | TlsRequested
    | AuthNeed
    | Authenticated
    | AuthRefused
    | MailReceived
    | RcptReceived
    | BodyStarted
    | BodyChunk
    | MessageReceived
    | TransactionReset
    | VrfyReceived
    | ExpnReceived
    | HelpReceived
    | QuitReceived
    | ConnectionClosed
)
