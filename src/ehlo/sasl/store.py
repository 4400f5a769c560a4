"""A user store in memory, for demonstrations, tests and small installations."""

from __future__ import annotations

import hashlib
import hmac
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, Final, TypeAlias

from ehlo._errors import LocalProtocolError
from ehlo.sasl._base import SecretKind
from ehlo.sasl._saslprep import SaslprepError, saslprep
from ehlo.sasl.ntlm.crypto import nt_hash
from ehlo.sasl.scram.keys import HASHES, ITERATIONS, ScramKeys
from ehlo.sasl.stored import HASH_OF, Secret, StoredSecret

Given: TypeAlias = str | StoredSecret | Iterable[StoredSecret]
_Account: TypeAlias = Mapping[SecretKind, StoredSecret]
_NOBODY: Final[_Account] = {}


class UserStore:
    """Answers the needs of server mechanisms from a mapping of names to passwords, or to other forms.

    Meant as a base of a server's handler. Names are `name`,
    `name@domain` or `DOMAIN\\name` and compare without regard to case, as NTLM demands; the identity
    of a session holds the name as the client wrote it. NTLM finds `DOMAIN\\name` first and then
    plain `name`, because clients put whatever they like in place of the domain.

    The stored forms decide on the mechanisms: a password permits all, SCRAM keys SCRAM, an NT hash NTLM,
    and each of them PLAIN and LOGIN. Raises ValueError for names and secrets that can be none.
    """

    def __init__(self, users: Mapping[str, Given]) -> None:
        self._accounts: dict[str, _Account] = {}
        for name, given in users.items():
            key = _key(name)
            if key is None or key in self._accounts:
                raise ValueError("a user name is empty, not text, or twice the same but for case")
            self._accounts[key] = _account(given)
        accounts = self._accounts.values()
        iterations = Counter(
            stored.value.iterations
            for account in accounts
            for stored in account.values()
            if isinstance(stored.value, ScramKeys)
        )
        self.auth_iterations = iterations.most_common(1)[0][0] if iterations else ITERATIONS
        """Of most SCRAM keys: users that are not there have it, too."""
        # What a look-up has to do for some user it does for all: none shall be told by the time it takes.
        self._checks: set[SecretKind] = {_checked(account) for account in accounts} | {SecretKind.PASSWORD}

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {len(self._accounts)} users>"

    @property
    def auth_secrets(self) -> frozenset[SecretKind]:
        """The kinds of FetchSecret that are answered for somebody."""
        found = {kind for account in self._accounts.values() for kind in account}
        if SecretKind.PASSWORD in found:
            found |= {SecretKind.NT_HASH, *HASH_OF}
        return frozenset(found)

    @property
    def in_thread(self) -> frozenset[str]:
        """To find out whether a password fits SCRAM keys takes thousands of hashes."""
        return frozenset({"on_auth_password"} if self._checks & HASH_OF.keys() else ())

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and _key(name) in self._accounts

    def on_auth_external(self, session: Any, authzid: str) -> str | None:
        """The first name in the client's certificate (`session.tls.peer_names`) that is a user's."""
        names: tuple[str, ...] = () if session.tls is None else session.tls.peer_names
        return next((name for name in names if name in self), None)

    def on_auth_password(self, session: object, username: str, password: str, authzid: str) -> bool:
        account = self._accounts.get(_key(username) or "")
        wanted = None if account is None else _checked(account)
        answers = {kind: self._fits(account or _NOBODY, kind, password) for kind in self._checks}
        return wanted is not None and answers[wanted]

    def _fits(self, account: _Account, kind: SecretKind, password: str) -> bool:
        stored, hash = account.get(kind), HASH_OF.get(kind)
        value = None if stored is None else stored.value
        if hash is not None:
            nothing = ScramKeys(bytes(16), self.auth_iterations, bytes(hash.octets), bytes(hash.octets))
            keys = value if isinstance(value, ScramKeys) else nothing
            return keys.belongs_to(hash, password)
        if kind is SecretKind.NT_HASH:
            return hmac.compare_digest(value if isinstance(value, bytes) else bytes(16), nt_hash(password))
        # Of equal length whatever the passwords are.
        prepared = saslprep(value) if isinstance(value, str) else ""
        return hmac.compare_digest(_digest(prepared), _digest(password))

    def on_auth_secret(self, session: object, username: str, kind: SecretKind, domain: str) -> Secret | None:
        plain = self._accounts.get(_key(username) or "")
        qualified = self._accounts.get(_key(f"{domain}\\{username}") or "") if domain else None
        account = qualified or plain or _NOBODY
        stored = account.get(kind) or account.get(SecretKind.PASSWORD)
        if stored is None:
            return None
        if kind is SecretKind.NT_HASH and isinstance(stored.value, str):
            return nt_hash(stored.value)
        # SCRAM makes its keys of a password itself.
        return stored.value


def parse_users(text: str) -> dict[str, list[StoredSecret]]:
    """The users of a file, for `UserStore`: lines `name:secret` with secrets as `StoredSecret.parse` reads
    them; a name may come again with another form. Empty lines and those that begin with `#` are passed over.

    Raises ValueError, with the number of the line and nothing of what is in it.
    """
    users: dict[str, list[StoredSecret]] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        name, colon, secret = line.partition(":")
        try:
            if not colon:
                raise LocalProtocolError("not NAME:SECRET")
            stored = StoredSecret.parse(secret)
            if any(stored.kind is other.kind for other in users.get(name, ())):
                raise LocalProtocolError("the same form of the same user again")
            if _key(name) is None:
                raise LocalProtocolError("the user name is empty, or not text")
        except LocalProtocolError as error:
            raise ValueError(f"line {number}: {error}") from None
        users.setdefault(name, []).append(stored)
    return users


def _key(name: str) -> str | None:
    """The form in which names are compared; None for what can be no name."""
    try:
        return saslprep(name).lower() or None
    except SaslprepError:
        return None


def _digest(password: str) -> bytes:
    return hashlib.sha256(password.encode("utf-8", "surrogatepass")).digest()


def _account(given: Given) -> _Account:
    if isinstance(given, str):
        try:
            given = StoredSecret(SecretKind.PASSWORD, given)
        except LocalProtocolError:
            raise ValueError("a password is empty, or SASLprep forbids it") from None
    secrets = [given] if isinstance(given, StoredSecret) else list(given)
    account = {secret.kind: secret for secret in secrets}
    if not account:
        raise ValueError("a user has no secret")
    return account


def _checked(account: _Account) -> SecretKind:
    """The form that a password is compared with."""
    order = (SecretKind.PASSWORD, *(hash.kind for hash in HASHES), SecretKind.NT_HASH)
    return next(kind for kind in order if kind in account)
