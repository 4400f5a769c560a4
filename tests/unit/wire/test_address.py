from __future__ import annotations

import sys

import pytest

from ehlo.wire.address import (
    AddressError,
    Mailbox,
    check_domain,
)

DOMAIN_255 = ".".join(["d" * 63] * 3 + ["d" * 63])
SECRET = "s3cret"


def no_mailbox(text: str, *, utf8: bool = False) -> None:
    with pytest.raises(AddressError) as caught:
        Mailbox.parse(text, utf8=utf8)
    assert len(text) < 4 or text not in str(caught.value)


@pytest.fixture(autouse=True)
def _nothing_is_remembered() -> None:
    """Of the domains that other tests found good."""
    check_domain.cache_clear()


# ---- mailboxes ----


@pytest.mark.clause("RFC5321-4.1.2c", "RFC5321-4.1.2d", "RFC5321-2.3.11a", "RFC5321-4.1.2f")
@pytest.mark.parametrize(
    ("text", "local", "domain", "written"),
    [
        ("a@b", "a", "b", None),
        ("A.b+C@Example.ORG", "A.b+C", "Example.ORG", None),
        ("!#$%&'*+-/=?^_`{|}~@x", "!#$%&'*+-/=?^_`{|}~", "x", None),
        ('"a"@b', "a", "b", "a@b"),
        ('"a.b"@c', "a.b", "c", "a.b@c"),
        ('"\\a\\b"@c', "ab", "c", "ab@c"),
        ('""@b', "", "b", None),
        ('" "@b', " ", "b", None),
        ('"a b"@c', "a b", "c", None),
        ('"a@b"@c', "a@b", "c", None),
        ('"a>b"@c', "a>b", "c", None),
        ('"a:b,c;d"@e', "a:b,c;d", "e", None),
        ('"a..b"@c', "a..b", "c", None),
        ('".a"@c', ".a", "c", None),
        ('"a\\"b"@c', 'a"b', "c", None),
        ('"a\\\\"@c', "a\\", "c", None),
        ('"\\\\\\""@c', '\\"', "c", None),
        ('"\\ "@c', " ", "c", '" "@c'),
        ('"a@b"@[1.2.3.4]', "a@b", "[1.2.3.4]", None),
        ("a@1.2.3.4", "a", "1.2.3.4", None),
        ("a@b-c.d--e", "a", "b-c.d--e", None),
    ],
)
def test_mailboxes(text: str, local: str, domain: str, written: str | None) -> None:
    mailbox = Mailbox.parse(text)
    assert (mailbox.local, mailbox.domain) == (local, domain)
    assert str(mailbox) == (written or text)
    assert Mailbox.parse(str(mailbox)) == mailbox
    assert Mailbox.parse(text, utf8=True) == mailbox


@pytest.mark.clause("RFC5321-4.1.2c", "RFC5321-4.1.2g", "RFC5321-4.1.2h", "RFC5321-F.4a")
@pytest.mark.parametrize(
    "text",
    [
        "", "a", "@", "a@", "@b", "a@@b", "a b@c", ".a@b", "a.@b", "a..b@c", "a@b@c", "a>@b",
        "<a@b>", "a,b@c", "a:b@c", "a@.b", "a@b.", "a@b..c", "a@-b", "a@b-", "a@b_c", "a@#1",
        "a@b c", "a@b>c", "a@b\n", "a@b\r", "\na@b", "a\n@b", "a\0@b", "a\t@b", "a\\@b", "a\\b@c",
        "(a)@b", "a@(b)", "a@b ", " a@b", "a;b@c", "a@b,c@d", '"', '"a', '"a"', '"a"b', '"a"b@c',
        '"a"bc', '"a".c',
        'a"b"@c', '"a"@', '"a""b"@c', '"a"."b"@c', '"a\\"@c', '"a\\', '"\\"', '"a\n"@b',
        '"a\\\n"@b', '"a\0"@b', '"a\x7f"@b', '"a\t"@b', '"a" @b', '"a"@@b', '"a\r\nQUIT"@b',
        '"\\\r\\\n"@c',
    ],
)  # fmt: skip
def test_no_mailbox(text: str) -> None:
    no_mailbox(text)
    no_mailbox(text, utf8=True)


@pytest.mark.clause("RFC5321-4.1.2g", "RFC6531-3.2a")
@pytest.mark.parametrize(
    "text", ["jörg@x", "\u7528\u6237@\u4f8b.org", "a@bü.de", '"jö rg"@x', "a@\U0001f600"]
)
def test_utf8(text: str) -> None:
    no_mailbox(text)
    mailbox = Mailbox.parse(text, utf8=True)
    assert str(mailbox) == text
    assert not mailbox.is_ascii


@pytest.mark.parametrize("text", ["a", "a@b"])
@pytest.mark.parametrize("wrong", ["\x80", "\x85", "\x9f", "\u2028", "\u2029", "\ud800", chr(0xDCFF)])
def test_what_utf8_does_not_allow(text: str, wrong: str) -> None:
    no_mailbox(f"{wrong}{text}@c", utf8=True)
    no_mailbox(f'"{wrong}{text}"@c', utf8=True)
    no_mailbox(f"a@{text.replace('@', '.')}{wrong}", utf8=True)
    no_mailbox(f'"\\{wrong}"@c', utf8=True)


def test_a_quoted_pair_is_ascii() -> None:
    no_mailbox('"\\é"@c', utf8=True)


@pytest.mark.clause("RFC5321-4.5.3.1a", "RFC6531-3.3b")
@pytest.mark.parametrize(("octet", "count"), [("a", 64), ("é", 32), ("\U0001f600", 16)])
def test_the_length_of_a_local_part(octet: str, count: int) -> None:
    assert Mailbox.parse(f"{octet * count}@b", utf8=True).local == octet * count
    no_mailbox(f"{octet * count}a@b", utf8=True)
    assert Mailbox.parse(f'" {octet * (count - 1)}"@b', utf8=True).local == " " + octet * (count - 1)
    no_mailbox(f'" {octet * count}"@b', utf8=True)


def test_quoting_does_not_count() -> None:
    assert Mailbox.parse('"' + '\\"' * 64 + '"@b').local == '"' * 64


@pytest.mark.clause("RFC5321-4.5.3.1a", "RFC6531-3.3b")
def test_the_length_of_a_domain() -> None:
    assert len(DOMAIN_255) == 255
    assert Mailbox.parse(f"a@{DOMAIN_255}").domain == DOMAIN_255
    no_mailbox(f"a@a.{DOMAIN_255[:-1]}")
    no_mailbox(f"a@{DOMAIN_255}.")
    assert Mailbox.parse(f"a@{'d' * 63}.e").domain == "d" * 63 + ".e"
    no_mailbox(f"a@{'d' * 64}.e")
    no_mailbox(f"a@e.{'d' * 64}")
    name = ".".join(["é" * 30] * 4)
    assert len(name.encode()) == 243
    assert Mailbox.parse(f"a@{name}.{'d' * 11}", utf8=True).domain == f"{name}.{'d' * 11}"
    no_mailbox(f"a@{name}.{'d' * 12}", utf8=True)


@pytest.mark.clause("RFC5321-4.1.2e", "RFC5321-2.4b", "RFC5321-2.3.11a")
def test_equality() -> None:
    assert Mailbox.parse("a.b@Example.ORG") == Mailbox.parse('"a.b"@example.org')
    assert hash(Mailbox.parse("a.b@Example.ORG")) == hash(Mailbox.parse('"\\a.b"@example.org'))
    assert len({Mailbox.parse(x) for x in ("a@b", '"a"@B', "a@B")}) == 1
    assert Mailbox.parse("A@b") != Mailbox.parse("a@b")
    assert Mailbox.parse("a+x@b") != Mailbox.parse("a@b")
    assert Mailbox.parse("a.b@c") != Mailbox.parse("ab@c")
    assert Mailbox.parse("a@b") != Mailbox.parse("a@c")
    assert str(Mailbox.parse("A@eXample")) == "A@eXample"


def test_properties() -> None:
    assert Mailbox.parse("a@b").is_ascii
    assert not Mailbox("é", "b").is_ascii
    assert not Mailbox("a", "é").is_ascii
    assert Mailbox.parse("PostMaster@b").is_postmaster
    assert not Mailbox.parse("postmasters@b").is_postmaster
    assert Mailbox.parse("a@[1.2.3.4]").is_literal
    assert not Mailbox.parse("a@1.2.3.4").is_literal


# ---- domains and literals ----


@pytest.mark.clause("RFC5321-4.1.3a", "RFC5321-4.1.3b", "RFC2821-4.1.2a")
@pytest.mark.parametrize(
    "domain",
    [
        "a", "localhost", "a.b", "xn--bcher-kva.example", "1", "1a.2b", "[0.0.0.0]",
        "[255.255.255.255]", "[1.2.3.4]", "[IPv6:::]", "[IPv6:::1]", "[ipv6:::1]",
        "[IPV6:2001:db8::8:800:200c:417a]", "[IPv6:1:2:3:4:5:6:7:8]", "[IPv6:::ffff:192.0.2.1]",
        "[x:y]", "[x-400:c=us;a]", "[IPv7:1]", "[IPv4:1.2.3.4]",
    ],
)  # fmt: skip
def test_domains(domain: str) -> None:
    check_domain(domain)
    check_domain(domain, utf8=True)
    assert Mailbox.parse(f"a@{domain}").domain == domain


@pytest.mark.clause("RFC5321-4.1.3a", "RFC5321-4.1.2h")
@pytest.mark.parametrize(
    "domain",
    [
        "", ".", "a.", ".a", "a..b", "-a", "a-", "a_b", "a b", "#123", "a\n", "[", "]", "[]",
        "[1.2.3]", "[1.2.3.4", "[1.2.3.45", "[1.2.3.256]", "[1.2.3.4.5]", "[1.2.3.-4]", "[01.2.3.4]",
        "[1.2.3.4]a", "[ 1.2.3.4]", "[1.2.3.4 ]", "[1.2.3.4/8]", "[1.2.3.4\n]", "[::1]", "[IPv6:]",
        "[IPv6:1]", "[IPv6::]", "[IPv6:::g]", "[IPv6:1:2:3:4:5:6:7:8:9]", "[IPv6:1::2::3]",
        "[IPv6:::1%eth0]", "[IPv6:::1%]", "[IPv6:::1/64]", "[IPv6: ::1]", "[IPv6:1.2.3.4]", "[x:]",
        "[:y]", "[x:a b]", "[x:[]", "[x:a]]", "[x:a\\]", "[x-:y]", "[\u0661.2.3.4]",
        "[IPv6:\u0661::]", "[x:é]", "[x:\n]", "[a]", "1.2.3.4]",
    ],
)  # fmt: skip
def test_no_domains(domain: str) -> None:
    for utf8 in (False, True):
        with pytest.raises(AddressError):
            check_domain(domain, utf8=utf8)


# ---- domains in ASCII ----


@pytest.mark.clause("RFC6531-3.2c")
@pytest.mark.parametrize(
    ("text", "ascii"),
    [
        ("A.b@Example.ORG", "A.b@Example.ORG"),
        ("A@b\u00fccher.example", "A@xn--bcher-kva.example"),
        ("a@B\u00dcCHER.example", "a@xn--bcher-kva.example"),
        ("a@\uff45xample", "a@example"),
    ],
)
def test_a_domain_in_ascii(text: str, ascii: str) -> None:
    pytest.importorskip("idna")
    mailbox = Mailbox.parse(text, utf8=True)
    found = mailbox.with_a_labels()
    assert str(found) == ascii
    assert found.is_ascii
    assert (found is mailbox) is text.isascii()


@pytest.mark.clause("RFC6531-3.2c")
@pytest.mark.parametrize(
    ("local", "domain", "why"),
    [
        ("\u00e9", "example", "local part"),
        ("\u00e9", "b\u00fccher.example", "local part"),
        ("a", "b\u00fccher..example", "not one"),
        ("a", "\u00fc" * 63, "not one"),
    ],
)
def test_no_form_in_ascii(local: str, domain: str, why: str) -> None:
    pytest.importorskip("idna")
    with pytest.raises(AddressError, match=why):
        Mailbox(local, domain).with_a_labels()


def test_a_domain_in_ascii_needs_a_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "idna", None)
    with pytest.raises(AddressError, match=r"ehlo\[idna\]"):
        Mailbox("a", "b\u00fccher.example").with_a_labels()
    assert str(Mailbox("a", "b").with_a_labels()) == "a@b"
