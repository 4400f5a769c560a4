"""SCRAM in the server role."""

from __future__ import annotations

import hmac
from typing import ClassVar, Final

from ehlo._errors import LocalProtocolError
from ehlo.sasl._base import (
    Authorize,
    Challenge,
    Done,
    FetchSecret,
    Identity,
    Refuse,
    SecretKind,
    ServerMechanism,
    ServerSteps,
)
from ehlo.sasl._saslprep import SaslprepError, saslprep
from ehlo.sasl.scram.keys import SHA_1, SHA_256, Hash, ScramKeys
from ehlo.sasl.scram.messages import (
    ClientFinal,
    ClientFirst,
    ScramError,
    encoded,
    parse_client_final,
    parse_client_first,
)

_NONCE_OCTETS: Final = 18


class ScramServer(ServerMechanism):
    """One exchange; the subclasses below are the mechanisms."""

    hash: ClassVar[Hash]
    binds: ClassVar[bool] = False
    """A -PLUS form."""

    def usable(self) -> bool:
        # [RFC5802-6a]
        return not self.binds or bool(self.context.channel_bindings)

    def exchange(self, initial: bytes | None) -> ServerSteps:
        message: bytes = (yield Challenge(b"")) if initial is None else initial
        try:
            first = parse_client_first(message)
        except ScramError as error:
            return Refuse(str(error), malformed=True)
        fault = self._binding_fault(first)
        if fault is not None:
            return Refuse(fault)
        try:
            username, authzid = saslprep(first.username), saslprep(first.authzid)
        except SaslprepError:
            return Refuse("the user name cannot be prepared by SASLprep")
        answer = yield FetchSecret(username, self.hash.kind, "")
        keys, known = self._keys(answer, username)
        nonce = first.nonce + encoded(self.settings.random(_NONCE_OCTETS))
        server_first = f"r={nonce},s={encoded(keys.salt)},i={keys.iterations}"
        message = yield Challenge(server_first.encode())
        try:
            final = parse_client_final(message)
            # [RFC5802-5.1e] all messages as they came, whatever preparation made of the name.
            auth_message = f"{first.bare},{server_first},{final.without_proof}".encode()
            refusal = self._verify(first, final, nonce, keys, auth_message)
        except ScramError as error:
            return Refuse(str(error), malformed=True)
        if refusal is not None or not known:
            return Refuse(refusal or "wrong user name or password")
        acting = authzid or username
        if acting != username and (yield Authorize(username, acting)) is not True:
            return Refuse("may not act as the authorization identity")
        signature = self.hash.hmac(keys.server_key, auth_message)
        # [RFC4422-3.6a] SMTP's 235 carries nothing: our proof needs a 334 of its own.
        if (yield Challenge(f"v={encoded(signature)}".encode())):
            return Refuse("data behind the end of the exchange", malformed=True)
        return Done(Identity(username, acting, self.name))

    def _binding_fault(self, first: ClientFirst) -> str | None:
        """[RFC5802-6c]"""
        if self.binds:
            if first.binding is None:
                return "the client binds no channel"
            if first.binding not in self.context.channel_bindings:
                return "there is no channel binding of this type"
        elif first.binding is not None:
            return "a channel binding in a mechanism without"
        elif first.flag == "y" and any(name.endswith("-PLUS") for name in self.context.offered):
            # Somebody took the -PLUS forms out of our offer.
            return "the client has not seen that -PLUS is offered"
        return None

    def _keys(self, answer: object, username: str) -> tuple[ScramKeys, bool]:
        """The keys to go on with, and whether they are anybody's."""
        salt, iterations = self.settings.salt(self.hash.name, username), self.settings.scram_iterations
        nothing = bytes(self.hash.octets)
        made = ScramKeys(salt, iterations, nothing, nothing)
        if SecretKind.PASSWORD in self.settings.secrets:
            # Keys are made anew each time; also where they are stored and for nobody, or a name would
            # show by the time it takes.
            made = ScramKeys.of(self.hash, answer if isinstance(answer, str) else "-", salt, iterations)
            if isinstance(answer, str):
                return made, True
        if isinstance(answer, ScramKeys) and len(answer.stored_key) == self.hash.octets:
            return answer, True
        if answer is not None:
            raise LocalProtocolError(f"the secret of {self.name} is ScramKeys of {self.hash.name}")
        return made, False

    def _verify(
        self, first: ClientFirst, final: ClientFinal, nonce: str, keys: ScramKeys, auth_message: bytes
    ) -> str | None:
        """The reason to refuse, or None. Raises ScramError."""
        if len(final.proof) != self.hash.octets:
            raise ScramError("the proof is not as long as the hash")
        proved = keys.proved_by(self.hash, auth_message, final.proof)
        # [RFC5802-5.1c]
        if final.nonce != nonce:
            return "the nonce is of another exchange"
        channel = self.context.channel_bindings[first.binding] if first.binding else b""
        if not hmac.compare_digest(final.binding, first.gs2_header.encode() + channel):
            return "the channel binding is of another channel"
        return None if proved else "wrong user name or password"


class ScramSha1Server(ScramServer):
    name: ClassVar[str] = "SCRAM-SHA-1"
    hash: ClassVar[Hash] = SHA_1


class ScramSha1PlusServer(ScramSha1Server):
    name: ClassVar[str] = "SCRAM-SHA-1-PLUS"
    binds: ClassVar[bool] = True


class ScramSha256Server(ScramServer):
    name: ClassVar[str] = "SCRAM-SHA-256"
    hash: ClassVar[Hash] = SHA_256


class ScramSha256PlusServer(ScramSha256Server):
    name: ClassVar[str] = "SCRAM-SHA-256-PLUS"
    binds: ClassVar[bool] = True
