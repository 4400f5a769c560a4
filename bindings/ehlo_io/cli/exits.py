"""How the program ends: exit statuses, which failure gets which, and the one line that is said."""

from __future__ import annotations

from enum import IntEnum
from typing import IO, Any, Final

import click

import ehlo
from ehlo_io._common import printable


class Exit(IntEnum):
    """As sendmail's, which are those of sysexits.h."""

    OK = 0
    SET_UP = 1
    """The program could not start what it was told to."""
    BAD_DATA = 65
    """The message or an address is at fault."""
    RECIPIENT_REFUSED = 67
    UNAVAILABLE = 69
    """No session with the server could be had."""
    OUTPUT = 74
    """What there was to say could not be written."""
    TEMPORARY = 75
    """The same attempt may succeed later."""
    PROTOCOL = 76
    """The server did not speak SMTP."""
    AUTHENTICATION = 77
    """The server refused the credentials, or wants some."""


STATUS_OF: Final[tuple[tuple[type[ehlo.Error], Exit], ...]] = (
    (ehlo.LocalProtocolError, Exit.BAD_DATA),
    (ehlo.RemoteProtocolError, Exit.PROTOCOL),
    (ehlo.AuthenticationFailed, Exit.AUTHENTICATION),
    (ehlo.TlsFailed, Exit.UNAVAILABLE),
    (ehlo.ServiceRefused, Exit.UNAVAILABLE),
    (ehlo.ConnectionFailed, Exit.UNAVAILABLE),
)
"""For failures that are not temporary. SubmissionFailed goes by its replies: `status_of_result`."""

# [RFC4954-6e] the server wants authentication first; the others are its ways to say no to it.
_AUTHENTICATION_CODES: Final = frozenset({530, 534, 535, 538})
# [RFC1870-6.2a] the size of the message is what was refused, also when that was told at MAIL or RCPT.
_SIZE_CODES: Final = frozenset({"5.2.3", "5.3.4"})


class Failure(click.ClickException):
    """Ends the program with one line on stderr."""

    def __init__(self, message: str, status: int = Exit.SET_UP) -> None:
        super().__init__(printable(message))
        self.exit_code = int(status)  # type: ignore[misc] # click reads it from the instance

    def show(self, file: IO[Any] | None = None) -> None:
        complain(self.message)


def complain(message: str) -> None:
    """One line on stderr."""
    click.echo(f"ehlo: {printable(message)}", err=True)


def status_of(error: ehlo.Error, *, connected: bool) -> Exit:
    """The exit status for a session that failed; `connected`: it was open before it did."""
    if isinstance(error, ehlo.SubmissionFailed):
        return status_of_result(error.result)
    if isinstance(error, ehlo.SessionError) and error.temporary:
        # That nobody listens may pass, too, but no server said so.
        silent = isinstance(error, ehlo.ConnectionFailed) and error.reply is None
        if connected or not silent:
            return Exit.TEMPORARY
    return next((status for kind, status in STATUS_OF if isinstance(error, kind)), Exit.PROTOCOL)


def status_of_result(result: ehlo.SubmissionResult) -> Exit:
    """OK when all recipients were accepted, else by the first refusal that is for good."""
    if not result.refused:
        return Exit.OK
    for outcome in result.refused:
        if outcome.reply is not None and not outcome.temporary:
            return _status_of_refusal(outcome.reply, result.reply)
    return Exit.TEMPORARY


def _status_of_refusal(reply: ehlo.Reply, final: ehlo.Reply | None) -> Exit:
    enhanced = str(reply.enhanced)
    if reply.code in _AUTHENTICATION_CODES:
        return Exit.AUTHENTICATION
    if reply is final or enhanced in _SIZE_CODES or enhanced.startswith("5.6."):
        return Exit.BAD_DATA
    return Exit.RECIPIENT_REFUSED
