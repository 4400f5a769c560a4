"""Changes octets at random: tokens of SASL exchanges, and the lines of base64 that carry them."""

from __future__ import annotations

import random
import re
import struct
from collections.abc import Callable, Sequence
from typing import Final

from ehlo.wire import base64

# What parsers stumble over: separators and escapes of the mechanisms, NUL and other controls, half of a
# character, text that SASLprep maps to nothing or to other text, a letter that is ASCII in upper case.
_BITS: Final = (
    *rb", = =2C =3D a= m=x, ,x=y e=x, ,p= n,, y,, p=tls-unique,, auth= user= Bearer %s {} \ @ < ".split(),
    *(bytes([octet]) for octet in b"\0\1\r\n \x7f\xc3\xff"),
    *(b"  ", b"\xed\xa0\x80", b"[" * 2000, b"9" * 5000, b"x" * 8900),
    *(text.encode() for text in ("\xad", "\xa0", "\xe9", "\u0131", "\uff41", "\u0301\u0316" * 20, "\u05d0")),
)
_FILLS: Final = (b"\0", b"A", b"\xff", b"\xcc\x81", b",")
_SIZES: Final = (100, 4000, 9217, 70_000)
_TEXTS: Final = (
    *b"* = == A A=== YQ YQ= YR== YQ==YQ== -_== \0 \xff \xef\xbc\xb9Q==".split(),
    *(b"", b" ", b"\t", b"YQ==\r", b"YQ==\n", b"\nYQ==", b"NTLM supported", b"A" * 12_286, b"A" * 13_000),
)
_NUMBER: Final = re.compile(rb"[0-9]+")
_NUMBERS: Final = b"0 1 7 100 -1 4096 101 999999999 9999999999 00004 1e3".split()
_NTLM, _NTLM_CHALLENGE = b"NTLMSSP\0", b"NTLMSSP\0\2"


class Mangler:
    """Changes one thing or a few; `known` are tokens that were good once, in either direction."""

    def __init__(self, source: random.Random, known: Sequence[bytes]) -> None:
        self.source = source
        self.known = known

    def token(self, token: bytes) -> bytes:
        """Another token."""
        mutant = bytearray(token)
        while mutant == token:
            for _ in range(self.source.choice((1, 1, 1, 2, 4))):
                self._change(mutant)
        return bytes(mutant)

    def text(self, token: bytes) -> bytes:
        """Another text than a token has in a line: mostly good base64 of another token, else bad base64."""
        if self.source.random() < 0.7:
            return base64.encode(self.token(token))
        true = base64.encode(token)
        text = bytearray(true)
        while text == true:
            match self.source.randrange(3):
                case 0:
                    text[:] = self.source.choice(_TEXTS)
                case 1:
                    self._insert(text, self.source.choice(_TEXTS))
                case _:
                    self._change(text)
        return bytes(text)

    def _change(self, mutant: bytearray) -> None:
        change = self.source.choice(_CHANGES)
        change(self, mutant)

    def _place(self, mutant: bytearray) -> int:
        return self.source.randrange(len(mutant) + 1)

    def _piece(self, mutant: bytearray) -> slice:
        begin, end = sorted((self._place(mutant), self._place(mutant)))
        return slice(begin, end)

    def _insert(self, mutant: bytearray, octets: bytes) -> None:
        place = self._place(mutant)
        mutant[place:place] = octets

    # ---- changes ----

    def _flip(self, mutant: bytearray) -> None:
        if mutant:
            mutant[self.source.randrange(len(mutant))] ^= 1 << self.source.randrange(8)

    def _overwrite(self, mutant: bytearray) -> None:
        if mutant:
            octet = self.source.choice((self.source.randrange(256), *b"\0=, \xff"))
            mutant[self.source.randrange(len(mutant))] = octet

    def _cut_short(self, mutant: bytearray) -> None:
        del mutant[self._place(mutant) :]

    def _take_out(self, mutant: bytearray) -> None:
        del mutant[self._piece(mutant)]

    def _repeat(self, mutant: bytearray) -> None:
        piece = self._piece(mutant)
        mutant[piece.start : piece.start] = mutant[piece]

    def _put_in(self, mutant: bytearray) -> None:
        self._insert(mutant, self.source.choice(_BITS))

    def _put_in_noise(self, mutant: bytearray) -> None:
        self._insert(mutant, self.source.randbytes(self.source.randrange(1, 20)))

    def _swap_case(self, mutant: bytearray) -> None:
        piece = self._piece(mutant)
        mutant[piece] = mutant[piece].swapcase()

    def _renumber(self, mutant: bytearray) -> None:
        found = list(_NUMBER.finditer(bytes(mutant)))
        if found:
            # The last of SCRAM's challenge says how often to hash.
            number = self.source.choice((found[-1], self.source.choice(found)))
            mutant[number.start() : number.end()] = self.source.choice(_NUMBERS)

    def _replay(self, mutant: bytearray) -> None:
        """Or out of order, or what the other side says."""
        mutant[:] = self.source.choice(self.known)

    def _join(self, mutant: bytearray) -> None:
        mutant += self.source.choice(self.known)

    def _lengthen(self, mutant: bytearray) -> None:
        # They take the longest, and none of them is like another.
        if self.source.random() < 0.2:
            mutant += self.source.choice(_FILLS) * self.source.choice(_SIZES)

    def _make_noise(self, mutant: bytearray) -> None:
        if self.source.random() < 0.3:
            mutant[:] = self.source.randbytes(self.source.randrange(80))

    def _move_field(self, mutant: bytearray) -> None:
        """A field of NTLM points somewhere else."""
        if not mutant.startswith(_NTLM) or len(mutant) < 60:
            return
        at, size = self.source.choice((12, 20, 28, 36, 40, 44, 52)), self.source.choice((0, 8, 24, 0xFFFF))
        struct.pack_into("<HHI", mutant, at, size, 8, self.source.randrange(len(mutant)))

    def _add_av_pair(self, mutant: bytearray) -> None:
        """Give NTLM's challenge more target information, as whole as it was."""
        if not mutant.startswith(_NTLM_CHALLENGE) or len(mutant) < 56:
            return
        length, _, offset = struct.unpack_from("<HHI", mutant, 40)
        room = max(0, 0xFFFF - length - 4)
        value = bytes(min(self.source.choice((0, 100, 8600, 9000, 0xFFFF)), room))
        mutant[offset:offset] = struct.pack("<HH", self.source.randrange(5, 30), len(value)) + value
        struct.pack_into("<H", mutant, 40, min(length + 4 + len(value), 0xFFFF))


_CHANGES: Final[tuple[Callable[[Mangler, bytearray], None], ...]] = (
    *(Mangler._flip, Mangler._overwrite, Mangler._cut_short, Mangler._take_out, Mangler._repeat),
    *(Mangler._put_in, Mangler._put_in_noise, Mangler._swap_case, Mangler._renumber, Mangler._replay),
    *(Mangler._join, Mangler._lengthen, Mangler._make_noise, Mangler._move_field, Mangler._add_av_pair),
)
