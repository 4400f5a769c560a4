from __future__ import annotations

from typing import Any

import attrs
import pytest

from ehlo.extensions import (
    AUTH,
    DSN,
    EIGHT_BIT_MIME,
    ENHANCED_STATUS_CODES,
    NO_PARAMETERS,
    PIPELINING,
    SIZE,
    STANDARD,
    STARTTLS,
    AuthParam,
    Body,
    EnvId,
    Extension,
    Notify,
    OfferFacts,
    Orcpt,
    Param,
    Parameters,
    Ret,
    Size,
    UnsupportedParameter,
    by_type,
    parameter_specs,
    parse_parameters,
    render_parameters,
)
from ehlo.wire.address import Mailbox
from ehlo.wire.command import ParameterError

PARAMS = [(extension, param) for extension in STANDARD for param in (*extension.mail, *extension.rcpt)]
MAIL = parameter_specs(param for extension in STANDARD for param in extension.mail)
RCPT = parameter_specs(param for extension in STANDARD for param in extension.rcpt)

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
}


@pytest.mark.clause("RFC3461-4c", "RFC5321-4.1.2j")
@pytest.mark.parametrize(("extension", "param"), PARAMS, ids=lambda x: x.keyword)
def test_every_value_of_every_parameter_comes_back(extension: Extension, param: Param[Any]) -> None:
    specs = MAIL if param in extension.mail else RCPT
    for value in VALUES[param.type]:
        text = param.render(value)
        again = param.parse(text)
        assert again == value
        assert type(again) is param.type
        (word,) = render_parameters(Parameters([value]), by_type(specs.values()))
        assert word == f"{param.keyword}={text}"
        assert word.isprintable()
        assert " " not in word
        assert parse_parameters(word, specs) == Parameters([value])
        lower = word.replace(param.keyword, param.keyword.lower(), 1)
        assert parse_parameters(f"  {lower} ", specs).get(param.type) == value


def test_there_are_values_for_every_parameter() -> None:
    assert set(VALUES) == {param.type for _, param in PARAMS}
    assert len(PARAMS) == len(VALUES)


@pytest.mark.clause("RFC3461-4.5a", "RFC1870-3b", "RFC1869-6a")
@pytest.mark.parametrize(("extension", "param"), PARAMS, ids=lambda x: x.keyword)
def test_repeated_and_valueless(extension: Extension, param: Param[Any]) -> None:
    specs = MAIL if param in extension.mail else RCPT
    first, second = VALUES[param.type][:2]
    word, other = (f"{param.keyword}={param.render(x)}" for x in (first, second))
    for text in (
        f"{word} {word}",
        f"{word} {other}",
        f"{word} {other.lower()}",
        param.keyword,
        f"{param.keyword}=",
    ):
        with pytest.raises(ParameterError) as caught:
            parse_parameters(text, specs)
        assert text not in str(caught.value)
    with pytest.raises(ValueError, match="needs a value"):
        param.parse(None)


@pytest.mark.clause("RFC1869-6a")
def test_any_order() -> None:
    words = ["SIZE=5", "BODY=8BITMIME", "RET=HDRS", "ENVID=a", "AUTH=<>"]
    values = [Size(5), Body.EIGHT_BIT_MIME, Ret.HDRS, EnvId("a"), AuthParam(None)]
    for text in (" ".join(words), " ".join(reversed(words)), "   ".join(words)):
        parameters = parse_parameters(text, MAIL)
        assert parameters == Parameters(values)
        assert len(parameters) == 5
        assert [parameters.get(type(value)) for value in values] == values


@pytest.mark.parametrize("text", ["X", "X=1", "SMTPUTF8", "NOTIFY=NEVER", "SIZE=1 X=1", "BODY=7BIT SIZES=1"])
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
    ]
    for extension in STANDARD:
        assert extension.keyword == extension.keyword.upper()
        assert extension.rfc
        assert extension.summary


def test_by_how_much_lines_grow() -> None:
    mail = {extension.keyword: extension.mail_octets for extension in STANDARD if extension.mail_octets}
    assert mail == {"SIZE": 26, "AUTH": 500, "8BITMIME": 17, "DSN": 116}
    rcpt = {extension.keyword: extension.rcpt_octets for extension in STANDARD if extension.rcpt_octets}
    assert rcpt == {"DSN": 524}
    assert 512 + 524 >= 1036


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
