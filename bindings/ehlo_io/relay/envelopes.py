"""An envelope as a JSON value and back, with every parameter that there is a record for.

Of AUTH= only what may be handed on is kept: a mailbox that the policy does not believe becomes `<>`
[RFC4954-5d].
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

import ehlo
from ehlo.extensions import (
    EVERY,
    Param,
    by_type,
    parameter_specs,
    parse_parameters,
    render_parameters,
)

_MAIL: Final = tuple(param for extension in EVERY for param in extension.mail)
_RCPT: Final = tuple(param for extension in EVERY for param in extension.rcpt)
_MAIL_BY_TYPE: Final = by_type(_MAIL)
_RCPT_BY_TYPE: Final = by_type(_RCPT)
_MAIL_SPECS: Final = parameter_specs(_MAIL)
_RCPT_SPECS: Final = parameter_specs(_RCPT)


def to_json(envelope: ehlo.Envelope) -> dict[str, Any]:
    """Raises ValueError for a parameter that there is no record for."""
    return {
        "sender": _path_out(envelope.reverse_path),
        "parameters": _words(map(_handed_on, envelope.parameters), _MAIL_BY_TYPE),
        "recipients": [
            [_path_out(recipient.path), _words(recipient.parameters, _RCPT_BY_TYPE)]
            for recipient in envelope.recipients
        ],
    }


def from_json(value: Mapping[str, Any]) -> ehlo.Envelope:
    """Raises ValueError, TypeError or LookupError for what `to_json` never made."""
    recipients = []
    for path, words in value["recipients"]:
        mailbox = _path_in(path)
        if mailbox is None:
            raise ValueError("a recipient has an address")
        recipients.append(ehlo.Recipient(mailbox, _parameters(words, _RCPT_SPECS)))
    parameters = _parameters(value["parameters"], _MAIL_SPECS)
    return ehlo.Envelope(
        _path_in(value["sender"]), ehlo.Parameters(map(_believed, parameters)), tuple(recipients)
    )


def _handed_on(value: object) -> object:
    return ehlo.AuthParam(value.submitter) if isinstance(value, ehlo.AuthParam) else value


def _believed(value: object) -> object:
    if isinstance(value, ehlo.AuthParam) and value.mailbox is not None:
        return ehlo.AuthParam(value.mailbox, trusted=True)
    return value


# In two pieces, so that nothing has to be quoted and read again.
def _path_out(path: ehlo.ReversePath) -> list[str] | None:
    return None if path is None else [path.local, path.domain]


def _path_in(value: list[str] | None) -> ehlo.ReversePath:
    if value is None:
        return None
    local, domain = value
    return ehlo.Mailbox(str(local), str(domain))


def _words(values: Iterable[object], params: Mapping[type[object], Param[Any]]) -> list[str]:
    parameters = ehlo.Parameters(values)
    words = render_parameters(parameters, params)
    if len(words) != len(parameters):
        raise ValueError("a parameter of no known extension")
    return words


def _parameters(words: list[str], specs: Mapping[str, Param[Any]]) -> ehlo.Parameters:
    return parse_parameters(" ".join(words), specs)
