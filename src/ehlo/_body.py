"""The body of one transaction as a server reads it: pieces out, faults remembered to the end."""

from __future__ import annotations

from ehlo import _replies as replies
from ehlo._limits import Limits
from ehlo.policy import SubmissionPolicy, check_data
from ehlo.wire.dot import DotDecoder
from ehlo.wire.reply import Reply


class BodyReader:
    """Whatever is wrong, the body is read to CRLF.CRLF; `refusal` then answers it."""

    __slots__ = ("_block_end", "_declared_8bit", "_decoder", "_limits", "_policy", "refusal")

    def __init__(self, limits: Limits, policy: SubmissionPolicy, *, declared_8bit: bool) -> None:
        self._limits = limits
        self._policy = policy
        self._declared_8bit = declared_8bit
        self._decoder = DotDecoder()
        self._block_end = limits.block_octets
        self.refusal: Reply | None = None

    @property
    def size(self) -> int:
        return self._decoder.size

    def read(self, data: bytes) -> tuple[bytes, bytes | None]:
        """`(content, rest)` as the codec gives them; no content once the body is refused."""
        decoder = self._decoder
        content, rest = decoder.decode(data)
        if self.refusal is None:
            maximum = self._limits.message_size
            if maximum is not None and decoder.size > maximum:
                # [RFC1870-7b] memory stays bounded: the octets are read and not kept.
                self.refusal = replies.TOO_BIG
            elif rest is not None and (decoder.bare_newline or decoder.eight_bit):
                self.refusal = check_data(
                    self._policy,
                    bare_newline=decoder.bare_newline,
                    eight_bit=decoder.eight_bit,
                    declared_8bit=self._declared_8bit,
                )
        return (content if self.refusal is None else b""), rest

    def earned_time(self) -> bool:
        """Whether another block of octets came since the last time this said so."""
        if self._decoder.size < self._block_end:
            return False
        self._block_end = self._decoder.size + self._limits.block_octets
        return True
