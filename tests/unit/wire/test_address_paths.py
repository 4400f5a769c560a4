"""Paths, and what they are made of, of MAIL and RCPT."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ehlo.wire.address import (
    AddressError,
    Mailbox,
    parse_forward_path,
    parse_reverse_path,
    render_path,
    simple_path,
    split_path,
)

DOMAIN_255 = ".".join(["d" * 63] * 3 + ["d" * 63])
SECRET = "s3cret"


@pytest.mark.clause("RFC5321-4.1.2b", "RFC5321-4.1.2d")
@pytest.mark.parametrize(
    ("argument", "path", "rest"),
    [
        ("<>", "", ""),
        ("<a@b>", "a@b", ""),
        ("<a@b> SIZE=1", "a@b", "SIZE=1"),
        ("<a@b>   SIZE=1  X ", "a@b", "SIZE=1  X"),
        ("<a@b>  ", "a@b", ""),
        ('<"a> b"@c> X=<y>', '"a> b"@c', "X=<y>"),
        ('<"a\\"> b"@c> X', '"a\\"> b"@c', "X"),
        ('<"a\\\\"> b"@c>', '"a\\\\"', 'b"@c>'),
        ("<a@b> AUTH=<>", "a@b", "AUTH=<>"),
        ("<@x,@y:a@b>", "@x,@y:a@b", ""),
        ("<a@b> <c@d>", "a@b", "<c@d>"),
        ("<<a@b>", "<a@b", ""),
        ("<a@b> \tX\t", "a@b", "\tX\t"),
    ],
)
def test_split_path(argument: str, path: str, rest: str) -> None:
    assert split_path(argument) == (path, rest)


@pytest.mark.clause("RFC5321-4.1.2b", "RFC5321-4.1.2d")
@pytest.mark.parametrize(
    "argument",
    [
        "", "a@b", "<", ">", "<a@b", "a@b>", " <a@b>", "<a@b>X", "<a@b>\tX", "<a@b>>", "<a@b>\xa0X",
        '<"a@b>', '<a"b>', '<"a>"b">', '<"a\\">', "a <a@b>", "<a@b>\n", "<a@b>\nX", '<"a@b> SIZE=1',
    ],
)  # fmt: skip
def test_no_path(argument: str) -> None:
    with pytest.raises(AddressError):
        split_path(argument)


@pytest.mark.clause("RFC5321-3.3i")
@pytest.mark.parametrize(
    "route", ["", "@x:", "@x,@y:", "@a.example,@b.example,@c:", "@[1.2.3.4]:", "@" + "d" * 63 + ":"]
)
def test_source_routes_are_dropped(route: str) -> None:
    assert parse_reverse_path(route + "u@c") == Mailbox("u", "c")
    assert parse_forward_path(route + '"u v"@c', utf8=True) == Mailbox("u v", "c")


@pytest.mark.parametrize(
    "path",
    [
        "@x", "@x,", "@x:", "@:u@c", "@,@y:u@c", "@x,y:u@c", "@x@y:u@c", "@x,,@y:u@c", "@x:@y:u@c",
        "@x u@c", "@x :u@c", "@-x:u@c", "@x_y:u@c", "@é:u@c", "@x,@y,:u@c", "x:u@c", "@x\n:u@c",
        "@" + "d" * 64 + ":u@c", "@x,@[1.2.3]:u@c",
    ],
)  # fmt: skip
def test_no_source_routes(path: str) -> None:
    for parse in (parse_reverse_path, parse_forward_path):
        for utf8 in (False, True):
            with pytest.raises(AddressError):
                parse(path, utf8=utf8)


@pytest.mark.parametrize(
    ("argument", "mailbox"),
    [
        (b"<a.b@c-d.e>", Mailbox("a.b", "c-d.e")),
        (b"<" + b"l" * 64 + b"@" + b"d" * 63 + b">", Mailbox("l" * 64, "d" * 63)),
        (b"<" + b"l" * 65 + b"@b>", None),
        (b"<a@" + b"d" * 64 + b">", None),
        (b"<>", None),
        (b"<a@b> SIZE=1", None),
        (b"<a@b>\n", None),
        (b"<a.@b>", None),
        (b"<a@b->", None),
        (b'<"a"@b>', None),
        (b"<@x:a@b>", None),
        (b"<a@[1.2.3.4]>", None),
        (b"<a@b\xe9>", None),
    ],
)
def test_the_short_way(argument: bytes, mailbox: Mailbox | None) -> None:
    for before in (b"", b"FROM:", b"<x@y>"):
        assert simple_path(before + argument, len(before)) == mailbox
    if mailbox is not None:
        path, rest = split_path(argument.decode("ascii"))
        assert (Mailbox.parse(path), rest) == (mailbox, "")


def test_utf8_is_by_choice() -> None:
    for parse in (parse_forward_path, parse_reverse_path, Mailbox.parse):
        with pytest.raises(AddressError):
            parse("\u00e9@b")
        assert parse("\u00e9@b", utf8=True) == Mailbox("\u00e9", "b")


@pytest.mark.clause("RFC5321-4.1.1.2b")
def test_the_null_path() -> None:
    assert parse_reverse_path("") is None
    assert render_path(None) == "<>"
    with pytest.raises(AddressError):
        parse_forward_path("")
    for parse in (parse_reverse_path, parse_forward_path):
        with pytest.raises(AddressError):
            parse(" ")


@pytest.mark.clause("RFC5321-2.3.5b", "RFC5321-4.1.1.3c")
@pytest.mark.parametrize("text", ["postmaster", "Postmaster", "POSTMASTER"])
def test_postmaster(text: str) -> None:
    path = parse_forward_path(text)
    assert (path.local, path.domain) == (text, "")
    assert path.is_postmaster
    assert str(path) == text
    assert render_path(path) == f"<{text}>"
    assert parse_forward_path(f"{text}@b").is_postmaster
    with pytest.raises(AddressError):
        parse_reverse_path(text)
    with pytest.raises(AddressError):
        parse_forward_path(f"@x:{text}")


@pytest.mark.clause("RFC5321-4.5.3.1a", "RFC6531-3.3b")
@pytest.mark.parametrize(("head", "utf8"), [("a@", False), ("é@", True), ("@x:a@", False)])
def test_the_length_of_a_path(head: str, utf8: bool) -> None:
    room = 256 - 2 - len(head.encode())
    domain = ("d" * 49 + ".") * 6
    fits = domain[: room - 1] + "d"
    assert len(f"<{head}{fits}>".encode()) == 256
    for parse in (parse_reverse_path, parse_forward_path):
        parsed = parse(head + fits, utf8=utf8)
        assert parsed is not None
        assert parsed.domain == fits
        with pytest.raises(AddressError):
            parse(f"{head}{fits}d", utf8=utf8)
    if not head.startswith("@"):
        assert render_path(Mailbox(head[:-1], fits), utf8=utf8) == f"<{head}{fits}>"
        with pytest.raises(AddressError):
            render_path(Mailbox(head[:-1], fits + "d"), utf8=utf8)


@pytest.mark.clause("RFC5321-4.1.2f", "RFC5321-3.3h")
@pytest.mark.parametrize(
    ("mailbox", "text"),
    [
        (Mailbox("a", "b"), "<a@b>"),
        (Mailbox("a b", "c"), '<"a b"@c>'),
        (Mailbox('a"\\', "c"), '<"a\\"\\\\"@c>'),
        (Mailbox("", "c"), '<""@c>'),
        (Mailbox("a@b", "c"), '<"a@b"@c>'),
        (Mailbox("a> SIZE=1", "c"), '<"a> SIZE=1"@c>'),
        (Mailbox("a", "[IPv6:::1]"), "<a@[IPv6:::1]>"),
    ],
)
def test_render_path(mailbox: Mailbox, text: str) -> None:
    assert render_path(mailbox) == text
    assert parse_forward_path(split_path(text)[0]) == mailbox


@pytest.mark.clause("SEC-INJ-cli-b", "SEC-INJ-cli-a")
@pytest.mark.parametrize(
    "mailbox",
    [
        Mailbox("a", ""),
        Mailbox("", ""),
        Mailbox("a", "b> SIZE=1"),
        Mailbox("a", "b c"),
        Mailbox("a", "b>"),
        Mailbox("a", "b\r\nRCPT TO:<x@y>"),
        Mailbox("a\r\nRCPT TO:<x@y>", "b"),
        Mailbox("a\n", "b"),
        Mailbox("a\0", "b"),
        Mailbox("a", "b\0"),
        Mailbox("a", "b\n"),
        Mailbox("a", "x@b"),
        Mailbox("a", "[1.2.3.4]>"),
        Mailbox("a", "[x:> y]"),
        Mailbox("@x:a", "b>"),
        Mailbox("a", "b,c"),
        Mailbox("postmaster", "> x"),
        Mailbox("post master", ""),
        Mailbox("a" * 65, "b"),
        Mailbox("a", "d" * 64),
        Mailbox("a\x85", "b"),
        Mailbox("a\u2028", "b"),
        Mailbox("a\ud800", "b"),
    ],
)
def test_a_mailbox_made_by_hand(mailbox: Mailbox) -> None:
    for utf8 in (False, True):
        with pytest.raises(AddressError):
            render_path(mailbox, utf8=utf8)


def test_non_ascii_is_written_only_where_it_may_be() -> None:
    for mailbox in (Mailbox("é", "b"), Mailbox("a", "é"), Mailbox("é é", "b")):
        with pytest.raises(AddressError):
            render_path(mailbox)
        assert parse_forward_path(render_path(mailbox, utf8=True)[1:-1], utf8=True) == mailbox


def test_errors_do_not_repeat_what_was_given() -> None:
    for text in (
        SECRET,
        f"{SECRET} x@y",
        f'"{SECRET}',
        f"a@{SECRET}_",
        f"a@[{SECRET}]",
        f"@{SECRET}",
        f"@{SECRET}_:a@b",
    ):
        with pytest.raises(AddressError) as caught:
            parse_forward_path(text)
        assert SECRET not in str(caught.value)


_SPECIAL = st.text(' "\\@<>.,:;a\0\n\x7fé[]', max_size=12)


@given(_SPECIAL, st.sampled_from(["b", "B.c", "[1.2.3.4]", "é.f"]))
@example("", "b")
def test_any_local_part(local: str, domain: str) -> None:
    mailbox = Mailbox(local, domain)
    try:
        text = render_path(mailbox, utf8=True)
    except AddressError:
        assert any(c < " " or c == "\x7f" for c in local)
        return
    path, rest = split_path(text + " X=1")
    assert rest == "X=1"
    assert parse_reverse_path(path, utf8=True) == parse_forward_path(path, utf8=True) == mailbox


@given(_SPECIAL | st.text(max_size=20), st.booleans())
def test_any_text_is_a_path_or_an_address_error(text: str, utf8: bool) -> None:
    try:
        path = parse_reverse_path(text, utf8=utf8)
    except AddressError:
        return
    assert (path is None) == (text == "")
    if path is not None:
        assert parse_reverse_path(render_path(path, utf8=utf8)[1:-1], utf8=utf8) == path
        assert utf8 or path.is_ascii
