from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ehlo import OfferFacts, Unavailable, XClient
from ehlo.extensions import XCLIENT, xclient
from ehlo.extensions.xclient_command import ATTRIBUTES
from ehlo.wire.command import ParameterError

V4, V6 = IPv4Address("192.0.2.1"), IPv6Address("2001:db8::1")
GONE, LATER = Unavailable.PERMANENT, Unavailable.TEMPORARY


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("NAME=mail.example ADDR=192.0.2.1", XClient(name="mail.example", addr=V4)),
        (
            "NAME=a_b ADDR=IPV6:2001:db8::1 PORT=25 PROTO=ESMTP HELO=[192.0.2.1] LOGIN=al+20ice+2B+3D "
            "DESTADDR=192.0.2.1 DESTPORT=0",
            XClient(
                name="a_b", addr=V6, port=25, proto="ESMTP", helo="[192.0.2.1]", login="al ice+=",
                destaddr=V4, destport=0,
            ),
        ),
        ("NAME=[UNAVAILABLE]", XClient(name=GONE)),
        ("NAME=[TEMPUNAVAIL]", XClient(name=LATER)),
        (
            "ADDR=[UNAVAILABLE] PORT=[UNAVAILABLE] HELO=[UNAVAILABLE] LOGIN=[UNAVAILABLE]",
            XClient(addr=GONE, port=GONE, helo=GONE, login=GONE),
        ),
        ("DESTADDR=[UNAVAILABLE] DESTPORT=[UNAVAILABLE]", XClient(destaddr=GONE, destport=GONE)),
        ("HELO=[TEMPUNAVAIL]", XClient(helo="[TEMPUNAVAIL]")),
        ("PORT=65535 PROTO=SMTP", XClient(port=65535, proto="SMTP")),
        ("NAME=" + "x" * 255, XClient(name="x" * 255)),
    ],
)  # fmt: skip
def test_both_ways(argument: str, value: XClient) -> None:
    assert XClient.parse(argument) == value
    assert value.render() == argument


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("name=x  helo=Y ", XClient(name="x", helo="Y")),
        ("addr=Ipv6:::1", XClient(addr=IPv6Address("::1"))),
        ("NAME=[tempUnavail]", XClient(name=LATER)),
        ("LOGIN=+5BUNAVAILABLE+5D", XClient(login=GONE)),
        ("PROTO=smtp", XClient(proto="SMTP")),
    ],
)
def test_other_spellings(argument: str, value: XClient) -> None:
    assert XClient.parse(argument) == value


@pytest.mark.parametrize(
    "argument",
    [
        "", " ", "NAME", "NAME=", "=x", "NAME=a NAME=b", "NAME=a name=a", "X=1", "SOURCE=LOCAL", "NAME=a=b",
        "NAME=a+0Ab", "NAME=a+20b", "NAME=a+", "NAME=\u00e9", "NAME=" + "x" * 256, "LOGIN=a+00", "LOGIN=+E9",
        "ADDR=2001:db8::1", "ADDR=IPV6:192.0.2.1", "ADDR=IPV6:fe80::1%25eth0", "ADDR=IPV6:fe80::1%eth0",
        "ADDR=[192.0.2.1]", "ADDR=192.0.2.01", "ADDR=192.0.2", "ADDR=[TEMPUNAVAIL]", "ADDR=mail.example",
        "PORT=-1", "PORT=65536", "PORT=025", "PORT=+25", "PORT=\u0661", "PORT=smtp", "DESTPORT=70000",
        "PROTO=LMTP", "PROTO=[UNAVAILABLE]", "PROTO=", "DESTADDR=x", "NAME=a\tADDR=192.0.2.1",
    ],
)  # fmt: skip
def test_refused(argument: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        XClient.parse(argument)


@pytest.mark.parametrize(
    "value",
    [
        XClient(),
        XClient(name=""),
        XClient(name="a b"),
        XClient(name="[unavailable]"),
        XClient(name="a\r\nMAIL FROM:<>"),
        XClient(helo="\u00e9"),
        XClient(login="x" * 256),
        XClient(port=65536),
        XClient(destport=-1),
        XClient(proto="LMTP"),
        XClient(proto="esmtp"),
        XClient(addr=LATER),
        XClient(addr=IPv6Address("fe80::1%eth0")),
    ],
)
def test_what_cannot_be_written(value: XClient) -> None:
    with pytest.raises(ValueError, match=r"."):
        value.render()


@given(
    st.lists(
        st.sampled_from(
            [*ATTRIBUTES, "X", "=", " ", "1", "a", "+41", "[UNAVAILABLE]", "IPV6:", "::1", "192.0.2.1"]
        )
    ).map("".join)
)
def test_any_argument_is_read_and_comes_back_or_is_refused(argument: str) -> None:
    try:
        value = XClient.parse(argument)
    except ValueError:
        return
    assert XClient.parse(value.render()) == value


def test_a_broken_word_is_a_parameter_error() -> None:
    with pytest.raises(ParameterError):
        XClient.parse("NAME=a -x")


def test_offer() -> None:
    assert XCLIENT.offer(OfferFacts()) is None
    mine = xclient("NAME", "ADDR")
    assert mine.offer(OfferFacts()) is None
    assert mine.offer(OfferFacts(xclient=True)) == ("NAME", "ADDR")
    assert xclient(*ATTRIBUTES).offer(OfferFacts(xclient=True)) == ATTRIBUTES
    assert XCLIENT.offer(OfferFacts(xclient=True)) is None
    assert mine.parse_offer(("name", "Addr", "NAME", "X-new")) == ("NAME", "ADDR", "X-NEW")
    with pytest.raises(ValueError, match="attribute"):
        xclient("NAME", "SOURCE")


def test_several_commands_add_up() -> None:
    first = XClient(name="a.example", addr=V4, login="alice")
    later = XClient(addr=GONE, port=25)
    assert first.given == {"NAME", "ADDR", "LOGIN"}
    assert first.followed_by(later) == XClient(name="a.example", addr=GONE, port=25, login="alice")
    assert XClient().given == frozenset()
