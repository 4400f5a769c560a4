"""The frame that every SASL mechanism stands in.

Mechanisms know bytes only. Base64, `=`, `*`, 334 and 235 belong to the connection; passwords
and user stores to the application, which a server mechanism asks by returning a need.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from enum import Enum
from typing import Any, ClassVar, Protocol, TypeAlias

import attrs

from ehlo._errors import Error
from ehlo._value import Value
from ehlo.wire import base64


class MechanismError(Error):
    """A client mechanism cannot go on: the connection sends `*` and reports the failure.

    The text never holds a secret nor octets of the exchange.
    """


def _redacted(_: object) -> str:
    return "***"


@attrs.frozen(repr=False, eq=False)
class Password(Value):
    """Credentials for every mechanism that starts from a password."""

    username: str
    """`name`, `name@domain` (a UPN) or `DOMAIN\\name`."""
    password: str = attrs.field(repr=_redacted)
    authzid: str = ""
    """The identity to act as; empty means the user's own [RFC4616-2]."""


Credentials: TypeAlias = Password


@attrs.frozen(repr=False, eq=False)
class Identity(Value):
    """Who the session acts for after a successful exchange."""

    authcid: str
    """Whose credentials were proved."""
    authzid: str
    """The identity that the session acts as; equal to `authcid` unless another was authorised."""
    mechanism: str


class SecretKind(Enum):
    """The form of a stored secret that a server mechanism asks for."""

    NT_HASH = "nt-hash"
    """16 octets: MD4 of the password in UTF-16LE."""


# ---- what a server mechanism returns: exactly one of these at each step ----


@attrs.frozen(repr=False, eq=False)
class Challenge(Value):
    """Send `data` in a 334; the client's next line comes to `respond`."""

    data: bytes


@attrs.frozen(repr=False, eq=False)
class Done(Value):
    """The exchange succeeded."""

    identity: Identity


@attrs.frozen(repr=False, eq=False)
class Refuse(Value):
    """The exchange failed. `reason` is for the application, never for the wire."""

    reason: str
    malformed: bool = False
    """The client's data broke the mechanism's grammar (501 5.5.2) rather than being wrong (535)."""


@attrs.frozen(repr=False, eq=False)
class VerifyPassword(Value):
    """Answer with a bool: are these the right credentials?"""

    username: str
    password: str = attrs.field(repr=_redacted)
    authzid: str


@attrs.frozen(repr=False, eq=False)
class FetchSecret(Value):
    """Answer with the stored secret as bytes, or None for an unknown user."""

    username: str
    kind: SecretKind
    domain: str


@attrs.frozen(repr=False, eq=False)
class Authorize(Value):
    """Answer with a bool: may `authcid` act as `authzid`? Asked only when they differ."""

    authcid: str
    authzid: str


Need: TypeAlias = VerifyPassword | FetchSecret | Authorize
Step: TypeAlias = Challenge | Done | Refuse | Need
ServerSteps: TypeAlias = Generator[Challenge | Need, Any, Done | Refuse]


class ServerMechanism:
    """Runs the generator of one exchange; each method returns exactly one step.

    A mechanism is written as `def exchange(self, initial: bytes | None) -> ServerSteps`, where
    `initial` is None when the client sent no initial response and b"" when it sent `=`.
    """

    name: ClassVar[str]
    cleartext: ClassVar[bool] = False
    """The password itself crosses the wire: neither offered nor taken without TLS."""
    server_first: ClassVar[bool] = False
    """An initial response is an error: 501 5.7.0 [RFC4954-4k]."""

    def __init__(self) -> None:
        self._steps: ServerSteps | None = None
        self._asked: Step | None = None

    def exchange(self, initial: bytes | None) -> ServerSteps:
        raise NotImplementedError

    def start(self, initial: bytes | None) -> Step:
        self._steps = self.exchange(initial)
        return self._advance(None)

    def respond(self, data: bytes) -> Step:
        """The client's decoded line in answer to the last Challenge."""
        # A line of the client taken for the answer to a need could be the secret it is checked against.
        if not isinstance(self._asked, Challenge):
            raise RuntimeError("no challenge is open")
        return self._advance(data)

    def answer(self, value: object) -> Step:
        """The application's answer to the last need."""
        if not isinstance(self._asked, Need):
            raise RuntimeError("no need is open")
        return self._advance(value)

    def _advance(self, value: object) -> Step:
        steps, self._steps, self._asked = self._steps, None, None
        if steps is None:
            raise RuntimeError("the exchange is over")
        try:
            step: Step = steps.send(value)
        except StopIteration as stop:
            step = stop.value
            return step
        self._steps, self._asked = steps, step
        return step


@attrs.frozen(repr=False, eq=False)
class ClientContext(Value):
    """What a client mechanism may know about the connection."""

    server_name: str
    """The host name that the connection was made to."""
    channel_binding: bytes | None = None
    """Type, colon and data of the TLS channel, such as `tls-server-end-point:` and the hash of the
    server's certificate [RFC5056-2.1]; None without TLS."""
    initial_response: bool = False
    """Let LOGIN and NTLM speak first: saves a round trip, but some servers cannot take it.
    PLAIN always does."""


class ClientMechanism(Protocol):
    """One exchange in the client role."""

    name: ClassVar[str]
    cleartext: ClassVar[bool]

    def initial(self) -> bytes | None:
        """The initial response; None waits for the server's first 334.

        A connection that cannot put it into the AUTH line sends it itself as the answer to the
        first, empty 334 [RFC4954-4i]: the mechanism takes it as sent.
        """

    def respond(self, text: bytes) -> bytes:
        """Answer the raw text of a 334. Raises MechanismError: the connection sends `*`.

        The text is raw because it is not always base64: Exchange greets NTLM with prose and
        LOGIN prompts vary. `decode_challenge` does the strict decoding for the others.
        """
        ...

    def succeeded(self) -> None:
        """Called at 235. Raises MechanismError when the server has not proved what it must."""


ServerFactory: TypeAlias = Callable[[], ServerMechanism]
"""Makes a fresh mechanism for one exchange."""
ServerMechanisms: TypeAlias = Mapping[str, ServerFactory]
"""What a server offers, by upper-case name, in the order of the AUTH line."""


def decode_challenge(text: bytes) -> bytes:
    """The octets of a 334, for mechanisms that expect base64. Raises MechanismError [RFC4954-4m]."""
    try:
        return base64.decode(text)
    except base64.Base64Error:
        raise MechanismError("the challenge is not base64") from None
