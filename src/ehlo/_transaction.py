"""One mail transaction as a server holds it: sender, accepted recipients, body."""

from __future__ import annotations

from typing import Final

from ehlo._body import BodyReader
from ehlo._events import Envelope, MailReceived, RcptReceived, Recipient
from ehlo._server_config import ServerConfig
from ehlo.extensions import NO_PARAMETERS, Body, SmtpUtf8
from ehlo.wire.address import Mailbox
from ehlo.wire.text import Content


class Transaction:
    __slots__ = ("_envelope", "_mail", "_recipients", "body", "rcpt_seen")

    def __init__(self, mail: MailReceived = MailReceived(None, NO_PARAMETERS)) -> None:  # noqa: B008
        self._mail = mail
        self._recipients: list[Recipient] = []
        self._envelope: Envelope | None = None
        self.body: BodyReader | None = None
        self.rcpt_seen = False
        """RCPT was tried, whatever became of it."""

    @property
    def accepted(self) -> int:
        """How many recipients there are."""
        return len(self._recipients)

    @property
    def envelope(self) -> Envelope:
        envelope = self._envelope
        if envelope is None:
            mail = self._mail
            envelope = self._envelope = Envelope(mail.reverse_path, mail.parameters, tuple(self._recipients))
        return envelope

    def add(self, rcpt: RcptReceived) -> None:
        self._envelope = None
        self._recipients.append(Recipient(rcpt.forward_path, rcpt.parameters))

    def replace(self, path: Mailbox) -> None:
        """Another path in place of the one that was accepted last; its parameters stay as they are."""
        self._envelope = None
        if self._recipients:
            last = self._recipients[-1]
            self._recipients[-1] = Recipient(path, last.parameters, last.path)
        else:
            self._mail = MailReceived(path, self._mail.parameters)

    @property
    def declared(self) -> Body | None:
        """What the sender says of the octets."""
        parameters = self._mail.parameters
        return None if parameters is NO_PARAMETERS else parameters.get(Body)

    @property
    def utf8(self) -> bool:
        """Addresses need not be ASCII."""
        parameters = self._mail.parameters
        return parameters is not NO_PARAMETERS and parameters.get(SmtpUtf8) is not None

    @property
    def binary(self) -> bool:
        return self.declared is Body.BINARY_MIME

    def start_body(self, config: ServerConfig, content: Content) -> BodyReader:
        """`content` reads the octets in the form in which they come."""
        self.body = body = BodyReader(config.limits, config.policy, self.declared, content)
        return body


NO_TRANSACTION: Final = Transaction()
"""Before the first one. It has no sender and is never changed: RCPT comes after MAIL."""
