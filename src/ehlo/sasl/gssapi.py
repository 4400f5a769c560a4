"""GSSAPI (RFC 4752) and GSS-SPNEGO ([MS-SPNG]) with Kerberos tickets, by pyspnego and its extra `kerberos`.

No security layer: inside TLS there is nothing for it to add. A library that reads ticket caches and keytabs
and talks to the KDC does not belong beside an event loop: the client is `slow`, the server yields `Work`.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from functools import partial
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, ClassVar, Final

import attrs

from ehlo._errors import LocalProtocolError
from ehlo.sasl._base import (
    NO_CONTEXT,
    NO_SETTINGS,
    Authorize,
    Challenge,
    ClientContext,
    ClientMechanism,
    Done,
    Identity,
    MechanismError,
    Need,
    Refuse,
    ServerContext,
    ServerMechanism,
    ServerSettings,
    ServerSteps,
    VerifyPrincipal,
    Work,
    decode_challenge,
)
from ehlo.sasl._saslprep import SaslprepError, saslprep
from ehlo.sasl._text import sendable, sendable_authzid, text_of
from ehlo.sasl.credentials import Credentials, Kerberos

if TYPE_CHECKING:
    from spnego import ContextProxy, NegotiateOptions

SERVICE: Final = "smtp"
"""[RFC4954-4w] also for submission."""
# [RFC4752-3.1b] [RFC4752-3.2a] no layer, and so no room for what it would have wrapped.
_NO_LAYER: Final = b"\x01\x00\x00\x00"
_MOST_TOKENS: Final = 8
"""Of one side: Kerberos has two, SPNEGO around it one or two more. Nobody is kept talking for ever."""
_PROTOCOLS: Final = {"GSSAPI": "kerberos", "GSS-SPNEGO": "negotiate"}


def available() -> bool:
    """Whether the extra `kerberos` is installed."""
    return find_spec("gssapi") is not None and find_spec("krb5") is not None


@attrs.frozen
class _Stepped:
    """What became of one step of a GSS-API context."""

    token: bytes = attrs.field(default=b"", repr=False)
    complete: bool = False
    fault: str | None = None


def _guarded(call: Callable[[], _Stepped]) -> _Stepped:
    # The libraries raise whatever they run into, with names and octets of the exchange in the text.
    try:
        return call()
    except Exception as error:
        return _Stepped(fault=type(error).__name__)


# ---- server ----


class GssapiServer(ServerMechanism):
    """GSSAPI in the server role. The key is in the keytab that the environment names (KRB5_KTNAME)."""

    name: ClassVar[str] = "GSSAPI"

    def __init__(self, context: ServerContext = NO_CONTEXT, settings: ServerSettings = NO_SETTINGS) -> None:
        super().__init__(context, settings)
        self._gss: ContextProxy | None = None

    @classmethod
    def check(cls, settings: ServerSettings) -> None:
        # [RFC4752-3.2b]
        if not available():
            raise LocalProtocolError(f"{cls.name} needs the extra kerberos")
        stepped = _guarded(cls(NO_CONTEXT, settings)._opened)
        if stepped.fault:
            raise LocalProtocolError(f"{cls.name} has no key for {settings.target}: {stepped.fault}")

    def exchange(self, initial: bytes | None) -> ServerSteps:
        token: bytes = (yield Challenge(b"")) if initial is None else initial
        for _ in range(_MOST_TOKENS):
            stepped = yield Work(partial(_guarded, partial(self._step, token)))
            if stepped.fault:
                return Refuse(f"the ticket was not accepted: {stepped.fault}")
            if stepped.complete and not stepped.token:
                break
            token = yield Challenge(stepped.token)
            if stepped.complete:
                # [RFC4752-3.1c] the client has nothing to add.
                if token:
                    return Refuse("data behind the last token", malformed=True)
                break
        else:
            return Refuse("more tokens than any exchange has")
        agreed = yield from self.agree()
        if isinstance(agreed, Refuse):
            return agreed
        return (yield from self._identify(agreed))

    def agree(self) -> Generator[Challenge | Need, Any, str | Refuse]:
        """What follows the last token; ends in an authorization identity or a Refuse."""
        offer = yield Work(partial(_guarded, partial(self._wrap, _NO_LAYER)))
        if offer.fault:
            return Refuse(f"the offer could not be wrapped: {offer.fault}")
        answer: bytes = yield Challenge(offer.token)
        chosen = yield Work(partial(_guarded, partial(self._unwrap, answer)))
        # [RFC4752-3.3a]
        if chosen.fault:
            return Refuse(f"the choice could not be unwrapped: {chosen.fault}")
        # [RFC4752-3.2c]
        if len(chosen.token) < 4 or chosen.token[:4] != _NO_LAYER:
            return Refuse("the client wants a security layer")
        try:
            return saslprep(chosen.token[4:].decode())
        except (UnicodeDecodeError, SaslprepError):
            return Refuse("the authorization identity is not text", malformed=True)

    def _identify(self, authzid: str) -> ServerSteps:
        found = yield Work(partial(_guarded, self._principal))
        if found.fault:
            return Refuse(f"nobody's ticket: {found.fault}")
        username = yield VerifyPrincipal(found.token.decode())
        if username is not None and not isinstance(username, str):
            raise LocalProtocolError("the user of a principal is a str")
        if not username:
            return Refuse("the principal is no user")
        acting = authzid or username
        if acting != username and (yield Authorize(username, acting)) is not True:
            return Refuse("may not act as the authorization identity")
        return Done(Identity(username, acting, self.name))

    # ---- in Work ----

    def _opened(self) -> _Stepped:
        self._gss = _acceptor(self.settings.target, _PROTOCOLS[self.name])
        return _Stepped()

    def _context(self) -> ContextProxy:
        if self._gss is None:
            self._opened()
        assert self._gss is not None, "it was opened"
        return self._gss

    def _step(self, token: bytes) -> _Stepped:
        gss = self._context()
        answer = gss.step(token) or b""
        return _Stepped(answer, gss.complete)

    def _wrap(self, data: bytes) -> _Stepped:
        return _Stepped(self._context().wrap(data, encrypt=False).data)

    def _unwrap(self, data: bytes) -> _Stepped:
        return _Stepped(self._context().unwrap(data).data)

    def _principal(self) -> _Stepped:
        gss = self._context()
        # SPNEGO could have come to NTLM, whose users are another matter.
        if gss.negotiated_protocol != "kerberos" or not gss.client_principal:
            return _Stepped(fault="no Kerberos")
        return _Stepped(gss.client_principal.encode())


class GssSpnegoServer(GssapiServer):
    """GSS-SPNEGO in the server role; Kerberos is what it may come to."""

    name: ClassVar[str] = "GSS-SPNEGO"

    def agree(self) -> Generator[Challenge | Need, Any, str | Refuse]:
        # It ends with the last token: there is no layer to talk about, and nobody else to act as.
        return ""
        yield


def _acceptor(hostname: str, protocol: str) -> ContextProxy:
    import spnego  # noqa: PLC0415 (100 ms and more)

    return spnego.server(hostname=hostname, service=SERVICE, protocol=protocol, options=_options(protocol))


# ---- client ----


class GssapiClient(ClientMechanism):
    """GSSAPI in the client role. Raises LocalProtocolError for credentials that it cannot carry."""

    name: ClassVar[str] = "GSSAPI"
    slow: ClassVar[bool] = True

    def __init__(self, credentials: Credentials, context: ClientContext) -> None:
        if not isinstance(credentials, Kerberos):
            raise LocalProtocolError(f"{self.name} needs Kerberos credentials")
        if not available():
            raise LocalProtocolError(f"{self.name} needs the extra kerberos")
        if credentials.password is not None:
            sendable("user name", credentials.username)
            sendable("password", credentials.password)
        self._authzid = sendable_authzid(credentials.authzid)
        self._credentials = credentials
        self._server_name = context.server_name
        self._gss: ContextProxy | None = None
        self._agreed = False
        self._tokens = 0

    @classmethod
    def serves(cls, credentials: Credentials, context: ClientContext) -> bool:
        return isinstance(credentials, Kerberos) and available()

    def initial(self) -> bytes | None:
        return self._step(None)

    def respond(self, text: bytes) -> bytes:
        if self._gss is None:
            # [OXSMTP18-2.2.1b] the first 334 may be prose.
            return self._step(None)
        challenge = decode_challenge(text)
        if not self._gss.complete:
            return self._step(challenge)
        if self._agreed:
            raise MechanismError(f"{self.name} has no such challenge")
        self._agreed = True
        return self.agree(self._gss, challenge)

    def succeeded(self) -> None:
        if self._gss is None or not self._gss.complete or not self._agreed:
            raise MechanismError("success before the server was proved")

    def agree(self, gss: ContextProxy, challenge: bytes) -> bytes:
        """Answer the challenge that follows the last token."""
        try:
            offer = gss.unwrap(challenge).data
            choice = gss.wrap(_NO_LAYER + self._authzid, encrypt=False).data
        except Exception as error:
            raise MechanismError(
                f"the offer cannot be unwrapped or answered: {type(error).__name__}"
            ) from None
        if len(offer) != 4 or not offer[0] & 1:
            raise MechanismError("the server demands a security layer")
        return choice

    def _step(self, token: bytes | None) -> bytes:
        self._tokens += 1
        if self._tokens > _MOST_TOKENS:
            raise MechanismError("more tokens than any exchange has")
        try:
            if self._gss is None:
                self._gss = _initiator(self._credentials, self._server_name, _PROTOCOLS[self.name])
            answer = self._gss.step(token)
            found = self._gss.negotiated_protocol
        except Exception as error:
            raise MechanismError(f"no ticket, or one that is not good: {type(error).__name__}") from None
        if found not in (None, "kerberos"):
            # SPNEGO fell back to NTLM, perhaps with an account that the environment names.
            raise MechanismError("no ticket")
        # [RFC4752-3.1c] nothing to say is an empty response.
        return answer or b""


class GssSpnegoClient(GssapiClient):
    """GSS-SPNEGO in the client role. Raises LocalProtocolError for credentials that it cannot carry.

    Some servers end it with the context, and others agree on a security layer behind it as GSSAPI does.
    """

    name: ClassVar[str] = "GSS-SPNEGO"

    @classmethod
    def serves(cls, credentials: Credentials, context: ClientContext) -> bool:
        return isinstance(credentials, Kerberos) and not credentials.authzid and available()

    def succeeded(self) -> None:
        if self._gss is None or not self._gss.complete:
            raise MechanismError("success before the server was proved")


def _initiator(credentials: Kerberos, hostname: str, protocol: str) -> ContextProxy:
    import spnego  # noqa: PLC0415 (100 ms and more)

    given: spnego.Password | spnego.CredentialCache
    if credentials.password is None:
        given = spnego.CredentialCache(credentials.username or None)
    else:
        given = spnego.Password(credentials.username, text_of(credentials.password))
    # [RFC4752-3.1a] [RFC4752-3.1c] the default flags ask for integrity and for the server's proof.
    return spnego.client(
        given, hostname=hostname, service=credentials.service, protocol=protocol, options=_options(protocol)
    )


def _options(protocol: str) -> NegotiateOptions:
    import spnego  # noqa: PLC0415

    if protocol == "negotiate":
        # Not the platform's SPNEGO, which may know NTLM or log on as somebody else.
        return spnego.NegotiateOptions.use_negotiate | spnego.NegotiateOptions.negotiate_kerberos
    return spnego.NegotiateOptions.use_gssapi
