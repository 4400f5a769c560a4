from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import attrs
import pytest

from ehlo import LocalProtocolError, ServerConfig
from ehlo.extensions import (
    AUTH,
    DSN,
    EIGHT_BIT_MIME,
    ENHANCED_STATUS_CODES,
    EVERY,
    NO_PARAMETERS,
    PIPELINING,
    SIZE,
    STANDARD,
    STARTTLS,
    AuthParam,
    Body,
    ByMode,
    DeliverBy,
    EnvId,
    Extension,
    HoldFor,
    HoldUntil,
    MtPriority,
    Mtrk,
    Notify,
    OfferFacts,
    Orcpt,
    Param,
    Parameters,
    RequireTls,
    Ret,
    Rrvs,
    RrvsAction,
    Size,
    SmtpUtf8,
    Solicit,
    Submitter,
    UnsupportedParameter,
    by_type,
    parameter_specs,
    parse_parameters,
    render_parameters,
)
from ehlo.wire.address import Mailbox
from ehlo.wire.command import ParameterError

PARAMS = [(extension, param) for extension in EVERY for param in (*extension.mail, *extension.rcpt)]
MAIL = parameter_specs(param for extension in EVERY for param in extension.mail)
RCPT = parameter_specs(param for extension in EVERY for param in extension.rcpt)
NEW_YEAR = datetime(2026, 1, 1, tzinfo=UTC)

VALUES: dict[type, list[Any]] = {
    Size: [Size(0), Size(1), Size(10**20 - 1)],
    Body: list(Body),
    Ret: list(Ret),
    EnvId: [EnvId(x) for x in ("a", "A", "QQ=14", "a b+c=d", "~" * 100, "=" * 33)],
    Notify: [*Notify, Notify.SUCCESS | Notify.DELAY, Notify.SUCCESS | Notify.FAILURE | Notify.DELAY],
    Orcpt: [
        *[Orcpt.of(x) for x in ("b+c@y.org", '"a b"@c', "jörg@x.org", "é\\+=\u4f60 \U0001f600@x", "a")],
        Orcpt("x400", "c=us;a=b", "x400;c+3Dus;a+3Db"),
        Orcpt("UTF-8", "é@x", "UTF-8;é@x"),
    ],
    AuthParam: [
        AuthParam(None),
        *[AuthParam(Mailbox.parse(x)) for x in ("e=mc2@x.org", '"a b"@c', "A@[1.2.3.4]")],
    ],
    SmtpUtf8: [SmtpUtf8()],
    RequireTls: [RequireTls()],
    DeliverBy: [
        DeliverBy(1, ByMode.RETURN),
        DeliverBy(10**9 - 1, ByMode.RETURN, trace=True),
        *[DeliverBy(x, ByMode.NOTIFY, trace=True) for x in (-(10**9) + 1, -1, 0, 120)],
    ],
    HoldFor: [HoldFor(1), HoldFor(10**9 - 1)],
    HoldUntil: [
        HoldUntil(NEW_YEAR),
        HoldUntil(NEW_YEAR + timedelta(microseconds=1)),
        HoldUntil(datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)),
        HoldUntil(datetime(1, 1, 1, tzinfo=UTC)),
    ],
    MtPriority: [MtPriority(x) for x in range(-9, 10)],
    Solicit: [Solicit(("org.example:ADV:ADLT",)), Solicit(("a", "B_-.:9")), Solicit(("a" * 1000,))],
    Mtrk: [Mtrk(bytes(20)), Mtrk(b"\xff" * 20, 0), Mtrk(bytes(range(20)), 10**9 - 1)],
    Submitter: [Submitter(Mailbox.parse(x)) for x in ("e=mc2+y@x.org", '"a b"@c', "A@[1.2.3.4]")],
    Rrvs: [
        Rrvs(NEW_YEAR),
        Rrvs(datetime(2026, 1, 1, tzinfo=timezone(timedelta(hours=-7))), RrvsAction.CONTINUE),
        Rrvs(NEW_YEAR, RrvsAction.REJECT),
    ],
}
BESIDE = {Mtrk: "ENVID=1@x.org"}
"""What another parameter demands."""


def written(param: Param[Any], value: object) -> str:
    """The word that stands for the value in a command."""
    (word,) = render_parameters(Parameters([value]), {param.type: attrs.evolve(param, check=None)})
    return word


@pytest.mark.clause(
    "RFC3461-4c", "RFC5321-4.1.2j", "RFC6531-3.1b", "RFC8689-2b", "RFC2852-4a", "RFC2852-4b", "RFC4865-3b",
    "RFC6710-3a", "RFC3865-2.3a", "RFC3885-3.1a", "RFC4405-4a",
)  # fmt: skip
@pytest.mark.parametrize(("extension", "param"), PARAMS, ids=lambda x: x.keyword)
def test_every_value_of_every_parameter_comes_back(extension: Extension, param: Param[Any]) -> None:
    specs = MAIL if param in extension.mail else RCPT
    beside = BESIDE.get(param.type, "")
    for value in VALUES[param.type]:
        if value is Body.BINARY_MIME and extension is EIGHT_BIT_MIME:
            continue
        text = param.render(value)
        again = param.parse(text)
        assert again == value
        assert type(again) is param.type
        word = written(param, value)
        assert word == (param.keyword if text is None else f"{param.keyword}={text}")
        assert word.isprintable()
        assert " " not in word
        parameters = parse_parameters(f"{word} {beside}", specs)
        assert parameters.get(param.type) == value
        assert word in render_parameters(parameters, by_type(specs.values()))
        lower = word.replace(param.keyword, param.keyword.lower(), 1)
        assert parse_parameters(f"  {lower} {beside}", specs).get(param.type) == value


def test_there_are_values_for_every_parameter() -> None:
    assert set(VALUES) == {param.type for _, param in PARAMS}
    # BODY has a value that belongs to another extension.
    assert len(PARAMS) == len(VALUES) + 1


@pytest.mark.clause("RFC3030-3b")
def test_a_body_of_another_extension() -> None:
    (param,) = EIGHT_BIT_MIME.mail
    for wrong in (lambda: param.parse("BINARYMIME"), lambda: param.render(Body.BINARY_MIME)):
        with pytest.raises(ValueError, match="BINARYMIME"):
            wrong()


@pytest.mark.clause("RFC3461-4.5a", "RFC1869-6a", "RFC4865-4.2c")
@pytest.mark.parametrize(("extension", "param"), PARAMS, ids=lambda x: x.keyword)
def test_repeated(extension: Extension, param: Param[Any]) -> None:
    specs = MAIL if param in extension.mail else RCPT
    values = [x for x in VALUES[param.type] if x is not Body.BINARY_MIME]
    first, *_, last = (values * 2)[:3]
    word, other = written(param, first), written(param, last)
    for text in (f"{word} {word}", f"{word} {other}", f"{word} {other.lower()}", f"{param.keyword}="):
        with pytest.raises(ParameterError) as caught:
            parse_parameters(f"{BESIDE.get(param.type, '')} {text}", specs)
        assert text not in str(caught.value)


@pytest.mark.clause("RFC1870-3b", "RFC6531-3.1b", "RFC8689-2b")
@pytest.mark.parametrize(("extension", "param"), PARAMS, ids=lambda x: x.keyword)
def test_a_value_too_few_or_too_many(extension: Extension, param: Param[Any]) -> None:
    specs = MAIL if param in extension.mail else RCPT
    takes_none = param.render(VALUES[param.type][0]) is None
    with pytest.raises(ValueError, match="takes no value" if takes_none else "needs a value"):
        param.parse("1" if takes_none else None)
    with pytest.raises(ParameterError):
        parse_parameters(f"{param.keyword}=1" if takes_none else param.keyword, specs)


@pytest.mark.clause("RFC1869-6a")
def test_any_order() -> None:
    words = ["SIZE=5", "BODY=8BITMIME", "RET=HDRS", "ENVID=a", "AUTH=<>"]
    values = [Size(5), Body.EIGHT_BIT_MIME, Ret.HDRS, EnvId("a"), AuthParam(None)]
    for text in (" ".join(words), " ".join(reversed(words)), "   ".join(words)):
        parameters = parse_parameters(text, MAIL)
        assert parameters == Parameters(values)
        assert len(parameters) == 5
        assert [parameters.get(type(value)) for value in values] == values


@pytest.mark.parametrize("text", ["X", "X=1", "NOTIFY=NEVER", "RRVS=x", "SIZE=1 X=1", "BODY=7BIT SIZES=1"])
def test_unknown(text: str) -> None:
    with pytest.raises(UnsupportedParameter):
        parse_parameters(text, MAIL)


def test_a_word_that_is_no_parameter() -> None:
    for text in ("=", "SIZE=1=2", "SIZE=1\xa0BODY=7BIT", "SIZE=1\tBODY=7BIT", "-X"):
        with pytest.raises(ParameterError):
            parse_parameters(text, MAIL)


def test_nothing() -> None:
    assert parse_parameters("", MAIL) is NO_PARAMETERS
    assert parse_parameters("  ", MAIL) == NO_PARAMETERS
    assert not NO_PARAMETERS
    assert NO_PARAMETERS.get(Size) is None
    assert render_parameters(NO_PARAMETERS, by_type(MAIL.values())) == []


def test_parameters_are_a_value() -> None:
    one, two = Parameters([Size(1), Ret.FULL]), Parameters([Ret.FULL, Size(1)])
    assert one == two
    assert hash(one) == hash(two)
    assert one != Parameters([Size(2), Ret.FULL])
    assert one != (Size(1), Ret.FULL)
    assert list(one) == [Size(1), Ret.FULL]
    assert repr(one) == "Parameters(Size(octets=1), <Ret.FULL: 'FULL'>)"
    assert one.get(Body) is None
    with pytest.raises(ValueError, match="repeated"):
        Parameters([Size(1), Size(2)])
    with pytest.raises(ValueError, match="repeated"):
        Parameters([Ret.FULL, Ret.HDRS])


def test_values_of_others_are_left_out() -> None:
    assert render_parameters(Parameters([Size(1), Notify.NEVER]), by_type(MAIL.values())) == ["SIZE=1"]
    assert render_parameters(Parameters([Size(1), Notify.NEVER]), by_type(RCPT.values())) == ["NOTIFY=NEVER"]
    assert render_parameters(Parameters([Size(1)]), {}) == []


@attrs.frozen
class _Flag:
    pass


def _parse_flag(value: str | None) -> _Flag:
    if value is not None:
        raise ValueError("no value")
    return _Flag()


def test_an_extension_of_an_embedder() -> None:
    flag = Param("x-flag", _Flag, _parse_flag, lambda _: None)
    extension = Extension(keyword="X-FLAG", rfc="", summary="", mail=(flag,))
    specs = parameter_specs([*MAIL.values(), *extension.mail])
    assert parse_parameters("X-Flag SIZE=1", specs) == Parameters([_Flag(), Size(1)])
    assert render_parameters(Parameters([_Flag()]), by_type(extension.mail)) == ["x-flag"]
    with pytest.raises(ParameterError):
        parse_parameters("X-FLAG=1", specs)
    assert extension.offer(OfferFacts()) == ()
    assert extension.parse_offer(("a",)) == ("a",)


@attrs.frozen
class _Pair:
    pass


def test_parameters_that_look_at_each_other() -> None:
    def check(parameters: Parameters) -> None:
        if parameters.get(_Flag) is None:
            raise ValueError("X-PAIR demands X-FLAG")

    params: list[Param[Any]] = [
        Param("X-FLAG", _Flag, _parse_flag, lambda _: None),
        Param("X-PAIR", _Pair, lambda _: _Pair(), lambda _: None, check),
    ]
    specs, types = parameter_specs(params), by_type(params)
    both = Parameters([_Pair(), _Flag()])
    assert parse_parameters("X-PAIR X-FLAG", specs) == both
    assert sorted(render_parameters(both, types)) == ["X-FLAG", "X-PAIR"]
    assert parse_parameters("X-FLAG", specs) == Parameters([_Flag()])
    with pytest.raises(ParameterError, match="demands"):
        parse_parameters("X-PAIR", specs)
    with pytest.raises(ValueError, match="demands"):
        render_parameters(Parameters([_Pair()]), types)


# ---- the records ----


def test_the_records() -> None:
    assert [extension.keyword for extension in STANDARD] == [
        "PIPELINING",
        "SIZE",
        "STARTTLS",
        "AUTH",
        "ENHANCEDSTATUSCODES",
        "8BITMIME",
        "DSN",
        "CHUNKING",
        "SMTPUTF8",
    ]
    assert [extension.keyword for extension in EVERY[len(STANDARD) :]] == [
        "BINARYMIME",
        "REQUIRETLS",
        "DELIVERBY",
        "FUTURERELEASE",
        "MT-PRIORITY",
        "LIMITS",
        "NO-SOLICITING",
        "MTRK",
        "SUBMITTER",
        "RRVS",
        "BURL",
        "XCLIENT",
    ]
    assert EVERY[: len(STANDARD)] == STANDARD
    keywords = [extension.keyword for extension in EVERY]
    assert len(set(keywords)) == len(keywords)
    for extension in EVERY:
        assert extension.keyword == extension.keyword.upper()
        assert extension.rfc
        assert extension.summary
        assert set(extension.needs) < set(keywords)


@pytest.mark.clause("RFC6531-3.1c", "RFC8689-2b", "RFC2852-2b", "RFC4865-3b", "RFC6710-3a", "RFC3885-2a")
def test_by_how_much_lines_grow() -> None:
    mail = {extension.keyword: extension.mail_octets for extension in EVERY if extension.mail_octets}
    assert mail == {
        "SIZE": 26,
        "AUTH": 500,
        "8BITMIME": 17,
        "DSN": 116,
        "SMTPUTF8": 10,
        "REQUIRETLS": 11,
        "DELIVERBY": 17,
        "FUTURERELEASE": 34,
        "MT-PRIORITY": 15,
        "NO-SOLICITING": 1009,
        "MTRK": 40,
        "SUBMITTER": 264,
    }
    rcpt = {extension.keyword: extension.rcpt_octets for extension in EVERY if extension.rcpt_octets}
    assert rcpt == {"DSN": 524, "RRVS": 33}
    assert 512 + 524 >= 1036


@pytest.mark.clause("RFC6531-3.1d", "RFC3885-2a", "RFC3030-3a")
@pytest.mark.parametrize("extension", [x for x in EVERY if x.needs], ids=lambda x: x.keyword)
def test_what_an_extension_needs(extension: Extension) -> None:
    needed = tuple(x for x in STANDARD if x.keyword in extension.needs)
    assert needed
    assert ServerConfig(hostname="x.org", extensions=(*needed, extension)).extensions[-1] is extension
    with pytest.raises(LocalProtocolError, match=f"{extension.keyword} needs {extension.needs[0]}"):
        ServerConfig(hostname="x.org", extensions=(extension,))


NOW = OfferFacts(tls_available=True, message_size=1000, mechanisms=("PLAIN", "NTLM"))


@pytest.mark.clause("RFC4954-3a", "RFC1870-3a")
@pytest.mark.parametrize(
    ("extension", "facts", "words"),
    [
        (PIPELINING, NOW, ()),
        (ENHANCED_STATUS_CODES, NOW, ()),
        (EIGHT_BIT_MIME, NOW, ()),
        (DSN, NOW, ()),
        (SIZE, NOW, ("1000",)),
        (SIZE, OfferFacts(), ("0",)),
        (SIZE, OfferFacts(message_size=0), ("0",)),
        (AUTH, NOW, ("PLAIN", "NTLM")),
        (AUTH, OfferFacts(), None),
        (STARTTLS, NOW, ()),
        (STARTTLS, OfferFacts(), None),
        (STARTTLS, attrs.evolve(NOW, tls_active=True), None),
        (STARTTLS, OfferFacts(tls_active=True), None),
    ],
)
def test_offers(extension: Extension, facts: OfferFacts, words: tuple[str, ...] | None) -> None:
    assert extension.offer(facts) == words
