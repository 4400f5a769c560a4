"""What SCRAM computes (RFC 5802 section 3), and what a server keeps of a password."""

from __future__ import annotations

import hashlib
import hmac
from typing import Final

import attrs

from ehlo._errors import LocalProtocolError
from ehlo._value import Value
from ehlo.sasl._base import SecretKind
from ehlo.sasl._saslprep import SaslprepError, saslprep

ITERATIONS: Final = 4096
"""[RFC5802-5.1d] the least that a server should announce, and what it announces unless told otherwise."""


@attrs.frozen(repr=False, eq=False)
class Hash(Value):
    """A hash function of SCRAM, by the name that mechanisms have of it."""

    name: str
    digest: str
    """As `hashlib` calls it."""
    octets: int
    kind: SecretKind

    def h(self, data: bytes) -> bytes:
        return hashlib.new(self.digest, data).digest()

    def hmac(self, key: bytes, data: bytes) -> bytes:
        return hmac.digest(key, data, self.digest)

    def salted(self, password: str, salt: bytes, iterations: int) -> bytes:
        """SaltedPassword. Raises SaslprepError [RFC5802-2.2a]."""
        prepared = saslprep(password, stored=True).encode()
        return hashlib.pbkdf2_hmac(self.digest, prepared, salt, iterations)


SHA_1: Final = Hash("SHA-1", "sha1", 20, SecretKind.SCRAM_SHA_1)
SHA_256: Final = Hash("SHA-256", "sha256", 32, SecretKind.SCRAM_SHA_256)
HASHES: Final = (SHA_256, SHA_1)
"""The stronger first [RFC7677-3a]."""


def _redacted(_: object) -> str:
    return "***"


@attrs.frozen(repr=False, eq=False)
class ScramKeys(Value):
    """What proves a user by SCRAM without being the password: a thief of it can serve, not log on.

    Raises LocalProtocolError for what no exchange could be made of.
    """

    salt: bytes
    iterations: int
    stored_key: bytes = attrs.field(repr=_redacted)
    server_key: bytes = attrs.field(repr=_redacted)

    def __attrs_post_init__(self) -> None:
        if not self.salt or self.iterations < 1:
            raise LocalProtocolError("SCRAM keys need a salt and at least one iteration")
        if len(self.stored_key) != len(self.server_key):
            raise LocalProtocolError("both SCRAM keys are as long as the hash")

    @classmethod
    def of(cls, hash: Hash, password: str, salt: bytes, iterations: int = ITERATIONS) -> ScramKeys:
        """Raises LocalProtocolError for a password that SASLprep refuses."""
        try:
            salted = hash.salted(password, salt, iterations)
        except SaslprepError:
            raise LocalProtocolError("SASLprep refuses the password") from None
        stored_key = hash.h(hash.hmac(salted, b"Client Key"))
        return cls(salt, iterations, stored_key, hash.hmac(salted, b"Server Key"))

    def proved_by(self, hash: Hash, auth_message: bytes, proof: bytes) -> bool:
        """Whether a ClientProof was made by somebody who knows the password [RFC5802-3a]."""
        signature = hash.hmac(self.stored_key, auth_message)
        return hmac.compare_digest(hash.h(xor(proof, signature)), self.stored_key)

    def belongs_to(self, hash: Hash, password: str) -> bool:
        """Whether they were made of this password: as much work as one exchange of a client."""
        try:
            salted = hash.salted(password, self.salt, self.iterations)
        except SaslprepError:
            return False
        return hmac.compare_digest(hash.hmac(salted, b"Server Key"), self.server_key)


def xor(left: bytes, right: bytes) -> bytes:
    """Of two octet strings of one length. Raises ValueError for others."""
    return bytes(a ^ b for a, b in zip(left, right, strict=True))
