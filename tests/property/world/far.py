"""The server's side: an application that decides as it is told, and keeps what it takes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

import attrs
from tests.helpers.driver import DECIDED, MECHANISMS, OPEN, TLS, answer
from tests.property.world.drafts import Stored
from tests.property.world.near import FETCHED

from ehlo import (
    NEED_DATA,
    PAUSED,
    STANDARD,
    AuthNeed,
    BodyChunk,
    BodyStarted,
    BurlReceived,
    BurlSources,
    ConnectionClosed,
    ConnectionOpened,
    ExpnReceived,
    HelloReceived,
    HelpReceived,
    Limits,
    Mailbox,
    MailReceived,
    MessageReceived,
    Pause,
    RcptReceived,
    Reply,
    ServerConfig,
    ServerConnection,
    ServerEvent,
    State,
    TlsRequested,
    TransactionReset,
    Verb,
    VrfyReceived,
    XClientReceived,
)
from ehlo.extensions import BINARY_MIME, CHUNKING, PIPELINING, burl, xclient

LIMITS = Limits(message_size=300, recipients=4, errors=60, idle_commands=80, auth_failures=20)
_EXTENSIONS = (*STANDARD, BINARY_MIME, burl(BurlSources(imap=True)), xclient("LOGIN"))


def _config(*without: object, lmtp: bool = False) -> ServerConfig:
    return ServerConfig(
        hostname="mail.example",
        policy=OPEN,
        limits=LIMITS,
        tls_available=True,
        mechanisms=MECHANISMS,
        lmtp=lmtp,
        extensions=tuple(extension for extension in _EXTENSIONS if extension not in without),
    )


CONFIGS = (
    _config(),
    _config(lmtp=True),
    _config(PIPELINING),
    _config(CHUNKING, BINARY_MIME, _EXTENSIONS[-2]),
)

_VERBS: Final[dict[type[object], Verb]] = {
    ConnectionOpened: Verb.CONNECT,
    HelloReceived: Verb.EHLO,
    TlsRequested: Verb.STARTTLS,
    MailReceived: Verb.MAIL,
    RcptReceived: Verb.RCPT,
    VrfyReceived: Verb.VRFY,
    ExpnReceived: Verb.EXPN,
    HelpReceived: Verb.HELP,
    XClientReceived: Verb.XCLIENT,
    AuthNeed: Verb.AUTH,
}
EVENTS: Final[dict[Verb, tuple[type[object], ...]]] = {
    **{verb: (event,) for event, verb in _VERBS.items()},
    **dict.fromkeys((Verb.EHLO, Verb.HELO, Verb.LHLO), (HelloReceived,)),
    **dict.fromkeys((Verb.DATA, Verb.BDAT), (BodyStarted,)),
    Verb.BURL: (BodyStarted, BurlReceived),
    Verb.END_OF_DATA: (BodyStarted, BurlReceived, MessageReceived),
}
"""What a server's application is asked about each command."""
_AGREEMENT: Final[dict[type[object], int]] = {
    ConnectionOpened: 220,
    TlsRequested: 220,
    XClientReceived: 220,
    BodyStarted: 354,
    VrfyReceived: 251,
    HelpReceived: 214,
}
"""The codes of success that are not 250."""


@attrs.define
class Transaction:
    sender: Mailbox
    recipients: list[Mailbox] = attrs.Factory(list)


class Far:
    """A ServerConnection, its application, and what that one has taken."""

    def __init__(
        self, config: ServerConfig, stored: list[Stored], numbers: Callable[[], int], *, traced: bool
    ) -> None:
        self.conn = ServerConnection(
            config, xclient=bool(config.xclient), trace=(lambda _: None) if traced else None
        )
        self.stored = stored
        self.due: ServerEvent | None = None
        self.tags: dict[str, ServerEvent] = {}
        """What was answered with a text of ours."""
        self.closed = False
        self._numbers = numbers
        self._open: Transaction | None = None
        self._body: bytearray | None = None

    # ---- hearing ----

    def hear(self, data: bytes, choices: Iterator[int]) -> bytes:
        self.conn.receive_data(data)
        return self.pump(choices)

    def pump(self, choices: Iterator[int]) -> bytes:
        """Go on until octets or a decision are due; what is to be sent."""
        while not self.closed:
            if self.due is not None:
                assert self.conn.next_event() is PAUSED
                choice = next(choices, None)
                if choice is None:
                    break
                self.decide(choice)
                continue
            event = self.conn.next_event()
            if isinstance(event, Pause):
                self._idle(event)
                break
            self._take(event)
        return self.conn.data_to_send()

    def _idle(self, pause: Pause) -> None:
        assert pause is (PAUSED if self.conn.state is State.TLS else NEED_DATA)
        # What is held is bounded by the longest line, and of a body nothing is held at all.
        held = len(self.conn._buffer)
        assert held < (1 if self.conn.state is State.BODY else self.conn.config.line_limit)

    def _take(self, event: ServerEvent) -> None:
        match event:
            case BodyStarted(envelope):
                assert self._open is not None
                assert envelope.reverse_path == self._open.sender
                assert [each.path for each in envelope.recipients] == self._open.recipients
                self._body = bytearray()
                self.due = event
            case BodyChunk(data):
                assert data
                assert self._body is not None
                self._body += data
            case MessageReceived(_, size):
                assert self._body is not None
                assert size == len(self._body)
                self.due = event
            case TransactionReset():
                assert self._open is not None, "what was never open cannot be reset"
                self._open = self._body = None
            case ConnectionClosed():
                self.closed = True
                assert self._open is None, "an open transaction is reset before the end"
            case _ if isinstance(event, DECIDED | AuthNeed | BurlReceived):
                self.due = event
            case _:
                pass

    # ---- deciding ----

    def decide(self, choice: int) -> None:
        """0 to 19 agree, others refuse for now or for good, and one ends the session."""
        event, self.due = self.due, None
        assert event is not None
        refusal = self._refusal(choice)
        if isinstance(event, AuthNeed):
            if refusal is None:
                self.conn.auth_answer(answer(event.need))
            else:
                self.conn.auth_refuse(refusal)
        elif isinstance(event, BurlReceived):
            if refusal is None:
                self.conn.burl_answer(FETCHED)
            else:
                self.conn.reject(refusal)
        elif isinstance(event, MessageReceived) and self.conn.config.lmtp and choice % 3:
            self._each(event, choice)
        elif refusal is not None:
            self.tags[refusal.text] = event
            self.conn.reject(refusal)
            if isinstance(event, MessageReceived) and refusal.code != 421:
                # With the end of the session the engine says so itself.
                self._open = self._body = None
        else:
            self._agree(event, choice)

    def _refusal(self, choice: int) -> Reply | None:
        code = {20: 450, 21: 451, 22: 550, 23: 554}.get(choice, 421 if choice > 60 else 250)
        return None if code < 400 else Reply(code, f"#{self._numbers()}")

    def _agree(self, event: ServerEvent, choice: int) -> None:
        if isinstance(event, MessageReceived):
            self._store(event, tuple(each.path for each in event.envelope.recipients))
        tagged = choice % 2 or isinstance(event, ExpnReceived)
        if tagged and not isinstance(event, HelloReceived):
            reply = Reply(_AGREEMENT.get(type(event), 250), f"#{self._numbers()}")
            self.tags[reply.text] = event
            self.conn.reply(reply)
        else:
            self.conn.accept()
        if isinstance(event, MailReceived):
            assert event.reverse_path is not None
            self._open = Transaction(event.reverse_path)
        elif isinstance(event, RcptReceived):
            assert self._open is not None
            self._open.recipients.append(event.forward_path)

    def _each(self, event: MessageReceived, choice: int) -> None:
        """[RFC2033-4.2b] a decision for each recipient."""
        paths = [each.path for each in event.envelope.recipients]
        codes = [(250, 450, 550)[(choice + place) % 3] for place in range(len(paths))]
        taken = tuple(path for path, code in zip(paths, codes, strict=True) if code == 250)
        if taken:
            self._store(event, taken)
        self._open = self._body = None
        self.conn.reply_each([Reply(code, "one of them") for code in codes])

    def _store(self, event: MessageReceived, recipients: tuple[Mailbox, ...]) -> None:
        assert event.envelope.reverse_path is not None
        assert self._body is not None
        self.stored.append(Stored(event.envelope.reverse_path, recipients, bytes(self._body)))
        self._open = self._body = None

    def shake(self, *, weak: bool) -> None:
        self.conn.start_tls_done(TLS, accept=not weak)

    def refuse_body(self, reply: Reply) -> bool:
        """Take no more of a body that is on its way."""
        if self.due is not None or self._body is None or self.conn.state not in (State.BODY, State.CHUNK):
            return False
        self.conn.refuse_body(reply)
        return True
