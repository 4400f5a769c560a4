"""OAUTHBEARER (RFC 7628) and XOAUTH2, its older sister: an access token in place of a password."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, ClassVar, Final

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
    VerifyToken,
)
from ehlo.sasl._saslprep import SaslprepError, saslprep
from ehlo.sasl._text import sendable
from ehlo.sasl.credentials import Credentials, Token
from ehlo.sasl.scram.messages import escape, unescape
from ehlo.wire import base64

# RFC 6750 section 2.1; no other octet could come from an authorization server.
_TOKEN: Final = re.compile(r"[A-Za-z0-9._~+/-]+=*\Z")
_BEARER: Final = re.compile(r"(?i:bearer) +([A-Za-z0-9._~+/-]+=*)\Z")
# [RFC7628-3.1c] as in SCRAM; no channel is bound.
_GS2: Final = re.compile(r"[ny],(?:a=((?:[^\0\x01,=]|=2C|=3D)+))?,\Z", re.DOTALL)
_PAIR: Final = re.compile(r"([A-Za-z]+)=([\x20-\x7e\t\r\n]*)\Z")
_PORT: Final = re.compile(r"[0-9]{1,5}\Z")


class _Malformed(ValueError):
    """Not the message it should be."""


# ---- server ----


class _OAuthServer(ServerMechanism):
    cleartext: ClassVar[bool] = True
    """A token is as good as a password to whoever reads it [RFC7628-3a, XOAUTH2-both-a]."""
    error: ClassVar[Mapping[str, str]]

    def read(self, message: str) -> VerifyToken:
        """Raises _Malformed."""
        raise NotImplementedError

    def exchange(self, initial: bytes | None) -> ServerSteps:
        message: bytes = (yield Challenge(b"")) if initial is None else initial
        try:
            need = self.read(message.decode())
            username = saslprep(need.username)
        except (_Malformed, UnicodeDecodeError):
            return Refuse("not a message with a bearer token", malformed=True)
        except SaslprepError:
            return Refuse("the user name cannot be prepared by SASLprep")
        answer = yield VerifyToken(username, need.token, need.host, need.port)
        # The token may name its user; who is wanted is then a matter of authorization.
        owner = answer if isinstance(answer, str) and answer else username if answer is True else ""
        if not owner:
            # [RFC7628-3.2.2a] [RFC7628-3.2.3b] whatever comes back, the end is a failure.
            yield Challenge(self._error())
            return Refuse("the token is not valid")
        acting = username or owner
        if acting != owner and (yield Authorize(owner, acting)) is not True:
            yield Challenge(self._error())
            return Refuse("may not act as the authorization identity")
        return Done(Identity(owner, acting, self.name))

    def _error(self) -> bytes:
        scope = self.settings.token_scope
        return json.dumps({**self.error, **({"scope": scope} if scope else {})}).encode()


class OAuthBearerServer(_OAuthServer):
    """OAUTHBEARER in the server role."""

    name: ClassVar[str] = "OAUTHBEARER"
    error: ClassVar[Mapping[str, str]] = {"status": "invalid_token"}

    def read(self, message: str) -> VerifyToken:
        header, _, rest = message.partition("\x01")
        found = _GS2.match(header)
        if found is None or not rest.endswith("\x01\x01"):
            raise _Malformed
        pairs = _pairs(rest[:-2])
        port = pairs.get("port", "0")
        if not _PORT.match(port):
            raise _Malformed
        return VerifyToken(unescape(found[1] or ""), _bearer(pairs), pairs.get("host", ""), int(port))


class XOAuth2Server(_OAuthServer):
    """XOAUTH2 in the server role."""

    name: ClassVar[str] = "XOAUTH2"
    error: ClassVar[Mapping[str, str]] = {"status": "401", "schemes": "bearer"}

    def read(self, message: str) -> VerifyToken:
        user, _, rest = message.partition("\x01")
        if not user.startswith("user=") or "\0" in user or not rest.endswith("\x01\x01"):
            raise _Malformed
        return VerifyToken(user[5:], _bearer(_pairs(rest[:-2])))


def _pairs(text: str) -> dict[str, str]:
    """[RFC7628-3.1b] unknown keys are read and do not matter; the same key twice does."""
    found: dict[str, str] = {}
    for text_of_pair in text.split("\x01"):
        pair = _PAIR.match(text_of_pair)
        if pair is None or pair[1].lower() in found:
            raise _Malformed
        found[pair[1].lower()] = pair[2]
    return found


def _bearer(pairs: Mapping[str, str]) -> str:
    found = _BEARER.match(pairs["auth"]) if "auth" in pairs else None
    if found is None:
        raise _Malformed
    return found[1]


# ---- client ----


class _OAuthClient(ClientMechanism):
    cleartext: ClassVar[bool] = True
    conclusive: ClassVar[bool] = True
    to_error: ClassVar[bytes]
    """What answers the error challenge."""

    def __init__(self, credentials: Credentials, context: ClientContext) -> None:
        if not isinstance(credentials, Token):
            raise LocalProtocolError(f"{self.name} needs a Token")
        username = sendable("user name", credentials.username).decode()
        token = sendable("token", credentials.token).decode()
        # [SEC-INJ-cli-a] a control character would be the end of a field.
        if not _TOKEN.match(token):
            raise LocalProtocolError("the token is no bearer token")
        if "\x01" in username:
            raise LocalProtocolError("the user name holds a control character")
        self._message = self.write(username, token, context)
        self._sent = False

    @classmethod
    def serves(cls, credentials: Credentials, context: ClientContext) -> bool:
        return isinstance(credentials, Token)

    def write(self, username: str, token: str, context: ClientContext) -> bytes:
        raise NotImplementedError

    def initial(self) -> bytes | None:
        self._sent = True
        return self._message

    def respond(self, text: bytes) -> bytes:
        if self.detail is not None:
            raise MechanismError(f"{self.name} has no such challenge")
        # [RFC7628-3.2.3a] [XOAUTH2-client-b] it refuses; the caller may want to know what it says.
        self.detail = _said(text)
        return self.to_error

    def succeeded(self) -> None:
        if not self._sent or self.detail is not None:
            raise MechanismError("success after an error or before the token was sent")


class OAuthBearerClient(_OAuthClient):
    """OAUTHBEARER in the client role. Raises LocalProtocolError for credentials that it cannot carry."""

    name: ClassVar[str] = "OAUTHBEARER"
    to_error: ClassVar[bytes] = b"\x01"

    def write(self, username: str, token: str, context: ClientContext) -> bytes:
        pairs = [f"host={context.server_name}"]
        if context.port:
            pairs.append(f"port={context.port}")
        pairs.append(f"auth=Bearer {token}")
        return "\x01".join((f"n,a={escape(username)},", *pairs, "", "")).encode()


class XOAuth2Client(_OAuthClient):
    """XOAUTH2 in the client role. Raises LocalProtocolError for credentials that it cannot carry."""

    name: ClassVar[str] = "XOAUTH2"
    to_error: ClassVar[bytes] = b""

    def write(self, username: str, token: str, context: ClientContext) -> bytes:
        return f"user={username}\x01auth=Bearer {token}\x01\x01".encode()


def _said(text: bytes) -> Mapping[str, Any]:
    """What the server says, as far as it is what it should be."""
    try:
        found = json.loads(base64.decode(text))
    except (base64.Base64Error, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
