"""What a submission server mends in a header block, and what it refuses (RFC 6409 section 8, RFC 5322).

A `MessageFixer` is fed a message in pieces. It holds back the header block, up to a limit, and gives it out
mended; all behind it passes through as it came. `ehlo_io` servers do so with `message_policy=`, others with
`ehlo.flows.Fixups`. By hand, in a handler:

    def on_data(self, session, envelope):
        session.state = MessageFixer(MessagePolicy(), MessageFacts(
            hostname="mx.example", timestamp=time.time(), unique=secrets.token_hex(8),
            client_name=session.client_name, peer=session.peer, extended=session.extended,
            tls=session.tls, authenticated=session.identity is not None,
            recipients=tuple(recipient.path for recipient in envelope.recipients),
        ))

    def on_body(self, session, data):
        self.file.write(session.state.feed(data))

    def on_message(self, session, envelope, content):
        self.file.write(session.state.finish())
        return session.state.refusal

`self.file` stands for the place of this session's message: what was written there is thrown away in
`on_reset`, which also follows a refusal. That may come at any time, and the pieces behind it give b"". A
handler without `on_body` feeds the whole `content` in `on_message`.
"""

from __future__ import annotations

import re
from collections import Counter
from enum import Enum
from typing import Final

import attrs

from ehlo._value import Value
from ehlo.policy._addresses import ADDRESS_FIELDS, addresses, qualified, well_formed
from ehlo.policy._domains import own_domain
from ehlo.policy._fields import EMPTY_LINE, Field, split_fields
from ehlo.policy.needs import NeedScanner
from ehlo.policy.trace import MessageFacts, date_time, received
from ehlo.wire.address import AddressError, Mailbox, render_path
from ehlo.wire.reply import Reply

HEADER_TOO_LONG: Final = Reply(552, "Header section is too long", "5.3.4")
NOT_A_FIELD: Final = Reply(554, "A line of the header section is no field", "5.6.0")
NO_FROM: Final = Reply(554, "From field is missing", "5.6.0")
REPEATED_FIELD: Final = Reply(554, "A field stands there twice that may stand there once", "5.6.0")
BAD_ADDRESS: Final = Reply(554, "An address in the header section is none", "5.6.0")
UNQUALIFIED: Final = Reply(554, "Domain of an address in the header section is not fully qualified", "5.6.0")
RAW_HEADER: Final = Reply(554, "8-bit header section without SMTPUTF8", "5.6.9")
NUL: Final = Reply(554, "NUL in the message", "5.6.0")
LONG_LINE: Final = Reply(554, "A line has more than 998 octets", "5.6.0")
LOOP: Final = Reply(554, "Routing loop: too many Received fields", "5.4.6")

# RFC 5322 section 3.6: at most one of each.
_SINGLE: Final = frozenset(
    {b"date", b"from", b"sender", b"reply-to", b"to", b"cc", b"bcc", b"message-id", b"in-reply-to"}
    | {b"references", b"subject"}
)
_AUTHORS: Final = frozenset({b"from", b"sender", b"resent-from", b"resent-sender"})
_BLIND: Final = frozenset({b"bcc", b"resent-bcc"})

# What others can refer to, even where it bends the grammar: to replace it breaks their threads.
_MESSAGE_ID = re.compile(rb"(?:\([^()]*\)\s*)*+<[^<>\s@]+@[^<>\s]+>(?:\s*\([^()]*\))*+\Z")
_DATE = re.compile(
    rb"(?:(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)\s*,\s*)?\d{1,2}\s+"
    rb"(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)\s+\d{2,4}\s+"
    rb"\d{1,2}\s*:\s*\d{2}(?:\s*:\s*\d{2})?\s+(?:[+-]\d{4}|[A-Z]{1,5})(?:\s*\([^()]*\))*+\Z",
    re.IGNORECASE,
)


@attrs.frozen(repr=False, eq=False, kw_only=True)
class MessagePolicy(Value):
    """One field for each decision.

    By default a message gets what each submission server gives it, Received, and Date and Message-ID where
    they are missing [RFC6409-8a]; a loop and an endless header block are refused. All else is off, though who
    adds more than Received answers for the addresses, too [RFC4409-4.2b]: `refuse_unqualified`. Raises
    LocalProtocolError for a `qualify_with` that is no domain.
    """

    received: bool = True
    """[RFC5321-4.4a] a Received field on top."""

    date: bool = True
    """[RFC4409-8.2a] a Date field where there is none."""

    correct_date: bool = False
    """[RFC4409-8.2a] another one in place of a Date that is not of RFC 5322."""

    message_id: bool = True
    """[RFC4409-8.3a] a Message-ID field where there is none, or one that names nothing."""

    sender: bool = False
    """[RFC4409-8.1a] a Sender field with the identity, where From is another address."""

    remove_return_path: bool = False
    """[RFC5321-4.4h] no Return-Path field: the server that delivers writes its own."""

    remove_bcc: bool = False
    """[RFC5321-B-a] no Bcc and Resent-Bcc fields: their addresses are in the envelope."""

    qualify_with: str | None = attrs.field(default=None, validator=own_domain)
    """[RFC4409-4.2b] the domain that completes addresses: `user` becomes `user@domain`, and `user@host`
    `user@host.domain` [RFC4409-4.2c]."""

    refuse_unqualified: bool = False
    """[RFC4409-4.2b] 554 for what is still incomplete then."""

    check_syntax: bool = False
    """[RFC4409-6.3b] 554 for a line of the header block that is neither a field nor goes on with one."""

    refuse_bad_addresses: bool = False
    """[RFC4409-5.1b] 554 for a field of addresses that holds something else, and for a From or Sender without
    one. Who alters messages should refuse them."""

    require_from: bool = False
    """[RFC4409-6.3b] 554 without a From field (RFC 5322 section 3.6)."""

    refuse_repeated: bool = False
    """[RFC4409-6.3b] 554 for two fields of a kind where RFC 5322 section 3.6 allows one: two readers would
    see two senders."""

    refuse_raw_header: bool = False
    """[RFC6531-3.2b] 554 for octets over 127 in the header block without SMTPUTF8."""

    refuse_nul: bool = False
    """[RFC4409-8b] 554 for a NUL anywhere in the message (RFC 5322 section 4)."""

    refuse_long_lines: bool = False
    """[RFC6532-3.4a] 554 for a line over 998 octets anywhere in the message."""

    most_received: int | None = 100
    """[RFC5321-6.3a] more Received fields are a loop; None for no bound."""

    header_octets: int = 128 * 1024
    """What is held back of a message, and refused (552) when the header block is longer. Messages to
    hundreds of people have some 50 KB of it."""


class Fixup(Enum):
    """What was changed [RFC6409-8a]: all but RECEIVED may break a signature."""

    RECEIVED = "Received was added"
    DATE = "Date was added or corrected"
    MESSAGE_ID = "Message-ID was added or replaced"
    SENDER = "Sender was added or replaced"
    RETURN_PATH = "Return-Path was removed"
    BCC = "Bcc was removed"
    QUALIFIED = "addresses were completed"


class MessageFixer:
    """Feed it the pieces of one message, cut anywhere; call `finish` behind the last."""

    __slots__ = ("_buffer", "_facts", "_policy", "_scanner", "_searched", "changes", "refusal")

    def __init__(self, policy: MessagePolicy, facts: MessageFacts) -> None:
        self._policy = policy
        self._facts = facts
        # The line feed of a line that stands before the message: an empty line may be its first.
        self._buffer: bytearray | None = bytearray(b"\n")
        self._searched = 0
        self._scanner = NeedScanner() if policy.refuse_nul or policy.refuse_long_lines else None
        self.refusal: Reply | None = None
        """What `on_message` has to answer; None as long as there is no reason."""
        self.changes: tuple[Fixup, ...] = ()
        """What was done to the header block, once it was given out."""

    def feed(self, data: bytes) -> bytes:
        """The octets to keep for the next piece: b"" within the header block and after a refusal."""
        if self.refusal is None and self._scanner is not None:
            self._scanner.feed(data)
            self._scanned(self._scanner)
        if self.refusal is not None:
            return b""
        buffer = self._buffer
        if buffer is None:
            return data
        buffer += data
        found = EMPTY_LINE.search(buffer, self._searched)
        if found is None:
            self._searched = max(0, len(buffer) - 2)
            # The first octet is not the message's, and a CR at the end may belong to the empty line.
            if len(buffer) - 1 - buffer.endswith(b"\n\r") > self._policy.header_octets:
                self._refuse(HEADER_TOO_LONG)
            return b""
        stop = found.start() + 1
        return self._header(bytes(buffer[1:stop]), bytes(buffer[stop:]))

    def finish(self) -> bytes:
        """The octets to keep behind the last piece: the header block, where the message has no body."""
        if self.refusal is None and self._scanner is not None:
            self._scanner.finish()
            self._scanned(self._scanner)
        if self.refusal is not None or self._buffer is None:
            return b""
        return self._header(bytes(self._buffer[1:]), b"")

    def _scanned(self, scanner: NeedScanner) -> None:
        if scanner.nul and self._policy.refuse_nul:
            self._refuse(NUL)
        elif scanner.long_line and self._policy.refuse_long_lines:
            self._refuse(LONG_LINE)

    def _refuse(self, reply: Reply) -> None:
        self.refusal = reply
        self._buffer = None

    def _header(self, block: bytes, rest: bytes) -> bytes:
        self._buffer = None
        if len(block) > self._policy.header_octets:
            self._refuse(HEADER_TOO_LONG)
            return b""
        fields = split_fields(block)
        mending = _Mending(self._policy, self._facts, fields)
        refusal = _fault(self._policy, self._facts, block, fields) or mending.run()
        if refusal is not None:
            self._refuse(refusal)
            return b""
        self.changes = tuple(mending.changes)
        return b"".join((*(field.raw for field in mending.fields), rest))


def _fault(policy: MessagePolicy, facts: MessageFacts, block: bytes, fields: list[Field]) -> Reply | None:
    """Why a header block is refused, as it came."""
    counts = Counter(field.name for field in fields)
    if policy.most_received is not None and counts[b"received"] > policy.most_received:
        return LOOP
    if policy.check_syntax and counts[b""]:
        return NOT_A_FIELD
    if policy.refuse_raw_header and not facts.utf8 and not block.isascii():
        return RAW_HEADER
    if policy.refuse_bad_addresses and not all(map(_is_fit, fields)):
        return BAD_ADDRESS
    if policy.require_from and not counts[b"from"]:
        return NO_FROM
    if policy.refuse_repeated and any(counts[name] > 1 for name in _SINGLE):
        return REPEATED_FIELD
    return None


def _is_fit(field: Field) -> bool:
    """[RFC4409-5.1d] whether the addresses of a field are such."""
    if field.name not in ADDRESS_FIELDS:
        return True
    return well_formed(field.value) and (field.name not in _AUTHORS or bool(addresses(field.value)))


class _Mending:
    """The fix-ups of one header block."""

    def __init__(self, policy: MessagePolicy, facts: MessageFacts, fields: list[Field]) -> None:
        self._policy = policy
        self._facts = facts
        self.fields = fields
        self.changes: list[Fixup] = []

    def run(self) -> Reply | None:
        """Do what the policy asks for; a refusal where that does not help."""
        policy, facts = self._policy, self._facts
        if policy.remove_return_path:
            self._remove(frozenset({b"return-path"}), Fixup.RETURN_PATH)
        if policy.remove_bcc:
            self._remove(_BLIND, Fixup.BCC)
        if policy.qualify_with is not None:
            self._qualify(policy.qualify_with.encode("ascii"))
        if policy.refuse_unqualified and not self._all_qualified():
            return UNQUALIFIED
        if policy.date and (not (dates := self._values(b"date")) or not self._date_stands(dates)):
            self._set("Date", date_time(facts.timestamp, facts.utc_offset), Fixup.DATE)
        if policy.message_id and not any(_MESSAGE_ID.match(v.strip()) for v in self._values(b"message-id")):
            self._set("Message-ID", f"<{facts.unique}@{facts.domain or facts.hostname}>", Fixup.MESSAGE_ID)
        if policy.sender and facts.identity is not None:
            self._add_sender(facts.identity)
        if policy.received:
            # [RFC5321-4.4d] on top, and those below stay as they are.
            self.fields = [Field(b"received", received(facts)), *self.fields]
            self.changes.append(Fixup.RECEIVED)
        return None

    def _values(self, name: bytes) -> list[bytes]:
        return [field.value for field in self.fields if field.name == name]

    def _date_stands(self, values: list[bytes]) -> bool:
        return not self._policy.correct_date or any(_DATE.match(value.strip()) for value in values)

    def _set(self, name: str, value: str, change: Fixup) -> None:
        """One field of that name: in place of the first, or at the end."""
        key = name.lower().encode("ascii")
        new = Field(key, f"{name}: {value}\r\n".encode())
        place = next((place for place, field in enumerate(self.fields) if field.name == key), None)
        before, behind = self.fields[:place], [] if place is None else self.fields[place + 1 :]
        if before and not before[-1].raw.endswith(b"\n"):
            # The message ended in the midst of its last field.
            before[-1] = before[-1]._replace(raw=before[-1].raw + b"\r\n")
        self.fields = [*before, new, *(field for field in behind if field.name != key)]
        self.changes.append(change)

    def _remove(self, names: frozenset[bytes], change: Fixup) -> None:
        kept = [field for field in self.fields if field.name not in names]
        if len(kept) < len(self.fields):
            self.fields = kept
            self.changes.append(change)

    def _qualify(self, domain: bytes) -> None:
        fields = []
        for field in self.fields:
            if field.name in ADDRESS_FIELDS:
                name, colon, value = field.raw.partition(b":")
                field = field._replace(raw=name + colon + qualified(value, domain))  # noqa: PLW2901
            fields.append(field)
        if fields != self.fields:
            self.fields = fields
            self.changes.append(Fixup.QUALIFIED)

    def _all_qualified(self) -> bool:
        return all(
            address.is_qualified
            for field in self.fields
            if field.name in ADDRESS_FIELDS
            for address in addresses(field.value)
        )

    def _add_sender(self, identity: Mailbox) -> None:
        """[RFC4409-8.1a] where neither From nor Sender is the identity."""
        authors = [address for value in self._values(b"from") for address in addresses(value)]
        senders = [address for value in self._values(b"sender") for address in addresses(value)]
        if not authors or (len(authors) == 1 and authors[0].is_of(identity)):
            return
        if len(senders) == 1 and senders[0].is_of(identity):
            return
        try:
            # [RFC4409-8.1b] only what is an address.
            path = render_path(identity, utf8=self._facts.utf8)
        except AddressError:
            return
        if identity.domain:
            self._set("Sender", path, Fixup.SENDER)
