"""What a server needs to mend the messages that it takes (RFC 6409 section 8)."""

from __future__ import annotations

from collections.abc import Callable

import attrs

from ehlo._value import Value
from ehlo.extensions import SmtpUtf8
from ehlo.policy.message import MessageFixer, MessagePolicy
from ehlo.policy.rights import own_address
from ehlo.policy.trace import MessageFacts
from ehlo.sasl import proved
from ehlo.server import ServerConnection


@attrs.frozen(repr=False, eq=False, kw_only=True)
class Fixups(Value):
    """A policy, and where the clock and the tokens come from."""

    policy: MessagePolicy
    clock: Callable[[], float]
    """Seconds since 1970, such as `time.time`."""
    random: Callable[[int], bytes]
    """So many octets that come to no other message, such as `os.urandom`: for `id` and Message-ID."""
    utc_offset: Callable[[float], int] | None = None
    """Of the local time then, in minutes [RFC5321-4.4e]; None: UTC is told."""

    def fixer(self, conn: ServerConnection, peer: str | None) -> MessageFixer:
        """For the message of the open transaction."""
        envelope, identity, now = conn.transaction.envelope, conn.identity, self.clock()
        known = identity if proved(identity) else None
        facts = MessageFacts(
            hostname=conn.config.hostname,
            timestamp=now,
            utc_offset=0 if self.utc_offset is None else self.utc_offset(now),
            unique=self.random(12).hex(),
            client_name=conn.client_name,
            peer=peer,
            extended=conn.extended,
            tls=conn.tls,
            identity=None if known is None else own_address(known),
            authenticated=known is not None,
            utf8=envelope.parameters.get(SmtpUtf8) is not None,
            lmtp=conn.config.lmtp,
            recipients=tuple(recipient.path for recipient in envelope.recipients),
        )
        return MessageFixer(self.policy, facts)
