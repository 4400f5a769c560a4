"""XCLIENT (Postfix): a trusted peer says for whom it speaks (XCLIENT_README of Postfix).

Whoever may use it is believed in every word, AUTH included: a server offers it to its own proxies and to
nobody else.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from enum import Enum
from ipaddress import IPv4Address, IPv6Address
from typing import Any, Final, TypeAlias

import attrs

from ehlo._value import Value
from ehlo.extensions._base import Extension
from ehlo.wire import xtext
from ehlo.wire.command import split_parameters

_NAME = re.compile(r"[!-~]{1,255}\Z")
_LOGIN = re.compile(r"[ -~]{1,255}\Z")
_PORT = re.compile(r"0\Z|[1-9][0-9]{0,4}\Z")
_IPV6: Final = "IPV6:"


class Unavailable(Enum):
    """What the peer does not know, or has not got."""

    PERMANENT = "[UNAVAILABLE]"
    TEMPORARY = "[TEMPUNAVAIL]"
    """It could not be found out just now."""


_Address: TypeAlias = IPv4Address | IPv6Address | Unavailable | None


@attrs.frozen(repr=False, eq=False, kw_only=True)
class XClient(Value):
    """The attributes of one XCLIENT command. None: not in it, what was known before stays."""

    name: str | Unavailable | None = None
    """The client's host name."""
    addr: _Address = None
    port: int | Unavailable | None = None
    proto: str | Unavailable | None = None
    """SMTP or ESMTP."""
    helo: str | Unavailable | None = None
    login: str | Unavailable | None = None
    """The name under which the client authenticated with the peer."""
    destaddr: _Address = None
    """Where the client connected to."""
    destport: int | Unavailable | None = None

    @property
    def given(self) -> frozenset[str]:
        """The names of the attributes that are there."""
        return frozenset(name for name in _ATTRIBUTES if getattr(self, name.lower()) is not None)

    def followed_by(self, later: XClient) -> XClient:
        """What is known after another command: what it does not say is as it was."""
        return attrs.evolve(self, **{name.lower(): getattr(later, name.lower()) for name in later.given})

    @classmethod
    def parse(cls, argument: str) -> XClient:
        """From what stands behind the verb. Raises ValueError."""
        found: dict[str, Any] = {}
        for attribute, text in split_parameters(argument):
            codec = _ATTRIBUTES.get(attribute)
            if codec is None or text is None or attribute.lower() in found:
                raise ValueError("an attribute of XCLIENT is unknown, repeated, or has no value")
            found[attribute.lower()] = codec.parse(xtext.decode(text))
        if not found:
            raise ValueError("XCLIENT has no attribute")
        return cls(**found)

    def render(self) -> str:
        """What stands behind the verb. Raises ValueError; a whole line has up to 512 octets."""
        words = []
        for attribute, codec in _ATTRIBUTES.items():
            value = getattr(self, attribute.lower())
            if value is not None:
                text = value.value if isinstance(value, Unavailable) else codec.render(value)
                if codec.parse(text) != value:
                    raise ValueError("a value of XCLIENT that cannot be written")
                words.append(f"{attribute}={xtext.encode(text)}")
        if not words:
            raise ValueError("XCLIENT has no attribute")
        return " ".join(words)


def _parse_address(text: str) -> IPv4Address | IPv6Address:
    if text[: len(_IPV6)].upper() != _IPV6:
        return IPv4Address(text)
    if "%" in text:
        raise ValueError("a zone has no meaning for another host")
    return IPv6Address(text[len(_IPV6) :])


def _render_address(value: IPv4Address | IPv6Address) -> str:
    return f"{_IPV6}{value}" if value.version == 6 else str(value)


def _parse_port(text: str) -> int:
    if not _PORT.match(text) or int(text) > 65535:
        raise ValueError("not a port")
    return int(text)


def _parse_protocol(text: str) -> str:
    if text.upper() not in ("SMTP", "ESMTP"):
        raise ValueError("not a protocol")
    return text.upper()


def _parse_name(text: str) -> str:
    if not _NAME.match(text):
        raise ValueError("not a name")
    return text


def _parse_login(text: str) -> str:
    if not _LOGIN.match(text):
        raise ValueError("not a login")
    return text


@attrs.frozen(repr=False, eq=False)
class _Codec(Value):
    parse_known: Callable[[str], Any]
    render: Callable[[Any], str] = str
    unavailable: tuple[Unavailable, ...] = (Unavailable.PERMANENT,)

    def parse(self, text: str) -> Any:
        for one in self.unavailable:
            if text.upper() == one.value:
                return one
        return self.parse_known(text)


_ATTRIBUTES: Final[Mapping[str, _Codec]] = {
    "NAME": _Codec(_parse_name, unavailable=tuple(Unavailable)),
    "ADDR": _Codec(_parse_address, _render_address),
    "PORT": _Codec(_parse_port),
    "PROTO": _Codec(_parse_protocol, unavailable=()),
    "HELO": _Codec(_parse_name),
    "LOGIN": _Codec(_parse_login),
    "DESTADDR": _Codec(_parse_address, _render_address),
    "DESTPORT": _Codec(_parse_port),
}
ATTRIBUTES: Final = tuple(_ATTRIBUTES)
"""The names that a server may offer."""


def _parse_offer(words: tuple[str, ...]) -> tuple[str, ...]:
    """The attributes that the server takes, in upper case, unknown ones too."""
    return tuple(dict.fromkeys(word.upper() for word in words))


def xclient(*attributes: str) -> Extension:
    """The extension of a server that takes these attributes of those whom it trusts; none: it is not
    offered.

    Raises ValueError for a name that is not in ATTRIBUTES.
    """
    if not set(attributes) <= set(ATTRIBUTES):
        raise ValueError("not an attribute of XCLIENT")
    return Extension(
        keyword="XCLIENT",
        rfc="Postfix",
        summary="a trusted peer says for whom it speaks",
        offer=lambda facts: (attributes or None) if facts.xclient else None,
        parse_offer=_parse_offer,
    )


XCLIENT = xclient()
"""For clients: a server behind proxies of its own makes its own."""
