"""The three messages of [MS-NLMP] 2.2.1 and their AV pairs: octets to values and back.

Strict, because what two readers see differently is where NTLM was broken: the signature, the
type, the bounds of every field, and the text of names are checked before anything is believed
[NTLM-nlmp-a].
"""

from __future__ import annotations

import struct
import unicodedata
from collections.abc import Mapping
from enum import IntEnum, IntFlag
from typing import Final

import attrs

SIGNATURE: Final = b"NTLMSSP\0"
MIC_OCTETS: Final = 16
_VERSION: Final = struct.pack("<BBH3xB", 6, 1, 0, 15)
"""2.2.2.10: 6.1 as Samba says; 15 is the revision of NTLMSSP itself, the only part that is read."""


class MessageError(ValueError):
    """The octets are not the message they should be. Holds none of them."""


class MessageType(IntEnum):
    NEGOTIATE = 1
    CHALLENGE = 2
    AUTHENTICATE = 3


class Flag(IntFlag):
    """[MS-NLMP] 2.2.2.5, as far as we read or set them."""

    UNICODE = 0x00000001
    OEM = 0x00000002
    REQUEST_TARGET = 0x00000004
    SIGN = 0x00000010
    SEAL = 0x00000020
    NTLM = 0x00000200
    ANONYMOUS = 0x00000800
    ALWAYS_SIGN = 0x00008000
    TARGET_TYPE_SERVER = 0x00020000
    EXTENDED_SESSION_SECURITY = 0x00080000
    TARGET_INFO = 0x00800000
    VERSION = 0x02000000
    KEY_128 = 0x20000000
    KEY_EXCH = 0x40000000
    KEY_56 = 0x80000000


class AvId(IntEnum):
    """[MS-NLMP] 2.2.2.1."""

    EOL = 0
    NB_COMPUTER_NAME = 1
    NB_DOMAIN_NAME = 2
    DNS_COMPUTER_NAME = 3
    FLAGS = 6
    TIMESTAMP = 7
    TARGET_NAME = 9
    CHANNEL_BINDINGS = 10


AV_MIC_PROVIDED: Final = 0x2
EPOCH: Final = 11_644_473_600
"""Seconds from 1601, where FILETIME begins, to 1970."""


@attrs.frozen
class Negotiate:
    """[MS-NLMP] 2.2.1.1. The names in it are hints that nothing protects: not kept."""

    flags: Flag


@attrs.frozen
class ServerChallenge:
    """[MS-NLMP] 2.2.1.2, the CHALLENGE_MESSAGE."""

    flags: Flag
    server_challenge: bytes
    target_name: str
    target_info: Mapping[int, bytes]


@attrs.frozen
class Authenticate:
    """[MS-NLMP] 2.2.1.3."""

    flags: Flag
    lm_response: bytes = attrs.field(repr=False)
    nt_response: bytes = attrs.field(repr=False)
    domain: str
    user: str
    workstation: bytes
    """As it came: nobody reads it."""
    session_key: bytes = attrs.field(repr=False)
    """EncryptedRandomSessionKey."""
    mic_at: int | None
    """Where the MIC is, None where the payload leaves no room for one."""


@attrs.frozen
class ClientBlob:
    """What an NTLMv2 response says beside the proof [MS-NLMP] 2.2.2.7."""

    av_pairs: Mapping[int, bytes]

    @property
    def announces_mic(self) -> bool:
        value = self.av_pairs.get(AvId.FLAGS, b"")
        return bool(int.from_bytes(value, "little") & AV_MIC_PROVIDED)


# ---- reading ----


def _header(data: bytes, kind: MessageType, least: int) -> None:
    if data[:8] != SIGNATURE:
        raise MessageError("no NTLMSSP signature")
    if data[8:12] != struct.pack("<I", kind):
        raise MessageError(f"not a {kind.name}_MESSAGE")
    if len(data) < least:
        raise MessageError(f"the {kind.name}_MESSAGE is cut short")


def _extent(data: bytes, at: int, least: int) -> tuple[int, int]:
    """Begin and end of the payload field that is described at `at`; both 0 for an empty one."""
    length, _, offset = struct.unpack_from("<HHI", data, at)
    if length == 0:
        # curl writes zeros for the offset of what it has not got.
        return 0, 0
    if offset < least or offset + length > len(data):
        raise MessageError("a field lies outside of the payload")
    return offset, offset + length


def _flags(data: bytes, at: int) -> Flag:
    return Flag(struct.unpack_from("<I", data, at)[0])


def _encoding(flags: Flag) -> str:
    # The code page of OEM octets is the client's secret; UTF-8 is what today's clients send.
    return "utf-16-le" if flags & Flag.UNICODE else "utf-8"


def is_clean(text: str) -> bool:
    """No control character and no line or paragraph separator: fit for a log and for a look-up."""
    return not any(unicodedata.category(char) in ("Cc", "Zl", "Zp") for char in text)


def _name(octets: bytes, flags: Flag) -> str:
    try:
        text = octets.decode(_encoding(flags))
    except UnicodeDecodeError:
        raise MessageError("a name is not text") from None
    if not is_clean(text):
        raise MessageError("a name holds a control character")
    return text


def parse_negotiate(data: bytes) -> Negotiate:
    _header(data, MessageType.NEGOTIATE, 16)
    # Very old clients end after the flags.
    for at in (16, 24):
        if len(data) >= at + 8:
            _extent(data, at, 32)
    flags = _flags(data, 12)
    if not flags & (Flag.UNICODE | Flag.OEM):
        raise MessageError("neither UNICODE nor OEM names are offered")
    return Negotiate(flags)


def parse_challenge(data: bytes) -> ServerChallenge:
    _header(data, MessageType.CHALLENGE, 32)
    flags = _flags(data, 20)
    begin, end = _extent(data, 12, 32)
    target_name = _name(data[begin:end], flags)
    target_info: Mapping[int, bytes] = {}
    # Cyrus SASL ends after Reserved; the fields are there when TARGET_INFO says so.
    if flags & Flag.TARGET_INFO:
        if len(data) < 48:
            raise MessageError("the CHALLENGE_MESSAGE is cut short")
        begin, end = _extent(data, 40, 48)
        if end:
            target_info = parse_av_pairs(data[begin:end])
    return ServerChallenge(flags, data[24:32], target_name, target_info)


def parse_authenticate(data: bytes) -> Authenticate:
    _header(data, MessageType.AUTHENTICATE, 64)
    flags = _flags(data, 60)
    extents = [_extent(data, at, 64) for at in (12, 20, 28, 36, 44, 52)]
    lm, nt, domain, user, workstation, session_key = (data[begin:end] for begin, end in extents)
    payload = min((begin for begin, end in extents if end), default=len(data))
    return Authenticate(
        flags=flags,
        lm_response=lm,
        nt_response=nt,
        domain=_name(domain, flags),
        user=_name(user, flags),
        workstation=workstation,
        session_key=session_key,
        mic_at=_mic_at(flags, payload),
    )


def _mic_at(flags: Flag, payload: int) -> int | None:
    if payload >= 88:
        return 72
    # pyspnego leaves Version out of the message when the server has not asked for it.
    if payload >= 80 and not flags & Flag.VERSION:
        return 64
    return None


def parse_client_blob(nt_response: bytes) -> ClientBlob:
    """Read an NtChallengeResponse that is no NTLMv1 response."""
    blob = nt_response[16:]
    if len(blob) < 32 or blob[:2] != b"\x01\x01":
        raise MessageError("not an NTLMv2 response")
    return ClientBlob(parse_av_pairs(blob[28:]))


def parse_av_pairs(data: bytes) -> dict[int, bytes]:
    """[MS-NLMP] 2.2.2.1. What follows the end of the list is padding."""
    pairs: dict[int, bytes] = {}
    at = 0
    while at + 4 <= len(data):
        kind, length = struct.unpack_from("<HH", data, at)
        at += 4
        if kind == AvId.EOL:
            if length:
                raise MessageError("the end of the AV pairs has a value")
            return pairs
        # Twice the same: which of two MIC flags or channel bindings would count?
        if kind in pairs:
            raise MessageError("an AV pair comes twice")
        pairs[kind] = data[at : at + length]
        at += length
    # A value that is cut short ends here too.
    raise MessageError("the AV pairs have no end")


# ---- writing ----


class _Payload:
    """Lays fields out one behind the other and describes each in eight octets."""

    def __init__(self, begin: int) -> None:
        self._at = begin
        self.octets = b""

    def add(self, value: bytes) -> bytes:
        described = struct.pack("<HHI", len(value), len(value), self._at)
        self.octets += value
        self._at += len(value)
        return described


def _start(kind: MessageType) -> bytes:
    return SIGNATURE + struct.pack("<I", kind)


def _version(flags: Flag) -> bytes:
    return _VERSION if flags & Flag.VERSION else bytes(8)


def write_negotiate(flags: Flag) -> bytes:
    payload = _Payload(40)
    fields = struct.pack("<I", flags) + payload.add(b"") + payload.add(b"")
    return _start(MessageType.NEGOTIATE) + fields + _version(flags)


def write_challenge(message: ServerChallenge) -> bytes:
    payload = _Payload(56)
    target_name = payload.add(message.target_name.encode(_encoding(message.flags)))
    target_info = payload.add(write_av_pairs(message.target_info))
    return b"".join(
        (
            _start(MessageType.CHALLENGE),
            target_name,
            struct.pack("<I", message.flags),
            message.server_challenge,
            bytes(8),
            target_info,
            _version(message.flags),
            payload.octets,
        )
    )


def write_authenticate(message: Authenticate, mic: bytes = bytes(MIC_OCTETS)) -> bytes:
    """With `mic` at octet 72, where Windows has it; `message.mic_at` does not matter."""
    encoding = _encoding(message.flags)
    payload = _Payload(88)
    fields = [
        payload.add(value)
        for value in (
            message.lm_response,
            message.nt_response,
            message.domain.encode(encoding),
            message.user.encode(encoding),
            message.workstation,
            message.session_key,
        )
    ]
    flags = struct.pack("<I", message.flags)
    head = (_start(MessageType.AUTHENTICATE), *fields, flags, _version(message.flags), mic)
    return b"".join(head) + payload.octets


def write_av_pairs(pairs: Mapping[int, bytes]) -> bytes:
    """In ascending order of kind, as servers send them; the end of the list included."""
    written = b"".join(struct.pack("<HH", kind, len(pairs[kind])) + pairs[kind] for kind in sorted(pairs))
    return written + bytes(4)


def zero_mic(data: bytes, at: int) -> bytes:
    return data[:at] + bytes(MIC_OCTETS) + data[at + MIC_OCTETS :]
