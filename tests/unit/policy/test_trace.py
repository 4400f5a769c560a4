from __future__ import annotations

import email.utils
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ehlo import LocalProtocolError, Mailbox, TLSInfo
from ehlo.policy import MessageFacts
from ehlo.policy.trace import cipher_suite, date_time, protocol, received

TLS = TLSInfo(version="TLSv1.3", cipher="TLS_AES_256_GCM_SHA384")
AT = 1795715655
ALICE, BOB = Mailbox("alice", "a.example"), Mailbox("bob", "b.example")


def facts(**known: Any) -> MessageFacts:
    return MessageFacts(**{"hostname": "mx.example", "timestamp": AT, "unique": "1a2b", **known})


@pytest.mark.clause("RFC3848-1a", "RFC5321-4.4f", "RFC4954-7a", "RFC6531-3.7.3a")
@pytest.mark.parametrize(("tls", "security"), [(None, ""), (TLS, "S")])
@pytest.mark.parametrize(("authenticated", "authentication"), [(False, ""), (True, "A")])
@pytest.mark.parametrize(
    ("how", "name"),
    [
        ({}, "ESMTP"),
        ({"utf8": True}, "UTF8SMTP"),
        ({"lmtp": True}, "LMTP"),
        ({"lmtp": True, "utf8": True}, "UTF8LMTP"),
    ],
)
def test_protocol(
    how: dict[str, bool],
    name: str,
    tls: TLSInfo | None,
    security: str,
    authenticated: bool,
    authentication: str,
) -> None:
    known = facts(**how, tls=tls, authenticated=authenticated)
    assert protocol(known) == name + security + authentication


@pytest.mark.clause("RFC5321-4.4f")
@pytest.mark.parametrize("tls", [None, TLS])
def test_protocol_after_helo(tls: TLSInfo | None) -> None:
    assert protocol(facts(extended=False, tls=tls)) == "SMTP"


@pytest.mark.clause("RFC5321-4.4e")
@pytest.mark.parametrize(
    ("timestamp", "offset", "expected"),
    [
        (0, 0, "Thu, 1 Jan 1970 00:00:00 +0000"),
        (AT, 0, "Thu, 26 Nov 2026 17:54:15 +0000"),
        (AT + 0.9, 60, "Thu, 26 Nov 2026 18:54:15 +0100"),
        (AT, -210, "Thu, 26 Nov 2026 14:24:15 -0330"),
        (AT, 765, "Fri, 27 Nov 2026 06:39:15 +1245"),
    ],
)
def test_date_time(timestamp: float, offset: int, expected: str) -> None:
    assert date_time(timestamp, offset) == expected


@given(st.integers(0, 2**34), st.integers(-1439, 1439))
def test_any_date_is_read_back(timestamp: int, offset: int) -> None:
    written = date_time(timestamp, offset)
    parsed = email.utils.parsedate_tz(written)
    assert parsed is not None
    assert (email.utils.mktime_tz(parsed), parsed[9]) == (timestamp, offset * 60)
    assert written == email.utils.format_datetime(email.utils.parsedate_to_datetime(written)).replace(
        ", 0", ", "
    )


@pytest.mark.clause("RFC5321-4.4a", "RFC5321-4.4b", "RFC8314-4b")
def test_received_with_all_its_clauses() -> None:
    known = facts(
        client_name="client.example",
        peer="192.0.2.1",
        tls=TLS,
        authenticated=True,
        recipients=(BOB,),
        utc_offset=60,
    )
    assert received(known) == (
        b"Received: from client.example ([192.0.2.1])\r\n"
        b"\tby mx.example with ESMTPSA id 1a2b\r\n"
        b"\tfor <bob@b.example>\r\n"
        b"\ttls TLS_AES_256_GCM_SHA384;\r\n"
        b"\tThu, 26 Nov 2026 18:54:15 +0100\r\n"
    )


@pytest.mark.clause("RFC6710-4.1e")
def test_the_priority_is_told() -> None:
    assert received(facts(tls=TLS, priority=-3)).splitlines()[2:4] == [
        b"\ttls TLS_AES_256_GCM_SHA384",
        b"\tpriority -3;",
    ]
    assert b"priority 0;" in received(facts(priority=0))


def test_received_with_the_least() -> None:
    assert received(facts()) == (
        b"Received: from unknown\r\n\tby mx.example with ESMTP id 1a2b;\r\n"
        b"\tThu, 26 Nov 2026 17:54:15 +0000\r\n"
    )


@pytest.mark.clause("RFC5321-4.4g", "RFC5321-4.4b", "RFC6531-3.7.3a")
@pytest.mark.parametrize(
    ("name", "peer", "utf8", "source"),
    [
        ("client.example", "192.0.2.1", False, "client.example ([192.0.2.1])"),
        ("client.example", None, False, "client.example"),
        ("client.example", "a socket", False, "client.example"),
        ("localhost", "2001:DB8::1", False, "localhost ([IPv6:2001:db8::1])"),
        ("localhost", "fe80::1%eth0", False, "localhost ([IPv6:fe80::1])"),
        ("localhost", "::ffff:192.0.2.1", False, "localhost ([192.0.2.1])"),
        ("[192.0.2.7]", "192.0.2.1", False, "[192.0.2.7] ([192.0.2.1])"),
        ("x) by (y", "192.0.2.1", False, "[192.0.2.1] ([192.0.2.1])"),
        ("x\r\nSubject: y", "192.0.2.1", True, "[192.0.2.1] ([192.0.2.1])"),
        ("x;y", None, False, "unknown"),
        ("", "192.0.2.1", False, "[192.0.2.1] ([192.0.2.1])"),
        (None, "192.0.2.1", False, "[192.0.2.1] ([192.0.2.1])"),
        ("grün.example", "192.0.2.1", False, "[192.0.2.1] ([192.0.2.1])"),
        ("grün.example", "192.0.2.1", True, "grün.example ([192.0.2.1])"),
    ],
)
def test_where_it_came_from(name: str | None, peer: str | None, utf8: bool, source: str) -> None:
    line, *_ = received(facts(client_name=name, peer=peer, utf8=utf8)).decode().split("\r\n")
    assert line == f"Received: from {source}"


@pytest.mark.clause("RFC5321-4.4c")
@pytest.mark.parametrize(
    ("recipients", "utf8", "clause"),
    [
        ((), False, None),
        ((BOB,), False, "<bob@b.example>"),
        ((BOB, ALICE), False, None),
        ((Mailbox("two words", "b.example"),), False, '<"two words"@b.example>'),
        ((Mailbox("postmaster", ""),), False, None),
        ((Mailbox("jörg", "b.example"),), True, "<jörg@b.example>"),
        ((Mailbox("jörg", "b.example"),), False, None),
    ],
)
def test_the_only_recipient(recipients: tuple[Mailbox, ...], utf8: bool, clause: str | None) -> None:
    lines = received(facts(recipients=recipients, utf8=utf8)).decode().split("\r\n")
    found = [line.removeprefix("\tfor ").removesuffix(";") for line in lines if line.startswith("\tfor ")]
    assert found == ([] if clause is None else [clause])


@pytest.mark.clause("RFC8314-4b")
@pytest.mark.parametrize(
    ("name", "suite"),
    [
        ("TLS_CHACHA20_POLY1305_SHA256", "TLS_CHACHA20_POLY1305_SHA256"),
        ("ECDHE-RSA-AES256-GCM-SHA384", "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384"),
        ("ECDHE-ECDSA-AES128-SHA256", "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256"),
        ("DHE-RSA-AES128-SHA", "TLS_DHE_RSA_WITH_AES_128_CBC_SHA"),
        ("ECDHE-RSA-CHACHA20-POLY1305", "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256"),
        ("ECDHE-RSA-CAMELLIA256-SHA384", "TLS_ECDHE_RSA_WITH_CAMELLIA_256_CBC_SHA384"),
        ("AES128-SHA", None),
        ("TLS_X;\r\nBcc: y", None),
        ("", None),
    ],
)
def test_cipher_suite(name: str, suite: str | None) -> None:
    assert cipher_suite(name) == suite
    clause = f"\ttls {suite};\r\n".encode()
    field = received(facts(tls=TLSInfo(version="TLSv1.2", cipher=name)))
    assert field.count(b"\ttls ") == field.count(clause) == (suite is not None)


@pytest.mark.clause("RFC6532-3.4a")
def test_lines_stay_in_their_bounds() -> None:
    long = ".".join(["x" * 63] * 3 + ["y" * 60])
    known = facts(
        hostname=long,
        unique="z" * 64,
        client_name=long,
        peer="2001:db8:1:1:1:1:1:1",
        recipients=(Mailbox("a" * 64, long[:187]),),
        tls=TLS,
    )
    assert max(map(len, received(known).split(b"\r\n"))) <= 998


@pytest.mark.parametrize(
    "wrong",
    [
        {"hostname": "mx example"},
        {"hostname": ""},
        {"domain": "a\r\nb"},
        {"unique": ""},
        {"unique": "a b"},
        {"unique": "a.b"},
        {"unique": "a\r\n"},
        {"unique": "a" * 65},
    ],
)
def test_names_of_our_own_are_right(wrong: dict[str, str]) -> None:
    with pytest.raises(LocalProtocolError):
        facts(**wrong)
