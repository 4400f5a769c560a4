"""The half of a server connection that takes message octets: what follows 354, chunks, and what is fetched.

Whatever is wrong, they are read to their true end before it is told, or they would run as commands.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ehlo import _replies as replies
from ehlo._body import ChunkReader
from ehlo._commands import Verb
from ehlo._errors import LocalProtocolError
from ehlo._events import (
    NEED_DATA,
    BodyChunk,
    BodyStarted,
    BurlReceived,
    MessageReceived,
    Pause,
    ServerEvent,
    TLSInfo,
    TransactionReset,
)
from ehlo._order import out_of_order, unknown_command
from ehlo._patience import deadline
from ehlo._server_config import NOTHING_OFFERED, Offer, ServerConfig
from ehlo._speaker import Speaker
from ehlo._state import IN_TRANSACTION, State
from ehlo._transaction import NO_TRANSACTION, Transaction
from ehlo._transcript import Trace, trace_note
from ehlo.sasl import Identity
from ehlo.wire.chunk import Chunk, parse_chunk
from ehlo.wire.codes import CLOSING
from ehlo.wire.reply import Reply
from ehlo.wire.text import Content

if TYPE_CHECKING:
    from ehlo.extensions import XClient

_BODY, _VOID, _CLOSED = State.BODY, State.VOID, State.CLOSED
_TAKES_CHUNKS: Final = frozenset({State.RCPT, State.CHUNK})
_PIECE: Final = 65536  # What stands behind a body in a large feed is not copied whole each time.
_BDAT, _BURL, _END_OF_DATA = Verb.BDAT, Verb.BURL, Verb.END_OF_DATA


class Taker(Speaker):
    """The facts of a session, and the body of its transaction."""

    __slots__ = (
        "_burl",
        "_chunk",
        "_default",
        "_eof",
        "_verb",
        "asserted",
        "client_name",
        "extended",
        "identity",
        "may_xclient",
        "offered",
        "tls",
        "tls_refused",
        "transaction",
        "xclient",
    )

    def __init__(
        self, config: ServerConfig, identity: Identity | None, trace: Trace | None, xclient: bool
    ) -> None:
        super().__init__(config, trace)
        self.may_xclient = xclient
        """The client is trusted to say for whom it speaks, and did not say EHLO for somebody yet."""
        self.xclient: XClient | None = None
        """What a trusted peer said of the client that it speaks for."""
        self._verb = Verb.CONNECT
        self._default = replies.NOOP_OK
        self._eof = False
        # Whose octets come next; None: a command.
        self._chunk: ChunkReader | None = None
        # What is to be fetched, and whether it is the last of the message.
        self._burl = "", False
        self.asserted: Identity | None = identity
        self.identity: Identity | None = identity
        """Who is authenticated, or None."""
        self.tls: TLSInfo | None = None
        """The TLS in use, or None."""
        self.tls_refused = False
        """The TLS in use was judged too weak."""
        self.client_name: str | None = None
        """What the client called itself in its last accepted EHLO or HELO."""
        self.extended = False
        """The last hello was EHLO."""
        self.offered: Offer = NOTHING_OFFERED
        """What the last reply to it offered."""
        self.transaction: Transaction = NO_TRANSACTION
        """The open transaction, or the last one."""

    def _begin_anew(self, info: TLSInfo) -> None:
        """[RFC3207-4.2c] nothing the client said before TLS is known after."""
        self.tls = info
        self.identity = self.asserted
        self.client_name = None
        self.extended = False
        self.offered = NOTHING_OFFERED

    def _speak_for(self, said: XClient) -> None:
        """It is another client from here on, and has no rights of the one that speaks for it. STARTTLS
        changes nothing of that: this is known from outside, like an asserted identity."""
        known = self.xclient = said if self.xclient is None else self.xclient.followed_by(said)
        login = known.login
        self.asserted = Identity(login, login, "XCLIENT") if isinstance(login, str) else None
        self.identity = self.asserted
        self.client_name = known.helo if isinstance(known.helo, str) else None
        self.extended = known.proto == "ESMTP"
        self.offered = NOTHING_OFFERED

    def _prove(self, identity: Identity) -> None:
        self.identity = identity

    def refuse_body(self, reply: Reply) -> None:
        """Take no more of the body that is coming; `reply` is sent at its true end."""
        body = self.transaction.body
        if (
            self._state not in IN_TRANSACTION
            or body is None
            or self._undecided is not None
            or reply.code < 400
        ):
            raise LocalProtocolError("there is no body to refuse, or the reply is no refusal")
        body.refusal = reply

    def _ask(self, verb: Verb, event: ServerEvent, default: Reply) -> ServerEvent:
        self._undecided, self._verb, self._default = event, verb, default
        return event

    def _end_of_input(self) -> ServerEvent | Pause | None:
        if not self._eof:
            return NEED_DATA
        # [RFC5321-4.1.1.5b] a lost connection is QUIT; what was incomplete is void.
        self._die()
        return None

    @property
    def _only_helo(self) -> bool:
        """[RFC5321-4.1.1.1f] HELO enables no extension."""
        return self.client_name is not None and not self.extended

    # ---- chunks (RFC 3030) ----

    def _refuse_line(self, line: bytes, refusal: Reply) -> None:
        """A command that cannot be read. If it is BDAT its octets would run as commands, and the connection
        ends; what BURL would have brought is missing in the message."""
        word = line[:4].upper()
        if word == b"BDAT":
            self._refuse(Verb.NONE, replies.BAD_CHUNK)
        elif word == b"BURL" and self._state in _TAKES_CHUNKS and self.config.burl and not self._only_helo:
            self._burl = "", False
            self._fail_burl(self.patience.refused(refusal))
        else:
            self._refuse(Verb.NONE, refusal)

    def _chunk_line(self, argument: bytes) -> ServerEvent | None:
        chunk = parse_chunk(argument)
        if chunk is None:
            # What cannot be read to its end would run as commands: the connection ends.
            self._refuse(Verb.NONE, replies.BAD_CHUNK)
            return None
        refusal = self._chunk_refusal(chunk)
        body = self.transaction.body
        if refusal is None and body is None:
            self._chunk = ChunkReader(chunk, None)
            return self._ask(_BDAT, BodyStarted(self.transaction.envelope), replies.DATA_GO)
        self._chunk = ChunkReader(chunk, body if refusal is None else None, refusal)
        self._wait = deadline(self.config.limits, _BODY)
        return None

    def _chunk_refusal(self, chunk: Chunk) -> Reply | None:
        if not self.config.chunking or self._only_helo:
            return unknown_command(self, b"BDAT")
        refusal = out_of_order(self, _BDAT)
        return replies.BAD_CHUNK_WORD if refusal is None and not chunk.valid else refusal

    def _take_chunks(self, refusal: Reply | None) -> None:
        """The application decided on the first chunk: a refusal is told when its octets are read."""
        assert self._chunk is not None, "the decision is about a chunk"
        chunk, content = self._chunk.chunk, Content()
        body = self.transaction.start_body(self.config, content)
        body.refusal = refusal
        self._chunk = ChunkReader(chunk, body)
        self._wait = deadline(self.config.limits, _BODY)

    def _read_chunk(self, reader: ChunkReader) -> ServerEvent | Pause | None:
        content = b""
        if reader.left:
            if self._buffer.empty:
                return self._end_of_input()
            content = reader.take(self._buffer.take(min(reader.left, _PIECE)))
            if reader.body is not None and reader.body.earned_time():
                self._wait = deadline(self.config.limits, _BODY)
        elif reader.chunk.last and reader.body is not None:
            # [RFC3030-2e] BDAT 0 LAST: the octets before it are looked at as a whole now.
            reader.take(b"")
        if not reader.left:
            self._end_of_chunk(reader)
        return BodyChunk(content) if content else None

    def _end_of_chunk(self, reader: ChunkReader, verb: Verb = _BDAT) -> None:
        self._chunk = None
        body, chunk = reader.body, reader.chunk
        if self._trace is not None:
            trace_note(self._trace, f"chunk, {chunk.size} octets")
        if body is None:
            assert reader.refusal is not None, "octets that nobody takes were refused"
            self._wait = None
            # [RFC3030-2j] those that were on their way when one failed are no fault of the client.
            count = self.patience.rejected if self._state is _VOID else self.patience.refused
            if reader.refusal is replies.BAD_CHUNK_WORD:
                # [RFC3030-2i] its octets are missing: what follows must not pass for the whole message.
                self._send(_BDAT, count(reader.refusal))
                if self._state is _VOID:
                    self._emit(TransactionReset())
            else:
                refusal = count(reader.refusal)
                if chunk.last and self._state is _VOID and refusal.code != CLOSING:
                    # [RFC2033-4.3a] also when an earlier chunk failed.
                    self._repeat(refusal)
                self._send(Verb.NONE, refusal)
        elif chunk.last:
            self._end_of_body(body.size, body.refusal)
        elif body.refusal is not None:
            self._wait = None
            self._send(verb, body.refusal)
            if self._state is not _CLOSED:
                self._emit(TransactionReset())
        elif not chunk.size and self.patience.idled():
            self._wait = None
            self._send(verb, replies.TOO_MANY_COMMANDS)
        else:
            self._wait = None
            self._send(verb, replies.chunk_taken(chunk.size))

    # ---- content that the application fetches (RFC 4468) ----

    def _burl_line(self, argument: bytes) -> ServerEvent | None:
        from ehlo.extensions.burl_offer import parse_burl  # noqa: PLC0415 (where it is offered)

        if self._only_helo:
            # As any word that is no command: it changes nothing.
            self._refuse(Verb.NOOP, unknown_command(self, b"BURL"))
            return None
        found = parse_burl(argument)
        self._burl = found or ("", False)
        refusal = self._burl_refusal(found)
        if refusal is not None:
            # [RFC3030-2j] as of chunks.
            count = self.patience.rejected if self._state is _VOID else self.patience.refused
            self._fail_burl(count(refusal))
            return None
        if self.transaction.body is None:
            return self._ask(_BURL, BodyStarted(self.transaction.envelope), replies.DATA_GO)
        return self._ask_burl()

    def _burl_refusal(self, found: tuple[str, bool] | None) -> Reply | None:
        from ehlo.extensions.burl_offer import submitter  # noqa: PLC0415

        refusal = out_of_order(self, _BURL)
        if refusal is not None or found is None:
            return refusal or replies.BAD_BURL
        url, sources, identity = found[0], self.config.burl, self.identity
        assert sources is not None, "BURL is offered"
        assert identity is not None, "it is taken of those who are known"
        if not sources.cover(url):
            return replies.BURL_UNTRUSTED
        # [RFC4468-3.3a] before anybody is asked for the content.
        return replies.BURL_NOT_YOURS if submitter(url) not in (None, identity.authzid) else None

    def _ask_burl(self) -> ServerEvent:
        return self._ask(_BURL, BurlReceived(self._burl[0]), replies.BURL_UNAVAILABLE)

    def _decide_burl(self, reply: Reply) -> None:
        """The application decided on a message that begins with a URL, or on the URL."""
        if reply.code >= 400:
            self._fail_burl(reply)
        else:
            self.transaction.start_body(self.config, Content())
            self._emit(self._ask_burl())

    def _fail_burl(self, reply: Reply) -> None:
        """[RFC4468-3.2c] the transaction is over, with its last command or until RSET."""
        last, before = self._burl[1], self._state
        self._wait = None
        if last and (before in _TAKES_CHUNKS or before is _VOID) and reply.code != CLOSING:
            self._repeat(reply)
        self._send(_END_OF_DATA if last else _BURL, reply)
        if before in _TAKES_CHUNKS and self._state is not _CLOSED:
            self._emit(TransactionReset())

    def burl_answer(self, octets: bytes) -> None:
        """What is at the URL of the last BurlReceived: the next octets of the message."""
        if not isinstance(self._undecided, BurlReceived) or self._events:
            raise LocalProtocolError("no URL is to be fetched")
        if not isinstance(octets, bytes):
            raise LocalProtocolError("what is at a URL are bytes")
        self._undecided = None
        reader = ChunkReader(Chunk(len(octets), self._burl[1]), self.transaction.body)
        content = reader.take(octets)
        if content:
            self._emit(BodyChunk(content))
        self._end_of_chunk(reader, _BURL)

    def _read_body(self) -> ServerEvent | Pause | None:
        if self._buffer.empty:
            return self._end_of_input()
        body = self.transaction.body
        assert body is not None, "the BODY state has a reader"
        content, rest = body.read(self._buffer.take(_PIECE))
        if rest is not None:
            if rest:
                self._buffer.unread(rest)
            self._end_of_body(body.size, body.refusal)
        elif body.earned_time():
            self._wait = None
        return BodyChunk(content) if content else None

    def _repeat(self, reply: Reply) -> None:
        """[RFC2033-4.2b] for each recipient but the last one, whose reply ends the transaction."""
        if self.config.lmtp:
            for _ in range(self.transaction.accepted - 1):
                self._say_also(reply)

    def _end_of_body(self, size: int, refusal: Reply | None) -> None:
        self._wait = None
        if self._trace is not None:
            trace_note(self._trace, f"message data, {size} octets")
        if refusal is None:
            event = MessageReceived(self.transaction.envelope, size)
            self._emit(self._ask(_END_OF_DATA, event, replies.MESSAGE_OK))
            return
        refusal = replies.with_enhanced(_END_OF_DATA, refusal)
        self._repeat(refusal)
        self._answer(_END_OF_DATA, refusal)
        if self._state is not _CLOSED:
            self._emit(TransactionReset())
