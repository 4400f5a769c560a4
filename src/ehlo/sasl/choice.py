"""Which mechanisms a client tries, in which order, and how it makes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final, Protocol

from ehlo._errors import LocalProtocolError
from ehlo.sasl._base import ClientContext, ClientMechanism
from ehlo.sasl.anonymous import AnonymousClient
from ehlo.sasl.cram_md5 import CramMd5Client
from ehlo.sasl.credentials import Credentials
from ehlo.sasl.external import ExternalClient
from ehlo.sasl.gssapi import GssapiClient, GssSpnegoClient
from ehlo.sasl.login import LoginClient
from ehlo.sasl.ntlm.client import NtlmClient
from ehlo.sasl.oauth import OAuthBearerClient, XOAuth2Client
from ehlo.sasl.plain import PlainClient
from ehlo.sasl.scram.client import (
    ScramSha1Client,
    ScramSha1PlusClient,
    ScramSha256Client,
    ScramSha256PlusClient,
)


class ClientFactory(Protocol):
    """A class of client mechanisms: makes a fresh one for one exchange."""

    name: str
    cleartext: bool
    conclusive: bool

    def __call__(self, credentials: Credentials, context: ClientContext) -> ClientMechanism:
        """Raises LocalProtocolError for credentials that the mechanism cannot carry."""
        ...

    def serves(self, credentials: Credentials, context: ClientContext) -> bool:
        """Whether the mechanism can carry these credentials on this connection."""
        ...


# [RFC4422-3.2a] the client's own order, not the server's: what proves the server, too, comes first.
# Inside TLS that has proved the server PLAIN is one round trip and shows nothing to anybody else, and NTLM
# comes last, as what may still work; outside of it NTLM shows less.
_PROVING: Final[tuple[ClientFactory, ...]] = (
    ScramSha256PlusClient,
    ScramSha1PlusClient,
    ScramSha256Client,
    ScramSha1Client,
    OAuthBearerClient,
    XOAuth2Client,
    GssapiClient,
    GssSpnegoClient,
    ExternalClient,
    AnonymousClient,
)
_PROTECTED: Final[tuple[ClientFactory, ...]] = (*_PROVING, PlainClient, LoginClient, NtlmClient)
_UNPROTECTED: Final[tuple[ClientFactory, ...]] = (*_PROVING, NtlmClient, PlainClient, LoginClient)

# CRAM-MD5 is used by name only.
_ALL: Final[tuple[ClientFactory, ...]] = (*_PROTECTED, CramMd5Client)
CLIENT_MECHANISMS: Final[Mapping[str, ClientFactory]] = MappingProxyType(
    {factory.name: factory for factory in _ALL}
)
"""Everything a client can do, by upper-case name."""


def candidates(
    credentials: Credentials,
    context: ClientContext,
    *,
    protected: bool,
    allow_cleartext: bool,
    only: Sequence[str] | None = None,
) -> list[str]:
    """The mechanisms to try, best first: offered by the server and able to carry the credentials.

    `protected`: inside TLS whose certificate was verified [RFC4954-14a]. Without it the password is
    shown only where `allow_cleartext` says so. `only` restricts the choice and gives its order.
    """
    order = [factory.name for factory in (_PROTECTED if protected else _UNPROTECTED)]
    if only is not None:
        order = list(dict.fromkeys(name.upper() for name in only))
    chosen = []
    for name in order:
        factory = CLIENT_MECHANISMS.get(name)
        if factory is None or name not in context.offered or not factory.serves(credentials, context):
            continue
        # [RFC4616-5a, XLOGIN-5.1a]
        if factory.cleartext and not (protected or allow_cleartext):
            continue
        chosen.append(name)
    return chosen


def needs_tls(name: str) -> bool:
    """Whether a server may have a reason to offer a mechanism inside TLS only."""
    factory = CLIENT_MECHANISMS.get(name)
    return name.endswith("-PLUS") or name == "EXTERNAL" or (factory is not None and factory.cleartext)


def still_sensible(names: Sequence[str], refused: str) -> list[str]:
    """What is left to try with the same credentials when the server has refused them to one mechanism.

    Nothing, when it saw the secret itself; after a -PLUS form, which may have wanted another type of
    channel binding, the same without one, and never the bare password; else what will settle it first.
    """
    if CLIENT_MECHANISMS[refused].conclusive:
        return []
    if refused.endswith("-PLUS"):
        return [name for name in names if name == refused.removesuffix("-PLUS")]
    return sorted(names, key=lambda name: not CLIENT_MECHANISMS[name].conclusive)


def make_client(name: str, credentials: Credentials, context: ClientContext) -> ClientMechanism:
    """A fresh mechanism for one exchange. Raises LocalProtocolError for an unknown name."""
    factory = CLIENT_MECHANISMS.get(name.upper())
    if factory is None:
        raise LocalProtocolError("no such mechanism in the client role")
    return factory(credentials, context)
