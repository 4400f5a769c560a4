"""Submission rights: which senders an identity may use (RFC 4409 section 6.1).

class Handler(ehlo.UserStore):
    rights = SenderRights({"alice": ["alice@example.org", "@sales.example"]})
    on_sender = rights.on_sender
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, TypeAlias

from ehlo._errors import LocalProtocolError
from ehlo.sasl import Identity
from ehlo.wire.address import AddressError, Mailbox, check_domain

_Sender: TypeAlias = tuple[str | None, str]
"""A local part, None for any, and a domain."""

_NOTHING: Final[frozenset[_Sender]] = frozenset()


def own_address(identity: Identity) -> Mailbox | None:
    """The address that an identity is itself, None for a name that is none."""
    try:
        return Mailbox.parse(identity.authzid, utf8=True)
    except AddressError:
        return None


def owns(identity: Identity, path: Mailbox) -> bool:
    """Whether the sender is the address that the identity is itself, whatever the case of its letters."""
    own = own_address(identity)
    return own is not None and _folded(own) == _folded(path)


def _folded(path: Mailbox) -> tuple[str, str]:
    # Only the destination host knows whether case matters in a local part; here that is us.
    return path.local.casefold(), path.domain.casefold()


class SenderRights:
    """Senders by the name of who may use them: addresses, or `@domain` for all of a domain.

    The address that an identity is itself is always its own. Names are found as `ehlo.UserStore` finds them:
    without regard to case, and `DOMAIN\\name`, as NTLM says it, as plain `name` where it is not there itself.
    So an account `DOMAIN\\name` beside another one `name` needs an entry of its own, be it empty. Raises
    LocalProtocolError for what is neither an address nor a domain.
    """

    def __init__(self, senders: Mapping[str, Iterable[str]]) -> None:
        self._senders: dict[str, frozenset[_Sender]] = {}
        for name, given in senders.items():
            if isinstance(given, str):
                raise LocalProtocolError("the senders of a name are a list, not one text")
            key = name.casefold()
            self._senders[key] = self._senders.get(key, _NOTHING) | frozenset(map(_sender, given))

    def permits(self, identity: Identity, path: Mailbox) -> bool:
        """Whether the identity may use the sender."""
        name = identity.authzid.casefold()
        found = self._senders.get(name)
        if found is None:
            found = self._senders.get(name.rpartition("\\")[2], _NOTHING)
        local, domain = _folded(path)
        return (local, domain) in found or (None, domain) in found or owns(identity, path)

    def on_sender(self, session: Any, identity: Identity, path: Mailbox) -> bool:
        """The hook of a handler."""
        return self.permits(identity, path)


def _sender(text: str) -> _Sender:
    try:
        if text.startswith("@"):
            check_domain(text[1:], utf8=True)
            return None, text[1:].casefold()
        return _folded(Mailbox.parse(text, utf8=True))
    except AddressError as error:
        raise LocalProtocolError(f"a sender is an address, or @ and a domain: {error}") from None
