"""SUBMITTER (RFC 4405): who is responsible for sending the message just now."""

from __future__ import annotations

import attrs

from ehlo._value import Value
from ehlo.extensions._base import Extension, Param, need_value, render_mailbox
from ehlo.wire import xtext
from ehlo.wire.address import Mailbox


@attrs.frozen(repr=False, eq=False)
class Submitter(Value):
    """The purported responsible address. Reports go to the reverse-path all the same [RFC4405-4.2c]."""

    mailbox: Mailbox


def _parse(value: str | None) -> Submitter:
    return Submitter(Mailbox.parse(xtext.decode(need_value(value))))


SUBMITTER = Extension(
    keyword="SUBMITTER",
    rfc="RFC 4405",
    summary="the address that is responsible for sending the message just now",
    mail=(Param("SUBMITTER", Submitter, _parse, lambda value: render_mailbox(value.mailbox)),),
    mail_octets=264,
)
