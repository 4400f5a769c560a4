"""What an extension is: one record. Everything else reads the same tuple of records.

Its readers: the EHLO writer, the EHLO parser, the parameter parsers of MAIL and RCPT, the limit
on command lines, the table of extensions in the documentation, and the test that round-trips
each parameter. An embedder adds an extension by passing a longer tuple.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final, Generic, TypeVar

import attrs

from ehlo._value import Value
from ehlo.wire import xtext
from ehlo.wire.address import Mailbox
from ehlo.wire.command import ParameterError, split_parameters

T = TypeVar("T")


def _never(_: object) -> bool:
    return False


def always(_: object) -> bool:
    return True


@attrs.frozen(repr=False, eq=False)
class Param(Value, Generic[T]):
    """One parameter of MAIL or RCPT and the type of its value."""

    keyword: str
    type: type[T]
    parse: Callable[[str | None], T]
    """From the text behind `=`, None when there was no `=`. Raises ValueError (501 5.5.4), or
    UnsupportedParameter (555 5.5.4) for a right value that this server does not honour."""
    render: Callable[[T], str | None]
    """The text behind `=`; None for none. Raises ValueError."""
    check: Callable[[Parameters], None] | None = None
    """Looks at all parameters of the command when this one is among them: those that exclude or demand
    each other. Raises ValueError (501 5.5.4)."""
    vital: Callable[[T], bool] = _never
    """Whether the message may not be sent without this value, where the server does not offer the
    extension; others are left out then."""
    fits: Callable[[T, SendFacts], bool] | None = None
    """Whether a client hands the value on to this server; else it is left out. Raises ValueError when the
    message may not be sent there with it."""
    unproved: Callable[[T], T] | None = None
    """What a server makes of the value while nobody has proved who they are."""
    fault: str = "5.5.4"
    """The enhanced code of the 501 to a wrong or a repeated value."""


@attrs.frozen(repr=False, eq=False, kw_only=True)
class OfferFacts(Value):
    """What the EHLO reply of a server depends on."""

    tls_active: bool = False
    tls_available: bool = False
    message_size: int | None = None
    mechanisms: tuple[str, ...] = ()
    """Those that may be used now, on this channel."""


@attrs.frozen(repr=False, eq=False, kw_only=True)
class SendFacts(Value):
    """What it depends on whether a client may send a parameter."""

    offer: Any
    """The extension's typed reading of what the server offers."""
    protected: bool
    """Inside TLS, with a certificate that was verified."""
    null_sender: bool
    """The message is a report, or another answer of a machine."""


def _always(_: OfferFacts) -> tuple[str, ...] | None:
    return ()


def _arguments(words: tuple[str, ...]) -> Any:
    return words


@attrs.frozen(repr=False, eq=False, kw_only=True)
class Extension(Value):
    """One service extension (RFC 5321 section 2.2)."""

    keyword: str
    rfc: str
    summary: str
    offer: Callable[[OfferFacts], tuple[str, ...] | None] = _always
    """The words behind the keyword in EHLO; None: not offered now."""
    parse_offer: Callable[[tuple[str, ...]], Any] = _arguments
    """A client's typed reading of those words; never raises: odd words are read leniently."""
    mail: tuple[Param[Any], ...] = ()
    rcpt: tuple[Param[Any], ...] = ()
    mail_octets: int = 0
    """By how much the extension lengthens the MAIL line [RFC5321-4.5.3.1.4a]."""
    rcpt_octets: int = 0
    needs: tuple[str, ...] = ()
    """The keywords that a server must offer as well."""


class UnsupportedParameter(Exception):
    """555 5.5.4: no extension that is on defines the parameter."""


class Parameters:
    """The typed parameters of one MAIL or RCPT, looked up by type: `parameters.get(Ret)`."""

    __slots__ = ("_values",)

    def __init__(self, values: Iterable[object] = ()) -> None:
        self._values: Final = tuple(values)
        if len(self._values) > 1 and len(set(map(type, self._values))) != len(self._values):
            raise ValueError("a parameter is repeated")

    def get(self, kind: type[T]) -> T | None:
        """The parameter of this type; None when absent."""
        for value in self._values:
            if isinstance(value, kind):
                return value
        return None

    def __iter__(self) -> Iterator[object]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Parameters) and set(self._values) == set(other._values)

    def __hash__(self) -> int:
        return hash(frozenset(self._values))

    def __repr__(self) -> str:
        return f"Parameters({', '.join(map(repr, self._values))})"


NO_PARAMETERS: Final = Parameters()


def parameter_specs(params: Iterable[Param[Any]]) -> dict[str, Param[Any]]:
    return {param.keyword.upper(): param for param in params}


def by_type(params: Iterable[Param[Any]]) -> dict[type[object], Param[Any]]:
    return {param.type: param for param in params}


def parse_parameters(text: str, specs: Mapping[str, Param[Any]]) -> Parameters:
    """Raises ParameterError (501 5.5.4) or UnsupportedParameter (555 5.5.4)."""
    if not text:
        return NO_PARAMETERS
    values: dict[str, object] = {}
    for keyword, value in split_parameters(text):
        spec = specs.get(keyword)
        if spec is None:
            raise UnsupportedParameter
        if keyword in values:
            raise ParameterError("a parameter is repeated", spec.fault)
        try:
            values[keyword] = spec.parse(value)
        except ValueError:
            raise ParameterError("a parameter has a wrong value", spec.fault) from None
    parameters = Parameters(values.values())
    for keyword in values:
        check = specs[keyword].check
        if check is not None:
            try:
                check(parameters)
            except ValueError as error:
                raise ParameterError(str(error), specs[keyword].fault) from None
    return parameters


def render_parameters(parameters: Parameters, params: Mapping[type[object], Param[Any]]) -> list[str]:
    """The words for a command line, those that no param defines left out. Raises ValueError."""
    words = []
    for value in parameters:
        param = params.get(type(value))
        if param is not None:
            text = param.render(value)
            words.append(param.keyword if text is None else f"{param.keyword}={text}")
            if param.check is not None:
                param.check(parameters)
    return words


def need_value(value: str | None) -> str:
    if value is None:
        raise ValueError("the parameter needs a value")
    return value


def need_word(value: str | None) -> str:
    """A value that is read in any letter case, in upper case."""
    word = need_value(value)
    if not word.isascii():
        # upper() would make an S of U+017F: a word that no other reader takes for this one.
        raise ValueError("the value is not a word")
    return word.upper()


def render_mailbox(mailbox: Mailbox) -> str:
    """The mailbox in xtext. Raises ValueError for a value that no text parses to."""
    text = str(mailbox)
    if Mailbox.parse(text) != mailbox:
        raise ValueError("not a mailbox")
    return xtext.encode(text)


def no_value(keyword: str, made: T, fits: Callable[[T, SendFacts], bool] | None = None) -> Param[T]:
    """A vital parameter that says all by being there: `made` stands for it."""

    def parse(value: str | None) -> T:
        if value is not None:
            raise ValueError("the parameter takes no value")
        return made

    return Param(keyword, type(made), parse, lambda _: None, vital=always, fits=fits)
