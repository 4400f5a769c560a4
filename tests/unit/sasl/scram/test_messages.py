from __future__ import annotations

import pytest

from ehlo.sasl.scram.messages import (
    ScramError,
    escape,
    gs2_header,
    parse_client_final,
    parse_client_first,
    parse_server_final,
    parse_server_first,
    unescape,
)


@pytest.mark.clause("RFC5802-5a", "RFC5802-5.1a", "RFC5802-5.1b")
def test_client_first() -> None:
    first = parse_client_first(b"p=tls-exporter,a=a=2Cb,n=x=3Dy,r=abc,z=later,q== more")
    assert first.flag == "p"
    assert first.binding == "tls-exporter"
    assert (first.authzid, first.username, first.nonce) == ("a,b", "x=y", "abc")
    assert first.gs2_header == "p=tls-exporter,a=a=2Cb,"
    assert first.bare == "n=x=3Dy,r=abc,z=later,q== more"
    assert parse_client_first(b"n,,n=user,r=x").flag == "n"
    assert parse_client_first("y,a=ü,n=ü,r=x".encode()).authzid == "ü"


@pytest.mark.clause("RFC5802-5a", "RFC5802-5.1a", "RFC5802-5.1b", "RFC5802-7a")
@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"n=user,r=x",
        b"n,n=user,r=x",
        b"x,,n=user,r=x",
        b"N,,n=user,r=x",
        b"p,,n=user,r=x",
        b"p=,,n=user,r=x",
        b"p=a b,,n=user,r=x",
        b"n,a=,n=user,r=x",
        b"n,b=c,n=user,r=x",
        b"n,,n=,r=x",
        b"n,,n=user,r=",
        b"n,,n=user",
        b"n,,r=x,n=user",
        b"n,,m=x,n=user,r=x",
        b"n,,n=user,r=x,m=y",
        b"n,,n=user,r=x,",
        b"n,,n=user,r=x,z",
        b"n,,n=user,r=x,zz=y",
        b"n,,n=us=er,r=x",
        b"n,,n=us=2cer,r=x",
        b"n,,n=us\0er,r=x",
        b"n,,n=user,r=a b",
        b"n,,n=user,r=\xc3\xa4",
        b"n,,n=\xff,r=x",
        b"n,,n=user,r=x\n",
    ],
)
def test_what_is_no_client_first(message: bytes) -> None:
    with pytest.raises(ScramError):
        parse_client_first(message)


@pytest.mark.clause("RFC5802-5.1b", "RFC5802-7a")
@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"r=x,s=QQ==",
        b"r=x,i=4096,s=QQ==",
        b"s=QQ==,r=x,i=4096",
        b"m=x,r=x,s=QQ==,i=4096",
        b"r=x,s=QQ==,i=4096,m=x",
        b"r=x,s=,i=4096",
        b"r=x,s=QQ,i=4096",
        b"r=x,s=Q=Q=,i=4096",
        b"r=x,s=QR==,i=4096",
        b"r=x,s=QQ==,i=0",
        b"r=x,s=QQ==,i=-1",
        b"r=x,s=QQ==,i=+4096",
        b"r=x,s=QQ==,i=04096",
        b"r=x,s=QQ==,i=9999999999",
        b"r=x,s=QQ==,i=\xd9\xa3",
        b"r=x,s=QQ==,i=4096\n",
    ],
)
def test_what_is_no_server_first(message: bytes) -> None:
    with pytest.raises(ScramError):
        parse_server_first(message)


def test_server_first() -> None:
    first = parse_server_first(b"r=a!~,s=QQ==,i=4096,z=y")
    assert (first.nonce, first.salt, first.iterations) == ("a!~", b"A", 4096)


@pytest.mark.clause("RFC5802-7a")
@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"c=biws,r=x",
        b"c=biws,p=QQ==,r=x",
        b"r=x,c=biws,p=QQ==",
        b"c=biws,r=x,p=QQ",
        b"c=biw,r=x,p=QQ==",
        b"c=,r=x,p=QQ==",
        b"c=biws,r=x,p=QQ==,z=y",
        b"c=biws,r=x,m=y,p=QQ==",
        b"c=biws,r=x,p=",
    ],
)
def test_what_is_no_client_final(message: bytes) -> None:
    with pytest.raises(ScramError):
        parse_client_final(message)


def test_client_final() -> None:
    final = parse_client_final(b"c=biws,r=x,z=p=q,p=QQ==")
    assert (final.binding, final.nonce, final.proof) == (b"n,,", "x", b"A")
    assert final.without_proof == "c=biws,r=x,z=p=q"


@pytest.mark.clause("RFC5802-5.1f", "RFC5802-7a")
def test_server_final() -> None:
    assert parse_server_final(b"v=QQ==").signature == b"A"
    assert parse_server_final(b"v=QQ==,z=y").error is None
    assert parse_server_final(b"e=other-error").error == "other-error"
    for message in (b"", b"v=", b"v=QQ", b"e=", b"x=y", b"v=QQ==,m=y", b"v=QQ==\n"):
        with pytest.raises(ScramError):
            parse_server_final(message)


@pytest.mark.clause("RFC5802-5.1a")
@pytest.mark.parametrize("name", ["a", "a,b=c", "=2C", ",=,=", "ü"])
def test_names_come_back(name: str) -> None:
    assert unescape(escape(name)) == name
    assert parse_client_first(f"{gs2_header(None, name)}n={escape(name)},r=x".encode()).username == name


def test_errors_hold_nothing_of_the_message() -> None:
    with pytest.raises(ScramError) as caught:
        parse_client_final(b"c=s3cret,r=s3cret")
    assert "s3cret" not in str(caught.value)
