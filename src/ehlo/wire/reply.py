"""Replies: the value, its octets, and the parser of what a server sends (RFC 5321 section 4.2).

Text is kept as it came: octets that are not UTF-8 become lone surrogates, so that writing a
parsed reply gives the same octets again.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

import attrs

from ehlo._errors import LocalProtocolError, RemoteProtocolError
from ehlo._limits import Limits
from ehlo._value import Value
from ehlo.wire.abnf import CONTROL, Pattern
from ehlo.wire.buffer import LineTooLong, ReceiveBuffer
from ehlo.wire.codes import CLASS_OF, EnhancedCode, ReplyClass, split_enhanced

_LINE = re.compile(rb"([2-5][0-9][0-9])(?:([ -])(.*))?\Z", re.DOTALL)
# One line is the whole of most replies. No challenge, which may be a secret, and is not remembered.
_WHOLE = re.compile(rb"(?!334)([2-5][0-9][0-9])(?: ([^\r\n]*))?\Z")
_BREAK = re.compile(r"\r\n|[\r\n]")
# Surrogates that no octet was escaped to.
_NO_OCTET = Pattern("[\ud800-\udc7f\udd00-\udfff]")
# [RFC5321-4.5.3.1.5a] 512 octets hold "250-", an enhanced code "5.123.123 ", the text and CRLF.
_TEXT_ROOM: Final = 512 - 4 - 10 - 2

CHALLENGE: Final = 334
"""Its text is base64, or prose in front of NTLM: one line up to the limit of AUTH lines."""


def _lines(value: str | Iterable[str]) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(value) or ("",)


def _enhanced(value: EnhancedCode | str | None) -> EnhancedCode | None:
    return EnhancedCode.parse(value) if isinstance(value, str) else value


@attrs.frozen(repr=False, eq=False)
class Reply(Value):
    """One reply of a server: `Reply(550, "No such user", "5.1.1")`.

    Raises ValueError for a code outside 200 to 599 or an enhanced code of another class.
    """

    code: int
    lines: tuple[str, ...] = attrs.field(converter=_lines, default=("",))
    """The text, one entry a line, without codes; never no line at all."""
    enhanced: EnhancedCode | None = attrs.field(converter=_enhanced, default=None)
    _octets: bytes = attrs.field(init=False, repr=False, eq=False, default=b"")

    def __attrs_post_init__(self) -> None:
        if self.code not in CLASS_OF:
            raise ValueError(f"{self.code} is not a reply code")
        if self.enhanced is not None and self.enhanced.klass != self.code // 100:
            # [RFC2034-4c] the two must agree, or a client cannot tell which to believe.
            raise ValueError(f"enhanced code {self.enhanced} does not belong to {self.code}")

    @property
    def reply_class(self) -> ReplyClass:
        return CLASS_OF[self.code]

    @property
    def is_success(self) -> bool:
        return self.code < 300

    @property
    def is_transient(self) -> bool:
        return 400 <= self.code < 500

    @property
    def is_permanent(self) -> bool:
        return self.code >= 500

    @property
    def text(self) -> str:
        return "\n".join(self.lines)

    def __str__(self) -> str:
        enhanced = f"{self.enhanced} " if self.enhanced is not None else ""
        text = CONTROL.sub("?", f"{self.code} {enhanced}{' / '.join(self.lines)}")
        # A lone surrogate would stop a log that writes UTF-8.
        return text.encode("utf-8", "replace").decode("utf-8")

    def render(self, *, utf8: bool = False) -> bytes:
        """The octets to send, CRLF included.

        Text is made safe, never trusted [SEC-INJ-srv-a]: line breaks in it start a new line,
        other control characters become `?`, and so does what is not ASCII unless `utf8`.
        """
        if utf8:
            return self._write(utf8=True)
        if not self._octets:
            # The same few replies are sent over and over: each is written once.
            object.__setattr__(self, "_octets", self._write(utf8=False))
        return self._octets

    def _write(self, *, utf8: bool) -> bytes:
        prefix = f"{self.enhanced} " if self.enhanced is not None else ""
        # [NTLM-2.2.1.3a] a challenge is one line, however long; an empty one keeps its space.
        texts = (
            [_safe(line, utf8=utf8) for line in self.lines]
            if self.code == CHALLENGE
            else [part for line in self.lines for part in _fold(line, utf8=utf8)]
        )
        # [RFC2034-4d] every line of a multi-line reply repeats the same enhanced code.
        last = len(texts) - 1
        return b"".join(
            f"{self.code}{' ' if i == last else '-'}{prefix}{text}\r\n".encode("utf-8", "surrogateescape")
            for i, text in enumerate(texts)
        )


def _safe(text: str, *, utf8: bool) -> str:
    if not utf8:
        text = text.encode("ascii", "replace").decode("ascii")
    elif not text.isascii():
        # Escaped octets may spell a control character only once they stand side by side.
        octets = _NO_OCTET.sub("?", text).encode("utf-8", "surrogateescape")
        text = octets.decode("utf-8", "surrogateescape")
    return CONTROL.sub("?", text)


def _fold(line: str, *, utf8: bool) -> list[str]:
    if line.isascii() and line.isprintable() and len(line) <= _TEXT_ROOM:
        return [line]
    parts: list[str] = []
    for piece in _BREAK.split(line):
        text = _safe(piece, utf8=utf8)
        fits = text.isascii() or len(text.encode("utf-8", "surrogateescape")) <= _TEXT_ROOM
        # A quarter of the room is safe for any text: no character has more than four octets.
        room = _TEXT_ROOM if fits else _TEXT_ROOM // 4
        start = 0
        while len(text) - start > room:
            cut = text.rfind(" ", start + 1, start + room + 1)
            cut = cut if cut > 0 else start + room
            parts.append(text[start:cut])
            start = cut + (text[cut] == " ")
        parts.append(text[start:])
    return parts


# Servers say the same few things over and over: each is read once, if it is short and no challenge, which
# may be a secret. A reply of one line is found by that line without its CRLF, any reply that came by
# itself by all its octets, so that half a reply is never taken for one.
_KNOWN: Final[dict[bytes, Reply]] = {}
_KNOWN_REPLIES: Final = 256
_KNOWN_OCTETS: Final = 1024


class ReplyParser:
    """Octets in, whole replies out; holds what does not make a whole reply yet.

    Any text is taken, bounded by `Limits`; a code that is not a code, or that changes inside one
    reply, raises RemoteProtocolError [RFC5321-4.2.1c].
    """

    __slots__ = ("_alone", "_buffer", "_code", "_limits", "_octets", "_ready", "_short", "_texts", "empty")

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._buffer = ReceiveBuffer()
        self._code = b""
        self._texts: list[bytes] = []
        self._octets = 0
        # What came while nothing was held, if it may be remembered; or its replies, the last one first,
        # if they were.
        self._alone: bytes | None = None
        self._ready: list[Reply] | None = None
        # What no bound can refuse.
        self._short = min(_KNOWN_OCTETS, limits.reply_line, limits.reply_octets) if limits.reply_lines else 0
        self.empty = True
        """Nothing is held: no octet, no line of a reply whose last line is still to come."""

    def feed(self, data: bytes) -> None:
        if not data:
            return
        self._alone = None
        if self.empty and len(data) <= self._short:
            ready = self._known(data)
            if ready:
                # They pass the buffer by.
                self._ready = ready
                self.empty = False
                return
            self._alone = data
        self._buffer.feed(data)
        self.empty = False

    def _known(self, data: bytes) -> list[Reply] | None:
        """The replies that these octets are, if all of them are whole and known; the last one first."""
        known = _KNOWN.get(data) if data.endswith(b"\r\n") else None
        if known is not None:
            return [known] if len(known.lines) <= self._limits.reply_lines else None
        lines = data.split(b"\r\n")
        if lines.pop():
            return None
        ready = []
        for line in reversed(lines):
            known = _KNOWN.get(line)
            if known is None:
                return None
            ready.append(known)
        return ready

    def clear(self) -> None:
        self._buffer.clear()
        self._ready = None
        self._texts = []
        self._octets = 0
        self.empty = True

    def next_reply(self) -> Reply | None:
        """The next complete reply, or None until more octets come. Raises RemoteProtocolError."""
        buffer = self._buffer
        if self._ready:
            ready = self._ready.pop()
            self.empty = not self._ready and buffer.empty
            return ready
        limits, texts = self._limits, self._texts
        while True:
            try:
                line = buffer.take_line(limits.reply_line)
            except LineTooLong:
                raise RemoteProtocolError("reply line is too long") from None
            if line is None:
                return None
            if not texts and len(line) + 2 <= self._short:
                known = _KNOWN.get(line) or _whole(line)
                if known is not None:
                    return self._read(known)
            found = _LINE.match(line)
            # [RFC5321-2.3.8a] a bare CR or LF inside the text would be a line break to others.
            if found is None or b"\n" in line or b"\r" in line:
                raise RemoteProtocolError("not a reply line")
            code, separator, text = found.groups()
            if not texts:
                self._code = code
            elif code != self._code:
                raise RemoteProtocolError("the code changes within one reply")
            texts.append(text or b"")
            self._octets += len(line)
            # [SEC-INJ-cli-c] checked before more is read: an endless reply stops here.
            if len(texts) > limits.reply_lines or self._octets > limits.reply_octets:
                raise RemoteProtocolError("reply has too many lines or octets")
            if separator != b"-":
                self._texts = []
                self._octets = 0
                return self._read(_assemble(int(code), texts))

    def _read(self, reply: Reply) -> Reply:
        self.empty = self._buffer.empty
        if self._alone is not None:
            if self.empty:
                _remember(self._alone, reply)
            self._alone = None
        return reply


def _whole(line: bytes) -> Reply | None:
    """The reply that this line is, if it is all of one."""
    found = _WHOLE.match(line)
    if found is None:
        return None
    code = int(found[1])
    enhanced, text = split_enhanced(code, (found[2] or b"").decode("utf-8", "surrogateescape"))
    reply = Reply(code, (text,), enhanced)
    _remember(line, reply)
    return reply


def _remember(octets: bytes, reply: Reply) -> None:
    if reply.code == CHALLENGE:
        return
    if len(_KNOWN) >= _KNOWN_REPLIES:
        _KNOWN.clear()
    _KNOWN[octets] = reply


def _assemble(code: int, raw: list[bytes]) -> Reply:
    texts = [text.decode("utf-8", "surrogateescape") for text in raw]
    enhanced, first = split_enhanced(code, texts[0])
    if enhanced is None:
        return Reply(code, tuple(texts))
    # [RFC2034-4h] stripped from each line that repeats it.
    rest = []
    for text in texts[1:]:
        other, stripped = split_enhanced(code, text)
        rest.append(stripped if other == enhanced else text)
    return Reply(code, (first, *rest), enhanced)


def checked_text(text: str) -> str:
    """`text` if it can stand in a command or greeting line as it is. Raises LocalProtocolError."""
    if CONTROL.search(text):
        raise LocalProtocolError("control character in an argument")
    return text
