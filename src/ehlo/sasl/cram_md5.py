"""CRAM-MD5 (RFC 2195): the server speaks first, the answer is a digest of its words.

Weak by today's measure: the server must know the password, and one recorded exchange is enough to guess
from. Neither role uses it unless it is asked for by name.
"""

from __future__ import annotations

import hmac
from typing import ClassVar, Final

from ehlo._errors import LocalProtocolError
from ehlo.sasl._base import (
    Challenge,
    ClientContext,
    ClientMechanism,
    Done,
    FetchSecret,
    Identity,
    MechanismError,
    Refuse,
    SecretKind,
    ServerMechanism,
    ServerSteps,
    decode_challenge,
)
from ehlo.sasl._saslprep import SaslprepError, saslprep
from ehlo.sasl._text import acts_as_itself, password_of, sendable
from ehlo.sasl.credentials import Credentials

_NONCE_OCTETS: Final = 16
_HEX: Final = frozenset(b"0123456789abcdef")


def _digest(password: bytes, challenge: bytes) -> bytes:
    return hmac.digest(password, challenge, "md5").hex().encode()


class CramMd5Server(ServerMechanism):
    """CRAM-MD5 in the server role."""

    name: ClassVar[str] = "CRAM-MD5"
    server_first: ClassVar[bool] = True

    def exchange(self, initial: bytes | None) -> ServerSteps:
        # [RFC2195-2a] in place of the clock of the RFC's example: it only has to come but once.
        challenge = f"<{self.settings.random(_NONCE_OCTETS).hex()}@{self.settings.target}>".encode()
        answer: bytes = yield Challenge(challenge)
        # [RFC2195-2b] a name may hold spaces.
        name, _, digest = answer.rpartition(b" ")
        if not name or len(digest) != 32 or not _HEX.issuperset(digest):
            return Refuse("not a name and a digest", malformed=True)
        try:
            username = saslprep(name.decode())
        except UnicodeDecodeError:
            return Refuse("not UTF-8", malformed=True)
        except SaslprepError:
            return Refuse("the user name cannot be prepared by SASLprep")
        secret = yield FetchSecret(username, SecretKind.PASSWORD, "")
        if secret is not None and not isinstance(secret, str):
            raise LocalProtocolError("the secret of CRAM-MD5 is the password, a str")
        expected = _digest((secret or "").encode("utf-8", "surrogatepass"), challenge)
        if not hmac.compare_digest(expected, digest) or not secret:
            return Refuse("wrong user name or password")
        return Done(Identity(username, username, self.name))


class CramMd5Client(ClientMechanism):
    """CRAM-MD5 in the client role. Raises LocalProtocolError for credentials that it cannot carry."""

    name: ClassVar[str] = "CRAM-MD5"

    def __init__(self, credentials: Credentials, context: ClientContext) -> None:
        login = password_of(credentials, self.name)
        self._username = sendable("user name", login.username)
        self._password = sendable("password", login.password)
        self._sent = False

    @classmethod
    def serves(cls, credentials: Credentials, context: ClientContext) -> bool:
        return acts_as_itself(credentials)

    def initial(self) -> bytes | None:
        # [RFC4422-5a]
        return None

    def respond(self, text: bytes) -> bytes:
        challenge = decode_challenge(text)
        if self._sent or not challenge:
            raise MechanismError("CRAM-MD5 has no such challenge")
        self._sent = True
        return self._username + b" " + _digest(self._password, challenge)

    def succeeded(self) -> None:
        if not self._sent:
            raise MechanismError("success before the credentials were sent")
