from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ehlo.extensions import EnvId, Notify, Orcpt, Ret
from ehlo.extensions.dsn import ENVID, NOTIFY, ORCPT, RET
from ehlo.wire.address import Mailbox


@pytest.mark.clause("RFC3461-4.1a")
@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("NEVER", Notify.NEVER),
        ("never", Notify.NEVER),
        ("SUCCESS", Notify.SUCCESS),
        ("Success,failure", Notify.SUCCESS | Notify.FAILURE),
        ("DELAY,FAILURE,SUCCESS", Notify.SUCCESS | Notify.FAILURE | Notify.DELAY),
    ],
)
def test_notify(text: str, wanted: Notify) -> None:
    assert NOTIFY.parse(text) == wanted


@pytest.mark.clause("RFC3461-4.1a")
@pytest.mark.parametrize(
    "text",
    [
        "", ",", "NEVER,", ",NEVER", "NEVER,NEVER", "NEVER,SUCCESS", "SUCCESS,NEVER",
        "SUCCESS,SUCCESS", "SUCCESS,,DELAY", "SUCCESS;DELAY", "SUCCESS DELAY", "SUCCESS, DELAY",
        "ALWAYS", "0", "2", "SUCCES\u017f", "FA\u0131LURE", "NEVER,DELAY",
        "SUCCESS,FAILURE,DELAY,NEVER", "SUCCESS|DELAY",
    ],
)  # fmt: skip
def test_no_notify(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        NOTIFY.parse(text)


@pytest.mark.clause("RFC3461-4.1a")
@pytest.mark.parametrize("wanted", [Notify(0), Notify.NEVER | Notify.SUCCESS, Notify.NEVER | Notify.DELAY])
def test_no_notify_by_hand(wanted: Notify) -> None:
    with pytest.raises(ValueError, match="NOTIFY is"):
        NOTIFY.render(wanted)


@pytest.mark.clause("RFC3461-4.3b")
@pytest.mark.parametrize(("text", "ret"), [("FULL", Ret.FULL), ("hdrs", Ret.HDRS), ("Full", Ret.FULL)])
def test_ret(text: str, ret: Ret) -> None:
    assert RET.parse(text) is ret


@pytest.mark.clause("RFC3461-4.3b")
@pytest.mark.parametrize("text", ["", "HDR", "FULL,HDRS", "HDRS ", "NONE", "HDR\u017f", "\ufb02"])
def test_no_ret(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        RET.parse(text)


@pytest.mark.clause("RFC3461-4.4a")
@pytest.mark.parametrize(
    ("text", "value"), [("QQ+3D14", "QQ=14"), ("a", "a"), ("aB+20c", "aB c"), ("x" * 100, "x" * 100)]
)
def test_envid(text: str, value: str) -> None:
    assert ENVID.parse(text) == EnvId(value)


@pytest.mark.clause("RFC3461-4.4a")
@pytest.mark.parametrize(
    "text",
    [
        "",
        "x" * 101,
        "+3D" * 34,
        "+0A",
        "a+0D+0Ab",
        "+00",
        "+7F",
        "+09",
        "+1B",
        "+80",
        "a=b",
        "a+3d",
        "+",
        "é",
        "a b",
    ],
)
def test_no_envid(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        ENVID.parse(text)


@pytest.mark.clause("SEC-INJ-cli-a", "RFC3461-4.4a")
@pytest.mark.parametrize("value", ["", "a\r\nDATA", "a\n", "\0", "\t", "é", "\u2028", "x" * 101, "=" * 34])
def test_no_envid_by_hand(value: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        EnvId(value)


@pytest.mark.clause("RFC3461-4.2a", "RFC6533-3d", "RFC6533-3a", "RFC6531-3.2d")
@pytest.mark.parametrize(
    ("text", "type", "address"),
    [
        ("rfc822;b+2Bc@y.org", "rfc822", "b+c@y.org"),
        ("RFC822;Bob@Y", "RFC822", "Bob@Y"),
        ("x400;c+3Dus;+20", "x400", "c=us; "),
        ("rfc822;a\\x@b", "rfc822", "a\\x@b"),
        ("utf-8;a@b", "utf-8", "a@b"),
        ("utf-8;j\u00f6rg@x", "utf-8", "j\u00f6rg@x"),
        ("UTF-8;j\\x{F6}rg@x", "UTF-8", "j\u00f6rg@x"),
        ("utf-8;\\x{f6}", "utf-8", "\u00f6"),
        ("utf-8;\\x{5C}\\x{2B}\\x{3D}\\x{20}", "utf-8", "\\+= "),
        ("utf-8;\\x{1F600}\\x{10FFFF}\\x{D7FF}\\x{E000}", "utf-8", "\U0001f600\U0010ffff\ud7ff\ue000"),
        ("utf-8;\u4f60\\x{4F60}", "utf-8", "\u4f60\u4f60"),
    ],
)
def test_orcpt(text: str, type: str, address: str) -> None:
    parsed = ORCPT.parse(text)
    assert (parsed.type, parsed.address, parsed.raw) == (type, address, text)
    assert ORCPT.render(parsed) == text


@pytest.mark.clause("RFC3461-4.2a", "RFC3461-4.2d", "RFC6533-3c", "RFC6533-3d")
@pytest.mark.parametrize(
    "text",
    [
        "", ";", "rfc822", "rfc822;", ";a@b", "a b;c", "rfc(822;a", "\u00e9;a", "rfc822;\u00e9",
        "rfc822;a+b", "rfc822;a+2b", "rfc822;a=b", "rfc822;a b", "rfc822;+0D+0AX:", "rfc822;a+00",
        "rfc822;+7F", "rfc822;+FF", "rfc822;a+1B[0m", "utf-8;", "utf-8;a+2Bb", "utf-8;a=b",
        "utf-8;\\", "utf-8;\\x", "utf-8;\\x{}", "utf-8;\\x{4}", "utf-8;\\x{110000}",
        "utf-8;\\x{D800}", "utf-8;\\x{DFFF}", "utf-8;\\x{0A}", "utf-8;\\x{7F}", "utf-8;\\x{85}",
        "utf-8;\\x{2028}", "utf-8;\\x{00F6}", "utf-8;\\x{00000041}", "utf-8;\\x{GG}",
        "utf-8;\\X{F6}", "utf-8;\\u{F6}", "utf-8;a b", "utf-8;a\nb", "utf-8;\x85", "utf-8;\u2028",
        "utf-8;\ud800", "utf-8;\x7f", "utf-8;\\\\x{F6}", "utf-8;\\\\x{F6}x{F6}",
    ],
)  # fmt: skip
def test_no_orcpt(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        ORCPT.parse(text)


@pytest.mark.clause("RFC3461-4.2b")
def test_the_length_of_orcpt() -> None:
    assert ORCPT.parse("rfc822;" + "a" * 493).address == "a" * 493
    with pytest.raises(ValueError, match="addr-type"):
        ORCPT.parse("rfc822;" + "a" * 494)


@pytest.mark.clause("RFC6533-3c", "RFC6533-3b", "RFC3461-4.2c", "RFC3461-4.2d")
@pytest.mark.parametrize(
    ("address", "raw"),
    [
        ("b+c@y.org", "rfc822;b+2Bc@y.org"),
        (Mailbox("a b", "c"), 'rfc822;"a+20b"@c'),
        ("j\u00f6rg@x", "utf-8;j\\x{F6}rg@x"),
        ("\u4f60\U0001f600+=\\ @x", "utf-8;\\x{4F60}\\x{1F600}\\x{2B}\\x{3D}\\x{5C}\\x{20}@x"),
        (Mailbox("\u00e9", "x"), "utf-8;\\x{E9}@x"),
    ],
)
def test_of(address: Mailbox | str, raw: str) -> None:
    orcpt = Orcpt.of(address)
    assert (orcpt.raw, orcpt.address) == (raw, str(address))
    assert orcpt.raw.isascii()
    assert ORCPT.parse(ORCPT.render(orcpt)) == orcpt


@pytest.mark.clause("SEC-INJ-cli-a", "SEC-INJ-cli-b")
@pytest.mark.parametrize(
    "orcpt",
    [
        Orcpt("rfc822", "a@b", "rfc822;a@b NOTIFY=NEVER"),
        Orcpt("utf-8", "a@b NOTIFY=NEVER", "utf-8;a@b NOTIFY=NEVER"),
        Orcpt("utf-8", "a\r\nDATA", "utf-8;a\r\nDATA"),
        Orcpt("utf-8", "\u2028", "utf-8;\u2028"),
        Orcpt("rfc822", "a@b", "rfc822;other@b"),
        Orcpt("x400", "a@b", "rfc822;a@b"),
        Orcpt("rfc822", "a@b", ""),
        Orcpt.of("a\r\nDATA"),
        Orcpt.of("\u00e9\r\nDATA"),
        Orcpt.of("\u00e9\ud800"),
        Orcpt.of(""),
        Orcpt.of("a" * 494),
    ],
)
def test_orcpt_by_hand(orcpt: Orcpt) -> None:
    with pytest.raises(ValueError, match=r"."):
        ORCPT.render(orcpt)


@given(st.text(min_size=1, max_size=20))
def test_any_address_is_written_as_what_it_was_or_not_at_all(text: str) -> None:
    try:
        raw = ORCPT.render(Orcpt.of(text))
    except ValueError:
        assert not text.isprintable()
        return
    assert raw is not None
    assert raw.isascii()
    assert raw.isprintable()
    assert " " not in raw
    assert ORCPT.parse(raw).address == text
