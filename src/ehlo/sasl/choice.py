"""Which mechanisms a client tries, in which order, and how it makes them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Final, Protocol

from ehlo._errors import LocalProtocolError
from ehlo.sasl._base import ClientContext, ClientMechanism, Credentials
from ehlo.sasl.login import LoginClient
from ehlo.sasl.ntlm.client import NtlmClient
from ehlo.sasl.plain import PlainClient


class ClientFactory(Protocol):
    """A class of client mechanisms: makes a fresh one for one exchange."""

    name: str
    cleartext: bool

    def __call__(self, credentials: Credentials, context: ClientContext) -> ClientMechanism:
        """Raises LocalProtocolError for credentials that the mechanism cannot carry."""
        ...

    def serves(self, credentials: Credentials) -> bool:
        """Whether the mechanism can carry these credentials."""
        ...


# [RFC4422-3.2a] the client's own order, not the server's. Inside TLS that has proved the server,
# PLAIN is one round trip and shows nothing to anybody else; NTLM comes last, as what may still work.
_PROTECTED: Final[tuple[ClientFactory, ...]] = (PlainClient, LoginClient, NtlmClient)
_UNPROTECTED: Final[tuple[ClientFactory, ...]] = (NtlmClient, PlainClient, LoginClient)

CLIENT_MECHANISMS: Final[Mapping[str, ClientFactory]] = MappingProxyType(
    {factory.name: factory for factory in _PROTECTED}
)
"""Everything a client can do, by upper-case name."""


def candidates(
    offered: Iterable[str],
    credentials: Credentials,
    *,
    protected: bool,
    allow_cleartext: bool,
    only: Sequence[str] | None = None,
) -> list[str]:
    """The mechanisms to try, best first: offered by the server and able to carry the credentials.

    `protected`: inside TLS whose certificate was verified [RFC4954-14a]. Without it the password is
    shown only where `allow_cleartext` says so. `only` restricts the choice and gives its order.
    """
    known = {name.upper() for name in offered}
    order = [factory.name for factory in (_PROTECTED if protected else _UNPROTECTED)]
    if only is not None:
        order = list(dict.fromkeys(name.upper() for name in only))
    chosen = []
    for name in order:
        factory = CLIENT_MECHANISMS.get(name)
        if factory is None or name not in known or not factory.serves(credentials):
            continue
        # [RFC4616-5a, XLOGIN-5.1a]
        if factory.cleartext and not (protected or allow_cleartext):
            continue
        chosen.append(name)
    return chosen


def make_client(name: str, credentials: Credentials, context: ClientContext) -> ClientMechanism:
    """A fresh mechanism for one exchange. Raises LocalProtocolError for an unknown name."""
    factory = CLIENT_MECHANISMS.get(name.upper())
    if factory is None:
        raise LocalProtocolError("no such mechanism in the client role")
    return factory(credentials, context)
