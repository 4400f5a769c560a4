"""Addresses and the dot codec beside readers that share nothing with ours."""

from __future__ import annotations

import re
import smtplib
from collections.abc import Callable
from itertools import accumulate, pairwise

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from tests.property.grammar import is_spelled

from ehlo import Mailbox
from ehlo.wire.address import AddressError, parse_forward_path, parse_reverse_path
from ehlo.wire.dot import DotDecoder, DotEncoder

# ---- addresses ----

LOCALS = [
    "a",
    "a.b",
    "x+y",
    "!#$%&'*",
    "{|}~",
    '"a b"',
    '"a\\"b"',
    '"@"',
    '""',
    '"\\a"',
    '"."',
    "\u00fc",
    '"\u00fc"',
]
ODD = [
    "",
    ".a",
    "a.",
    "a..b",
    "a b",
    '"a',
    'a"b"',
    "a,b",
    "(c)a",
    "a\\b",
    '"a"b',
    '"a".b',
    "\x01",
    '"\x7f"',
    "@",
]
DOMAINS = [
    "x.org",
    "a-b.c",
    "1.2",
    "x",
    "[1.2.3.4]",
    "[IPv6:::1]",
    "[ipv6:1:2:3:4:5:6:7:8]",
    "[tag:x]",
    "xn--a.b",
]
BAD = [
    "",
    "x.",
    ".x",
    "-x",
    "x-",
    "x_y",
    "[1.2.3]",
    "[1.2.3.256]",
    "[x]",
    "[]",
    "[IPv6:1]",
    "[IPv6:g::]",
    "x..y",
]
BAD += [
    "[01.2.3.4]",
    "[IPv6:1:2:3:4:5:6:7::]",
    "[IPv6:::1%1]",
    "[a b:c]",
    "[IPv6:::1.2.3.4]",
    "[-:x]",
    "[a:]",
    "[a:[]",
]
SOUP = st.text(st.sampled_from('ab.@"\\<>[]:,-_ 1\u00fcIPv6'), max_size=14)

mailboxes = st.one_of(
    st.builds("{}@{}".format, st.sampled_from(LOCALS + ODD), st.sampled_from(DOMAINS + BAD)),
    st.builds("{}@{}".format, SOUP, SOUP),
    SOUP,
    st.builds("{}@[IPv6:{}]".format, st.just("a"), st.text(st.sampled_from("0aF:.1"), max_size=20)),
    st.builds("{}@{}".format, st.integers(62, 66).map(lambda n: "a" * n), st.just("x.org")),
)
routes = st.builds(
    "{}{}{}".format, st.sampled_from(["", "@x:", "@x,@y.org:", "@x,", "@:", "@-:"]), st.just(""), mailboxes
)

EXPLAINED: dict[str, Callable[[str, bool, bool], bool]] = {
    # name: (text, what the grammar says, what ours says)
    "bounds on length are not in the grammar [RFC5321-4.5.3.1a]": lambda text, theirs, ours: (
        theirs and not ours and any(len(part) > 63 for part in re.split("[@.]", text))
    ),
    "IPv4 numbers go up to 255 and have no leading zeros [RFC5321-4.1.3a]": lambda text, theirs, ours: (
        theirs and not ours and re.search(r"\b(0\d+|\d{3})\b", text) is not None
    ),
    "`::` may stand for one group alone, as RFC 4291 has it": lambda text, theirs, ours: (
        ours and not theirs and re.search(r"\[ipv6:[^\]]*::", text, re.I) is not None
    ),
    "controls and line separators of Unicode are no text [RFC6531-3.3a]": lambda text, theirs, ours: (
        theirs and not ours and re.search("[\x80-\x9f\u2028\u2029]", text) is not None
    ),
}
"""Each is seen, and there are no others."""


def taken(parse: Callable[[str], object], text: str) -> bool:
    try:
        parse(text)
    except AddressError:
        return False
    return True


def spelled(name: str, text: str) -> bool:
    """By the grammar, whose tag of general literals must not be taken for that of IPv6 [RFC5321-4.1.3b]."""
    tagged = re.search(r"@\[(ipv6:.*)\]\Z", text, re.I | re.S)
    return is_spelled(name, text) and (tagged is None or is_spelled("IPv6-address-literal", tagged[1]))


def check(text: str, theirs: bool, ours: bool) -> None:
    if theirs != ours:
        assert any(why(text, theirs, ours) for why in EXPLAINED.values()), (text, theirs, ours)


@pytest.mark.clause("RFC5321-4.1.2c", "RFC5321-4.1.2d", "RFC5321-4.1.2h", "RFC5321-4.1.3a", "RFC5321-4.1.3b")
@given(mailboxes)
@example("a@[300.1.1.1]")
@example("a@[IPv6:1:2:3:4:5:6:7::]")
@example("a@[ipv6:x]")
@example("a" * 65 + "@x.org")
@settings(max_examples=600, deadline=None, suppress_health_check=(HealthCheck.too_slow,))
def test_mailboxes_are_those_of_the_grammar(text: str) -> None:
    check(text, spelled("Mailbox", text), taken(Mailbox.parse, text))


@pytest.mark.clause("RFC5321-3.3i")
@given(routes)
@settings(max_examples=300, deadline=None, suppress_health_check=(HealthCheck.too_slow,))
def test_paths_are_those_of_the_grammar(text: str) -> None:
    theirs = spelled("Path", text)
    check(text, theirs or text == "", taken(parse_reverse_path, text))
    check(text, theirs or text.lower() == "postmaster", taken(parse_forward_path, text))


@given(st.one_of(st.sampled_from(LOCALS + ODD), st.text(max_size=8)))
@settings(max_examples=300, deadline=None, suppress_health_check=(HealthCheck.too_slow,))
def test_local_parts_in_utf8_are_those_of_the_grammar(local: str) -> None:
    text = f"{local}@x.org"
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return
    check(
        text, is_spelled("Mailbox", text, utf8=True), taken(lambda text: Mailbox.parse(text, utf8=True), text)
    )


@pytest.mark.parametrize("why", EXPLAINED)
def test_each_explained_difference_is_one(why: str) -> None:
    texts = ["a@[300.1.1.1]", "a@[IPv6:1:2:3:4:5:6:7::]", "a" * 65 + "@x.org"]
    found = [(text, spelled("Mailbox", text), taken(Mailbox.parse, text)) for text in texts]
    control = "\x80@x.org"
    by_grammar = is_spelled("Mailbox", control, utf8=True)
    found.append((control, by_grammar, taken(lambda text: Mailbox.parse(text, utf8=True), control)))
    assert any(theirs != ours and EXPLAINED[why](text, theirs, ours) for text, theirs, ours in found)


# ---- the dot codec ----


def sent(message: bytes) -> bytes:
    """[RFC5321-4.5.2] a dot before each line that begins with one, and a line that is one behind the last."""
    lines = re.split(rb"\r\n|\r|\n", message)
    if not lines[-1]:
        lines.pop()
    return b"".join((b"." + line if line.startswith(b".") else line) + b"\r\n" for line in lines) + b".\r\n"


def received(octets: bytes) -> tuple[bytes, bytes] | None:
    """The message and what follows it: line by line, and a line ends with CRLF only."""
    message = b""
    while b"\r\n" in octets:
        line, _, octets = octets.partition(b"\r\n")
        if line == b".":
            return message, octets
        message += line.removeprefix(b".") + b"\r\n"
    return None


def as_smtplib(message: bytes) -> bytes:
    """What `smtplib.SMTP.data` puts on the wire."""
    text = smtplib._quote_periods(re.sub(rb"(?:\r\n|\n|\r(?!\n))", b"\r\n", message))  # type: ignore[attr-defined]
    return bytes(text + (b"" if text.endswith(b"\r\n") else b"\r\n") + b".\r\n")


pieces = st.lists(
    st.sampled_from([b".", b"\r", b"\n", b"\r\n", b"a", b"..", b"\r\n.", b"\r\n.\r", b"\0", b"\xff"]),
    max_size=25,
)
cuts = st.lists(st.integers(0, 60), max_size=6)


def cut(data: bytes, places: list[int]) -> list[bytes]:
    marks = [0, *sorted(place for place in places if place < len(data)), len(data)]
    return [data[a:b] for a, b in pairwise(marks)]


@pytest.mark.clause("RFC5321-4.5.2b", "SEC-SMUG-out-b")
@given(pieces, cuts)
@settings(max_examples=500, deadline=None)
def test_what_is_sent(parts: list[bytes], places: list[int]) -> None:
    message = b"".join(parts)
    encoder = DotEncoder()
    octets = b"".join(map(encoder.encode, cut(message, places))) + encoder.finish()
    assert octets == sent(message)
    # The one difference: smtplib sends an empty line where there is no message at all.
    assert octets == (as_smtplib(message) if message else b".\r\n")


@pytest.mark.clause("RFC5321-4.5.2b", "SEC-SMUG-in-f")
@given(pieces, cuts)
@settings(max_examples=500, deadline=None)
def test_what_is_received(parts: list[bytes], places: list[int]) -> None:
    octets = b"".join(parts) + b"\r\n.\r\nQUIT\r\n"
    decoder = DotDecoder()
    content, rest = b"", None
    fed = cut(octets, places)
    for piece, length in zip(fed, accumulate(map(len, fed)), strict=True):
        more, rest = decoder.decode(piece)
        content += more
        if rest is not None:
            rest += octets[length:]
            break
    assert (content, rest) == received(octets)
