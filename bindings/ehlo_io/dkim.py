"""DKIM signatures (RFC 6376) for messages in files (extra `dkim`), made by the library dkimpy.

A signature covers the body, and stands before the header block: so it can be made only of a message that is
there whole, and only when nothing will change it any more (section 5.3). The gateway signs what it hands on
from its spool, after the message was made fit for the next server (RFC 6409 section 8.5).

The library would hold the message in memory several times over. Here the body is read in pieces, in the
canonicalization "simple", which the standard makes easy to do so; the library does the header fields and the
signature.
"""

from __future__ import annotations

import base64
import hashlib
import itertools
import re
import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, BinaryIO, Final

import attrs

from ehlo_io._common import LOGGER, LONGEST, printable

if TYPE_CHECKING:
    import dkim

__all__ = ["Signer"]

_PIECE: Final = 1 << 18
_LONGEST_HEADER: Final = 1024 * 1024
"""Octets of a header block; Exim and Postfix cut off long before."""
_LEAST_BITS: Final = 1024
"""RFC 8301 section 3.2: shorter RSA keys prove nothing."""
# RFC 8410: the DER of a private key is this and the 32 octets of the seed.
_ED25519: Final = bytes.fromhex("302e020100300506032b657004220420")
_SEED: Final = 32
_PAIRS: Final = re.compile(rb"(?:\n\r)*+")


@attrs.frozen(kw_only=True)
class Signer:
    """Signs for one domain by one key, with relaxed headers and a simple body; may be used in any thread."""

    domain: str
    selector: str
    algorithm: str
    """rsa-sha256 or ed25519-sha256 (RFC 8463)."""
    _key: Any = attrs.field(repr=False, alias="key")
    _clock: Callable[[], float] = attrs.field(default=time.time, repr=False, alias="clock")

    @classmethod
    def of(cls, key: bytes, *, domain: str, selector: str, clock: Callable[[], float] = time.time) -> Signer:
        """`key` is the content of a file: an RSA key of PKCS #1 or #8 or an Ed25519 key of PKCS #8 in PEM, or
        the seed of an Ed25519 key in base64, as `dknewkey` of dkimpy writes it.

        Raises ValueError, whose text repeats nothing of it, for what is no such key and for names that can
        stand in no DNS; ImportError without the extra.
        """
        import dkim  # noqa: F401, PLC0415 (so that it fails here and not at the first message)

        for what, name in (("domain", domain), ("selector", selector)):
            _check_name(what, name)
        algorithm, private = _loaded(key.replace(b"\r\n", b"\n"))
        return cls(domain=domain, selector=selector, algorithm=algorithm, key=private, clock=clock)

    def __call__(self, file: BinaryIO) -> bytes:
        """The header field that goes before the message that `file` holds from its position on; b"" and a
        record in the log for one that cannot be signed, such as without From (section 5.4).

        Reads the file to its end. Raises OSError.
        """
        import dkim  # noqa: PLC0415 (slow, and an extra)

        try:
            header, start = _header_block(file)
            maker = dkim.DKIM(header, signature_algorithm=self.algorithm.encode(), linesep=b"\r\n")
            if not any(name.lower() == b"from" for name, _ in maker.headers):
                raise dkim.MessageFormatError("there is no From")
            return self._field(maker, _body_hash(file, start))
        except (dkim.DKIMException, IndexError) as error:
            # Its parser has no first field for a line that continues one.
            LOGGER.warning("a message goes without a DKIM signature: %s", printable(str(error))[:LONGEST])
            return b""

    def _field(self, maker: dkim.DKIM, body_hash: bytes) -> bytes:
        from dkim.canonicalization import CanonicalizationPolicy  # noqa: PLC0415

        names = tuple(name.lower() for name in maker.default_sign_headers())
        maker.hasher = hashlib.sha256
        tags = [
            (b"v", b"1"),
            (b"a", self.algorithm.encode()),
            (b"c", b"relaxed/simple"),
            (b"d", self.domain.encode()),
            (b"q", b"dns/txt"),
            (b"s", self.selector.encode()),
            (b"t", b"%d" % int(self._clock())),
            (b"h", b" : ".join(names)),
            (b"bh", base64.b64encode(body_hash)),
            # As long as folding needs it to be.
            (b"b", b"0" * 60),
        ]
        policy = CanonicalizationPolicy.from_c_value(b"relaxed/simple")
        value: bytes = maker.gen_header(tags, names, policy, b"DKIM-Signature", self._key)
        return b"DKIM-Signature: " + value


def _check_name(what: str, name: str) -> None:
    labels = name.split(".")
    letters = name.replace(".", "").replace("-", "").replace("_", "")
    if not (name.isascii() and letters.isalnum() and all(0 < len(label) < 64 for label in labels)):
        raise ValueError(f"the {what} of a DKIM key is a name in the DNS, in ASCII")


def _loaded(key: bytes) -> tuple[str, Any]:
    if b"-----BEGIN" not in key:
        return "ed25519-sha256", _ed25519(_base64(key))
    der = _base64(key.partition(b"-----\n")[2].partition(b"\n-----")[0])
    if der.startswith(_ED25519):
        return "ed25519-sha256", _ed25519(der.removeprefix(_ED25519))
    return "rsa-sha256", _rsa(der)


def _base64(text: bytes) -> bytes:
    try:
        return base64.b64decode(b"".join(text.split()), validate=True)
    except ValueError:
        raise ValueError("no RSA or Ed25519 key for DKIM is in it") from None


def _ed25519(seed: bytes) -> Any:
    import nacl.signing  # noqa: PLC0415

    if len(seed) != _SEED:
        raise ValueError("no RSA or Ed25519 key for DKIM is in it")
    return nacl.signing.SigningKey(seed)


def _rsa(der: bytes) -> Any:
    from dkim.crypto import parse_private_key  # noqa: PLC0415

    try:
        key = parse_private_key(der)
        bits = int(key["modulus"]).bit_length()
    except Exception:
        # Its parser raises whatever it stumbles over, with octets of the key in the text.
        raise ValueError("no RSA or Ed25519 key for DKIM is in it") from None
    if bits < _LEAST_BITS:
        raise ValueError(f"an RSA key of {bits} bits is too short for DKIM")
    return key


def _header_block(file: BinaryIO) -> tuple[bytes, bytes]:
    """The header block with its last CRLF, and what was read behind the empty line."""
    import dkim  # noqa: PLC0415

    read = bytearray()
    looked = 0
    while (end := read.find(b"\r\n\r\n", looked)) < 0:
        if len(read) > _LONGEST_HEADER:
            raise dkim.MessageFormatError("its header block is too long")
        looked = max(0, len(read) - 3)
        piece = file.read(_PIECE)
        if not piece:
            return bytes(read), b""
        read += piece
    return bytes(read[: end + 2]), bytes(read[end + 4 :])


def _body_hash(file: BinaryIO, start: bytes) -> bytes:
    """Section 3.4.3: without the empty lines at the end of the body, and with one CRLF there in any case."""
    hasher = hashlib.sha256()
    kept, half = 0, b""
    for piece in itertools.chain((start,), iter(partial(file.read, _PIECE), b"")):
        octets = half + piece
        half = b"\r" if octets.endswith(b"\r") else b""
        octets = octets[: len(octets) - len(half)]
        ends = _line_ends(octets)
        if len(octets) > 2 * ends:
            _update_ends(hasher, kept)
            hasher.update(memoryview(octets)[: len(octets) - 2 * ends])
            kept = 0
        # They count only if something follows.
        kept += ends
    if half:
        _update_ends(hasher, kept)
        hasher.update(half)
    hasher.update(b"\r\n")
    return hasher.digest()


def _line_ends(octets: bytes) -> int:
    """How many CRLF there are at the end, one behind the other."""
    tail = octets[len(octets.rstrip(b"\r\n")) :]
    found = _PAIRS.match(tail[::-1])
    assert found is not None, "it may be none"
    return found.end() // 2


def _update_ends(hasher: hashlib._Hash, count: int) -> None:
    """So many CRLF, of which there may be as many as a message has room for."""
    while count:
        some = min(count, _PIECE)
        hasher.update(b"\r\n" * some)
        count -= some
