"""DSN (RFC 3461): RET and ENVID on MAIL, NOTIFY and ORCPT on RCPT."""

from __future__ import annotations

from enum import Enum, Flag

import attrs

from ehlo._value import Value
from ehlo.extensions._base import Extension, Param, need_value, need_word
from ehlo.wire import abnf, xtext
from ehlo.wire.address import Mailbox

ENVID_LENGTH = 100
ORCPT_LENGTH = 500
_ADDR_TYPE = abnf.Pattern(r"[A-Za-z0-9!#$%&'*+\-/?^_`{|}~]+\Z")
_PRINTABLE = abnf.Pattern(r"[ -~]+\Z")
# RFC 6533 section 3: EmbeddedUnicodeChar.
_EMBEDDED = abnf.Pattern(r"\\x\{([0-9A-Fa-f]{2,6})\}")
_UNICODE_XTEXT = abnf.Pattern(rf"[^\x00- +=\\{abnf.NOT_UTF8}]*\Z")
_NOT_UNICODE_XTEXT = abnf.Pattern(r"[^!-*,-<>-\[\]-~]")


class Ret(Enum):
    """What a failure report returns of the message."""

    FULL = "FULL"
    HDRS = "HDRS"


class Notify(Flag):
    """When reports are wanted; NEVER stands alone [RFC3461-4.1a]."""

    NEVER = 1
    SUCCESS = 2
    FAILURE = 4
    DELAY = 8


def _printable(_: object, __: object, value: str) -> None:
    if len(xtext.encode(value)) > ENVID_LENGTH or not _PRINTABLE.match(value):
        raise ValueError("ENVID is 1 to 100 printable ASCII characters")


@attrs.frozen(repr=False, eq=False)
class EnvId(Value):
    """The sender's name for the transaction, decoded [RFC3461-4.4a]."""

    value: str = attrs.field(validator=_printable)


@attrs.frozen(repr=False, eq=False)
class Orcpt(Value):
    """The original recipient. `raw` is the value as it came, for relaying byte for byte."""

    type: str
    """`rfc822`, `utf-8`, or another registered address type."""
    address: str
    raw: str = attrs.field(eq=False)

    @classmethod
    def of(cls, address: Mailbox | str) -> Orcpt:
        """The value for an address: type rfc822, or utf-8 when it is not ASCII (RFC 6533)."""
        text = str(address)
        if text.isascii():
            return cls("rfc822", text, "rfc822;" + xtext.encode(text))
        return cls("utf-8", text, "utf-8;" + embed_unicode(text))


def embed_unicode(text: str) -> str:
    """`text` as utf-8-addr-xtext [RFC6533-3c]: ASCII only, `\\x{HEX}` for what may not stand for itself."""
    return _NOT_UNICODE_XTEXT.sub(lambda found: f"\\x{{{ord(found[0]):02X}}}", text)


def _parse_ret(value: str | None) -> Ret:
    return Ret(need_word(value))


def _parse_envid(value: str | None) -> EnvId:
    return EnvId(xtext.decode(need_value(value)))


def _parse_notify(value: str | None) -> Notify:
    wanted = Notify(0)
    for word in need_word(value).split(","):
        flag = Notify.__members__.get(word)
        if flag is None or flag in wanted:
            raise ValueError("NOTIFY is NEVER or a list of SUCCESS, FAILURE, DELAY")
        wanted |= flag
    return _checked_notify(wanted)


def _checked_notify(value: Notify) -> Notify:
    if not value or (Notify.NEVER in value and value is not Notify.NEVER):
        raise ValueError("NOTIFY is NEVER or a list of SUCCESS, FAILURE, DELAY")
    return value


def _render_notify(value: Notify) -> str:
    return ",".join(flag.name or "" for flag in _checked_notify(value))


def _parse_orcpt(value: str | None) -> Orcpt:
    raw = need_value(value)
    kind, semicolon, text = raw.partition(";")
    if not semicolon or not text or len(raw) > ORCPT_LENGTH or not _ADDR_TYPE.match(kind):
        raise ValueError("ORCPT is addr-type;xtext")
    if kind.lower() == "utf-8":
        return Orcpt(kind, embedded_unicode(text), raw)
    address = xtext.decode(text)
    if not _PRINTABLE.match(address):
        # [RFC3461-4.2d] a line break in it would end a field of the report that repeats it.
        raise ValueError("the address of ORCPT is printable ASCII")
    return Orcpt(kind, address, raw)


def embedded_unicode(text: str) -> str:
    """The address that utf-8-addr-xtext or -unitext stands for (RFC 6533 section 3). Raises ValueError."""
    if not _UNICODE_XTEXT.match(_EMBEDDED.sub("", text)):
        raise ValueError("not a utf-8 address")
    return _EMBEDDED.sub(lambda found: _scalar(found[1]), text)


def _scalar(digits: str) -> str:
    point = int(digits, 16)
    # [RFC6533-3c] no surrogates, no zeros in front; a control character has no place in an address.
    if point > 0x10FFFF or 0xD800 <= point <= 0xDFFF or len(digits) != max(2, len(f"{point:x}")):
        raise ValueError("not a Unicode scalar value")
    if abnf.CONTROL.match(chr(point)):
        raise ValueError("control character in an address")
    return chr(point)


def _render_orcpt(value: Orcpt) -> str:
    if _parse_orcpt(value.raw) != value:
        raise ValueError("the raw form of ORCPT stands for another address")
    return value.raw


RET = Param("RET", Ret, _parse_ret, lambda value: value.value)
ENVID = Param("ENVID", EnvId, _parse_envid, lambda value: xtext.encode(value.value))
NOTIFY = Param("NOTIFY", Notify, _parse_notify, _render_notify)
ORCPT = Param("ORCPT", Orcpt, _parse_orcpt, _render_orcpt)

DSN = Extension(
    keyword="DSN",
    rfc="RFC 3461",
    summary="delivery reports on the sender's terms",
    mail=(RET, ENVID),
    rcpt=(NOTIFY, ORCPT),
    # [RFC3461-5.4a] " RET=HDRS" and " ENVID=" with 100 octets; RCPT up to 1036.
    mail_octets=9 + 107,
    rcpt_octets=524,
)
