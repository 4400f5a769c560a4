"""Which mechanisms a server offers, by the needs that its application can answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from importlib import import_module
from types import MappingProxyType
from typing import Final

import attrs

from ehlo._errors import LocalProtocolError
from ehlo.sasl._base import SecretKind, ServerFactory, ServerMechanism, ServerMechanisms, ServerSettings


@attrs.frozen
class _Home:
    """Where a mechanism lives, and whether its questions are answered. Loaded by who offers it."""

    module: str
    name: str
    answered: Callable[[ServerSettings], bool]


def _fetches(*kinds: SecretKind) -> Callable[[ServerSettings], bool]:
    return lambda settings: not settings.secrets.isdisjoint(kinds)


_PASSWORD: Final = SecretKind.PASSWORD
_SHA_1: Final = _fetches(SecretKind.SCRAM_SHA_1, _PASSWORD)
_SHA_256: Final = _fetches(SecretKind.SCRAM_SHA_256, _PASSWORD)

# In the order of the AUTH line, the better ones first.
_HOMES: Final[Mapping[str, _Home]] = MappingProxyType(
    {
        "EXTERNAL": _Home("external", "ExternalServer", lambda settings: settings.certificates),
        "SCRAM-SHA-256-PLUS": _Home("scram.server", "ScramSha256PlusServer", _SHA_256),
        "SCRAM-SHA-1-PLUS": _Home("scram.server", "ScramSha1PlusServer", _SHA_1),
        "SCRAM-SHA-256": _Home("scram.server", "ScramSha256Server", _SHA_256),
        "SCRAM-SHA-1": _Home("scram.server", "ScramSha1Server", _SHA_1),
        "GSSAPI": _Home("gssapi", "GssapiServer", lambda settings: settings.principals),
        "GSS-SPNEGO": _Home("gssapi", "GssSpnegoServer", lambda settings: settings.principals),
        "OAUTHBEARER": _Home("oauth", "OAuthBearerServer", lambda settings: settings.tokens),
        "XOAUTH2": _Home("oauth", "XOAuth2Server", lambda settings: settings.tokens),
        "PLAIN": _Home("plain", "PlainServer", lambda settings: settings.passwords),
        "LOGIN": _Home("login", "LoginServer", lambda settings: settings.passwords),
        "NTLM": _Home("ntlm.acceptor", "NtlmServer", _fetches(SecretKind.NT_HASH)),
        "CRAM-MD5": _Home("cram_md5", "CramMd5Server", _fetches(_PASSWORD)),
        "ANONYMOUS": _Home("anonymous", "AnonymousServer", lambda _: True),
    }
)
SERVER_MECHANISMS: Final = tuple(_HOMES)
"""Everything a server can do, by upper-case name."""
# One is weak, and the other no authentication [RFC4505-2c].
_BY_NAME_ONLY: Final = frozenset({"CRAM-MD5", "ANONYMOUS"})


def standard_mechanisms(settings: ServerSettings, only: Sequence[str] | None = None) -> ServerMechanisms:
    """The mechanisms whose needs the application answers, in the order of the AUTH line.

    `only` restricts them and gives the order; CRAM-MD5 and ANONYMOUS have to be named. Raises
    LocalProtocolError for a name that cannot be served. Cleartext mechanisms are in the result with or
    without TLS, and those that bind to TLS or to a client certificate, too: a connection offers what it
    has the means for.
    """
    if only is None:
        names = [name for name in _HOMES if name not in _BY_NAME_ONLY]
    else:
        names = list(dict.fromkeys(name.upper() for name in only))
    found: dict[str, ServerFactory] = {}
    for name in names:
        home = _HOMES.get(name)
        if home is None:
            raise LocalProtocolError(f"there is no mechanism {name}; there are {', '.join(_HOMES)}")
        if home.answered(settings):
            mechanism: type[ServerMechanism] = getattr(import_module(f"ehlo.sasl.{home.module}"), home.name)
            mechanism.check(settings)
            found[name] = partial(mechanism, settings=settings)
        elif only is not None:
            raise LocalProtocolError(f"{name}: nobody answers what it has to ask")
    return found
