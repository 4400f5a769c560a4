"""MTRK (RFC 3885): a message is marked, so that its sender may ask later where it went."""

from __future__ import annotations

import hashlib
import re
from typing import Final

import attrs

from ehlo._value import Value
from ehlo.extensions._base import Extension, Param, Parameters, SendFacts, need_value
from ehlo.extensions.dsn import EnvId
from ehlo.wire import base64

# base64 of the 20 octets of SHA-1 without its `=`, which cannot stand in a parameter.
_MTRK = re.compile(r"([A-Za-z0-9+/]{27})(?::([0-9]{1,9}))?\Z")
_HASH: Final = 20


def _is_hash(_: object, __: object, value: bytes) -> None:
    if len(value) != _HASH:
        raise ValueError("the certifier of MTRK is a SHA-1 hash")


def _in_range(_: object, __: object, value: int | None) -> None:
    if value is not None and not 0 <= value < 10**9:
        raise ValueError("the timeout of MTRK has 1 to 9 digits")


@attrs.frozen(repr=False, eq=False)
class Mtrk(Value):
    """[RFC3885-3.1a] who knows what `certifier` is the SHA-1 hash of may ask."""

    certifier: bytes = attrs.field(validator=_is_hash)
    timeout: int | None = attrs.field(default=None, validator=_in_range)
    """Seconds for which the answer is kept; with 0 the mark is not passed on [RFC3885-3.1c]."""

    @classmethod
    def of(cls, secret: bytes, timeout: int | None = None) -> Mtrk:
        """The mark for who knows the secret: 16 to 128 octets, each time new [RFC3885-3.1b].

        Raises ValueError.
        """
        if not 16 <= len(secret) <= 128:
            raise ValueError("the secret of MTRK has 16 to 128 octets")
        return cls(hashlib.sha1(secret, usedforsecurity=False).digest(), timeout)


def _parse(value: str | None) -> Mtrk:
    found = _MTRK.match(need_value(value))
    if found is None:
        raise ValueError("MTRK is certifier[:timeout]")
    certifier = base64.decode(found[1].encode("ascii") + b"=")
    return Mtrk(certifier, None if found[2] is None else int(found[2]))


def _render(value: Mtrk) -> str:
    certifier = base64.encode(value.certifier).decode("ascii").rstrip("=")
    return certifier if value.timeout is None else f"{certifier}:{value.timeout}"


def _check(parameters: Parameters) -> None:
    # [RFC3885-3.2a] the question names the message by its ENVID, unique in the world.
    envid = parameters.get(EnvId)
    local, _, host = envid.value.rpartition("@") if envid is not None else ("", "", "")
    if not local or not host:
        raise ValueError("MTRK demands an ENVID of the form local@host")


def _has_time_left(value: Mtrk, _: SendFacts) -> bool:
    # [RFC3885-3.1c]
    return value.timeout != 0


MTRK = Extension(
    keyword="MTRK",
    rfc="RFC 3885",
    summary="the sender may ask later where the message went",
    mail=(Param("MTRK", Mtrk, _parse, _render, _check, fits=_has_time_left),),
    mail_octets=40,
    # [RFC3885-2a]
    needs=("DSN",),
)
