"""The server's AUTH dialogues: base64, `=`, `*` and reply codes around mechanisms that know octets.

Each method returns a turn: the reply to send, an event, or both; a need comes without a reply.
"""

from __future__ import annotations

from typing import Final, TypeAlias

import attrs

from ehlo import _replies as replies
from ehlo._events import Authenticated, AuthNeed, AuthRefused, ServerEvent
from ehlo._server_config import ServerConfig
from ehlo.sasl import Challenge, Done, Refuse, ServerContext, ServerMechanism, Step
from ehlo.wire import base64
from ehlo.wire.reply import Reply

Turn: TypeAlias = tuple[Reply | None, ServerEvent | None]


# [OXSMTP18-2.2.1a]
_PROSE: Final = frozenset({"NTLM", "GSSAPI", "GSS-SPNEGO"})
_EMPTY: Final[Turn] = (Reply(334, ""), None)


class AuthDialogue:
    """The AUTH commands of one connection, one after the other."""

    __slots__ = ("_config", "_mechanism", "failures", "name", "reason")

    def __init__(self, config: ServerConfig) -> None:
        self._config = config
        self._mechanism: ServerMechanism | None = None
        self.name = ""
        self.failures = 0
        self.reason: str | None = None

    def command(self, argument: bytes, context: ServerContext) -> Turn:
        """`argument` is what stands behind AUTH."""
        self.reason = None
        name, space, initial = argument.partition(b" ")
        self.name = name.decode("ascii", "replace").upper()
        if not name:
            return replies.SYNTAX_ERROR, None
        # [RFC4954-4d] unknown, and known but not to be used on this channel, look the same.
        offered = self._config.offer(context).mechanisms
        if self.name not in offered:
            return self._config.policy.unknown_mechanism, None
        context = attrs.evolve(context, offered=offered)
        mechanism = self._mechanism = self._config.mechanisms[self.name](context)
        if not space:
            turn = self._turn(mechanism.start(None))
            if self._config.policy.auth_prose and self.name in _PROSE and turn == _EMPTY:
                return Reply(334, f"{self.name} supported"), None
            return turn
        if mechanism.server_first:
            return replies.AUTH_NO_INITIAL, None
        if initial == base64.EMPTY:
            # [RFC4954-4j] an empty initial response, which is not the same as none.
            return self._turn(mechanism.start(b""))
        data = _decode(initial)
        return (replies.AUTH_BAD_BASE64, None) if data is None else self._turn(mechanism.start(data))

    def line(self, line: bytes) -> Turn:
        """A client's line in answer to 334; an empty one is data of no octets."""
        if line == b"*":
            return replies.AUTH_CANCELLED, None
        data = _decode(line)
        if data is None:
            return replies.AUTH_BAD_BASE64, None
        assert self._mechanism is not None, "a line follows a challenge"
        return self._turn(self._mechanism.respond(data))

    def answer(self, value: object) -> Turn:
        """The application's answer to the last need."""
        assert self._mechanism is not None, "an answer follows a need"
        return self._turn(self._mechanism.answer(value))

    def _turn(self, step: Step) -> Turn:
        match step:
            case Challenge(data):
                return Reply(334, base64.encode(data).decode("ascii")), None
            case Done(identity):
                return replies.AUTH_OK, Authenticated(identity)
            case Refuse(reason, malformed):
                self.failures += 1
                self.reason = reason
                reply = replies.AUTH_MALFORMED if malformed else self._config.policy.bad_credentials
                if self.failures > self._config.limits.auth_failures:
                    reply = replies.AUTH_TOO_MANY
                return reply, AuthRefused(self.name, reason, self.failures)
            case need:
                return None, AuthNeed(need, self.name)


def _decode(text: bytes) -> bytes | None:
    try:
        return base64.decode(text)
    except base64.Base64Error:
        return None
