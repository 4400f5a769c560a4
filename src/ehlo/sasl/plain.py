"""PLAIN (RFC 4616): [authzid] NUL authcid NUL passwd, in UTF-8."""

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
)
from ehlo.sasl._one_message import OneMessageClient
from ehlo.sasl._text import password_need, sendable, sendable_authzid
from ehlo.sasl.credentials import Credentials, Password


class PlainServer(ServerMechanism):
    """PLAIN in the server role."""

    name: ClassVar[str] = "PLAIN"
    cleartext: ClassVar[bool] = True

    def exchange(self, initial: bytes | None) -> ServerSteps:
        message: bytes = (yield Challenge(b"")) if initial is None else initial
        fields = message.split(b"\0")
        # [RFC4616-2b] exactly two NULs: a third would let two readers split the fields differently.
        if len(fields) != 3:
            return Refuse("not three fields", malformed=True)
        try:
            authzid, authcid, password = (field.decode() for field in fields)
        except UnicodeDecodeError:
            return Refuse("not UTF-8", malformed=True)
        if not authcid or not password:
            return Refuse("empty user name or password", malformed=True)
        need = password_need(authcid, password, authzid)
        if isinstance(need, Refuse):
            return need
        # `is True`: a coroutine that nobody awaited is true as well.
        if (yield need) is not True:
            return Refuse("wrong user name or password")
        acting = need.authzid or need.username
        # [RFC4422-3.4.1b] acting as another user is the application's decision, never the default.
        if acting != need.username and (yield Authorize(need.username, acting)) is not True:
            return Refuse("may not act as the authorization identity")
        return Done(Identity(need.username, acting, self.name))


class PlainClient(OneMessageClient):
    """PLAIN in the client role. Raises LocalProtocolError for credentials that it cannot carry."""

    name: ClassVar[str] = "PLAIN"
    cleartext: ClassVar[bool] = True

    def __init__(self, credentials: Credentials, context: ClientContext) -> None:
        super().__init__()
        if not isinstance(credentials, Password):
            raise LocalProtocolError("PLAIN needs a Password")
        # [RFC4954-4q] only this one is prepared by the client; the server prepares the others.
        authzid = sendable_authzid(credentials.authzid)
        username = sendable("user name", credentials.username)
        self._message = b"\0".join((authzid, username, sendable("password", credentials.password)))

    @classmethod
    def serves(cls, credentials: Credentials, context: ClientContext) -> bool:
        return isinstance(credentials, Password)
