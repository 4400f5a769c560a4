"""What a server said to a message, command by command."""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from ehlo._commands import Verb
from ehlo._errors import ConnectionFailed
from ehlo._events import BodyWanted, ClientEvent, Recipient, ReplyReceived
from ehlo.flows._drive import expected
from ehlo.flows.results import Outcome, SubmissionResult
from ehlo.wire.reply import Reply


@attrs.define
class Answers:
    """The replies to one transaction."""

    mail: Reply | None = None
    rcpts: list[Reply] = attrs.Factory(list)
    data: Reply | None = None
    body_wanted: bool = False
    recipients: int = 0
    """How many were accepted."""
    chunks: int = 0
    """How many chunks were accepted."""
    refused: Reply | None = None
    """The first refusal of a chunk."""
    final: Reply | None = None

    def take(self, found: ClientEvent) -> None:
        if isinstance(found, ReplyReceived):
            verb, reply = found.command.verb, found.reply
            if verb is Verb.RCPT:
                self.rcpts.append(reply)
                self.recipients += reply.code < 300
            elif verb is Verb.MAIL:
                self.mail = reply
            elif verb is Verb.END_OF_DATA:
                self.final = reply
            elif verb is not Verb.BDAT:
                self.data = reply
            elif reply.code < 300:
                self.chunks += 1
            elif self.refused is None:
                self.refused = reply
        elif isinstance(found, BodyWanted):
            self.data = found.reply
            self.body_wanted = True
        else:
            expected(found)
            raise ConnectionFailed("the server answered out of turn")

    @property
    def any_accepted(self) -> bool:
        return self.recipients > 0 and self.mail is not None and self.mail.code < 300

    @property
    def verdict(self) -> Reply | None:
        """What became of the message; None when it was not sent, or to nobody."""
        return (self.refused or self.final) if self.any_accepted else None

    def result(self, recipients: Sequence[Recipient], dropped: tuple[str, ...]) -> SubmissionResult:
        """One outcome for each recipient."""
        verdict = self.verdict
        accepted = verdict is not None and verdict.is_success
        decisive = verdict if verdict is not None else self.data
        outcomes = []
        for index, recipient in enumerate(recipients):
            rcpt = self.rcpts[index] if index < len(self.rcpts) else None
            if self.mail is None or not self.mail.is_success:
                outcomes.append(Outcome(recipient.path, False, self.mail))
            elif rcpt is None or not rcpt.is_success:
                outcomes.append(Outcome(recipient.path, False, rcpt))
            else:
                outcomes.append(Outcome(recipient.path, accepted, decisive))
        return SubmissionResult(tuple(outcomes), verdict, dropped)
