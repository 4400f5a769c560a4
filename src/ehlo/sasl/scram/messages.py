"""The four messages of SCRAM (RFC 5802 section 7), read strictly: the order is fixed, `m=` is refused."""

from __future__ import annotations

import re

import attrs

from ehlo._value import Value
from ehlo.wire import base64

# [RFC5802-5.1a] a name: no NUL and no comma, and `=` only as =2C or =3D.
_NAME = r"((?:[^\0,=]|=2C|=3D)+)"
_NONCE = r"([\x21-\x2b\x2d-\x7e]+)"
_BASE64 = r"([A-Za-z0-9+/]+={0,2})"
# [RFC5802-5.1b] optional extensions are passed over; `m=` would be one that must be understood.
_MORE = r"(?:,(?!m=)[A-Za-z]=[^\0,]+)*"
# [RFC5802-5a] the channel binding flag, and who the client wants to act as.
_GS2 = re.compile(rf"(n|y|p=([A-Za-z0-9.-]+)),(?:a={_NAME})?,", re.DOTALL)
_CLIENT_FIRST = re.compile(rf"n={_NAME},r={_NONCE}{_MORE}\Z", re.DOTALL)
_SERVER_FIRST = re.compile(rf"r={_NONCE},s={_BASE64},i=([1-9][0-9]{{0,8}}){_MORE}\Z", re.DOTALL)
_CLIENT_FINAL = re.compile(rf"(c={_BASE64},r={_NONCE}{_MORE}),p={_BASE64}\Z", re.DOTALL)
_SERVER_FINAL = re.compile(rf"(?:v={_BASE64}|e=([^\0,]+)){_MORE}\Z", re.DOTALL)


class ScramError(ValueError):
    """The octets are not the message they should be. Holds none of them."""


@attrs.frozen(repr=False, eq=False)
class ClientFirst(Value):
    gs2_header: str
    flag: str
    """`n`: the client has no channel binding; `y`: it has, and believes that the server has none; `p`."""
    binding: str | None
    """The type of the channel binding, of `p`."""
    authzid: str
    username: str
    nonce: str = attrs.field(repr=False)
    bare: str = attrs.field(repr=False)


@attrs.frozen(repr=False, eq=False)
class ServerFirst(Value):
    nonce: str = attrs.field(repr=False)
    salt: bytes
    iterations: int


@attrs.frozen(repr=False, eq=False)
class ClientFinal(Value):
    binding: bytes = attrs.field(repr=False)
    """The GS2 header and the data of the channel [RFC9266-4a]."""
    nonce: str = attrs.field(repr=False)
    proof: bytes = attrs.field(repr=False)
    without_proof: str = attrs.field(repr=False)


@attrs.frozen(repr=False, eq=False)
class ServerFinal(Value):
    signature: bytes | None = attrs.field(repr=False)
    error: str | None
    """What the server says of a failure [RFC5802-5.1f]."""


def escape(name: str) -> str:
    return name.replace("=", "=3D").replace(",", "=2C")


def unescape(name: str | None) -> str:
    return (name or "").replace("=2C", ",").replace("=3D", "=")


def gs2_header(binding: str | None, authzid: str, *, flag: str = "n") -> str:
    acting = f"a={escape(authzid)}" if authzid else ""
    return f"{flag if binding is None else f'p={binding}'},{acting},"


def _text(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise ScramError("not UTF-8") from None


def _octets(text: str) -> bytes:
    try:
        return base64.decode(text.encode())
    except base64.Base64Error:
        raise ScramError("not base64") from None


def parse_client_first(data: bytes) -> ClientFirst:
    text = _text(data)
    header = _GS2.match(text)
    if header is None:
        raise ScramError("no GS2 header")
    bare = text[header.end() :]
    found = _CLIENT_FIRST.match(bare)
    if found is None:
        raise ScramError("not a client-first message")
    return ClientFirst(
        gs2_header=header[0],
        flag=header[1][0],
        binding=header[2],
        authzid=unescape(header[3]),
        username=unescape(found[1]),
        nonce=found[2],
        bare=bare,
    )


def parse_server_first(data: bytes) -> ServerFirst:
    found = _SERVER_FIRST.match(_text(data))
    if found is None:
        raise ScramError("not a server-first message")
    return ServerFirst(found[1], _octets(found[2]), int(found[3]))


def parse_client_final(data: bytes) -> ClientFinal:
    found = _CLIENT_FINAL.match(_text(data))
    if found is None:
        raise ScramError("not a client-final message")
    return ClientFinal(_octets(found[2]), found[3], _octets(found[4]), found[1])


def parse_server_final(data: bytes) -> ServerFinal:
    found = _SERVER_FINAL.match(_text(data))
    if found is None:
        raise ScramError("not a server-final message")
    return ServerFinal(_octets(found[1]) if found[1] else None, found[2])


def encoded(data: bytes) -> str:
    return base64.encode(data).decode("ascii")
