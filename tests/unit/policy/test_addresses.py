from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ehlo.policy._addresses import addresses, qualified, well_formed
from ehlo.wire.address import Mailbox

VALUES = st.lists(
    st.sampled_from(
        [
            b"a",
            b"b.c",
            b"@",
            b".",
            b"<",
            b">",
            b",",
            b";",
            b":",
            b'"',
            b"\\",
            b"(",
            b")",
            b"[",
            b"]",
            b" ",
            b"\r\n ",
        ]
    ),
    max_size=25,
).map(b"".join)


@pytest.mark.parametrize(
    ("value", "found"),
    [
        (b"", []),
        (b"a@b.test", [(b"a", b"b.test")]),
        (b" Alice B. <a.b@c.test>, d@e.test\r\n", [(b"a.b", b"c.test"), (b"d", b"e.test")]),
        (b'"B, A" <a@b.test>,\r\n <c@d.test>', [(b"a", b"b.test"), (b"c", b"d.test")]),
        (b'"a b"@c.test', [(b'"a b"', b"c.test")]),
        (b'"a\\"@,"@c.test', [(b'"a\\"@,"', b"c.test")]),
        (b"a (not, b@c.test (or d@e)) @ f . test", [(b"a", b"f.test")]),
        (b'(a "quote) a@b.test', [(b"a", b"b.test")]),
        (b"(\\) c@d.test) a@b.test", [(b"a", b"b.test")]),
        (
            b"Friends: a@b.test, C <c@d.test>; e@f.test",
            [(b"a", b"b.test"), (b"c", b"d.test"), (b"e", b"f.test")],
        ),
        (b"undisclosed-recipients:;", []),
        (b"<>", []),
        (b"<@hop.test,@hop:a@b.test>", [(b"a", b"b.test")]),
        (b"<a,b@c.test>", [(b"b", b"c.test")]),
        (b"a@[192.0.2.1]", [(b"a", b"[192.0.2.1]")]),
        (b"alice, bob <bob>", [(b"alice", None), (b"bob", None)]),
        (b"a.b", [(b"a.b", None)]),
        (b"Alice Liddell", []),
        (b"Alice <a@b.test> and others, c", [(b"a", b"b.test"), (b"c", None)]),
        (b"a@host", [(b"a", b"host")]),
        (b"a@", [(b"a", b"")]),
        (b"@b.test", []),
        (b".a@b.test", []),
        (b"a <b@c.test", [(b"b", b"c.test")]),
        (b"a) b@c.test", []),
        (b'a@"b.test", c@b."test', []),
        (b'"a@b.test', []),
        (b"a@[192.0.2.1, c@d.test", []),
        (b"[a]@b.test", []),
        (b"a@[192.0.2.1] b", []),
        (b"a\\b@c.test", []),
        ("<ü@ü.test>".encode(), [("ü".encode(), "ü.test".encode())]),
    ],
)
def test_addresses(value: bytes, found: list[tuple[bytes, bytes | None]]) -> None:
    assert [(address.local, address.domain) for address in addresses(value)] == found


@pytest.mark.clause("RFC4409-5.1b")
@pytest.mark.parametrize(
    ("value", "legal"),
    [
        (b"", True),
        (b" a@b.test\r\n", True),
        (b' A. "B" C <a@b.test> (and so on), d@e.test,', True),
        (b"Us: a@b.test, C <c@d.test>;, e@f.test", True),
        (b"undisclosed-recipients:;", True),
        (b"<@hop.test,@hop:a@b.test>", True),
        (b"a@[192.0.2.1], bob", True),
        (b"Alice Liddell", False),
        (b"a@", False),
        (b"@b.test", False),
        (b"a..b@c.test", False),
        (b"a@b..test", False),
        (b"a b@c.test", False),
        (b"<>", False),
        (b"<a@b.test", False),
        (b"<a@b.test, c@d.test", False),
        (b"a@b.test>", False),
        (b"<<a@b.test>>", False),
        (b"<a@b.test> <c@d.test>", False),
        (b"<a@b.test> c@d.test", False),
        (b"<a@b.test> c, d@e.test", False),
        (b"<a@b.test>: d@e.test", False),
        (b'"a@b.test', False),
        (b"a@[192.0.2.1", False),
        (b"a\\b@c.test", False),
    ],
)
def test_well_formed(value: bytes, legal: bool) -> None:
    assert well_formed(value) is legal


@given(VALUES)
def test_what_is_well_formed_is_so_when_it_is_complete(value: bytes) -> None:
    if well_formed(value):
        assert well_formed(qualified(value, b"x.test"))


@pytest.mark.clause("RFC4409-4.2b", "RFC4409-4.2c", "RFC4409-8.8a")
@pytest.mark.parametrize(
    ("value", "complete"),
    [
        (b" alice\r\n", b" alice@x.test\r\n"),
        (b" alice@sales", b" alice@sales.x.test"),
        (b" Alice <alice> (me)", b" Alice <alice@x.test> (me)"),
        (b'"a b", c@d.e,\r\n\tf', b'"a b"@x.test, c@d.e,\r\n\tf@x.test'),
        (b"Us: a, b@c;", b"Us: a@x.test, b@c.x.test;"),
        (b"a@squeaky.sales, b@[192.0.2.1], c@", b"a@squeaky.sales, b@[192.0.2.1], c@"),
        (b"Alice Liddell, <>", b"Alice Liddell, <>"),
    ],
)
def test_qualified(value: bytes, complete: bytes) -> None:
    assert qualified(value, b"x.test") == complete


@given(VALUES)
def test_what_is_qualified_stays_as_it_is(value: bytes) -> None:
    once = qualified(value, b"x.test")
    assert qualified(once, b"x.test") == once
    assert [address.local for address in addresses(once)] == [address.local for address in addresses(value)]


@pytest.mark.parametrize(
    ("value", "mailbox", "same"),
    [
        (b"A <a@B.test>", Mailbox("a", "b.test"), True),
        (b"A@b.test", Mailbox("a", "b.test"), False),
        (b'"a"@b.test', Mailbox("a", "b.test"), True),
        (b'"a \\"b"@b.test', Mailbox('a "b', "b.test"), True),
        (b"a", Mailbox("a", "b.test"), False),
        ("ü@b.test".encode(), Mailbox("ü", "b.test"), True),
        (b"\xfc@b.test", Mailbox("ü", "b.test"), False),
    ],
)
def test_an_address_is_a_mailbox_or_is_not(value: bytes, mailbox: Mailbox, same: bool) -> None:
    (address,) = addresses(value)
    assert address.is_of(mailbox) is same
