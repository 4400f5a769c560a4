"""EXTERNAL (RFC 4422 appendix A): the identity comes from below, from the client certificate of TLS."""

from __future__ import annotations

from typing import ClassVar

from ehlo._errors import LocalProtocolError
from ehlo.sasl._base import (
    Authorize,
    Challenge,
    ClientContext,
    Done,
    Identity,
    Refuse,
    ServerMechanism,
    ServerSteps,
    VerifyExternal,
)
from ehlo.sasl._one_message import OneMessageClient
from ehlo.sasl._saslprep import SaslprepError, saslprep
from ehlo.sasl._text import sendable_authzid
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


class ExternalClient(OneMessageClient):
    """EXTERNAL in the client role. Raises LocalProtocolError for credentials that it cannot carry."""

    name: ClassVar[str] = "EXTERNAL"

    def __init__(self, credentials: Credentials, context: ClientContext) -> None:
        super().__init__()
        if not isinstance(credentials, External):
            raise LocalProtocolError("EXTERNAL needs External credentials")
        self._message = sendable_authzid(credentials.authzid)

    @classmethod
    def serves(cls, credentials: Credentials, context: ClientContext) -> bool:
        return isinstance(credentials, External)
