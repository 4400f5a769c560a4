from __future__ import annotations

import base64 as standard

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ehlo.wire import base64


@pytest.mark.clause("RFC4954-4n")
@pytest.mark.parametrize(
    "text",
    [
        b"=", b"==", b"====", b"*", b"A", b"AA", b"AAA", b"AAAAA", b"A===", b"AA=", b"AA==A",
        b"=AAA", b"A=AA", b"AA=A", b"AA==AAAA", b"AAAA====", b"AAA=AAA=", b"YQ==\r\n", b"YQ== ",
        b" YQ=", b"Y Q=", b"YQ\n=", b"YWJj\n", b"YW\0j", b"YW-j", b"YW_j", b"YWJ\xff", b"YR==",
        b"YWK=", b"!!!!", b"YQ=\0", "Y\u0416==".encode(),
    ],
)  # fmt: skip
def test_what_is_refused(text: bytes) -> None:
    with pytest.raises(base64.Base64Error):
        base64.decode(text)


@pytest.mark.parametrize(
    ("data", "text"), [(b"", b""), (b"a", b"YQ=="), (b"ab", b"YWI="), (b"\xff\xfe", b"//4=")]
)
def test_known(data: bytes, text: bytes) -> None:
    assert base64.encode(data) == text
    assert base64.decode(text) == data


@pytest.mark.clause("NTLM-2.2.1.3a")
def test_a_long_one_is_one_line() -> None:
    data = bytes(range(256)) * 40
    assert base64.encode(data) == standard.b64encode(data)
    assert base64.decode(base64.encode(data)) == data


@given(st.binary(max_size=60))
def test_round_trip(data: bytes) -> None:
    assert base64.decode(base64.encode(data)) == data


@pytest.mark.clause("RFC4954-4n")
@given(st.binary(max_size=12) | st.text("AQYZaz09+/=", max_size=12).map(str.encode))
def test_there_is_one_spelling(text: bytes) -> None:
    try:
        data = base64.decode(text)
    except base64.Base64Error:
        return
    assert standard.b64encode(data) == text
