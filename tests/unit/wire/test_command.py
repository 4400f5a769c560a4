from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ehlo import LocalProtocolError
from ehlo.wire.command import ParameterError, has_control, render, split_line, split_parameters


@pytest.mark.clause("RFC5321-2.4a", "RFC5321-4.1.1a")
@pytest.mark.parametrize(
    ("line", "verb", "argument"),
    [
        (b"NOOP", b"NOOP", b""),
        (b"noop", b"NOOP", b""),
        (b"NoOp   ", b"NOOP", b""),
        (b"mail FROM:<a@b> SIZE=1  ", b"MAIL", b"FROM:<a@b> SIZE=1"),
        (b"RCPT   to:<\"a  b\"@c>", b"RCPT", b"to:<\"a  b\"@c>"),
        (b"", b"", b""),
        (b" NOOP", b"", b"NOOP"),
        (b"n\xc3\xb6op x", b"N\xc3\xb6OP", b"x"),
        (b"NOOP\xc2\xa0x", b"NOOP\xc2\xa0X", b""),
        (b"AUTH PLAIN =", b"AUTH", b"PLAIN ="),
        (b"HELP  XaX\t ", b"HELP", b"XaX\t"),
    ],
)  # fmt: skip
def test_split_line(line: bytes, verb: bytes, argument: bytes) -> None:
    assert split_line(line) == (verb, argument)


def test_control_octets() -> None:
    for octet in range(256):
        assert has_control(b"NOOP " + bytes([octet]) + b"x") is (octet < 32 or octet == 127)
    assert has_control(b"NOOP x\n")
    assert has_control(b"\0")
    assert not has_control(b"")


@pytest.mark.parametrize(
    ("words", "octets"),
    [
        (["NOOP"], b"NOOP\r\n"),
        (["MAIL FROM:<a@b>", "SIZE=1"], b"MAIL FROM:<a@b> SIZE=1\r\n"),
        (["VRFY", "jörg\u4f60"], "VRFY jörg\u4f60\r\n".encode()),
    ],
)
def test_render(words: list[str], octets: bytes) -> None:
    assert render(*words) == octets


@pytest.mark.clause("SEC-INJ-cli-a")
@pytest.mark.parametrize("place", range(3))
def test_injection(place: int) -> None:
    for point in (*range(32), 127):
        words = ["MAIL", "FROM:<a@b>", "SIZE=1"]
        words[place] += chr(point)
        with pytest.raises(LocalProtocolError) as caught:
            render(*words)
        assert "FROM" not in str(caught.value)


@pytest.mark.parametrize("text", ["\ud800", chr(0xDCFF)])
def test_what_is_no_text(text: str) -> None:
    with pytest.raises(LocalProtocolError):
        render("VRFY", text)


@pytest.mark.clause("RFC5321-4.1.2i", "RFC5321-2.4a", "RFC1869-6a")
@pytest.mark.parametrize(
    ("text", "parameters"),
    [
        ("", []),
        ("   ", []),
        ("SIZE=1", [("SIZE", "1")]),
        ("size=1 Body=8bitMIME", [("SIZE", "1"), ("BODY", "8bitMIME")]),
        ("SMTPUTF8", [("SMTPUTF8", None)]),
        (" A=b   C ", [("A", "b"), ("C", None)]),
        ("1-x-=!#<>~", [("1-X-", "!#<>~")]),
        ("ORCPT=utf-8;é@x", [("ORCPT", "utf-8;é@x")]),
        ("A=b A=c", [("A", "b"), ("A", "c")]),
    ],
)
def test_split_parameters(text: str, parameters: list[tuple[str, str | None]]) -> None:
    assert list(split_parameters(text)) == parameters


@pytest.mark.clause("RFC5321-4.1.2i")
@pytest.mark.parametrize(
    "text",
    [
        "=", "=x", "A=", "A=b=c", "A==", "-A", "-A=b", "A_B", "A.B=c", "é", "É=x", "A=\x7f",
        "A=b\0", "A\n", "A=b\n", "A=b\tC=d", "A\tB", "A=b\x85C=d", "A=b\xa0C=d", "A=b\u2028C=d",
        "A=b\x1cC=d", "A=b\x0bC", "A=b\u3000C=d", "A=\u2029", "A=\x9f", "A=\ud800", "A, B", '"A"',
        "<>", "A=b \u017fIZE=1", "A\u00a0", "\uff21=b",
    ],
)  # fmt: skip
def test_no_parameters(text: str) -> None:
    with pytest.raises(ParameterError) as caught:
        list(split_parameters(text))
    assert caught.value.args[0] in {"not a parameter", "not a parameter value"}
    assert caught.value.enhanced == "5.5.4"


def test_what_a_parameter_error_says() -> None:
    error = ParameterError("too late", "5.7.0")
    assert (str(error), error.enhanced) == ("too late", "5.7.0")


@given(st.binary(max_size=40))
def test_any_line_splits(line: bytes) -> None:
    verb, argument = split_line(line)
    assert b" " not in verb
    assert not argument.startswith(b" ")
    assert not argument.endswith(b" ")
    assert (verb + argument).replace(b" ", b"").lower() == line.replace(b" ", b"").lower()
