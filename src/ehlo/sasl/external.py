"""EXTERNAL (RFC 4422 appendix A): the identity comes from below, from the client certificate of TLS."""

from __future__ import annotations

from typing import ClassVar

from ehlo._errors import LocalProtocolError
from ehlo.sasl._base import (
    Authorize,
    Challenge,
    ClientContext,
    ClientMechanism,
    Done,
    Identity,
    MechanismError,
    Refuse,
    ServerMechanism,
    ServerSteps,
    VerifyExternal,
    decode_challenge,
)
from ehlo.sasl._saslprep import SaslprepError, saslprep
from ehlo.sasl._text import sendable
from ehlo.sasl.credentials import Credentials, External


class ExternalServer(ServerMechanism):
    """EXTERNAL in the server role: offered where the client has shown a certificate [RFC4422-A-c]."""

    name: ClassVar[str] = "EXTERNAL"

    def usable(self) -> bool:
        return self.context.certified

    def exchange(self, initial: bytes | None) -> ServerSteps:
        message: bytes = (yield Challenge(b"")) if initial is None else initial
        try:
            text = message.decode()
            authzid = saslprep(text)
        except UnicodeDecodeError:
            return Refuse("not UTF-8", malformed=True)
        except SaslprepError:
            # [RFC4422-A-b] a NUL is among what it forbids.
            return Refuse("the authorization identity cannot be prepared by SASLprep", malformed=True)
        # [RFC4422-A-a]
        username = yield VerifyExternal(authzid)
        if username is not None and not isinstance(username, str):
            raise LocalProtocolError("the user of a certificate is a str")
        if not username:
            return Refuse("the certificate is nobody's")
        acting = authzid or username
        if acting != username and (yield Authorize(username, acting)) is not True:
            return Refuse("may not act as the authorization identity")
        return Done(Identity(username, acting, self.name))


class ExternalClient(ClientMechanism):
    """EXTERNAL in the client role. Raises LocalProtocolError for credentials that it cannot carry."""

    name: ClassVar[str] = "EXTERNAL"
    conclusive: ClassVar[bool] = True

    def __init__(self, credentials: Credentials, context: ClientContext) -> None:
        if not isinstance(credentials, External):
            raise LocalProtocolError("EXTERNAL needs External credentials")
        self._authzid = b""
        if credentials.authzid:
            try:
                self._authzid = sendable("authorization identity", saslprep(credentials.authzid))
            except SaslprepError:
                raise LocalProtocolError("SASLprep refuses the authorization identity") from None
        self._sent = False

    @classmethod
    def serves(cls, credentials: Credentials, context: ClientContext) -> bool:
        return isinstance(credentials, External)

    def initial(self) -> bytes | None:
        # [RFC4422-A-d] also when it is empty: `=`.
        self._sent = True
        return self._authzid

    def respond(self, text: bytes) -> bytes:
        if decode_challenge(text) or self._sent:
            raise MechanismError("EXTERNAL has no such challenge")
        self._sent = True
        return self._authzid

    def succeeded(self) -> None:
        if not self._sent:
            raise MechanismError("success before the identity was sent")
