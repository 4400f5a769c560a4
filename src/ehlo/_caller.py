"""The half of a client connection that speaks: commands and message octets, checked before they leave.

What is legal to send is asked of the session table for the state that would be reached if all that is in
flight succeeds.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from ehlo._commands import (
    Bdat,
    Burl,
    Command,
    EndOfData,
    Expn,
    Mail,
    Verb,
    Vrfy,
    Writable,
    XClientCommand,
    render_command,
)
from ehlo._errors import LocalProtocolError
from ehlo._events import (
    Deadline,
    TLSInfo,
)
from ehlo._limits import DEFAULT, Limits
from ehlo._state import AGREED, ALLOWED, State
from ehlo._transcript import Trace, trace_auth_line, trace_command, trace_note
from ehlo.extensions import (
    NO_PARAMETERS,
    SIZE,
    STANDARD,
    STARTTLS,
    Body,
    Capabilities,
    Extension,
    SmtpUtf8,
)
from ehlo.wire import base64
from ehlo.wire.chunk import Chunk, render_chunk
from ehlo.wire.dot import DotEncoder
from ehlo.wire.reply import ReplyParser
from ehlo.wire.text import Newlines, TextEncoder

# [RFC2920-3.1b] [RFC3030-4.2a] these may stand anywhere in a group; all others end one.
_MAY_BE_FOLLOWED: Final = frozenset({Verb.MAIL, Verb.RCPT, Verb.RSET, Verb.BDAT, Verb.BURL, Verb.END_OF_DATA})
# [RFC4954-4i] AUTH with its initial response is a command line like any other.
_COMMAND_LINE: Final = 512

_NOTHING_OFFERED: Final = Capabilities()
_NOTHING_WRITABLE: Final = Writable()
_END: Final = EndOfData()

# Bound once: reaching a member through its enum costs as much as a call.
_READY, _BODY = State.READY, State.BODY
_MAIL, _DATA, _AUTH, _STARTTLS = Verb.MAIL, Verb.DATA, Verb.AUTH, Verb.STARTTLS
_BDAT, _END_OF_DATA = Verb.BDAT, Verb.END_OF_DATA
_XCLIENT, _BURL = Verb.XCLIENT, Verb.BURL
# Those that need more than their turn. The end of data is one, for BURL may be the last piece.
_CHECKED: Final = frozenset({_AUTH, _STARTTLS, _XCLIENT, _BURL, _END_OF_DATA})


class Caller:
    """What it says, and what it remembers of what it was told."""

    def __init__(
        self,
        *,
        limits: Limits | None = None,
        extensions: tuple[Extension, ...] | None = None,
        newlines: Newlines = Newlines.NORMALISE,
        lmtp: bool = False,
        trace: Trace | None = None,
    ) -> None:
        self.limits = limits if limits is not None else DEFAULT
        self._given = extensions
        self.extensions = STANDARD if extensions is None else extensions
        """What the last EHLO reply is read with."""
        self._newlines = newlines
        self.lmtp = lmtp
        """LMTP instead of SMTP (RFC 2033): the end of data gets a reply for each accepted recipient."""
        # How many of them there are, and how many were told what became of the message.
        self._accepted = self._told = 0
        self._trace = trace
        self._parser = ReplyParser(self.limits)
        self._out: list[bytes] = []
        self._in_flight: deque[Command] = deque()
        self._state = State.GREETING
        self._expected_state = State.GREETING
        # No reply is looked at: a challenge is unanswered, TLS is due, or the connection is closed.
        self._holds = False
        self._challenged = False
        self._unasked = False
        self._eof = False
        self._deadline: Deadline | None = None
        self._encoder = DotEncoder(newlines)
        self._chunks: TextEncoder | None = None
        # Octets of the message that are in chunks by now.
        self._chunked = 0
        self._terms = NO_PARAMETERS
        self.mails = 0
        """How many MAIL commands were sent."""
        self.rcpt_domains: frozenset[str] = frozenset()
        """The domains of recipients so far, where the server limits their number."""
        self._has_burl = False
        self.can_pipeline = False
        """The last EHLO reply offered PIPELINING."""
        self.capabilities = _NOTHING_OFFERED
        """What the last EHLO reply offered; nothing after HELO and after a TLS handshake."""
        self.can_chunk = False
        """It offered CHUNKING, too."""
        self.writable = _NOTHING_WRITABLE
        """The parameters that the last EHLO reply lets be written."""
        self.tls: TLSInfo | None = None
        """The TLS in use, or None."""
        self.authenticated = False
        """AUTH succeeded on this connection."""

    @property
    def known_extensions(self) -> tuple[Extension, ...]:
        """Those given, or by default all that there are, whatever the server offers."""
        if self._given is not None:
            return self._given
        from ehlo.extensions.every import EVERY  # noqa: PLC0415 (for those who ask)

        return EVERY

    @property
    def state(self) -> State:
        """Where the session stands by the replies that came."""
        return self._state

    @property
    def is_ready(self) -> bool:
        """A transaction may begin: none is open, and the session is neither at its start nor at its end."""
        return self._state is _READY

    @property
    def in_flight(self) -> int:
        """How many commands wait for their reply."""
        return len(self._in_flight)

    @property
    def in_doubt(self) -> bool:
        """A message is on its way to its end, and what became of it was not heard."""
        return any(command.verb is _END_OF_DATA for command in self._in_flight)

    def send(self, command: Command) -> None:
        """Queue a command. Raises LocalProtocolError, and nothing of it is sent, when it may not
        come now, has no place in a line, or uses what the server does not offer."""
        verb = command.verb
        state = self._expected_state
        if verb not in ALLOWED[state]:
            raise LocalProtocolError(f"{verb.value} may not be sent in state {state.value}")
        if self._in_flight:
            self._check_group(verb)
        line = render_command(command, self.writable)
        if verb in _CHECKED:
            self._check(command, line)
        elif verb is _DATA and self.can_chunk:
            self._check_data()
        if not line.isascii() and not self._says_utf8(command):
            # [RFC6531-3.2b]
            raise LocalProtocolError("an address that is not ASCII needs SMTPUTF8")
        if verb is _MAIL:
            self._terms = command.parameters  # type: ignore[union-attr]
            self._chunks = None
            self._chunked = 0
            self.mails += 1
            self._has_burl = False
        if self._trace is not None:
            trace_command(self._trace, line[:-2])
        self._queue(command, line, AGREED[state][verb])

    def _says_utf8(self, command: Command) -> bool:
        if isinstance(command, Vrfy | Expn):
            return command.utf8
        terms = command.parameters if isinstance(command, Mail) else self._terms
        return terms.get(SmtpUtf8) is not None

    def _queue(self, command: Command, octets: bytes, after: State) -> None:
        in_flight = self._in_flight
        if not in_flight:
            self._deadline = None
        if not self._parser.empty:
            self._check_unasked()
        self._out.append(octets)
        in_flight.append(command)
        self._expected_state = after

    def _check_unasked(self) -> None:
        # What is there before anything was asked answers nothing, and must not pass for the reply to
        # what is sent now.
        if not self._in_flight or self._challenged:
            self._unasked = True

    def _check_group(self, verb: Verb) -> None:
        # [RFC2920-3.1a] only what the current EHLO reply offers.
        if not self.can_pipeline:
            raise LocalProtocolError("a reply is outstanding and the server does not offer PIPELINING")
        last = self._in_flight[-1]
        # [RFC4468-3.2d] a message with a URL in it is waited for.
        if last.verb not in _MAY_BE_FOLLOWED or (self._has_burl and last.verb is _END_OF_DATA):
            raise LocalProtocolError(f"{verb.value} may not follow a command that ends a group")

    def _check(self, command: Command, line: bytes) -> None:
        verb = command.verb
        if isinstance(command, Burl):
            self._check_burl(command)
            return
        if verb is _STARTTLS:
            # [RFC3207-4.2g]
            if self.tls is not None or STARTTLS.keyword not in self.capabilities:
                raise LocalProtocolError("TLS is active already, or the server does not offer STARTTLS")
            return
        if verb is _AUTH and self.authenticated:
            # [RFC4954-4b]
            raise LocalProtocolError("the session is authenticated already")
        if verb.value not in self.capabilities:
            raise LocalProtocolError(f"the server does not offer {verb.value}")
        if isinstance(command, XClientCommand):
            from ehlo.extensions import XCLIENT  # noqa: PLC0415 (for those who use it)

            missing = command.attributes.given.difference(self.capabilities.offer(XCLIENT))
            if missing:
                raise LocalProtocolError(f"the server takes no {min(missing)} by XCLIENT")
        if len(line) > _COMMAND_LINE:
            raise LocalProtocolError("the arguments do not fit in a command line")

    def _check_data(self) -> None:
        if self._terms.get(Body) is Body.BINARY_MIME:
            # [RFC3030-3c]
            raise LocalProtocolError("a message that is no text is sent in chunks")
        if self._chunks is not None and self._chunks.holds:
            raise LocalProtocolError("a CR of this message waits for the chunk that it will be in")

    def _check_burl(self, command: Burl) -> None:
        from ehlo.extensions import BURL  # noqa: PLC0415 (for those who use it)

        if self._expected_state is _BODY:
            raise LocalProtocolError("a message after DATA ends with end_body")
        offered = self.capabilities.offer(BURL)
        if offered is None:
            raise LocalProtocolError("the server does not offer BURL")
        # [RFC4468-3.1a] one that names no source may do so before AUTH only.
        if (offered.imap or offered.servers) and not offered.cover(command.url):
            raise LocalProtocolError("the server does not fetch content from there")
        if self._chunks is not None and self._chunks.holds:
            raise LocalProtocolError("the last chunk ended with a CR, which may be half of a line end")
        self._chunks = None
        self._has_burl = True

    def auth_respond(self, data: bytes) -> None:
        """Answer the last AuthChallenge; no octets are an empty line."""
        line = base64.encode(data)
        if len(line) + 2 > self.limits.auth_line:
            raise LocalProtocolError("the response does not fit in an authentication line")
        self._auth_line(line)

    def auth_cancel(self) -> None:
        """Give the exchange up: the server answers 501."""
        self._auth_line(b"*")

    def _auth_line(self, line: bytes) -> None:
        if not self._challenged:
            raise LocalProtocolError("there is no challenge to answer")
        if not self._parser.empty:
            self._check_unasked()
        self._challenged = self._holds = False
        self._deadline = None
        if self._trace is not None:
            trace_auth_line(self._trace, line)
        self._out.append(line + b"\r\n")

    def send_body(self, data: bytes) -> None:
        """The next piece of the message after BodyWanted, any size; dots are stuffed here.

        Raises LocalProtocolError for a bare CR or LF when `newlines` says so, and for octets over
        127 in a message that was not declared 8BITMIME [RFC5321-2.4d].
        """
        if self._state is not _BODY or self._in_flight:
            raise LocalProtocolError("the server does not wait for a message")
        octets = self._encoder.encode(data)
        self._deadline = None
        if octets:
            self._out.append(octets)

    def end_body(self) -> None:
        """The message is complete: CRLF.CRLF."""
        if self._state is not _BODY or self._in_flight:
            raise LocalProtocolError("the server does not wait for a message")
        self._queue(_END, self._encoder.finish(), _READY)
        if self._trace is not None:
            trace_note(self._trace, f"message data, {self._encoder.size} octets")

    @property
    def _is_seven_bit(self) -> bool:
        """[RFC5321-2.4d] the message was not declared 8BITMIME."""
        return self._terms.get(Body) is not Body.EIGHT_BIT_MIME

    def send_chunk(self, data: bytes, *, last: bool = False) -> None:
        """The next piece of the message as a chunk of its own (RFC 3030): BDAT instead of DATA.

        Line ends are those of `send_body`, unless the message was declared BINARYMIME: then all octets
        go as they are. A piece of which nothing is left to send now, such as a lone CR, is no chunk.
        Raises LocalProtocolError as `send` and `send_body` do, and where the message would get longer
        than the maximum that the server announced.
        """
        verb = _END_OF_DATA if last else _BDAT
        if not self.can_chunk:
            # [RFC3030-2c]
            raise LocalProtocolError("the server does not offer CHUNKING")
        state = self._expected_state
        if state is _BODY or verb not in ALLOWED[state]:
            raise LocalProtocolError(f"a chunk may not be sent in state {state.value}")
        if self._in_flight:
            self._check_group(verb)
        encoder = None
        if self._terms.get(Body) is not Body.BINARY_MIME:
            encoder = self._chunks or TextEncoder(self._newlines, seven_bit=self._is_seven_bit)
        octets = self._chunk_octets(encoder, data, last)
        if last:
            self._chunks = None
            self._chunked = 0
        else:
            self._chunks = encoder
            self._chunked += len(octets)
            if not octets:
                return
        line = render_chunk(Chunk(len(octets), last))
        if self._trace is not None:
            trace_command(self._trace, line[:-2])
        self._queue(Bdat(len(octets), last), line, AGREED[state][verb])
        if octets:
            self._out.append(octets)

    def _chunk_octets(self, encoder: TextEncoder | None, data: bytes, last: bool) -> bytes:
        """What a piece is as a chunk. What it cannot be leaves the encoder where it stood."""
        place = None if encoder is None else encoder.place
        try:
            octets = data if encoder is None else encoder.encode(data)
            if last and encoder is not None:
                octets += encoder.finish()
            maximum: int | None = self.capabilities.offer(SIZE)
            if maximum and self._chunked + len(octets) > maximum:
                # Exim 4.96 runs as commands what is left of a chunk that goes too far, [RFC3030-2h] or not.
                raise LocalProtocolError(
                    f"the message has more than the {maximum} octets that the server takes"
                )
        except LocalProtocolError:
            if encoder is not None and place is not None:
                encoder.go_back(place)
            raise
        return octets

    def data_to_send(self) -> bytes:
        """The queued octets, in order; they are the caller's now."""
        out = self._out
        if len(out) == 1:
            return out.pop()
        data = b"".join(out)
        out.clear()
        return data
