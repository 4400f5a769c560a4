"""A user store in memory, for demonstrations, tests and small installations."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from typing import Final

import attrs

from ehlo.sasl._base import SecretKind
from ehlo.sasl._saslprep import SaslprepError, saslprep
from ehlo.sasl.ntlm.crypto import nt_hash


@attrs.frozen
class _Account:
    password_digest: bytes = attrs.field(repr=False)
    nt_hash: bytes = attrs.field(repr=False)


_NOBODY: Final = _Account(bytes(32), bytes(16))


class UserStore:
    """Answers the needs of server mechanisms from a mapping of names to passwords.

    Meant as a base of a server's handler: `session` is not looked at. Names are `name`,
    `name@domain` or `DOMAIN\\name` and compare without regard to case, as NTLM demands; the identity
    of a session holds the name as the client wrote it. NTLM finds `DOMAIN\\name` first and then
    plain `name`, because clients put whatever they like in place of the domain.
    """

    def __init__(self, users: Mapping[str, str]) -> None:
        self._accounts: dict[str, _Account] = {}
        for name, password in users.items():
            key = _key(name)
            if key is None or key in self._accounts:
                raise ValueError("a user name is empty, not text, or twice the same but for case")
            self._accounts[key] = _account(password)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {len(self._accounts)} users>"

    def on_auth_password(self, session: object, username: str, password: str, authzid: str) -> bool:
        account = self._accounts.get(_key(username) or "")
        # One digest and one comparison whether the name is known or not, and of equal length
        # whatever the passwords are.
        right = hmac.compare_digest((account or _NOBODY).password_digest, _digest(password))
        return right and account is not None

    def on_auth_secret(self, session: object, username: str, kind: SecretKind, domain: str) -> bytes | None:
        if kind is not SecretKind.NT_HASH:
            return None
        plain = self._accounts.get(_key(username) or "")
        qualified = self._accounts.get(_key(f"{domain}\\{username}") or "") if domain else None
        account = qualified or plain
        return None if account is None else account.nt_hash


def _key(name: str) -> str | None:
    """The form in which names are compared; None for what can be no name."""
    try:
        return saslprep(name).lower() or None
    except SaslprepError:
        return None


def _digest(password: str) -> bytes:
    return hashlib.sha256(password.encode("utf-8", "surrogatepass")).digest()


def _account(password: str) -> _Account:
    try:
        prepared = saslprep(password)
    except SaslprepError:
        raise ValueError("a password holds what SASLprep forbids") from None
    if not prepared:
        raise ValueError("a password is empty")
    # Windows hashes the password as typed, SASLprep or not.
    return _Account(_digest(prepared), nt_hash(password))
