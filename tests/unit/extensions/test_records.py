"""What the further extensions read and refuse: one row for each text, in both roles.

That each value comes back as it was is in test_base.py.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import attrs
import pytest
from tests.helpers.driver import OPEN, Server

from ehlo import (
    EVERY,
    BurlSources,
    ByMode,
    DeliverBy,
    EnvId,
    Extension,
    HoldFor,
    HoldLimits,
    HoldUntil,
    LocalProtocolError,
    Mail,
    Mailbox,
    MailReceived,
    MtPriority,
    Mtrk,
    OfferFacts,
    Parameters,
    PriorityProfile,
    RequireTls,
    Rrvs,
    RrvsAction,
    SendFacts,
    ServerConfig,
    SmtpUtf8,
    Solicit,
    Submitter,
)
from ehlo._commands import Writable, render_command
from ehlo.extensions import (
    BURL,
    DELIVERBY,
    FUTURERELEASE,
    MT_PRIORITY,
    MTRK,
    NO_SOLICITING,
    REQUIRETLS,
    RRVS,
    SMTPUTF8,
    STANDARD,
    SUBMITTER,
    Capabilities,
    UnsupportedParameter,
    burl,
    deliver_by,
    future_release,
    mt_priority,
    no_soliciting,
    parameter_specs,
    parse_parameters,
)
from ehlo.wire.command import ParameterError

SPECS = parameter_specs(param for x in EVERY for param in (*x.mail, *x.rcpt))
NEW_YEAR = datetime(2026, 1, 1, tzinfo=UTC)
WEST = timezone(timedelta(hours=-7))
ZEROS = "A" * 27

READ: dict[str, dict[str, object]] = {
    "BY": {
        "+120;n": DeliverBy(120, ByMode.NOTIFY),
        "000000001;rT": DeliverBy(1, ByMode.RETURN, trace=True),
        "-000000000;Nt": DeliverBy(0, ByMode.NOTIFY, trace=True),
    },
    "HOLDUNTIL": {
        "2026-01-01t00:00:00z": HoldUntil(NEW_YEAR),
        "2026-01-01T00:00:00+00:00": HoldUntil(NEW_YEAR),
        "2026-01-01T00:00:00-00:00": HoldUntil(NEW_YEAR),
        "2026-01-01T00:00:00.5Z": HoldUntil(NEW_YEAR + timedelta(seconds=0.5)),
    },
    "MTRK": {f"{ZEROS}:000": Mtrk(bytes(20), 0)},
    "SUBMITTER": {"a+40x.org": Submitter(Mailbox("a", "x.org"))},
    "RRVS": {
        "2025-12-31T17:00:00-07:00;c": Rrvs(NEW_YEAR, RrvsAction.CONTINUE),
        "2025-12-31T17:00:00-07:00": Rrvs(datetime(2025, 12, 31, 17, tzinfo=WEST)),
    },
}

NOT_TIMES = [
    "", "now", "2026-01-01", "2026-01-01T00:00Z", "2026-01-01 00:00:00Z", "2026-01-01T00:00:00",
    "2026-13-01T00:00:00Z", "2026-02-29T00:00:00Z", "2026-01-01T24:00:01Z", "2026-01-01T00:00:60Z",
    "2026-01-01T00:00:00.Z", "2026-01-01T00:00:00,5Z", "2026-01-01T00:00:00.1234567Z", "0000-01-01T00:00:00Z",
    "20260101T000000Z", "2026-W01-4T00:00:00Z", "2026-01-01T00:00:00+24:00", "2026-01-01T00:00:00+0000",
    "2026-01-01T00:00:00Z\n", "\u0662026-01-01T00:00:00Z", "+2026-01-01T00:00:00Z",
]  # fmt: skip

REFUSED: dict[str, list[str]] = {
    "BY": [
        "", "120", ";N", "120;", "120;X", "120;T", "120;NR", "120;NTT", "120N", "120,N", "1 20;N",
        "1234567890;N", "++1;N", "1.5;N", "0;R", "-1;R", "+0;RT", "\u0661;N", "120;N\n", "120;\u017f",
    ],
    "HOLDFOR": ["", "0", "01", "-1", "+1", "1234567890", "1.0", "1s", "\u0661", "1\n", "1_0"],
    "HOLDUNTIL": [*NOT_TIMES, "2026-01-01T00:00:00+01:00", "2025-12-31T17:00:00-07:00"],
    "MT-PRIORITY": ["", "+3", "-0", "03", "10", "-10", "--1", "3.0", "high", "\u0663", "3\n", "-"],
    "SOLICIT": [
        "", ",", "a,", ",a", "a,,b", "1a", ":a", "a\tb", "a;b", "a/b", "org.\u00e9xample", "a\n", "a" * 1001,
        ",".join(["ab"] * 334),
    ],
    "MTRK": [
        "", ":", ":1", ZEROS + ":", ZEROS + ":-1", ZEROS + ":1234567890", ZEROS + ":1:1", ZEROS + ":x",
        ZEROS[1:], ZEROS + "A", ZEROS + "=", "A" * 26 + "B", "A" * 26 + "-", "\u00e9" * 27, ZEROS + "\n",
    ],
    "SUBMITTER": [
        "", "<>", "a", "a@", "@b", "<a@b>", "a@b\tc", "a@b+0D", "a+2", "a=b@c", "\u00e9@x.org", "a@b,c",
    ],
    "RRVS": [
        *NOT_TIMES, "0001-01-01T00:00:00+01:00", "9999-12-31T23:59:59-01:00", "2026-01-01T00:00:00Z;",
        "2026-01-01T00:00:00Z;X", "2026-01-01T00:00:00Z;CR", "2026-01-01T00:00:00Z;C;R", ";C",
        "2026-01-01T00:00:00Z,C",
    ],
}  # fmt: skip


def test_there_are_rows_for_every_parameter_with_a_value() -> None:
    standard = parameter_specs(param for x in STANDARD for param in (*x.mail, *x.rcpt))
    flags = {"SMTPUTF8", "REQUIRETLS"}
    assert set(REFUSED) == set(SPECS) - set(standard) - flags


@pytest.mark.clause("RFC2852-4a", "RFC2852-4b", "RFC4865-3b", "RFC3885-3.1a", "RFC4405-4a")
@pytest.mark.parametrize(
    ("keyword", "text", "value"),
    [(key, text, value) for key, row in READ.items() for text, value in row.items()],
)
def test_other_spellings(keyword: str, text: str, value: object) -> None:
    assert SPECS[keyword].parse(text) == value


@pytest.mark.clause("RFC2852-4a", "RFC2852-4c", "RFC4865-3b", "RFC4865-4.2c", "RFC6710-3a")
@pytest.mark.clause("RFC3865-2.2a", "RFC3865-2.3a", "RFC3885-3.1a", "RFC4405-4a")
@pytest.mark.parametrize(("keyword", "text"), [(key, text) for key, row in REFUSED.items() for text in row])
def test_refused(keyword: str, text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        SPECS[keyword].parse(text)
    with pytest.raises(ParameterError):
        parse_parameters(f"ENVID=a@b {keyword}={text}", SPECS)


@pytest.mark.clause("RFC2852-4a", "RFC2852-4c", "RFC4865-3b", "RFC6710-3a", "RFC3865-2.2a", "RFC3885-3.1a")
@pytest.mark.clause("RFC4468-3.1a")
@pytest.mark.parametrize(
    "make",
    [
        lambda: DeliverBy(10**9, ByMode.NOTIFY),
        lambda: DeliverBy(-(10**9), ByMode.NOTIFY),
        lambda: DeliverBy(0, ByMode.RETURN),
        lambda: HoldFor(0),
        lambda: HoldFor(10**9),
        lambda: HoldUntil(datetime(2026, 1, 1)),
        lambda: HoldUntil(datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=1)))),
        lambda: Rrvs(datetime(2026, 1, 1)),
        lambda: MtPriority(10),
        lambda: MtPriority(-10),
        lambda: Solicit(()),
        lambda: Solicit(("a b",)),
        lambda: Solicit(("a,b",)),
        lambda: Solicit(("a" * 500, "b" * 500)),
        lambda: Mtrk(b""),
        lambda: Mtrk(bytes(21)),
        lambda: Mtrk(bytes(20), -1),
        lambda: Mtrk(bytes(20), 10**9),
        lambda: BurlSources(servers=("mail.example/x",)),
        lambda: BurlSources(servers=("",)),
        lambda: deliver_by(-1),
        lambda: deliver_by(10**9),
        lambda: future_release(0, NEW_YEAR),
        lambda: future_release(10**9, NEW_YEAR),
        lambda: future_release(1, datetime(2026, 1, 1)),
        lambda: mt_priority(""),
        lambda: mt_priority("a b"),
        lambda: mt_priority("x" * 21),
        lambda: no_soliciting("a b"),
        lambda: no_soliciting(""),
    ],
)
def test_no_such_value(make: Callable[[], object]) -> None:
    with pytest.raises(ValueError, match=r"."):
        make()


@pytest.mark.clause("RFC3885-3.1b")
def test_a_secret_of_128_to_1024_bits() -> None:
    for size in (16, 128):
        secret = bytes(range(size))
        assert Mtrk.of(secret, 60) == Mtrk(hashlib.sha1(secret, usedforsecurity=False).digest(), 60)
    for size in (0, 15, 129):
        with pytest.raises(ValueError, match="16 to 128"):
            Mtrk.of(bytes(size))


@pytest.mark.clause("SEC-INJ-cli-b", "RFC4405-4a")
@pytest.mark.parametrize(
    "mailbox", [Mailbox("a\r\nDATA", "x"), Mailbox("a", "x NOTIFY=NEVER"), Mailbox("\u00e9", "x")]
)
def test_a_submitter_that_cannot_be_written(mailbox: Mailbox) -> None:
    with pytest.raises(ValueError, match=r"."):
        SPECS["SUBMITTER"].render(Submitter(mailbox))


# ---- what a server offers, and what a client makes of it ----

TLS = OfferFacts(tls_active=True)


@pytest.mark.clause("RFC6531-3.1a", "RFC8689-2a", "RFC2852-2a", "RFC4865-3a", "RFC6710-3a", "RFC3865-2a")
@pytest.mark.clause("RFC3885-2a", "RFC4405-3a", "RFC4468-3.1a")
@pytest.mark.parametrize(
    ("extension", "facts", "words", "reading"),
    [
        (SMTPUTF8, TLS, (), ()),
        (REQUIRETLS, TLS, (), ()),
        (DELIVERBY, TLS, (), None),
        (deliver_by(0), TLS, ("0",), 0),
        (deliver_by(240), TLS, ("240",), 240),
        (
            FUTURERELEASE,
            TLS,
            ("999999999", "9999-12-31T23:59:59Z"),
            HoldLimits(10**9 - 1, datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)),
        ),
        (
            future_release(3600, NEW_YEAR.astimezone(WEST) + timedelta(microseconds=1)),
            TLS,
            ("3600", "2026-01-01T00:00:00Z"),
            HoldLimits(3600, NEW_YEAR),
        ),
        (MT_PRIORITY, TLS, (), None),
        (mt_priority("x.Y-1_"), TLS, ("x.Y-1_",), "x.Y-1_"),
        (mt_priority(PriorityProfile.MIXER), TLS, ("MIXER",), PriorityProfile.MIXER),
        (NO_SOLICITING, TLS, (), ()),
        (no_soliciting("org.example:ADV", "a"), TLS, ("org.example:ADV,a",), ("org.example:ADV", "a")),
        (MTRK, TLS, (), ()),
        (SUBMITTER, TLS, (), ()),
        (RRVS, TLS, (), ()),
        (burl(BurlSources()), TLS, (), BurlSources()),
        (
            burl(BurlSources(True, ("mail.example", "[::1]:143"))),
            TLS,
            ("imap", "imap://mail.example", "imap://[::1]:143"),
            BurlSources(True, ("mail.example", "[::1]:143")),
        ),
    ],
)
def test_offers(extension: Extension, facts: OfferFacts, words: tuple[str, ...], reading: object) -> None:
    assert extension.offer(facts) == words
    line = " ".join((extension.keyword, *words))
    assert Capabilities("mail.example", (line,)).offer(extension) == reading


@pytest.mark.clause("RFC8689-2a", "RFC4468-3.1a")
@pytest.mark.parametrize(
    ("extension", "facts"),
    [(REQUIRETLS, OfferFacts(tls_available=True)), (BURL, TLS)],
    ids=lambda x: repr(x)[:30],
)
def test_not_offered_now(extension: Extension, facts: OfferFacts) -> None:
    assert extension.offer(facts) is None


@pytest.mark.clause("RFC6531-3.1a", "RFC2852-2a", "RFC4865-3a", "RFC6710-3a", "RFC3865-2a", "RFC4468-3.1a")
@pytest.mark.parametrize(
    ("line", "extension", "reading"),
    [
        ("SMTPUTF8 x y", SMTPUTF8, ()),
        ("REQUIRETLS x", REQUIRETLS, ()),
        ("DELIVERBY 240,x,y", DELIVERBY, 240),
        ("DELIVERBY ,x", DELIVERBY, None),
        ("DELIVERBY soon", DELIVERBY, None),
        ("DELIVERBY -1", DELIVERBY, None),
        ("DELIVERBY 1234567890", DELIVERBY, None),
        ("FUTURERELEASE", FUTURERELEASE, HoldLimits()),
        ("FUTURERELEASE 60", FUTURERELEASE, HoldLimits(60)),
        ("FUTURERELEASE x 2026-01-01T00:00:00Z", FUTURERELEASE, HoldLimits(None, NEW_YEAR)),
        ("FUTURERELEASE 60 2025-12-31T17:00:00-07:00 x", FUTURERELEASE, HoldLimits(60, NEW_YEAR)),
        ("FUTURERELEASE 0 0001-01-01T00:00:00+01:00", FUTURERELEASE, HoldLimits()),
        ("MT-PRIORITY a=b", MT_PRIORITY, None),
        ("MT-PRIORITY " + "x" * 21, MT_PRIORITY, None),
        ("NO-SOLICITING a,1,b c", NO_SOLICITING, ("a", "b", "c")),
        ("NO-SOLICITING ,", NO_SOLICITING, ()),
        ("BURL IMAP Imap://x http://y imap:// imap imap://y/z", BURL, BurlSources(True, ("x",))),
    ],
)
def test_offers_are_read_leniently(line: str, extension: Extension, reading: object) -> None:
    assert Capabilities("mail.example", (line,)).offer(extension) == reading


# ---- what depends on the server, and on other parameters ----

HELD = future_release(3600, NEW_YEAR)


@pytest.mark.clause("RFC2852-3a", "RFC4865-4.2c")
@pytest.mark.parametrize(
    ("extension", "text", "error"),
    [
        (deliver_by(240), "BY=239;R", UnsupportedParameter),
        (deliver_by(240), "BY=1;RT", UnsupportedParameter),
        (deliver_by(240), "BY=240;R", None),
        (deliver_by(240), "BY=1;N", None),
        (deliver_by(), "BY=1;R", None),
        (HELD, "HOLDFOR=3601", ParameterError),
        (HELD, "HOLDFOR=3600", None),
        (HELD, "HOLDUNTIL=2026-01-01T00:00:00.1Z", ParameterError),
        (HELD, "HOLDUNTIL=2026-01-01T00:00:00Z", None),
    ],
)
def test_what_a_server_honours(extension: Extension, text: str, error: type[Exception] | None) -> None:
    specs = parameter_specs(extension.mail)
    if error is None:
        assert len(parse_parameters(text, specs)) == 1
        return
    with pytest.raises(error):
        parse_parameters(text, specs)


HOUR = HoldFor(3600)
TRACKED = Mtrk(bytes(20))

TOGETHER: list[tuple[list[Any], bool]] = [
    ([HOUR, HoldUntil(NEW_YEAR)], False),
    ([HOUR], True),
    ([HoldUntil(NEW_YEAR)], True),
    ([HOUR, DeliverBy(3599, ByMode.RETURN)], False),
    ([HOUR, DeliverBy(-1, ByMode.NOTIFY)], False),
    ([HOUR, DeliverBy(3600, ByMode.RETURN)], True),
    ([HoldUntil(NEW_YEAR), DeliverBy(1, ByMode.RETURN)], True),
    ([TRACKED], False),
    ([TRACKED, EnvId("1")], False),
    ([TRACKED, EnvId("@x.org")], False),
    ([TRACKED, EnvId("1@")], False),
    ([TRACKED, EnvId("1@x.org")], True),
    ([SmtpUtf8(), RequireTls(), MtPriority(0)], True),
]


@pytest.mark.clause("RFC4865-4.2c", "RFC4865-5.2a", "RFC3885-3.2a")
@pytest.mark.parametrize(("values", "legal"), TOGETHER)
def test_parameters_together(values: list[Any], legal: bool) -> None:
    types = Writable.of(EVERY).mail
    words = []
    for value in values:
        text = types[type(value)].render(value)
        words.append(types[type(value)].keyword + ("" if text is None else f"={text}"))
    for given in (words, words[::-1]):
        if legal:
            assert parse_parameters(" ".join(given), SPECS) == Parameters(values)
        else:
            with pytest.raises(ParameterError):
                parse_parameters(" ".join(given), SPECS)
    command = Mail(Mailbox("a", "x.org"), Parameters(values))
    if legal:
        line = render_command(command, Writable.of(EVERY))
        assert line == f"MAIL FROM:<a@x.org> {' '.join(words)}\r\n".encode()
    else:
        with pytest.raises(LocalProtocolError):
            render_command(command, Writable.of(EVERY))


@pytest.mark.clause("RFC2852-4.1.4.1a")
@pytest.mark.parametrize(
    ("value", "vital"),
    [
        (SmtpUtf8(), True),
        (RequireTls(), True),
        (DeliverBy(60, ByMode.RETURN), True),
        (DeliverBy(60, ByMode.NOTIFY), False),
        (HOUR, True),
        (HoldUntil(NEW_YEAR), True),
        (MtPriority(9), False),
        (Solicit(("a",)), False),
        (TRACKED, False),
        (Submitter(Mailbox("a", "x.org")), False),
        (Rrvs(NEW_YEAR), True),
        (Rrvs(NEW_YEAR, RrvsAction.REJECT), True),
        (Rrvs(NEW_YEAR, RrvsAction.CONTINUE), False),
        (EnvId("1"), False),
    ],
)
def test_what_may_be_left_out_where_it_is_not_offered(value: object, vital: bool) -> None:
    writable = Writable.of(EVERY)
    assert {**writable.mail, **writable.rcpt}[type(value)].vital(value) is vital


IN_CLEAR = SendFacts(offer=(), protected=False, null_sender=False)
IN_TLS = attrs.evolve(IN_CLEAR, protected=True)
FROM_NOBODY = attrs.evolve(IN_CLEAR, offer=HoldLimits(), null_sender=True)
DAY = attrs.evolve(IN_CLEAR, offer=HoldLimits(86400, NEW_YEAR))


@pytest.mark.clause("RFC8689-2c", "RFC4865-4.1a", "RFC4865-5.1a", "RFC2852-4.1.4.1a", "RFC3885-3.1c")
@pytest.mark.parametrize(
    ("value", "facts", "fits"),
    [
        (RequireTls(), IN_TLS, True),
        (RequireTls(), IN_CLEAR, None),
        (HoldFor(86400), DAY, True),
        (HoldFor(86401), DAY, None),
        (HoldFor(86401), attrs.evolve(IN_CLEAR, offer=HoldLimits()), True),
        (HoldFor(1), FROM_NOBODY, None),
        (HoldUntil(NEW_YEAR), DAY, True),
        (HoldUntil(NEW_YEAR + timedelta(seconds=1)), DAY, None),
        (HoldUntil(NEW_YEAR), FROM_NOBODY, None),
        (DeliverBy(60, ByMode.RETURN), attrs.evolve(IN_CLEAR, offer=60), True),
        (DeliverBy(59, ByMode.RETURN), attrs.evolve(IN_CLEAR, offer=60), None),
        (DeliverBy(59, ByMode.RETURN), attrs.evolve(IN_CLEAR, offer=None), True),
        (DeliverBy(59, ByMode.NOTIFY), attrs.evolve(IN_CLEAR, offer=60), True),
        (Mtrk(bytes(20)), IN_CLEAR, True),
        (Mtrk(bytes(20), 1), IN_CLEAR, True),
        (Mtrk(bytes(20), 0), IN_CLEAR, False),
    ],
)
def test_what_a_client_may_send(value: object, facts: SendFacts, fits: bool | None) -> None:
    look = Writable.of(EVERY).mail[type(value)].fits
    assert look is not None
    if fits is None:
        with pytest.raises(ValueError, match=r"."):
            look(value, facts)
    else:
        assert look(value, facts) is fits


@pytest.mark.clause("RFC4409-7m", "RFC4409-7n", "RFC6409-7b")
@pytest.mark.clause(
    "RFC4865-4.2b", "RFC4865-4.2c", "RFC4865-5.2a", "RFC2852-3a", "RFC3885-3.2a", "RFC6531-3.1b"
)
@pytest.mark.parametrize(
    ("parameters", "reply"),
    [
        ("HOLDFOR=60", "250"),
        ("HOLDFOR=60 HOLDUNTIL=2026-01-01T00:00:00Z", "501 5.5.4"),
        ("HOLDFOR=999999999", "501 5.5.4"),
        ("HOLDFOR=60 BY=59;N", "501 5.5.4"),
        ("BY=59;R", "555 5.5.4"),
        ("BY=0;R", "501 5.5.4"),
        (f"MTRK={ZEROS}", "501 5.5.4"),
        (f"MTRK={ZEROS}:60 ENVID=1@x.org", "250"),
        ("SMTPUTF8", "250"),
        ("SMTPUTF8=1", "501 5.5.4"),
        (f"SOLICIT={'a' * 1000} SUBMITTER=a@x.org", "250"),
        ("XCLIENT", "555 5.5.4"),
        pytest.param("MT-PRIORITY=+3", "501 5.5.2", marks=pytest.mark.clause("RFC6710-4.1a")),
        pytest.param("MT-PRIORITY=3 MT-PRIORITY=3", "501 5.5.2", marks=pytest.mark.clause("RFC6710-4.1a")),
    ],
)
def test_a_server_that_offers_them(parameters: str, reply: str) -> None:
    mine = [x for x in EVERY if x.keyword not in {"DELIVERBY", "FUTURERELEASE"}]
    config = ServerConfig(hostname="mail.example", policy=OPEN, extensions=(*mine, deliver_by(60), HELD))
    server = Server(config)
    assert server.one(f"MAIL FROM:<a@x.org> {parameters}").startswith(reply)
    handed_on = [[*event.parameters] for event in server.of(MailReceived)]
    legal = parse_parameters(parameters, SPECS) if reply == "250" else None
    assert handed_on == ([] if legal is None else [[*legal]])
