"""What extensions read: the parameters of MAIL and RCPT, the lines of an EHLO reply, BURL and XCLIENT."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Any, Final

from tests.fuzz.seeds import KEYWORDS, commands, replies
from tests.fuzz.target import Choices, Target, same

from ehlo import EVERY, STANDARD, Capabilities, Extension, Limits, Parameters, RemoteProtocolError, XClient
from ehlo.extensions import (
    BURL,
    Orcpt,
    SendFacts,
    UnsupportedParameter,
    by_type,
    parameter_specs,
    parse_parameters,
    render_parameters,
)
from ehlo.extensions.burl_offer import parse_burl, submitter
from ehlo.extensions.dsn import ORCPT_LENGTH, embed_unicode, embedded_unicode
from ehlo.wire import address, command
from ehlo.wire.reply import ReplyParser

_OFFERS: Final[tuple[tuple[Extension, ...], ...]] = (EVERY, STANDARD)
_MAIL: Final = [
    parameter_specs(param for extension in offer for param in extension.mail) for offer in _OFFERS
]
_RCPT: Final = [
    parameter_specs(param for extension in offer for param in extension.rcpt) for offer in _OFFERS
]


def check_parameters(data: bytes) -> None:
    """The parameters of MAIL and RCPT are values, 501 or 555; values are written as words that read as the
    same values and hold no control character."""
    choices = Choices(data, 1)
    flags = choices.below(4)
    specs = (_MAIL if flags & 1 else _RCPT)[flags >> 1]
    text = choices.rest.decode("utf-8", "replace")
    parameters = _parsed(text, specs)
    if parameters is None:
        return
    words = render_parameters(parameters, by_type(specs.values()))
    same("how many parameters are written", len(words), len(parameters))
    same("parameters", parse_parameters(" ".join(words), specs), parameters)
    assert not command.has_control(command.render("MAIL", *words)[:-2])
    original = parameters.get(Orcpt)
    if original is not None:
        try:
            again = Orcpt.of(address.Mailbox.parse(original.address, utf8=True))
        except address.AddressError:
            return
        if len(again.raw) <= ORCPT_LENGTH:
            parse_parameters(f"ORCPT={again.raw}", specs)


def _parsed(text: str, specs: dict[str, Any]) -> Parameters | None:
    try:
        return parse_parameters(text, specs)
    except (command.ParameterError, UnsupportedParameter):
        return None


def check_unicode(data: bytes) -> None:
    """A utf-8 address in ASCII is text without control characters, or ValueError; all text can be written so,
    and reads as the same."""
    text = data.decode("utf-8", "replace")
    written = embed_unicode(text)
    assert written.isascii()
    assert written.isprintable()
    for form in (text, written):
        try:
            meaning = embedded_unicode(form)
        except ValueError:
            continue
        assert form is not written or meaning == text
        same("the meaning, written", embedded_unicode(embed_unicode(meaning)), meaning)


def check_capabilities(data: bytes) -> None:
    """Whatever a reply to EHLO offers, each extension reads it as a value and tells of each parameter whether
    it may be sent."""
    choices = Choices(data, 1)
    facts = choices.below(4)
    parser = ReplyParser(Limits())
    parser.feed(choices.rest)
    try:
        reply = parser.next_reply()
    except RemoteProtocolError:
        return
    if reply is None:
        return
    capabilities = Capabilities.from_reply(reply)
    same("the lines", Capabilities(capabilities.name, capabilities.lines), capabilities)
    for extension in EVERY:
        offer = capabilities.offer(extension)
        assert (offer is None) or extension.keyword in capabilities
        hash(offer)
        if capabilities.supports(extension):
            given = SendFacts(offer=offer, protected=bool(facts & 1), null_sender=bool(facts & 2))
            _check_fits(extension, given)
    sources = capabilities.offer(BURL)
    if sources is not None:
        sources.cover("imap://a@h/b;urlauth=submit+a:x")


def _check_fits(extension: Extension, facts: SendFacts) -> None:
    for params in (extension.mail, extension.rcpt):
        specs = parameter_specs(params)
        for word in _GOOD_WORDS:
            for value in _parsed(word, specs) or ():
                fits = by_type(params)[type(value)].fits
                if fits is not None:
                    with suppress(ValueError):
                        fits(value, facts)


def check_burl(data: bytes) -> None:
    """The arguments of BURL and XCLIENT are values or refused, no two readers take another part of a URL for
    its server, and what XCLIENT says is written as the same."""
    found = parse_burl(data)
    if found is not None:
        url, _ = found
        submitter(url)
        for sources in (BURL.parse_offer(("imap",)), BURL.parse_offer((f"imap://{url[7:60]}",))):
            sources.cover(url)
    try:
        said = XClient.parse(data.decode("ascii", "replace"))
    except ValueError:
        return
    same("XCLIENT", XClient.parse(said.render()), said)
    same("XCLIENT again", said.followed_by(said), said)


_GOOD_MAIL: Final = (
    "HOLDFOR=60 BY=60;R MT-PRIORITY=3 SIZE=9 MTRK=aGFsbG8:60 ENVID=x RET=HDRS REQUIRETLS SMTPUTF8"
)
_GOOD_RCPT: Final = "RRVS=2014-04-03T23:01:00Z;C NOTIFY=NEVER ORCPT=rfc822;a+2Bb"
_GOOD_WORDS: Final = (*_GOOD_MAIL.split(), *_GOOD_RCPT.split(), "HOLDUNTIL=2026-12-01T00:00:00Z")
_WORDS: Final = (
    *(word for word in KEYWORDS if word.startswith(b" ")),
    *(b" RET=FULL", b"NEVER", b"SUCCESS,", b";R", b";C", b"=", b"utf-8;", b"\\x{", b"}", b"+0A", b" BY=-1;N"),
    *(b"\xc5\xbf", b"\xe2\x80\xa8", b" SOLICIT=net.example:ADV", b" MTRK=aGFsbG8:60", b"<>", b"a@b", b":"),
)
_EHLO_WORDS: Final = (
    *(b"250-" + extension.keyword.encode() + b" " for extension in EVERY),
    *(
        b"250 ",
        b"\r\n",
        b" 1",
        b" 99999999999999999999",
        b"RCPTMAX=1",
        b"=",
        b"imap",
        b"imap://",
        b"MIXER",
        b"-",
    ),
    *(b" 86400 2026-12-01T00:00:00Z", b"NAME", b"\xd9\xa3", b"\xef\xbc\x91", b":", b",", b"-1"),
)


def _parameter_seeds() -> Iterator[bytes]:
    for text in (_GOOD_MAIL, _GOOD_RCPT, *_GOOD_WORDS):
        yield b"\1" + text.encode()
        yield b"\0" + text.encode()
    for number, word in enumerate(_WORDS):
        yield bytes([number % 4]) + word
    for line in commands():
        if line[:4] in (b"MAIL", b"RCPT"):
            yield bytes([line[:1] == b"M"]) + line.partition(b">")[2]


def _offer_seeds() -> Iterator[bytes]:
    for reply in replies():
        if reply.startswith(b"250-"):
            yield b"\0" + reply
    for number, word in enumerate(_EHLO_WORDS):
        yield bytes([number % 4]) + b"250-x\r\n" + word + b"1 x\r\n" + b"250 LIMITS RCPTMAX=1 X\r\n"


_BURLS: Final = (
    *(b"imap://a@h:143/b;urlauth=submit+alice:x LAST", b"imap://h/b", b"imap://a%40b@h/;UIDVALIDITY=1?x#y"),
    *(
        b"NAME=x.org ADDR=IPV6:::1 PORT=25",
        b"LOGIN=a+3Db HELO=[UNAVAILABLE]",
        b"PROTO=ESMTP DESTADDR=1.2.3.4",
    ),
    *(b"ADDR=[TEMPUNAVAIL] NAME=[TEMPUNAVAIL] DESTPORT=65535 ", b"IMAP://h\\x/", b"imap://h@i/ LAST"),
)
_UNICODE: Final = (
    b"b\\x{F8}rge@x",
    "\xe9@\xe9".encode(),
    b"\\x{10FFFF}",
    b"\\x{D800}",
    b"\\x{0A}",
    b"\\x{5C}",
)

TARGETS: Final = (
    Target("parameters", check_parameters, _parameter_seeds, _WORDS, 800),
    Target("unicode", check_unicode, lambda: _UNICODE, (b"\\x{", b"}", b"\\", b"+", b"=", b"7F"), 300),
    Target("capabilities", check_capabilities, _offer_seeds, _EHLO_WORDS),
    Target(
        "burl", check_burl, lambda: _BURLS, (b"imap://", b"@", b";urlauth=submit+", b"[UNAVAILABLE]"), 600
    ),
)
