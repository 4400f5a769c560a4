"""The body of one transaction as a server reads it: pieces out, faults remembered to the end."""

from __future__ import annotations

from ehlo import _replies as replies
from ehlo._limits import Limits
from ehlo.extensions import Body
from ehlo.policy import SubmissionPolicy, check_data
from ehlo.wire.chunk import Chunk
from ehlo.wire.dot import DotDecoder
from ehlo.wire.reply import Reply
from ehlo.wire.text import Content


class BodyReader:
    """Whatever is wrong, the body is read to its end; `refusal` then answers it.

    What comes after 354 goes through `read`, octets of chunks through `take`: one body has but one kind.
    """

    __slots__ = ("_block_end", "_content", "_declared", "_limits", "_policy", "refusal")

    def __init__(
        self, limits: Limits, policy: SubmissionPolicy, declared: Body | None, content: Content
    ) -> None:
        self._limits = limits
        self._policy = policy
        self._declared = declared
        self._content = content
        self._block_end = limits.block_octets
        self.refusal: Reply | None = None

    @property
    def size(self) -> int:
        return self._content.size

    def read(self, data: bytes) -> tuple[bytes, bytes | None]:
        """`(content, rest)` as the dot codec gives them; no content once the body is refused."""
        decoder = self._content
        assert isinstance(decoder, DotDecoder), "chunks are taken"
        content, rest = decoder.decode(data)
        if self.refusal is None:
            self._check(rest is not None)
        return (content if self.refusal is None else b""), rest

    def take(self, octets: bytes, *, final: bool) -> bytes:
        """The same octets, or none once the body is refused."""
        self._content.note(octets, final=final)
        if self.refusal is None:
            self._check(final)
        return octets if self.refusal is None else b""

    def _check(self, final: bool) -> None:
        content, maximum = self._content, self._limits.message_size
        if maximum is not None and content.size > maximum:
            # [RFC1870-7b] memory stays bounded: the octets are read and not kept.
            self.refusal = replies.TOO_BIG
        elif final and (content.bare_newline or content.eight_bit):
            self.refusal = check_data(
                self._policy,
                bare_newline=content.bare_newline,
                eight_bit=content.eight_bit,
                declared=self._declared,
            )

    def earned_time(self) -> bool:
        """Whether another block of octets came since the last time this said so."""
        if self._content.size < self._block_end:
            return False
        self._block_end = self._content.size + self._limits.block_octets
        return True


class ChunkReader:
    """The octets of one chunk, which are read whatever becomes of them [RFC3030-2h]."""

    __slots__ = ("body", "chunk", "left", "refusal")

    def __init__(self, chunk: Chunk, body: BodyReader | None, refusal: Reply | None = None) -> None:
        self.chunk = chunk
        self.left = chunk.size
        self.body = body
        """What they belong to; None for those that are thrown away."""
        self.refusal = refusal

    def take(self, octets: bytes) -> bytes:
        """The next ones; what of them is content."""
        self.left -= len(octets)
        if self.body is None:
            return b""
        return self.body.take(octets, final=self.chunk.last and not self.left)
