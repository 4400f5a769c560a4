"""The frame that every SASL mechanism stands in.

Mechanisms know bytes only. Base64, `=`, `*`, 334 and 235 belong to the connection; passwords
and user stores to the application, which a server mechanism asks by returning a need.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Generator, Mapping
from enum import Enum
from types import MappingProxyType
from typing import Any, ClassVar, Final, TypeAlias

import attrs

from ehlo._errors import Error, LocalProtocolError
from ehlo._value import Value
from ehlo.wire import base64

_TARGET: Final = re.compile(r"[\x21-\x7e]+\Z")
_NO_BINDINGS: Final[Mapping[str, bytes]] = MappingProxyType({})


class MechanismError(Error):
    """A client mechanism cannot go on: the connection sends `*` and reports the failure.

    The text never holds a secret nor octets of the exchange.
    """


def _redacted(_: object) -> str:
    return "***"


@attrs.frozen(repr=False, eq=False)
class Identity(Value):
    """Who the session acts for after a successful exchange."""

    authcid: str
    """Whose credentials were proved."""
    authzid: str
    """The identity that the session acts as; equal to `authcid` unless another was authorised."""
    mechanism: str
    anonymous: bool = False
    """Nobody was proved: never enough where authentication is required [RFC4505-2c]."""
    trace: str = ""
    """What an anonymous client says of itself, for the log."""


def proved(identity: Identity | None) -> bool:
    """Whether it is somebody's [RFC4505-2c]."""
    return identity is not None and not identity.anonymous


class SecretKind(Enum):
    """The form of a stored secret that a server mechanism asks for, and what the answer is."""

    PASSWORD = "password"  # noqa: S105 (the name of the kind)
    """`str`: the password itself."""
    SCRAM_SHA_1 = "scram-sha-1"
    """`ScramKeys`."""
    SCRAM_SHA_256 = "scram-sha-256"
    """`ScramKeys`."""
    NT_HASH = "nt-hash"
    """`bytes`: 16 octets, MD4 of the password in UTF-16LE."""


# ---- what a server mechanism returns: exactly one of these at each step ----


@attrs.frozen(repr=False, eq=False)
class Challenge(Value):
    """Send `data` in a 334; the client's next line comes to `respond`."""

    data: bytes = attrs.field(repr=_redacted)


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
    """Answer with the stored secret in the form of `kind`, or None for an unknown user."""

    username: str
    kind: SecretKind
    domain: str
    """What the client put before its name; only NTLM has such."""


@attrs.frozen(repr=False, eq=False)
class VerifyToken(Value):
    """Answer with a bool: is this a good access token of the user?

    A user name may be empty: the token has to name its user, and the answer is that name."""

    username: str
    token: str = attrs.field(repr=_redacted)
    host: str = ""
    """Host and port that the client says it speaks to; empty and 0 where it does not."""
    port: int = 0


@attrs.frozen(repr=False, eq=False)
class VerifyExternal(Value):
    """Answer with the name of the user whom the TLS client certificate stands for, None for nobody."""

    authzid: str
    """Who the client wants to act as; empty for the certificate's own user."""


@attrs.frozen(repr=False, eq=False)
class VerifyPrincipal(Value):
    """Answer with the name of the user whom a Kerberos principal stands for, None for nobody."""

    principal: str
    """`name@REALM`, proved by its ticket."""


@attrs.frozen(repr=False, eq=False)
class Work(Value):
    """Call `work`, where blocking is allowed, and answer with what it returns. It never raises."""

    work: Callable[[], object] = attrs.field(repr=False)


@attrs.frozen(repr=False, eq=False)
class Authorize(Value):
    """Answer with a bool: may `authcid` act as `authzid`? Asked only when they differ."""

    authcid: str
    authzid: str


Need: TypeAlias = (
    VerifyPassword | FetchSecret | VerifyToken | VerifyExternal | VerifyPrincipal | Authorize | Work
)
Step: TypeAlias = Challenge | Done | Refuse | Need
ServerSteps: TypeAlias = Generator[Challenge | Need, Any, Done | Refuse]


@attrs.frozen(repr=False, eq=False)
class ServerContext(Value):
    """What a server mechanism may know about the connection."""

    tls: bool = False
    channel_bindings: Mapping[str, bytes] = attrs.field(default=_NO_BINDINGS, repr=False)
    """Data of the TLS channel by type: `tls-exporter`, `tls-server-end-point`, `tls-unique`
    (RFC 5056 section 2.1); never to be logged [RFC9266-4a]."""
    certified: bool = False
    """The client has shown a TLS certificate that was verified."""
    offered: tuple[str, ...] = ()
    """What is offered on this connection."""


NO_CONTEXT: Final = ServerContext()
_SALT_KEY: Final = 16


def _nobody(octets: int) -> bytes:
    raise LocalProtocolError("the mechanism needs ServerSettings with a source of randomness")


@attrs.frozen(repr=False, eq=False, kw_only=True)
class ServerSettings(Value):
    """What all exchanges of one server share. Raises LocalProtocolError for a target that is no name
    and a key that is too short."""

    target: str = "localhost"
    """The name of this server, `mail.example.org` or `MAIL`, in ASCII."""
    random: Callable[[int], bytes] = attrs.field(default=_nobody, repr=False)
    """So many octets that nobody can guess, such as `os.urandom`."""
    clock: Callable[[], float] | None = attrs.field(default=None, repr=False)
    """Seconds since 1970; without it NTLM's challenge has no time stamp, and clients no reason to
    protect the exchange with a MIC."""

    passwords: bool = False
    """The application answers VerifyPassword."""
    secrets: frozenset[SecretKind] = frozenset()
    """The kinds of FetchSecret that it answers."""
    tokens: bool = False
    """It answers VerifyToken."""
    certificates: bool = False
    """It answers VerifyExternal."""
    principals: bool = False
    """It answers VerifyPrincipal."""

    scram_iterations: int = 4096
    """[RFC5802-5.1d] what SCRAM announces for a user that is not there: as most stored keys have it."""
    allow_ntlmv1: bool = False
    """Take the answers of old NTLM clients, too: whoever records one can compute the password from it."""
    require_channel_binding: bool = False
    """Refuse an NTLM client that binds to no TLS channel [NTLM-nlmp-e]; -PLUS mechanisms always do."""
    token_scope: str = ""
    """What a token has to be good for; told to a client whose token is not."""
    salt_key: bytes | None = attrs.field(default=None, repr=False, eq=False)
    """What the salts of users that are not there are made of, at least 16 octets: by default drawn at
    random. Servers that ask the same accounts share it, or the difference shows who is not there."""

    def __attrs_post_init__(self) -> None:
        if not _TARGET.match(self.target):
            raise LocalProtocolError("the target name must be ASCII text")
        if self.salt_key is None:
            object.__setattr__(self, "salt_key", self.random(32) if self.secrets else b"")
        elif len(self.salt_key) < _SALT_KEY:
            raise LocalProtocolError(f"salt_key has at least {_SALT_KEY} octets")

    def salt(self, hash: str, username: str) -> bytes:
        """For a user without stored keys: 16 octets that nobody can foresee and that do not change from
        one try to the next, as if they were stored [RFC5802-5.1g]."""
        import hmac  # noqa: PLC0415 (with OpenSSL; most sessions need none of it)

        # Like most look-ups, in any letter case: else two spellings would tell who is there.
        return hmac.digest(self.salt_key or b"", f"{hash} {username.lower()}".encode(), "sha256")[:16]


NO_SETTINGS: Final = ServerSettings()


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

    def __init__(self, context: ServerContext = NO_CONTEXT, settings: ServerSettings = NO_SETTINGS) -> None:
        self.context = context
        self.settings = settings
        self._steps: ServerSteps | None = None
        self._asked: Step | None = None

    @classmethod
    def check(cls, settings: ServerSettings) -> None:
        """Raises LocalProtocolError when the machine lacks what the mechanism is made of."""

    def usable(self) -> bool:
        """Whether the connection has what the mechanism needs, TLS for a cleartext one apart."""
        return True

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


@attrs.frozen(repr=False, eq=False, kw_only=True)
class ClientContext(Value):
    """What a client mechanism may know about the connection, and what it may use."""

    server_name: str
    """The host name that the connection was made to."""
    port: int = 0
    """The port; 0 when it does not matter."""
    random: Callable[[int], bytes] = attrs.field(repr=False)
    """So many octets that nobody can guess, such as `os.urandom`."""
    clock: Callable[[], float] = attrs.field(repr=False)
    """Seconds since 1970, such as `time.time`."""
    channel_bindings: Mapping[str, bytes] = attrs.field(default=_NO_BINDINGS, repr=False)
    """As in `ServerContext`."""
    offered: tuple[str, ...] = ()
    """The mechanisms that the server offers, in upper case."""
    initial_response: bool = False
    """Let LOGIN and NTLM speak first: saves a round trip, but some servers cannot take it.
    The others that can do it always do."""
    allow_ntlmv1: bool = False
    """Answer a server that knows nothing better by NTLMv1."""
    iterations: range = range(4096, 1_000_001)
    """How often SCRAM may be told to hash [RFC5802-5.1d]."""


class ClientMechanism:
    """One exchange in the client role."""

    name: ClassVar[str]
    cleartext: ClassVar[bool] = False
    """What is sent is as good as the secret: never without TLS, unless the caller says so."""
    conclusive: ClassVar[bool] = False
    """The server saw the secret itself: when it says no, no other mechanism will make it a yes."""
    slow: ClassVar[bool] = False
    """Its methods may block or compute for long: call them where that is allowed."""

    detail: Mapping[str, object] | None = None
    """What the server told about its refusal, where the mechanism has words for it [RFC7628-3.2.2b]."""

    def initial(self) -> bytes | None:
        """The initial response; None waits for the server's first 334.

        A connection that cannot put it into the AUTH line sends it itself as the answer to the
        first, empty 334 [RFC4954-4i]: the mechanism takes it as sent.
        """
        raise NotImplementedError

    def respond(self, text: bytes) -> bytes:
        """Answer the raw text of a 334. Raises MechanismError: the connection sends `*`.

        The text is raw because it is not always base64: Exchange greets NTLM with prose and
        LOGIN prompts vary. `decode_challenge` does the strict decoding for the others.
        """
        raise NotImplementedError

    def succeeded(self) -> None:
        """Called at 235. Raises MechanismError when the server has not proved what it must."""
        raise NotImplementedError


ServerFactory: TypeAlias = Callable[[ServerContext], ServerMechanism]
"""Makes a fresh mechanism for one exchange."""
ServerMechanisms: TypeAlias = Mapping[str, ServerFactory]
"""What a server offers, by upper-case name, in the order of the AUTH line."""


def decode_challenge(text: bytes) -> bytes:
    """The octets of a 334, for mechanisms that expect base64. Raises MechanismError [RFC4954-4m]."""
    try:
        return base64.decode(text)
    except base64.Base64Error:
        raise MechanismError("the challenge is not base64") from None
