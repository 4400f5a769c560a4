"""LOGIN ([MS-XLOGIN]): user name and password on two lines, each after a prompt."""

from __future__ import annotations

from typing import ClassVar, Final

from ehlo.sasl._base import (
    Challenge,
    ClientContext,
    ClientMechanism,
    Done,
    Identity,
    MechanismError,
    Refuse,
    ServerMechanism,
    ServerSteps,
)
from ehlo.sasl._text import acts_as_itself, password_need, password_of, sendable
from ehlo.sasl.credentials import Credentials
from ehlo.wire import base64

# [XLOGIN-2.2.2b, XLOGIN-2.2.2c] these words exactly: clients are known to compare them.
USERNAME_PROMPT: Final = b"Username:"
PASSWORD_PROMPT: Final = b"Password:"


class LoginServer(ServerMechanism):
    """LOGIN in the server role."""

    name: ClassVar[str] = "LOGIN"
    cleartext: ClassVar[bool] = True

    def exchange(self, initial: bytes | None) -> ServerSteps:
        # [XLOGIN-3.2.5.1a] an initial response is the user name.
        username: bytes = (yield Challenge(USERNAME_PROMPT)) if initial is None else initial
        # [XLOGIN-3.2.5.2a] asked for whatever the name was, or the prompt would tell who exists.
        password: bytes = yield Challenge(PASSWORD_PROMPT)
        try:
            need = password_need(username.decode(), password.decode(), "")
        except UnicodeDecodeError:
            return Refuse("not UTF-8", malformed=True)
        if isinstance(need, Refuse):
            return need
        # [XLOGIN-3.2.5b] empty is well-formed here; no account can have it, so nobody is asked.
        if not need.username or not need.password:
            return Refuse("empty user name or password")
        if (yield need) is not True:
            return Refuse("wrong user name or password")
        return Done(Identity(need.username, need.username, self.name))


class LoginClient(ClientMechanism):
    """LOGIN in the client role. Raises LocalProtocolError for credentials that it cannot carry."""

    name: ClassVar[str] = "LOGIN"
    cleartext: ClassVar[bool] = True
    conclusive: ClassVar[bool] = True

    def __init__(self, credentials: Credentials, context: ClientContext) -> None:
        login = password_of(credentials, self.name)
        self._username = sendable("user name", login.username)
        self._password = sendable("password", login.password)
        self._speaks_first = context.initial_response
        self._open = [USERNAME_PROMPT, PASSWORD_PROMPT]

    @classmethod
    def serves(cls, credentials: Credentials, context: ClientContext) -> bool:
        return acts_as_itself(credentials)

    def initial(self) -> bytes | None:
        return self._username if self._speaks_first else None

    def respond(self, text: bytes) -> bytes:
        if self._speaks_first:
            self._speaks_first = False
            # A server that overlooks the initial response asks for the name again: let it.
            if _prompt(text) != USERNAME_PROMPT:
                self._open.remove(USERNAME_PROMPT)
        # [XLOGIN-3.1.5.1b] prompts vary (`User Name`, nothing, prose): the position decides,
        # [XLOGIN-3.1.5.1c] unless the text says clearly which of the two is asked for.
        asked = _prompt(text) or next(iter(self._open), None)
        # [XLOGIN-3.1.5.1d] a surplus prompt never gets the password a second time.
        if asked not in self._open:
            raise MechanismError("the server asked once more than LOGIN has answers")
        self._open.remove(asked)
        return self._username if asked == USERNAME_PROMPT else self._password

    def succeeded(self) -> None:
        if self._open:
            raise MechanismError("success before the credentials were sent")


def _prompt(text: bytes) -> bytes | None:
    """Which prompt a 334 clearly is; None when it could be either."""
    try:
        words = base64.decode(text).lower()
    except base64.Base64Error:
        return None
    if b"pass" in words:
        return PASSWORD_PROMPT
    if b"user" in words or b"login" in words:
        return USERNAME_PROMPT
    return None
