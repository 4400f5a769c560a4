"""Addresses by the ABNF of the standards, through a parser that knows nothing of ours: slow, and independent.

RFC 5321 sections 4.1.2 and 4.1.3, and with `utf8` what RFC 6531 section 3.3 adds.
"""

from __future__ import annotations

from functools import cache

from abnf import ParseError, Rule

_LITERALS = """
address-literal = "[" ( IPv4-address-literal / IPv6-address-literal / General-address-literal ) "]"
IPv4-address-literal = Snum 3("." Snum)
IPv6-address-literal = "IPv6:" IPv6-addr
General-address-literal = Standardized-tag ":" 1*dcontent
Standardized-tag = Ldh-str
dcontent = %d33-90 / %d94-126
Snum = 1*3DIGIT
IPv6-addr = IPv6-full / IPv6-comp / IPv6v4-full / IPv6v4-comp
IPv6-hex = 1*4HEXDIG
IPv6-full = IPv6-hex 7(":" IPv6-hex)
IPv6-comp = [IPv6-hex *5(":" IPv6-hex)] "::" [IPv6-hex *5(":" IPv6-hex)]
IPv6v4-full = IPv6-hex 5(":" IPv6-hex) ":" IPv4-address-literal
IPv6v4-comp = [IPv6-hex *3(":" IPv6-hex)] "::" [IPv6-hex *3(":" IPv6-hex) ":"] IPv4-address-literal
"""
_MAILBOX = """
Path = [ A-d-l ":" ] Mailbox
A-d-l = At-domain *( "," At-domain )
At-domain = "@" Domain
Mailbox = Local-part "@" ( Domain / address-literal )
Local-part = Dot-string / Quoted-string
Dot-string = Atom *("." Atom)
Atom = 1*atext
Quoted-string = DQUOTE *QcontentSMTP DQUOTE
QcontentSMTP = qtextSMTP / quoted-pairSMTP
quoted-pairSMTP = %d92 %d32-126
Domain = sub-domain *("." sub-domain)
Ldh-str = *( ALPHA / DIGIT / "-" ) Let-dig
Let-dig = ALPHA / DIGIT
"""
_SPECIALS = " / ".join(f"%d{ord(character)}" for character in "!#$%&'*+-/=?^_`{|}~")
_ASCII = f"""
atext = ALPHA / DIGIT / {_SPECIALS}
qtextSMTP = %d32-33 / %d35-91 / %d93-126
sub-domain = Let-dig [Ldh-str]
"""
# A domain label that is not ASCII is a U-label (RFC 5890): that one is none of the grammar's business.
_UTF8 = f"""
atext = ALPHA / DIGIT / {_SPECIALS} / %x80-10FFFF
qtextSMTP = %d32-33 / %d35-91 / %d93-126 / %x80-10FFFF
sub-domain = Let-dig [Ldh-str]
"""


class _Ascii(Rule):
    pass


class _Utf8(Rule):
    pass


@cache
def _rules(*, utf8: bool) -> type[Rule]:
    kind, own = (_Utf8, _UTF8) if utf8 else (_Ascii, _ASCII)
    for line in filter(None, (_LITERALS + _MAILBOX + own).splitlines()):
        kind.create(line)
    return kind


def is_spelled(name: str, text: str, *, utf8: bool = False) -> bool:
    """Whether the whole text is one of this rule."""
    try:
        _rules(utf8=utf8)(name).parse_all(text)
    except ParseError:
        return False
    return True
