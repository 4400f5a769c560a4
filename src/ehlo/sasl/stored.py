"""Secrets as a server keeps them, and the text that files hold them in."""

from __future__ import annotations

import re
from typing import Final, TypeAlias

import attrs

from ehlo._errors import LocalProtocolError
from ehlo._value import Value
from ehlo.sasl._base import SecretKind
from ehlo.sasl._saslprep import SaslprepError, saslprep
from ehlo.sasl.ntlm.crypto import nt_hash
from ehlo.sasl.scram.keys import HASHES, ITERATIONS, Hash, ScramKeys
from ehlo.wire import base64

Secret: TypeAlias = str | ScramKeys | bytes
HASH_OF: Final[dict[SecretKind, Hash]] = {hash.kind: hash for hash in HASHES}

# The schemes are those of Dovecot's password databases.
_SCHEMES: Final = {
    "PLAIN": SecretKind.PASSWORD,
    "SCRAM-SHA-1": SecretKind.SCRAM_SHA_1,
    "SCRAM-SHA-256": SecretKind.SCRAM_SHA_256,
    "NTLM": SecretKind.NT_HASH,
}
_SCHEME_OF: Final = {kind: scheme for scheme, kind in _SCHEMES.items()}
_SCHEME: Final = re.compile(r"\{([A-Za-z0-9-]+)\}")
_SCRAM: Final = re.compile(r"([1-9][0-9]{0,8}),([^,]+),([^,]+),([^,]+)\Z")


@attrs.frozen(repr=False, eq=False)
class StoredSecret(Value):
    """One form of one user's password. Raises LocalProtocolError for what can be none."""

    kind: SecretKind
    value: Secret = attrs.field(repr=lambda _: "***")
    """`str` for PASSWORD, `ScramKeys` for the SCRAM kinds, 16 octets for NT_HASH."""

    def __attrs_post_init__(self) -> None:
        value, hash = self.value, HASH_OF.get(self.kind)
        if hash is not None:
            right = isinstance(value, ScramKeys) and len(value.stored_key) == hash.octets
        elif self.kind is SecretKind.NT_HASH:
            right = isinstance(value, bytes) and len(value) == 16
        else:
            right = isinstance(value, str) and _is_password(value)
        if not right:
            raise LocalProtocolError(f"the secret is no {self.kind.value}")

    @classmethod
    def of(cls, kind: SecretKind, password: str, salt: bytes, iterations: int = ITERATIONS) -> StoredSecret:
        """Made of a password; `salt` are 16 random octets, and only SCRAM has a use for them.

        Raises LocalProtocolError for a password that SASLprep refuses.
        """
        if not _is_password(password):
            raise LocalProtocolError("the password is empty, or SASLprep refuses it")
        hash = HASH_OF.get(kind)
        if hash is not None:
            return cls(kind, ScramKeys.of(hash, password, salt, iterations))
        # Windows hashes the password as typed, SASLprep or not.
        return cls(kind, nt_hash(password) if kind is SecretKind.NT_HASH else password)

    @classmethod
    def parse(cls, text: str) -> StoredSecret:
        """`{SCHEME}...`, or a password as it is. Raises LocalProtocolError, without anything of the text."""
        scheme = _SCHEME.match(text)
        if scheme is None:
            return cls(SecretKind.PASSWORD, text)
        kind = _SCHEMES.get(scheme[1].upper())
        rest = text[scheme.end() :]
        if kind is None:
            raise LocalProtocolError(f"there is no such scheme; there are {', '.join(_SCHEMES)}")
        if kind is SecretKind.PASSWORD:
            return cls(kind, rest)
        try:
            return cls(kind, bytes.fromhex(rest) if kind is SecretKind.NT_HASH else _keys(rest))
        except ValueError:
            raise LocalProtocolError(f"what follows {{{_SCHEME_OF[kind]}}} is not what should") from None

    def text(self) -> str:
        """What `parse` reads."""
        value = self.value
        if isinstance(value, ScramKeys):
            parts = (value.salt, value.stored_key, value.server_key)
            shown = ",".join((str(value.iterations), *(base64.encode(part).decode() for part in parts)))
        else:
            shown = value.hex() if isinstance(value, bytes) else value
        return f"{{{_SCHEME_OF[self.kind]}}}{shown}"


def _is_password(text: str) -> bool:
    try:
        return bool(saslprep(text, stored=True))
    except SaslprepError:
        return False


def _keys(text: str) -> ScramKeys:
    """Raises ValueError (LocalProtocolError for keys that fit no exchange)."""
    found = _SCRAM.match(text)
    if found is None:
        raise ValueError
    salt, stored_key, server_key = (base64.decode(part.encode()) for part in found.groups()[1:])
    return ScramKeys(salt, int(found[1]), stored_key, server_key)
