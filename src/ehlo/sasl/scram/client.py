"""SCRAM in the client role."""

from __future__ import annotations

import hmac
from enum import Enum, auto
from typing import ClassVar, Final

from ehlo._errors import LocalProtocolError
from ehlo.sasl._base import ClientContext, ClientMechanism, MechanismError, decode_challenge
from ehlo.sasl._saslprep import SaslprepError, saslprep
from ehlo.sasl._text import sendable, text_of
from ehlo.sasl.credentials import Credentials, Password
from ehlo.sasl.scram.keys import SHA_1, SHA_256, Hash, xor
from ehlo.sasl.scram.messages import (
    ScramError,
    encoded,
    escape,
    gs2_header,
    parse_server_final,
    parse_server_first,
)

_NONCE_OCTETS: Final = 18
# [RFC9266-3a] the default of TLS 1.3, then that of earlier versions.
_BINDINGS: Final = ("tls-exporter", "tls-unique", "tls-server-end-point")


class _Stage(Enum):
    START = auto()
    FIRST_SENT = auto()
    FINAL_SENT = auto()
    OVER = auto()


class ScramClient(ClientMechanism):
    """One exchange; the subclasses below are the mechanisms.

    Raises LocalProtocolError for credentials that it cannot carry.
    """

    hash: ClassVar[Hash]
    binds: ClassVar[bool] = False
    slow: ClassVar[bool] = True

    def __init__(self, credentials: Credentials, context: ClientContext) -> None:
        if not isinstance(credentials, Password):
            raise LocalProtocolError(f"{self.name} needs a Password")
        sendable("user name", credentials.username)
        sendable("password", credentials.password)
        self._password = text_of(credentials.password)
        try:
            username, authzid = saslprep(credentials.username), saslprep(credentials.authzid)
            saslprep(self._password, stored=True)
        except SaslprepError:
            raise LocalProtocolError("SASLprep refuses the credentials") from None
        self._context = context
        binding = _binding(context) if self.binds else None
        if self.binds and binding is None:
            raise LocalProtocolError(f"{self.name} needs a TLS channel to bind to")
        self._gs2 = gs2_header(binding, authzid, flag=_flag(context))
        self._channel = context.channel_bindings[binding] if binding else b""
        self._nonce = encoded(context.random(_NONCE_OCTETS))
        self._bare = f"n={escape(username)},r={self._nonce}"
        self._signature = b""
        self._stage = _Stage.START

    @classmethod
    def serves(cls, credentials: Credentials, context: ClientContext) -> bool:
        if not isinstance(credentials, Password) or (cls.binds and _binding(context) is None):
            return False
        try:
            if isinstance(credentials.password, str):
                saslprep(credentials.password, stored=True)
            saslprep(credentials.username)
            saslprep(credentials.authzid)
        except SaslprepError:
            return False
        return True

    def initial(self) -> bytes | None:
        self._stage = _Stage.FIRST_SENT
        return (self._gs2 + self._bare).encode()

    def respond(self, text: bytes) -> bytes:
        challenge = decode_challenge(text)
        try:
            match self._stage:
                case _Stage.FIRST_SENT:
                    return self._final(challenge)
                case _Stage.FINAL_SENT:
                    return self._check(challenge)
                case _Stage.START | _Stage.OVER:
                    raise MechanismError("a challenge that has no place in the exchange")
        except ScramError as fault:
            raise MechanismError(f"the server's challenge: {fault}") from None

    def succeeded(self) -> None:
        # [RFC5802-5c] the server knows the keys, too: a 235 alone proves nothing.
        if self._stage is not _Stage.OVER or self.detail is not None:
            raise MechanismError("the server has not proved that it knows the password")

    def _final(self, challenge: bytes) -> bytes:
        first = parse_server_first(challenge)
        # [RFC5802-5.1c]
        if not first.nonce.startswith(self._nonce) or first.nonce == self._nonce:
            raise MechanismError("the server's nonce does not extend ours")
        # [RFC5802-5.1d] few iterations would make a recorded exchange easy to guess from, and many
        # are an attack on us.
        if first.iterations not in self._context.iterations:
            raise MechanismError(f"the server demands {first.iterations} iterations")
        salted = self.hash.salted(self._password, first.salt, first.iterations)
        client_key = self.hash.hmac(salted, b"Client Key")
        binding = encoded(self._gs2.encode() + self._channel)
        without_proof = f"c={binding},r={first.nonce}"
        auth_message = b",".join((self._bare.encode(), challenge, without_proof.encode()))
        proof = xor(client_key, self.hash.hmac(self.hash.h(client_key), auth_message))
        self._signature = self.hash.hmac(self.hash.hmac(salted, b"Server Key"), auth_message)
        self._stage = _Stage.FINAL_SENT
        return f"{without_proof},p={encoded(proof)}".encode()

    def _check(self, challenge: bytes) -> bytes:
        final = parse_server_final(challenge)
        if final.signature is None:
            # [RFC5802-5.1f] the refusal itself follows.
            self.detail = {"error": final.error}
        elif not hmac.compare_digest(final.signature, self._signature):
            raise MechanismError("the server does not know the password")
        self._stage = _Stage.OVER
        return b""


def _binding(context: ClientContext) -> str | None:
    return next((name for name in _BINDINGS if name in context.channel_bindings), None)


def _flag(context: ClientContext) -> str:
    """[RFC5802-6b] `y` tells a server that somebody may have taken -PLUS out of its offer."""
    plus_offered = any(name.endswith("-PLUS") for name in context.offered)
    return "y" if context.channel_bindings and not plus_offered else "n"


class ScramSha1Client(ScramClient):
    name: ClassVar[str] = "SCRAM-SHA-1"
    hash: ClassVar[Hash] = SHA_1


class ScramSha1PlusClient(ScramSha1Client):
    name: ClassVar[str] = "SCRAM-SHA-1-PLUS"
    binds: ClassVar[bool] = True


class ScramSha256Client(ScramClient):
    name: ClassVar[str] = "SCRAM-SHA-256"
    hash: ClassVar[Hash] = SHA_256


class ScramSha256PlusClient(ScramSha256Client):
    name: ClassVar[str] = "SCRAM-SHA-256-PLUS"
    binds: ClassVar[bool] = True
