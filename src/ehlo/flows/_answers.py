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
    finals: list[Reply] = attrs.Factory(list)
    """One, or in LMTP one for each accepted recipient."""

    def take(self, found: ClientEvent) -> None:
        if isinstance(found, ReplyReceived):
            verb, reply = found.command.verb, found.reply
            if verb is Verb.RCPT:
                self.rcpts.append(reply)
                self.recipients += reply.code < 300
            elif verb is Verb.MAIL:
                self.mail = reply
            elif verb is Verb.END_OF_DATA:
                self.finals.append(reply)
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
        """What became of the message; None when it was not sent, or to nobody. Of several the first good
        one."""
        if not self.any_accepted:
            return None
        if len(self.finals) == 1 and self.refused is None:
            return self.finals[0]
        return self.refused or next((reply for reply in self.finals if reply.is_success), self.final)

    @property
    def final(self) -> Reply | None:
        """The last word."""
        return self.finals[-1] if self.finals else None

    def result(
        self, recipients: Sequence[Recipient], dropped: tuple[str, ...], *, lmtp: bool
    ) -> SubmissionResult:
        """One outcome for each recipient. In LMTP those whose reply is missing may try again [RFC2033-5d]."""
        verdict, mail, rcpts = self.verdict, self.mail, self.rcpts
        each = iter(self.finals) if lmtp and self.finals and self.refused is None else None
        decisive = verdict if verdict is not None else self.data
        accepted = verdict is not None and verdict.code < 300
        outcomes = []
        for index, recipient in enumerate(recipients):
            rcpt = rcpts[index] if index < len(rcpts) else None
            if mail is None or mail.code >= 300:
                outcomes.append(Outcome(recipient.path, False, mail))
            elif rcpt is None or rcpt.code >= 300:
                outcomes.append(Outcome(recipient.path, False, rcpt))
            else:
                if each is not None:
                    decisive = next(each, None)
                    accepted = decisive is not None and verdict is not None and decisive.code < 300
                outcomes.append(Outcome(recipient.path, accepted, decisive))
        return SubmissionResult(tuple(outcomes), verdict, dropped)
