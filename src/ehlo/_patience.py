"""How long a server bears with a client: refused commands, commands without work, and time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ehlo import _replies as replies
from ehlo._commands import Verb
from ehlo._events import Deadline, Wait
from ehlo._limits import Limits
from ehlo._state import State
from ehlo.wire.reply import Reply

if TYPE_CHECKING:
    from ehlo.extensions import SessionLimits

IDLE: Final = frozenset(
    {Verb.EHLO, Verb.HELO, Verb.LHLO, Verb.XCLIENT}
    | {Verb.NOOP, Verb.RSET, Verb.VRFY, Verb.EXPN, Verb.HELP, Verb.MAIL}
)
"""Verbs that may be repeated for ever without a message coming of it."""
# Bound once: there is a wait for each command.
_BODY, _TLS = State.BODY, State.TLS
_BLOCK, _COMMAND = Wait.BLOCK, Wait.COMMAND


class Patience:
    __slots__ = ("_announced", "_domains", "_errors", "_idle", "_limits", "_mails", "_rcpts")

    def __init__(self, limits: Limits, announced: SessionLimits | None = None) -> None:
        self._limits = limits
        self._announced = announced
        self._mails = self._rcpts = 0
        self._domains: set[str] = set()
        self._errors = 0
        self._idle = 0

    def refused(self, reply: Reply) -> Reply:
        """A command was refused: the reply to it, 421 when it was one too many."""
        self._errors += 1
        return replies.TOO_MANY_ERRORS if self._errors > self._limits.errors else reply

    def idled(self) -> bool:
        """A command that does no work came: whether it is one too many."""
        self._idle += 1
        return self._idle > self._limits.idle_commands

    def rejected(self, reply: Reply) -> Reply:
        """The application refused: no fault of the client, but no work either, if it goes on for ever."""
        return replies.TOO_MANY_COMMANDS if self.idled() else reply

    def mailed(self) -> Reply | None:
        """MAIL came: the refusal when LIMITS said that so many are too many [RFC9422-4a]."""
        announced = self._announced
        if announced is None:
            return None
        self._mails += 1
        self._rcpts = 0
        over = announced.mail_max is not None and self._mails > announced.mail_max
        return replies.TOO_MANY_MESSAGES if over else None

    def addressed(self) -> Reply | None:
        """RCPT came; those that are refused count, too [RFC9422-4.2a]."""
        announced = self._announced
        if announced is None:
            return None
        self._rcpts += 1
        over = announced.rcpt_max is not None and self._rcpts > announced.rcpt_max
        return replies.TOO_MANY_RECIPIENTS if over else None

    def reached(self, domain: str) -> Reply | None:
        """A recipient is of this domain [RFC9422-4.3a]."""
        announced = self._announced
        if announced is None or announced.rcpt_domain_max is None:
            return None
        domain = domain.lower()
        if domain in self._domains:
            return None
        if len(self._domains) >= announced.rcpt_domain_max:
            return replies.TOO_MANY_DOMAINS
        self._domains.add(domain)
        return None

    def renew(self) -> None:
        """A message was accepted: the counts begin anew."""
        self._errors = 0
        self._idle = 0


def deadline(limits: Limits, state: State) -> Deadline:
    """A new wait for what the client does next."""
    if state is _BODY:
        return Deadline(_BLOCK, limits.block_timeout)
    if state is _TLS:
        return Deadline(Wait.HANDSHAKE, limits.tls_timeout)
    return Deadline(_COMMAND, limits.idle_timeout)
